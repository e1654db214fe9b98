"""The discriminator of domains: its layers, its bound, what a forward changes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vtadapt.errors import ConfigError
from vtadapt.models.discriminator import Discriminator


def convolutions(network: Discriminator) -> list[nn.Conv2d]:
    return [layer for layer in network.layers if isinstance(layer, nn.Conv2d)]


def test_five_convolutions_as_specified() -> None:
    network = Discriminator(19)
    found = convolutions(network)
    assert [(c.in_channels, c.out_channels) for c in found] == [(19, 64), (64, 128), (128, 256), (256, 512), (512, 1)]
    assert {(c.kernel_size, c.stride) for c in found} == {((4, 4), (2, 2))}
    slopes = [layer.negative_slope for layer in network.layers if isinstance(layer, nn.LeakyReLU)]
    assert slopes == [0.2] * 4
    assert isinstance(network.layers[-1], nn.Conv2d), "logits, not activations"
    assert network(torch.rand(2, 19, 96, 192)).shape == (2, 1, 3, 6)
    assert Discriminator(1, width=4)(torch.rand(1, 1, 45, 32)).shape == (1, 1, 1, 1)


def test_every_convolution_has_a_largest_singular_value_of_one() -> None:
    torch.manual_seed(0)
    network = Discriminator(3, width=8)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(7.0)  # as training may make them
    for _ in range(200):  # each forward is one step of the power iteration
        network(torch.zeros(1, 3, 32, 32))
    for layer in convolutions(network.eval()):
        assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1.0, abs=1e-3)


def test_a_forward_in_eval_mode_changes_nothing() -> None:
    network = Discriminator(2, width=4)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.eval()(torch.rand(1, 2, 32, 32))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    network.train()(torch.rand(1, 2, 32, 32))
    moved = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert moved, "training iterates for the largest singular value"
    assert all(key.endswith(("_u", "_v")) for key in moved)


@pytest.mark.parametrize("size", [(31, 64), (64, 16)])
def test_maps_that_are_too_small(size: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=rf"at least 32x32, found {size[0]}x{size[1]}; raise --size"):
        Discriminator(1, width=4)(torch.zeros(1, 1, *size))
