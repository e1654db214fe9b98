"""Reads a pack again, one sample at a time, and says what is wrong with it.

A *problem* cannot be right (a vector that is not unit, an image of the training split in the validation split); a
*warning* is unusual and may be right. Both are one line each. Memory does not grow with the pack, but for a name and
16 bytes per sample.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.check.normals import NormalsCheck, camera_of
from vtadapt.data.recipe.fit import pack_camera
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.recipe.task import RecipeTask
from vtadapt.errors import DataError
from vtadapt.tasks.class_ids import RESERVED
from vtadapt.tasks.label_check import LabelCheck, Tally

COMPARED = 8  # samples per split whose normals are compared with their depth
NAMED = 5  # classes that a line names before it only counts


class Pack(Protocol):
    """One split of a pack, as ``vtadapt.data.pack.manifest.open_pack`` opens it."""

    @property
    def names(self) -> list[str]:
        """Names of the samples."""

    @property
    def tasks(self) -> dict[str, RecipeTask]:
        """What the recipe says of the tasks."""

    def present(self, task: str) -> NDArray[np.bool_]:
        """(N) mask of the samples that have a label."""

    def read(self, index: int, tasks: list[str] | None = None) -> dict[str, NDArray[Any]]:
        """Image and labels of one sample."""


def depth_of(recipe: Recipe, tasks: Sequence[str], vectors: str) -> str | None:
    """The task among ``tasks`` that holds the metric depth to compare ``vectors`` with: its source, or the first."""
    how = recipe.tasks[vectors].derive
    metric = [t for t in tasks if recipe.tasks[t].distance and recipe.tasks[t].channels in (None, 1)]
    return how.source if how is not None and how.source in metric else next(iter(metric), None)


class SplitCheck:
    """Counts one split; :meth:`run` reads all of it.

    Args:
        split: its name, for the lines.
        pack: the split.
        recipe: of the pack.
        normals: for each task of vectors what compares it with the depth; shared by the splits.
    """

    def __init__(self, split: str, pack: Pack, recipe: Recipe, normals: Mapping[str, NormalsCheck]) -> None:
        self.split, self.pack, self.recipe, self.normals = split, pack, recipe, normals
        self.checks: dict[str, LabelCheck] = {t: spec.behaviour.check(t, spec) for t, spec in pack.tasks.items()}
        self.sizes: Counter[str] = Counter()
        self.images: dict[bytes, str] = {}  # checksum of the pixels -> first sample that has them
        self.constant, self.repeated, self.unreadable, self.odd = Tally(), Tally(), Tally(), Tally()
        self.misfits = {t: Tally() for t in pack.tasks}
        self.reason = ""
        self.pixels = self.total = self.squares = 0
        self.compared = {t: set(_spread(np.flatnonzero(pack.present(t)), COMPARED)) for t in normals}

    def run(self, on_sample: Callable[[int], None] = lambda _: None) -> None:
        """Read every sample; ``on_sample`` is called with how many are done."""
        for index in range(len(self.pack.names)):
            self.add(index)
            on_sample(index + 1)

    def add(self, index: int) -> None:
        """Read one sample; one that cannot be read is noted."""
        name = self.pack.names[index]
        try:
            sample = self.pack.read(index)
        except DataError as error:
            self.unreadable.add(name)
            self.reason = self.reason or str(error)
            return
        image = sample["image"]
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            self.odd.add(name)
            return
        self._image(name, image)
        height, width = image.shape[:2]
        camera = camera_of(pack_camera(self.recipe.intrinsics, self.recipe.fit, height, width), height, width)
        fitting = {}
        for task, check in self.checks.items():
            if task not in sample:
                continue
            if sample[task].shape[:2] == (height, width):
                fitting[task] = sample[task]
                check.add(name, sample[task], camera)
            else:
                self.misfits[task].add(name)
        for task, compare in self.normals.items():
            if task in fitting and index in self.compared[task]:
                source = depth_of(self.recipe, list(self.checks), task)
                compare.add(name, fitting[task], fitting.get(source or ""), camera)

    def _image(self, name: str, image: NDArray[np.uint8]) -> None:
        self.sizes["x".join(map(str, image.shape[:2]))] += 1
        self.constant.add(name, int((image == image[0, 0]).all()))
        key = hashlib.blake2b(image.tobytes(), digest_size=16, key=str(image.shape).encode()).digest()
        if key in self.images:
            self.repeated.add(f"{name} (as {self.images[key]})")
        self.images.setdefault(key, name)
        counts = np.bincount(image.ravel(), minlength=256)
        values = np.arange(256)
        self.pixels += image.size
        self.total += int(counts @ values)
        self.squares += int(counts @ (values * values))

    def report(self) -> dict[str, Any]:
        """The counts as JSON can hold them."""
        mean = self.total / max(self.pixels, 1)
        deviation = max(self.squares / max(self.pixels, 1) - mean * mean, 0.0) ** 0.5
        return {
            "samples": len(self.pack.names),
            "unreadable": self.unreadable.samples,
            "sizes": dict(self.sizes.most_common()),
            "image": {
                "mean": mean,
                "sd": deviation,
                "constant": self.constant.samples,
                "repeated": self.repeated.samples,
            },
            "tasks": {task: check.report() for task, check in self.checks.items()},
        }

    def findings(self, said: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """Problems and warnings of this split.

        Args:
            said: the manifest's entry of the split.
        """
        problems = self._broken()
        warnings = []
        if self.constant.samples:
            warnings.append(f"image of one colour in {self.constant}")
        if self.repeated.samples:
            warnings.append(f"the same image again in {self.repeated}")
        for task, check in self.checks.items():
            wrong, unusual = check.findings()
            problems += wrong
            warnings += unusual
            if self.misfits[task].samples:
                problems.append(f"{task}: label of another size than its image in {self.misfits[task]}")
        problems += self._disagreements(said)
        return [f"{self.split}: {line}" for line in problems], [f"{self.split}: {line}" for line in warnings]

    def _broken(self) -> list[str]:
        lines = []
        if not self.pack.names:
            lines.append("no samples")
        if self.unreadable.samples:
            lines.append(f"{self.unreadable.samples} samples cannot be read, first: {self.reason}")
        if self.odd.samples:
            lines.append(f"image that is not (H, W, 3) uint8 in {self.odd}")
        if twice := [name for name, count in Counter(self.pack.names).items() if count > 1]:
            lines.append(f"{len(twice)} names stand for several samples, first: {twice[0]}")
        return lines

    def _disagreements(self, said: Mapping[str, Any]) -> list[str]:
        """Where the manifest's counts are others; what could not be read is not held against them."""
        count, told = len(self.pack.names), said.get("samples")
        lines = [] if told in (None, count) else [f"{count} samples, the manifest says {told}"]
        if self.unreadable.samples or self.odd.samples:
            return lines
        for task, check in self.checks.items():
            if task in said.get("tasks", {}) and not self.misfits[task].samples:
                lines += check.disagreements(said["tasks"][task])
        return lines


