"""A picture in tiles is the picture as a whole, wherever the network's view fits into what tiles share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.tasks import TASKS, make_task
from vtadapt.workflows.sizing.grid import Grid
from vtadapt.workflows.sizing.network import SizedNetwork
from vtadapt.workflows.sizing.size import Sizing
from vtadapt.workflows.sizing.tiled import blended, resized, whole

STRIDE = 8
HEIGHT = make_task("height", "regression", units="K")
MAPS = {**TASKS, "height": HEIGHT}


class Local(nn.Module):
    """A network that sees 8 pixels around each, by tokens, pads as the real ones do, and has large logits."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weights = {name: torch.randn(task.channels, 3, 3, 3, generator=generator) for name, task in MAPS.items()}
        self.seen: list[tuple[int, ...]] = []

    def forward(self, image: Tensor, _: object = None) -> dict[str, Tensor]:
        self.seen.append(tuple(image.shape))
        h, w = image.shape[-2:]
        x = F.pad(image, (0, -w % STRIDE, 0, -h % STRIDE), mode="replicate")
        x = x + F.interpolate(F.avg_pool2d(x, STRIDE), scale_factor=STRIDE, mode="nearest")
        return {name: 3 * F.conv2d(x, weight, padding=1)[..., :h, :w] for name, weight in self.weights.items()}


def picture(batch: int, height: int, width: int) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def apart(name: str, one: Tensor, other: Tensor) -> float:
    """The largest difference of what two logits mean (of classes, of their probabilities); over 1 the relative one."""
    task = MAPS[name]
    found, wanted = ((task.for_blending(x) if task.classes else task.decode(x)).double() for x in (one, other))
    return float(((found - wanted).abs() / wanted.abs().clamp_min(1)).max())


@pytest.mark.parametrize(
    ("height", "width", "tile"),
    [
        (200, 333, (128, 128)),
        (64, 500, (128, 128)),
        (129, 64, (128, 128)),
        (256, 257, (160, 128)),
        (257, 140, (256, 136)),
    ],
)
def test_tiles_equal_the_whole(height: int, width: int, tile: tuple[int, int]) -> None:
    network, image = Local(), picture(2, height, width)
    grid = Grid.of((height, width), tile, STRIDE)
    found, wanted = whole(blended(network, image, MAPS, grid)), network(image)
    assert grid.count > 1
    for name in MAPS:
        assert found[name].shape == wanted[name].shape
        assert apart(name, found[name], wanted[name]) <= 1e-5, name


def test_resized_bands_equal_the_resized_whole() -> None:
    network, image = Local(), picture(1, 200, 210)
    grid = Grid.of((200, 210), (128, 128), STRIDE)
    wanted = network(image)
    for shown in [(200, 210), (500, 700), (201, 209), (77, 80), (1, 1)]:
        found = whole(resized(blended(network, image, MAPS, grid), (200, 210), shown))
        for name in ("depth", "edges", "height"):  # of the others something else is resized
            whole_map = F.interpolate(wanted[name], size=shown, mode="bilinear", align_corners=False)
            assert apart(name, found[name], whole_map) <= 2e-3, (name, shown)
        assert found["semseg"].shape[-2:] == shown


def test_uint8_is_what_its_floats_are() -> None:
    network = Local()
    image = (picture(1, 200, 200) * 255).round().to(torch.uint8)
    grid = Grid.of((200, 200), (128, 128), STRIDE)
    found = whole(blended(network, image, MAPS, grid))
    wanted = whole(blended(network, image.float().div(255), MAPS, grid))
    assert all(torch.equal(found[name], wanted[name]) for name in MAPS)


def test_tiles_go_through_the_network_together_but_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vtadapt.workflows.sizing.tiled.AT_ONCE", 3 * 64 * 64)
    network = Local()
    grid = Grid.of((64, 64 * 8 - 5), (64, 64), STRIDE)
    whole(blended(network, picture(1, 64, 64 * 8 - 5), MAPS, grid))
    assert sum(shape[0] for shape in network.seen) == grid.count
    assert max(shape[0] for shape in network.seen) == 3
    assert {shape[-1] for shape in network.seen} == {64, 59}


def test_directions_are_averaged_and_of_length_one() -> None:
    normals = TASKS["normals"]
    right, down = normals.from_blended(torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)), torch.tensor([0, 1.0, 0])
    mean = (normals.for_blending(right) + down.view(1, 3, 1, 1)) / 2
    assert normals.decode(normals.from_blended(mean)).flatten().tolist() == pytest.approx([0.5**0.5, 0.5**0.5, 0])


def test_metres_and_probabilities_are_averaged() -> None:
    for name, values in {"depth": (0.02, 40.0), "edges": (0.001, 0.999), "height": (-3.0, 9.0)}.items():
        task = MAPS[name]
        ends = [task.from_blended(torch.full((1, 1, 1, 1), value)) for value in values]
        mean = sum(task.for_blending(end) for end in ends) / 2
        assert float(task.decode(task.from_blended(mean))) == pytest.approx(sum(values) / 2, rel=1e-4)


@pytest.mark.parametrize("name", [*MAPS])
@pytest.mark.parametrize("size", [0.0, 1.0, 30.0, 1000.0])
def test_what_is_blended_comes_back(name: str, size: float) -> None:
    task = MAPS[name]
    logits = size * torch.randn(2, task.channels, 9, 7, generator=torch.Generator().manual_seed(3))
    back = task.from_blended(task.for_blending(logits))
    assert bool(back.isfinite().all())
    assert apart(name, back, logits) <= 1e-5


def test_a_sized_network_gives_logits_of_the_pictures_size() -> None:
    network, image = Local(), picture(2, 90, 120)
    same = SizedNetwork(network, MAPS, Sizing("native", "none"), (64, 64), (STRIDE,))
    wanted, found = network(image), same(image)
    assert all(torch.equal(found[name], wanted[name]) for name in MAPS)
    tiled = SizedNetwork(network, MAPS, Sizing("180x240", "64x96"), (64, 64), (STRIDE,))
    assert {name: value.shape for name, value in tiled(image).items()} == {n: v.shape for n, v in wanted.items()}
    assert {own: plan.report for own, plan in tiled.plans.items()} == {
        (90, 120): {"run_size": [180, 240], "tiles": tiled.plans[90, 120].grid.count}
    }
