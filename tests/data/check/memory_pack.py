"""A pack in memory of rooms that are known by hand, for the tests of the check."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from vtadapt.data.check.check import SplitCheck, across, normals_checks
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.recipe.task import RecipeTask
from vtadapt.errors import DataError

SIZE = (60, 80)


FOCAL = 70.0


CAMERA = {"fx": FOCAL, "fy": FOCAL, "cx": 39.5, "cy": 29.5, "width": 80, "height": 60}


TASKS: dict[str, Any] = {
    "semseg": {"kind": "classes", "classes": ["floor", "left", "ahead"]},
    "depth": {"kind": "regression", "units": "m"},
    "normals": {"kind": "unit_vector"},
    "edges": {"kind": "boundary"},
    "curvature": {"kind": "regression", "channels": 2},
}


# A corner of a room: n . X = d with n towards the camera, seen where z is smallest.
PLANES = {(0.0, -1.0, 0.0): -0.6, (1.0, 0.0, 0.0): -0.7, (0.0, 0.0, -1.0): -3.5}


Sample = dict[str, np.ndarray]


def corner(seed: int) -> Sample:
    """A sample whose labels are computed from the equations of three planes; the image is noise."""
    random = np.random.default_rng(seed)
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    rays = np.stack([(u - CAMERA["cx"]) / FOCAL, (v - CAMERA["cy"]) / FOCAL, np.ones(SIZE)], axis=-1)
    facing = rays @ np.array(list(PLANES)).T
    with np.errstate(divide="ignore"):
        z = np.where(facing < 0, np.array(list(PLANES.values())) * (1 + 0.05 * (seed % 5)) / facing, np.inf)
    which = z.argmin(axis=-1)
    edges = np.zeros(SIZE, np.uint8)
    edges[:, 1:] = which[:, 1:] != which[:, :-1]
    return {
        "image": random.integers(0, 256, (*SIZE, 3), dtype=np.uint8),
        "semseg": which.astype(np.uint8),
        "depth": z.min(axis=-1).astype(np.float32),
        "normals": np.array(list(PLANES), np.float16)[which],
        "edges": edges,
        "curvature": random.normal(size=(*SIZE, 2)).astype(np.float32),
    }


class Memory:
    """A split in memory, with the interface of a pack's reader."""

    def __init__(self, samples: dict[str, Sample] | list[tuple[str, Sample]], tasks: dict[str, RecipeTask]) -> None:
        pairs = list(samples.items()) if isinstance(samples, dict) else samples
        self.names, self.samples, self.tasks = [n for n, _ in pairs], [s for _, s in pairs], tasks

    def __len__(self) -> int:
        return len(self.names)

    def present(self, task: str) -> np.ndarray:
        return np.array([task in s for s in self.samples], bool)

    def read(self, index: int, tasks: list[str] | None = None) -> Sample:
        assert tasks is None
        if not self.samples[index]:
            raise DataError(f"x.h5: sample {self.names[index]!r} cannot be read (checksum); prepare it again")
        return self.samples[index]


def make_recipe(**changes: Any) -> Recipe:
    content = {"name": "made", "title": "t", "licence": "none", "reader": "folder", "tasks": TASKS, **changes}
    return Recipe.model_validate({"intrinsics": CAMERA, **content})


def check(splits: dict[str, Any], recipe: Recipe, said: dict[str, Any] | None = None) -> Any:
    """Problems and warnings of splits, and the reports."""
    packs = {name: Memory(samples, recipe.tasks) for name, samples in splits.items()}
    compared = normals_checks(recipe, list(recipe.tasks))
    checks = [SplitCheck(name, pack, recipe, compared) for name, pack in packs.items()]
    problems: list[str] = []
    warnings: list[str] = []
    for one in checks:
        one.run()
    entries = said or {}
    found = [c.findings(entries.get(c.split, {})) for c in checks]
    for wrong, unusual in [*found, across(checks), *(c.findings() for c in compared.values())]:
        problems += wrong
        warnings += unusual
    reports = {c.split: c.report() for c in checks}, {t: c.report() for t, c in compared.items()}
    assert json.loads(json.dumps(reports, allow_nan=False))
    assert not any("\n" in line for line in problems + warnings)
    return problems, warnings, *reports


def clean(count: int = 4, first: int = 0) -> dict[str, Sample]:
    return {f"s{i}": corner(i) for i in range(first, first + count)}


def damaged(task: str, change: Callable[[np.ndarray], Any], only: int | None = 1) -> dict[str, Sample]:
    """A clean split with one sample's label changed, or every sample's."""
    samples = clean()
    for i, sample in enumerate(samples.values()):
        if only is None or i == only:
            sample[task] = sample[task].copy()
            changed = change(sample[task])
            sample[task] = sample[task] if changed is None else changed
    return samples
