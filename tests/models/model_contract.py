"""What the trainer and the other workflows ask of any network, as tests that each network inherits."""

from __future__ import annotations

import copy
from typing import ClassVar

import pytest
import torch
from torch import nn

from vtadapt.models.backbones.base import Backbone, Encoded
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.multitask import MultitaskModel

CHANNELS = {"semseg": 5, "depth": 1, "normals": 3}


def disturb(model: nn.Module) -> None:
    """Move every parameter that starts at zero, so that nothing is hidden by it."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.05 * torch.randn_like(parameter))


class ModelContract:
    """What every model must do; subclasses give ``make``."""

    def make(self, backbone: Backbone) -> nn.Module:
        raise NotImplementedError

    def again(self) -> Backbone:
        """The backbone of the fixture, made anew."""
        return load_backbone(weights="random", seed=3)

    @pytest.mark.parametrize("size", [(64, 64), (33, 75), (1, 1), (40, 129)])
    def test_logits_have_the_images_size(self, backbone, size):
        model = self.make(backbone).eval()
        with torch.no_grad():
            out = model(torch.rand(2, 3, *size))
        assert {name: tuple(x.shape) for name, x in out.items()} == {n: (2, c, *size) for n, c in CHANNELS.items()}
        assert all(torch.isfinite(x).all() for x in out.values())

    def test_every_trained_parameter_moves_within_three_steps_and_no_frozen_tensor_changes(self, backbone):
        model = self.make(backbone)
        before = copy.deepcopy(model.state_dict())
        frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
        optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
        seen: set[str] = set()
        torch.manual_seed(0)
        for _ in range(3):
            optimiser.zero_grad()
            out = model(torch.rand(2, 3, 96, 96))
            # A target, not a sum: after a LayerNorm a sum is constant and its gradient says nothing.
            sum((x - torch.randn_like(x)).square().mean() for x in out.values()).backward()
            seen |= {n for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
            optimiser.step()
        assert seen == {n for n, p in model.named_parameters() if p.requires_grad}
        for name, value in model.state_dict().items():
            if name in frozen or name not in dict(model.named_parameters()):
                assert torch.equal(value, before[name]), name

    def test_what_was_encoded_takes_the_place_of_the_images(self, backbone):
        """To the bit, gradients included; and the images themselves are not looked at."""
        model = self.make(backbone).eval()
        if type(model).encode is MultitaskModel.encode or any(
            group.trained for name, _, group in model.components() if name == "trunk"
        ):
            return  # no part of its encoder stays as it is
        disturb(model)
        image = torch.rand(2, 3, 40, 75)
        found = []
        for given in (image, Encoded(model.encode(image), (40, 75), image if model.looks_at_image else None)):
            out = model(given)
            model.zero_grad()
            sum(x.square().mean() for x in out.values()).backward()
            found.append((out, {n: p.grad for n, p in model.named_parameters() if p.grad is not None}))
        assert not any(part.requires_grad for part in model.encode(image))
        for mine, own in zip(*found, strict=True):
            assert mine.keys() == own.keys()
            assert all(torch.equal(mine[name], own[name]) for name in own)

    def test_the_ledger_holds_every_parameter_once(self, backbone):
        model = self.make(backbone)
        listed = [id(p) for _, _, group in model.components() for p in group.parameters]
        assert len(listed) == len(set(listed))
        assert set(listed) == {id(p) for p in model.parameters()}
        trained = sum(g.count for _, _, g in model.components() if g.trained)
        assert trained == sum(p.numel() for p in model.parameters() if p.requires_grad)

    def test_saved_state_restores_the_outputs(self, backbone):
        model = self.make(backbone)
        disturb(model)
        fresh = self.make(self.again())
        fresh.load_state_dict(model.saved_state(), strict=False)
        image = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            wanted, found = model.eval()(image), fresh.eval()(image)
        assert all(torch.equal(wanted[n], found[n]) for n in CHANNELS)


class ConfiguredContract(ModelContract):
    """A network in several configurations: subclasses give ``network``, and are parametrized by ``config``."""

    network: ClassVar[type[nn.Module]]

    @pytest.fixture(autouse=True)
    def _config(self, config: object) -> None:
        self.config = config

    def make(self, backbone: Backbone) -> nn.Module:
        torch.manual_seed(0)
        return self.network(backbone, CHANNELS, self.config)
