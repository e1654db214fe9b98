from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

from vtadapt.data.prepare.derive import normals_from_depth
from vtadapt.data.recipe.camera import Intrinsics
from vtadapt.data.training.target_maps import TargetMap, map_of, plain
from vtadapt.data.training.transforms import (
    ColourJitter,
    ResizeSample,
    ScaleCropFlip,
    ScaleDistances,
    eval_transform,
    train_transform,
)
from vtadapt.tasks import make_task

TASKS = {
    "semseg": make_task("semseg", "classes", num_classes=40),
    "depth": make_task("depth", "regression", units="m"),
    "normals": make_task("normals", "unit_vector"),
    "edges": make_task("edges", "boundary"),
    "curvature": make_task("curvature", "regression", channels=2),
}
DepthMap = map_of(TASKS["depth"])
NormalMap, EdgeMap = map_of(TASKS["normals"]), map_of(TASKS["edges"])
SEEDS = st.integers(0, 2**31 - 1)
SIDES = st.integers(4, 40)
QUICK = settings(max_examples=40, deadline=None)


def coordinates(height: int, width: int) -> dict:
    """An image and targets that all say where each pixel came from: row / 64 and column / 64, plus 1 in the depth."""
    rows, columns = torch.meshgrid(torch.arange(height) / 64, torch.arange(width) / 64, indexing="ij")
    z = -(1 - (rows / 2).square() - (columns / 2).square()).sqrt()
    return {
        "image": tv_tensors.Image(torch.stack([rows, columns, torch.zeros_like(rows)])),
        "targets": {
            "semseg": map_of(TASKS["semseg"])((rows * 64).to(torch.uint8)),
            "depth": DepthMap((1 + columns)[None]),
            "normals": NormalMap(torch.stack([columns / 2, rows / 2, z])),
            "edges": EdgeMap(((rows * 64) % 5 == 0).float()[None]),
            "curvature": map_of(TASKS["curvature"])(torch.stack([rows, columns])),
        },
        "name": "x",
    }


def missing_mask(target: TargetMap) -> torch.Tensor:
    """(H, W) pixels of a target that are missing."""
    data = plain(target)
    data = data[None] if data.ndim == 2 else data
    return (data.isnan() if np.isnan(target.missing) else data == target.missing).all(0)


@QUICK
@given(SIDES, SIDES)
def test_two_flips_are_none(height: int, width: int) -> None:
    for target in coordinates(height, width)["targets"].values():
        for flip in (tv.horizontal_flip, tv.vertical_flip):
            twice = flip(flip(target))
            assert type(twice) is type(target)
            assert torch.equal(plain(twice), plain(target))


def test_normals_of_a_flipped_depth_are_the_flipped_normals() -> None:
    camera = Intrinsics(fx=60, fy=60, cx=31.5, cy=23.5, width=64, height=48)
    v, u = np.mgrid[:48, :64].astype(np.float32)
    depth = 1 / (0.4 + 0.002 * u - 0.003 * v)
    normals = NormalMap(torch.from_numpy(normals_from_depth(depth, camera)).permute(2, 0, 1))
    again = normals_from_depth(np.ascontiguousarray(depth[:, ::-1]), camera)
    flipped = plain(tv.horizontal_flip(normals)).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(flipped, again, atol=2e-4)
    assert abs(float(normals[0].mean())) > 0.05  # a plane that is seen from the side: the sign of x matters


