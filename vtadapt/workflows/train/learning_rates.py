"""Learning rates: which parameters have which, and how they go over a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from vtadapt.errors import ConfigError
from vtadapt.models.multitask import MultitaskModel
from vtadapt.workflows.run.settings import TrainSettings

SHAPES: Mapping[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "linear": lambda done: 1 - done,
    "constant": lambda done: 1.0,  # noqa: ARG005
}
"""Schedule -> share of the peak rate, by the share of the steps after the warm-up that is done."""


class Rates:
    """The rate of every parameter as a function of the step alone: resuming needs no scheduler state.

    Linear warm-up, then the setting ``schedule``: a cosine or a line to zero, or no fall. Backbone weights that are
    trained get ``backbone_lr_scale`` of it. What all tasks share gets ``shared_lr_scale``, and for the first
    ``own_first`` of the steps nothing at all: heads that start anew, or that are far off on new data, are fitted before
    their gradients reach features that other heads read (linear probing, then fine-tuning: Kumar et al., ICLR 2022;
    smaller rates below the head: Howard and Ruder, ACL 2018).
    """

    def __init__(self, model: MultitaskModel, settings: TrainSettings, steps: int) -> None:
        """Divide the parameters into groups.

        Args:
            model: of the run.
            settings: of the run.
            steps: of the run.

        Raises:
            ConfigError: own and shared parts are asked for of a method that does not have both.
        """
        self.settings, self.steps = settings, steps
        self.groups = _groups(model, settings)
        self.scales = [g["lr"] / settings.peak_lr for g in self.groups]
        first = round(settings.own_first * steps)
        self.begins = [first if g["shared"] else 0 for g in self.groups]

    def at(self, step: int) -> float:
        """The rate of a head at a step (from 0)."""
        warm = max(1, round(self.settings.warmup * self.steps))
        if step < warm:
            # From 1/warm and not from 0: a step at rate 0 would be a step for nothing.
            return self.settings.peak_lr * (step + 1) / warm
        done = (step - warm) / max(1, self.steps - warm)
        return self.settings.peak_lr * SHAPES[self.settings.schedule](done)

    def set(self, optimiser: Any, step: int) -> None:
        """Give every group of the optimiser, made of :attr:`groups`, its rate at a step (from 0)."""
        for group, scale, begin in zip(optimiser.param_groups, self.scales, self.begins, strict=True):
            # The schedule runs on while a group waits, so that both end together.
            group["lr"] = self.at(step) * scale if step >= begin else 0.0


def make_optimiser(parameters: Any, precision: str, name: str = "adamw") -> torch.optim.Optimizer:
    """The optimiser of that name on parameters or groups of them.

    AdamW goes in one pass over each where the precision (as settings have it) allows.

    The second moment averages over about 100 steps: with the usual 0.999 it would be 1000, which is a whole run here.
    """
    # A scaler of float16 gradients leaves their unscaling to a fused optimiser, and they could not be clipped before.
    if name == "sgd":
        return torch.optim.SGD(parameters, momentum=0.9, nesterov=True)
    if name == "radam":
        return torch.optim.RAdam(parameters, betas=(0.9, 0.99), decoupled_weight_decay=True)
    return torch.optim.AdamW(parameters, betas=(0.9, 0.99), fused=precision != "16-mixed")


def _groups(model: MultitaskModel, settings: TrainSettings) -> list[dict[str, Any]]:
    """Optimiser groups; vectors have no decay."""
    backbone = {id(p) for p in model.encoder_parameters()}
    own = _own(model, settings)
    groups: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            shared = own is not None and id(parameter) not in own
            # Biases and norms are vectors: decay would pull a norm's scale to 0, which is no simpler network.
            groups.setdefault((id(parameter) in backbone, shared, parameter.dim() > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": settings.peak_lr
            * (settings.backbone_lr_scale if old else 1.0)
            * (settings.shared_lr_scale if shared else 1.0),
            "weight_decay": settings.weight_decay if decay else 0.0,
            "shared": shared,
        }
        for (old, shared, decay), parameters in groups.items()
    ]


def _own(model: MultitaskModel, settings: TrainSettings) -> set[int] | None:
    """Parameters that serve one task alone; None where no setting tells them from the others."""
    if settings.shared_lr_scale == 1 and settings.own_first == 0:
        return None
    if not model.has_own_parts:
        raise ConfigError(
            f"shared_lr_scale and own_first are for methods with parts that all tasks share; {settings.method!r} does "
            "not tell them; leave them out"
        )
    return {id(part.parameter) for task in model.tasks for part in model.owned(task) if part.row is None}
