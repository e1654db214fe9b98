"""Every kind of damage is planted in a clean pack and must be found; a clean pack has nothing to be found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.data.check.memory_pack import SIZE, TASKS, Memory, check, clean, corner, damaged, make_recipe
from vtadapt.data.pack.labels import LabelStats
from vtadapt.tasks.class_ids import with_reserved
from vtadapt.tasks.label_check import LogHistogram


def manifest_entry(pack: Memory) -> dict[str, Any]:
    """What preparing would have written of a split."""
    stats = {t: LabelStats() for t in pack.tasks}
    for sample in pack.samples:
        for task in stats:
            if task in sample:
                stats[task].add(sample[task], pack.tasks[task])
    return {"samples": len(pack), "tasks": {t: s.summary(pack.tasks[t]) for t, s in stats.items()}}


def test_a_clean_pack_has_nothing_to_be_found() -> None:
    recipe = make_recipe()
    splits = {"train": clean(), "val": clean(3, 10)}
    said = {name: manifest_entry(Memory(samples, recipe.tasks)) for name, samples in splits.items()}
    problems, warnings, reports, normals = check(splits, recipe, said)
    assert (problems, warnings) == ([], [])
    assert normals["normals"]["fits"] == "as stored"
    assert normals["normals"]["degrees"]["as stored"] < 4
    train = reports["train"]
    depth = np.concatenate([s["depth"].ravel() for s in splits["train"].values()]).astype(np.float64)
    found = train["tasks"]["depth"]
    assert (found["min"], found["max"]) == (depth.min(), depth.max())
    np.testing.assert_allclose([found["mean"], found["sd"]], [depth.mean(), depth.std()], rtol=1e-9)
    np.testing.assert_allclose(found["median"], np.median(depth), rtol=0.025)
    labels = np.stack([s["semseg"] for s in splits["train"].values()])
    assert list(train["tasks"]["semseg"]["pixels_per_class"].values()) == [int((labels == i).sum()) for i in range(3)]
    assert train["tasks"]["semseg"]["images_per_class"] == {"floor": 4, "left": 4, "ahead": 4}
    images = np.stack([s["image"] for s in splits["train"].values()])
    np.testing.assert_allclose([train["image"]["mean"], train["image"]["sd"]], [images.mean(), images.std()])
    assert train["sizes"] == {"60x80": 4}


def put(value: float, *place: Any) -> Callable[[np.ndarray], None]:
    return lambda array: array.__setitem__(place, value)


@pytest.mark.parametrize(
    ("task", "change", "line"),
    [
        ("depth", put(np.nan, 3, 4), "train: depth: 1 pixels not finite or negative in 1 sample, first: s1"),
        ("depth", put(np.inf, slice(2), 4), "train: depth: 2 pixels not finite or negative in 1 sample, first: s1"),
        ("depth", put(-1.0, 3, 4), "train: depth: 1 pixels not finite or negative"),
        ("curvature", put(np.inf, 3, 4, 1), "train: curvature: 1 pixels infinite in 1 sample, first: s1"),
        ("normals", put(np.nan, 3, 4, 0), "train: normals: 1 pixels not finite or not of length 1 in 1 sample"),
        ("normals", put(0.4, 3, slice(5)), "train: normals: 5 pixels not finite or not of length 1"),
        ("semseg", put(3, 0, slice(7)), "train: semseg: 7 pixels with ids that are no class in 1 sample, first: s1"),
        ("edges", put(2, 0, 0), "train: edges: 1 pixels outside 0..1 in 1 sample, first: s1"),
        ("edges", lambda a: a.astype(np.float16) * 1.5, "train: edges: "),
        ("depth", lambda a: a[:-1], "train: depth: label of another size than its image in 1 sample, first: s1"),
        ("image", lambda a: a[..., 0], "train: image that is not (H, W, 3) uint8 in 1 sample, first: s1"),
    ],
)
def test_values_that_must_not_be(task: str, change: Any, line: str) -> None:
    problems, _, *_ = check({"train": damaged(task, change)}, make_recipe())
    assert len(problems) == 1
    assert problems[0].startswith(line)


@pytest.mark.parametrize(
    ("task", "change", "line"),
    [
        ("depth", lambda a: a * 1000, " m, wanted 0.05 to 200: millimetres or centimetres?"),
        ("depth", lambda a: a / 100, "wanted 0.05 to 200: divided twice, or inverse depth?"),
        ("depth", lambda a: a * 0, "train: depth: not one labelled pixel in any of its 4 labels"),
        ("semseg", lambda a: a * 0 + 255, "train: semseg: not one labelled pixel in any of its 4 labels"),
        ("edges", lambda a: (a / 255).astype(np.float16), "train: edges: the strongest boundary is 0.0039 of 0..1"),
        ("normals", lambda a: -a, " % of the vectors face away from the camera: axis z looks flipped"),
    ],
)
def test_a_whole_task_that_cannot_be_right(task: str, change: Any, line: str) -> None:
    problems, *_ = check({"train": damaged(task, change, only=None)}, make_recipe())
    assert any(line in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("task", "change", "only", "line"),
    [
        ("depth", put(0.0, slice(None)), 1, "depth: a label without one labelled pixel in 1 sample, first: s1"),
        ("depth", lambda a: a * 0 + 2, None, "depth: every value is 2 m"),
        ("depth", put(65.535, slice(5)), None, "depth: 8.3 % of the labelled pixels hold the largest value, 65.535 m"),
        ("depth", put(0.0, slice(59)), None, "depth: only 1.7 % of the pixels are labelled"),
        ("semseg", lambda a: a * 0, None, "semseg: every labelled pixel is 'floor'"),
        ("edges", lambda a: a * 0, None, "edges: not one boundary pixel"),
        ("edges", lambda a: 1 - a, None, "of the labelled pixels are boundary: are 0 and 1 swapped?"),
        ("image", lambda a: a * 0 + np.array([9, 8, 7], np.uint8), 1, "image of one colour in 1 sample, first: s1"),
    ],
)
def test_what_is_unusual_is_a_warning(task: str, change: Any, only: int | None, line: str) -> None:
    problems, warnings, *_ = check({"train": damaged(task, change, only)}, make_recipe())
    assert problems == []
    assert any(line in warning for warning in warnings), warnings


def test_soft_edges_with_missing_pixels_are_clean() -> None:
    change = lambda a: np.where(a == 1, 0.6, np.where(np.arange(80) < 4, np.nan, 0)).astype(np.float16)  # noqa: E731
    problems, warnings, reports, _ = check({"train": damaged("edges", change, None)}, make_recipe())
    assert (problems, warnings) == ([], [])
    assert reports["train"]["tasks"]["edges"]["max"] == float(np.float16(0.6))


def test_samples_that_cannot_be_read_are_counted_and_the_rest_is_checked() -> None:
    samples = {**damaged("depth", put(np.nan, 0, 0), only=3), "s1": {}}
    problems, _, reports, _ = check({"train": samples}, make_recipe())
    assert problems[0].startswith("train: 1 samples cannot be read, first: x.h5: sample 's1'")
    assert "depth: 1 pixels not finite" in problems[1]
    assert reports["train"]["unreadable"] == 1


def test_names_and_images_that_come_twice() -> None:
    recipe = make_recipe()
    twice = [*clean().items(), ("s0", corner(20))]
    problems, warnings, *_ = check({"train": twice}, recipe)
    assert problems == ["train: 1 names stand for several samples, first: s0"]
    again = {**clean(), "copy": corner(2)}
    problems, warnings, *_ = check({"train": again}, recipe)
    assert (problems, warnings) == ([], ["train: the same image again in 1 sample, first: copy (as s2)"])
    leak = {"train": clean(), "val": {"other": corner(10), "leaked": corner(1)}}
    problems, warnings, *_ = check(leak, recipe)
    assert problems == ["train and val share 1 images (a leak between splits), first: s1 and leaked"]
    same = {"train": clean(), "val": {"s3": corner(11)}}
    problems, warnings, *_ = check(same, recipe)
    assert (problems, warnings) == ([], ["train and val have 1 names in common, first: s3"])


def test_running_numbers_in_two_splits_are_no_leak() -> None:
    splits = {"train": {"0": corner(0), "1": corner(1)}, "val": {"0": corner(2)}}
    assert check(splits, make_recipe())[:2] == ([], [])


def test_turned_images_of_other_shape_are_other_images() -> None:
    flat = np.arange(60 * 80 * 3, dtype=np.uint32).astype(np.uint8)
    samples = {"a": {"image": flat.reshape(60, 80, 3)}, "b": {"image": flat.reshape(80, 60, 3)}}
    _, warnings, *_ = check({"train": samples}, make_recipe())
    assert not any("same image" in line for line in warnings)


@pytest.mark.parametrize(
    ("place", "value", "line"),
    [
        (("samples",), 5, "train: 4 samples, the manifest says 5"),
        (("tasks", "depth", "samples"), 3, "train: depth: samples is 4, the manifest says 3"),
        (("tasks", "depth", "max"), 9.0, "train: depth: max is "),
        (("tasks", "depth", "min"), None, "the manifest says nothing"),
        (("tasks", "normals", "valid_share"), 0.5, "train: normals: valid_share is 1, the manifest says 0.5"),
        (("tasks", "semseg", "pixels_per_class", "left"), 7, "the pixels of 1 classes differ, first: "),
    ],
)
def test_counts_other_than_the_manifests(place: tuple[str, ...], value: Any, line: str) -> None:
    recipe = make_recipe()
    said = manifest_entry(Memory(clean(), recipe.tasks))
    inner = said
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    problems, *_ = check({"train": clean()}, recipe, {"train": said})
    assert len(problems) == 1
    assert line in problems[0]


def test_classes_and_tasks_that_nobody_has() -> None:
    classes = ["floor", "left", "ahead", *(f"c{i}" for i in range(7))]
    recipe = make_recipe(tasks={**TASKS, "semseg": {"kind": "classes", "classes": classes}})
    splits = {
        "train": clean(),
        "val": {n: {k: v for k, v in s.items() if k != "edges"} for n, s in clean(2, 9).items()},
    }
    for sample in [*splits["train"].values(), *splits["val"].values()]:
        del sample["curvature"]
    problems, warnings, *_ = check(splits, recipe)
    assert problems == []
    assert warnings == [
        "semseg: 7 of 10 classes are never seen: c0, c1, c2, c3, c4 and 2 more",
        "edges: no sample of val has a label",
        "curvature: no sample has a label",
    ]


def test_895_classes_with_a_reserved_one() -> None:
    classes = with_reserved([f"c{i}" for i in range(894)])
    recipe = make_recipe(tasks={"semseg": {"kind": "classes", "classes": classes}})
    labels = np.resize(np.array([i for i in range(895) if i != 255], np.uint16), SIZE)
    samples = {"a": {"image": corner(0)["image"], "semseg": labels}}
    said = {"train": manifest_entry(Memory(samples, recipe.tasks))}
    assert check({"train": samples}, recipe, said)[:2] == ([], [])
    labels[0, 0] = 895
    assert "1 pixels with ids that are no class" in check({"train": samples}, recipe)[0][0]


def test_percentiles_of_the_fixed_histogram() -> None:
    values = np.concatenate([-np.geomspace(0.01, 900, 501), np.zeros(3), np.geomspace(0.01, 900, 1001)])
    bins = LogHistogram()
    for part in np.array_split(values, 7):
        bins.add(part)
    for share in (0.01, 0.2, 0.6, 0.99):
        assert bins.percentile(share) == pytest.approx(np.quantile(values, share), rel=0.03)
    assert bins.percentile(0.334) == 0