@QUICK
@given(SIDES, SIDES, SEEDS)
def test_crop_commutes_with_flip_and_fills_with_the_missing_value(height: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    top, left = (int(random.integers(-side, side)) for side in (height, width))
    h, w = (int(random.integers(1, 2 * side)) for side in (height, width))
    for target in coordinates(height, width)["targets"].values():
        cropped = tv.crop(target, top, left, h, w)
        other = tv.crop(tv.horizontal_flip(target), top, width - left - w, h, w)
        torch.testing.assert_close(plain(tv.horizontal_flip(cropped)), plain(other), rtol=0, atol=0, equal_nan=True)
        rows, columns = torch.arange(top, top + h), torch.arange(left, left + w)
        outside = ((rows < 0) | (rows >= height))[:, None] | ((columns < 0) | (columns >= width))[None]
        assert torch.equal(missing_mask(cropped), outside)


def test_pad_fills_with_the_missing_value() -> None:
    for target in coordinates(8, 6)["targets"].values():
        padded = tv.pad(target, [1, 2, 3, 4])
        assert padded.shape[-2:] == (14, 10)
        assert torch.equal(plain(padded)[..., 2:10, 1:7], plain(target))
        assert missing_mask(padded)[:2].all()
        assert missing_mask(padded)[:, 7:].all()


@QUICK
@given(SIDES, SIDES, SEEDS)
def test_image_and_targets_stay_aligned(height: int, width: int, seed: int) -> None:
    """What a pixel's target says of its origin agrees with its image, to the half pixel that nearest may be off."""
    torch.manual_seed(seed)
    done = ScaleCropFlip((24, 20), scale=(1.0, 2.0))(coordinates(height, width))
    targets = {k: plain(v).float() for k, v in done["targets"].items()}
    image = plain(done["image"])
    known = targets["semseg"] != 255
    # Bilinear pixels next to the surround mix with it: compare only where all neighbours are inside.
    inner = -torch.nn.functional.max_pool2d((~known).float()[None, None], 5, 1, 2)[0, 0] + 1 > 0
    half_pixel = 0.5 / 64 + 1e-5
    # In the outer half pixel bilinear repeats the border, and antialiasing averages over another half pixel.
    slack = half_pixel + 0.5 / 64
    for seen, said in (
        (image[0], targets["semseg"] / 64),
        (image[0], targets["curvature"][0]),
        (image[1], targets["curvature"][1]),
        (image[0], targets["normals"][1] * 2),
    ):
        assert ((seen - said).abs()[inner] <= slack).all()
    assert torch.equal(known, targets["depth"][0] > 0)
    assert torch.equal(known, targets["normals"].abs().sum(0) > 0)
    assert torch.equal(known, targets["edges"][0] >= 0)
    assert torch.equal(known, ~targets["curvature"][0].isnan())
    assert torch.equal(targets["edges"][0][known] == 1, targets["semseg"][known] % 5 == 0)


@QUICK
@given(SEEDS, st.floats(0.5, 3))
def test_zoom_divides_depth_so_that_metric_widths_stay(seed: int, zoom: float) -> None:
    """An object of constant depth z, p pixels wide, is z p / f metres wide; after the zoom the same."""
    torch.manual_seed(seed)
    mask = torch.zeros(64, 64, dtype=torch.uint8)
    mask[24:40, 24:40] = 1
    sample = {
        "image": tv_tensors.Image(torch.rand(3, 64, 64)),
        "semseg": map_of(TASKS["semseg"])(mask),
        "depth": DepthMap(torch.full((1, 64, 64), 2.0)),
    }
    side = round(64 * zoom)  # the whole image fits, give or take a pixel
    done = ScaleCropFlip((side, side), scale=(zoom, zoom))(sample)
    depth, inside = plain(done["depth"])[0], plain(done["semseg"]) == 1
    z = float(depth[inside].mean())
    assert z == pytest.approx(2.0 / zoom, rel=0.02)
    for pixels in (inside.any(0).sum(), inside.any(1).sum()):
        assert z * int(pixels) == pytest.approx(2.0 * 16, abs=z * 1.01)  # to the pixel


@QUICK
@given(SEEDS)
def test_normals_stay_unit_or_missing(seed: int) -> None:
    torch.manual_seed(seed)
    sample = coordinates(30, 30)
    sample["targets"]["normals"][:, 10:20] = 0
    length = plain(ScaleCropFlip((24, 24))(sample)["targets"]["normals"]).norm(dim=0)
    assert ((length == 0) | ((length - 1).abs() < 1e-5)).all()
    assert (length == 0).any()


@QUICK
@given(SEEDS)
def test_colours_never_touch_targets(seed: int) -> None:
    torch.manual_seed(seed)
    sample = coordinates(12, 14)
    done = v2.Compose([ColourJitter(0.8), v2.ColorJitter(0.5, 0.5, 0.5)])(sample)
    assert not torch.equal(done["image"], sample["image"])
    assert float(done["image"].min()) >= 0
    assert float(done["image"].max()) <= 1
    for name, target in sample["targets"].items():
        assert torch.equal(plain(done["targets"][name]), plain(target))
        assert type(done["targets"][name]) is type(target)


def test_colour_jitter_is_brightness_contrast_saturation_and_cast() -> None:
    image = torch.rand(3, 9, 7) * 0.3 + 0.3
    jitter = ColourJitter(0.2)
    params = {"factors": torch.tensor([1.1, 0.9, 0.8]), "cast": torch.tensor([1.02, 1.0, 0.97])}
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    grey = (image * weights).sum(0, keepdim=True)
    mixed = 0.8 * image + 0.2 * grey
    wanted = (1.1 * (0.9 * (mixed - grey.mean()) + grey.mean())) * params["cast"].view(3, 1, 1)
    torch.testing.assert_close(plain(jitter.transform(tv_tensors.Image(image), params)), wanted)


def test_missing_stays_missing_and_thin_edges_survive_shrinking() -> None:
    edges = torch.zeros(1, 40, 40)
    edges[0, :, 17], edges[0, 33:] = 1, -1
    done = plain(ResizeSample((16, 16))({"image": tv_tensors.Image(torch.rand(3, 40, 40)), "e": EdgeMap(edges)})["e"])
    assert (done[0, :, 17 * 16 // 40] == 1).sum() >= 14
    assert (done[0, 14:, 10:] == -1).all()
    sample = coordinates(40, 40)
    for name, target in sample["targets"].items():
        target[..., 20:, :] = target.missing
        done = plain(ResizeSample((20, 20))({"t": target})["t"])
        assert missing_mask(type(target)(done))[10:].all(), name
        assert not missing_mask(type(target)(done))[:9].any(), name


def test_resizing_for_evaluation_leaves_distances() -> None:
    assert eval_transform() is None
    resize = eval_transform((10, 10))
    assert resize is not None
    done = resize(coordinates(20, 20))
    assert done["image"].shape == (3, 10, 10)
    assert float(done["targets"]["depth"].max()) == pytest.approx(1 + 19 / 64)


def test_another_cameras_distances_keep_metric_widths_and_touch_nothing_else() -> None:
    """A thing of 20 pixels, 6 m away from a camera of focal length 60, is as wide as the same picture 9 m from 90."""
    sample = coordinates(8, 8)
    sample["targets"]["depth"][:, 2, 3] = DepthMap.missing
    scaled = ScaleDistances(90 / 60)(sample)["targets"]
    depth = plain(sample["targets"]["depth"])
    assert torch.allclose(20 * plain(scaled["depth"]) / 90, 20 * depth / 60)
    assert scaled["depth"][0, 2, 3] == DepthMap.missing
    assert isinstance(scaled["depth"], DepthMap)
    for name in ("semseg", "normals", "edges", "curvature"):
        assert torch.equal(plain(scaled[name]), plain(sample["targets"][name]))
    composed = train_transform((8, 8), (1, 1), 0, 0, 1.5)(sample)["targets"]["depth"]
    assert torch.equal(plain(composed), 1.5 * depth)
    with pytest.raises(ValueError, match="above 0"):
        ScaleDistances(0)


def test_torchvision_transforms_act_on_the_target_types() -> None:
    torch.manual_seed(0)
    done = v2.Compose([v2.RandomHorizontalFlip(1.0), v2.Resize((10, 12)), v2.CenterCrop(8)])(coordinates(20, 24))
    assert {tuple(t.shape[-2:]) for t in done["targets"].values()} == {(8, 8)}
    assert float(done["targets"]["normals"][0].max()) <= 0  # mirrored
    with pytest.raises(TypeError, match="misalign those of task"):
        v2.RandomRotation(30)(coordinates(20, 24))
    with pytest.raises(ValueError, match=r"\[height, width\]"):
        v2.Resize(10)(coordinates(20, 24))


def test_train_transform_gives_the_size_asked_for() -> None:
    torch.manual_seed(0)
    for size in ((16, 16), (50, 30)):
        done = train_transform(size)(coordinates(33, 37))
        assert tuple(done["image"].shape) == (3, *size)
        assert {tuple(t.shape[-2:]) for t in done["targets"].values()} == {size}
    with pytest.raises(ValueError, match="0 < low <= high"):
        train_transform((8, 8), scale=(2, 1))