def _spread(indices: NDArray[Any], count: int) -> list[int]:
    """At most ``count`` of ``indices``, evenly spaced, the first among them."""
    number = min(count, len(indices))
    return [int(indices[i * len(indices) // number]) for i in range(number)]


def across(checks: Sequence[SplitCheck]) -> tuple[list[str], list[str]]:
    """Problems and warnings of all splits together: leaks between them, classes and tasks without any label."""
    problems, warnings = [], []
    for one, other in itertools.combinations(checks, 2):
        pair = f"{one.split} and {other.split}"
        if shared := [key for key in one.images if key in other.images]:
            first = f"{one.images[shared[0]]} and {other.images[shared[0]]}"
            problems.append(f"{pair} share {len(shared)} images (a leak between splits), first: {first}")
        # Running numbers name other samples in every split of some formats, so they say nothing.
        names = set(other.pack.names)
        if same := [name for name in one.pack.names if name in names and not name.isdigit()]:
            warnings.append(f"{pair} have {len(same)} names in common, first: {same[0]}")
    for task in checks[0].checks if checks else ():
        found = [check.checks[task] for check in checks]
        if not any(c.samples for c in found):
            warnings.append(f"{task}: no sample has a label")
            continue
        if lacking := [c.split for c in checks if not c.checks[task].samples]:
            warnings.append(f"{task}: no sample of {', '.join(lacking)} has a label")
        warnings += _never_seen(task, found)
    return problems, warnings


def _never_seen(task: str, found: Sequence[LabelCheck]) -> list[str]:
    """A line on the classes that no pixel of any split has."""
    counts = [c.report().get("images_per_class", {}) for c in found]
    unseen = [c for c in counts[0] if c != RESERVED and not any(count[c] for count in counts)]
    if not unseen:
        return []
    more = f" and {len(unseen) - NAMED} more" if len(unseen) > NAMED else ""
    known = len([c for c in counts[0] if c != RESERVED])
    return [f"{task}: {len(unseen)} of {known} classes are never seen: {', '.join(unseen[:NAMED])}{more}"]


def normals_checks(recipe: Recipe, tasks: Sequence[str]) -> dict[str, NormalsCheck]:
    """One comparison with depth for each task of vectors among ``tasks``."""
    exact = recipe.intrinsics is not None
    return {t: NormalsCheck(t, exact) for t in tasks if recipe.tasks[t].behaviour.directions}
