"""The mean teacher: the network with a running mean of its trained weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vtadapt.models.multitask import MultitaskModel


class MeanTeacher:
    """Weights t that follow those of the network, w (Tarvainen and Valpola, NeurIPS 2017).

    After step s (from 0) t <- m t + (1 - m) w with m = min(momentum, 1 - 1 / (s + 1)): a plain mean at first, so that
    the weights that the network began with do not stay in it.

    Only what is trained has a mean of its own. The frozen trunk and all buffers are the network's, which does not know
    of its teacher: its weights are put in for the length of a call.
    """

    def __init__(self, model: MultitaskModel, momentum: float, device: torch.device) -> None:
        """Begin with the network's weights.

        Args:
            model: the network itself, not what Fabric or the compiler made of it.
            momentum: the largest m.
            device: of the run.
        """
        self.model, self.momentum = model, momentum
        self.weights = {name: p.detach().to(device, copy=True) for name, p in _trained(model)}

    def update(self, step: int) -> None:
        """Take in the network's weights after ``step`` (from 0)."""
        share = 1 - min(self.momentum, 1 - 1 / (step + 1))
        for name, parameter in _trained(self.model):
            self.weights[name].lerp_(parameter.detach(), share)

    @torch.no_grad()
    def predict(self, image: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        """(B, 3, H, W) -> logits by task, in eval mode; the network is left as it was."""
        with _evaluating(self.model):
            logits: dict[str, Tensor] = functional_call(self.model, self.weights, (image, list(tasks)))
        return logits

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Go back to saved weights.

        Raises:
            ValueError: they are of another network.
        """
        if found := sorted(weights.keys() ^ self.weights.keys()):
            raise ValueError(f"teacher of another network: {found[0]}")
        for name, value in self.weights.items():
            if value.shape != weights[name].shape:
                raise ValueError(f"teacher of another network: {name} is of another size")
            value.copy_(weights[name])


def _trained(model: MultitaskModel) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Inside, all modules are in eval mode; each is put back as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
