"""``vtadapt prepare-data NAME --check``: reads a pack again, says what is wrong with it, and draws a contact sheet."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.check.check import SplitCheck, across, depth_of, normals_checks
from vtadapt.data.check.normals import LEAST, agreement, best_of, camera_of, conventions
from vtadapt.data.pack.labels import valid_mask
from vtadapt.data.pack.manifest import locate, manifest_recipe, open_manifest, open_pack, verify
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.data.recipe.fit import pack_camera
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.digits import amount, percent
from vtadapt.errors import DataError
from vtadapt.viz.contact.key import colour_word
from vtadapt.viz.contact.sheet import Column, Row, Shown, data_sheet
from vtadapt.viz.panels import save_png
from vtadapt.workflows.terminal.progress import Progress
from vtadapt.workflows.terminal.text import say

if TYPE_CHECKING:
    from vtadapt.data.pack.pack import PackReader
    from vtadapt.tasks import Task

PICTURE = "contact.png"
SAMPLES = 6

Arrays = dict[str, NDArray[Any]]
Found = dict[str, Any]
Findings = tuple[list[str], list[str]]


def _packs(data_dir: Path, name: str, splits: Iterable[str], report: Found) -> dict[str, PackReader]:
    """The splits that can be opened; the others are problems of the report."""
    packs: dict[str, PackReader] = {}
    for split in splits:
        try:
            packs[split] = open_pack(data_dir, name, split)
        except DataError as error:
            report["problems"].append(str(error))
    return packs


def check_data(
    name: str, data_dir: Path, *, samples: int = SAMPLES, quiet: bool = False, picture: Path | None = None
) -> Found:
    """Check a pack: checksums, every number in it, its splits against one another; and draw some samples.

    Args:
        name: data set.
        data_dir: folder of the packs.
        samples: how many are drawn, evenly spaced over the splits; at least one of each split.
        quiet: no progress.
        picture: where the contact sheet is written; default ``DATA_DIR/NAME/contact.png``. What is found is told even
            if it cannot be written.

    Returns:
        A report that JSON can hold: ``problems`` (the pack cannot be right) and ``warnings`` (unusual), one line each;
        ``splits`` and ``normals`` with the counts; ``picture``, a path or None; ``shown``, the samples drawn.

    Raises:
        DataError: no such pack, or one whose manifest cannot be read.
    """
    manifest = open_manifest(data_dir, name)
    recipe = manifest_recipe(manifest)
    report: Found = {"name": name, "folder": str(locate(data_dir, name)), "problems": [], "warnings": []}
    if not quiet:
        say(f"check {name}: checksums")
    report["problems"] += verify(data_dir, name)
    compared = normals_checks(recipe, manifest["tasks"])
    found: Findings = ([], [])
    checks: list[SplitCheck] = []
    packs = _packs(data_dir, name, manifest["splits"], report)
    for split in packs:
        checks.append(SplitCheck(split, packs[split], recipe, compared))
        with Progress(len(packs[split]), 0, f"check {name} {split}", quiet) as bar:
            checks[-1].run(lambda done, bar=bar: bar.update(done, {}))  # type: ignore[misc]
        _extend(found, checks[-1].findings(manifest["splits"][split]))
    _extend(found, across(checks))
    for compare in reversed(compared.values()):  # first: what it says of axes explains vectors that face away
        found = _extend(compare.findings(), found)
    report["problems"] += found[0]
    report["warnings"] += found[1]
    report |= {
        "splits": {check.split: check.report() for check in checks},
        "normals": {task: compare.report() for task, compare in compared.items()},
        "shown": [],
        "picture": None,
    }
    if any(len(pack) for pack in packs.values()):
        _draw(report, recipe, packs, samples, picture)
    return report


def failure_of(report: Mapping[str, Any]) -> str | None:
    """One line on the problems of a report, None where there are none."""
    problems = report["problems"]
    if not problems:
        return None
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems, first"
    return f"pack {report['name']!r} has {count}: {problems[0]}"


def _extend(first: Findings, then: Findings) -> Findings:
    """Append the problems and warnings of ``then`` to those of ``first``."""
    for lines, more in zip(first, then, strict=True):
        lines += more
    return first


def _draw(report: Found, recipe: Recipe, packs: Mapping[str, PackReader], samples: int, picture: Path | None) -> None:
    """Draw the contact sheet and note where it is; a place that cannot be written is a finding, not an end."""
    page, names = contact_sheet(report["name"], recipe, packs, samples)
    report["shown"] = names
    try:
        report["picture"] = str(save_png(picture or Path(report["folder"]) / PICTURE, page))
    except DataError as error:
        if picture is None:  # a pack that nobody may write into is no problem of the pack
            report["warnings"].append(f"no contact sheet: {error}")
        else:
            report["problems"].append(f"no contact sheet: {error}")


def choose(packs: Mapping[str, PackReader], samples: int) -> list[tuple[str, int]]:
    """Split and index of the samples to show: as many of each split, evenly spaced, every task among them.

    Where the evenly spaced ones lack a task that others have a label of, its first sample takes the place of one.
    """
    filled = {split: pack for split, pack in packs.items() if len(pack)}
    picks: list[tuple[str, int]] = []
    for number, (split, pack) in enumerate(filled.items()):
        share = samples // len(filled) + (number < samples % len(filled))
        count = min(max(share, 1), len(pack))
        chosen = [(2 * i + 1) * len(pack) // (2 * count) for i in range(count)]
        free = len(chosen)
        for task in pack.tasks:
            labelled = np.flatnonzero(pack.present(task))
            if free and labelled.size and not pack.present(task)[chosen].any():
                free -= 1
                chosen[free] = int(labelled[0])
        picks += [(split, index) for index in sorted(set(chosen))]
    return picks


def contact_sheet(
    name: str, recipe: Recipe, packs: Mapping[str, PackReader], samples: int
) -> tuple[NDArray[np.uint8], list[str]]:
    """The picture, (H, W, 3) uint8, and the samples on it as ``SPLIT/NAME``."""
    kept = {task: spec for pack in packs.values() for task, spec in pack.tasks.items()}
    recipe = recipe.model_copy(update={"tasks": kept})
    tasks = build_tasks([recipe], None)
    shown: list[tuple[str, str, Arrays]] = []
    for split, index in choose(packs, samples):
        try:
            shown.append((split, packs[split].names[index], packs[split].read(index)))
        except DataError:  # already counted
            continue
    if not shown:
        return np.full((64, 320, 3), 255, np.uint8), []
    sheet = _Sheet(recipe, tasks, [arrays for _, _, arrays in shown])
    columns = sheet.columns()
    rows = [sheet.row(split, sample, arrays) for split, sample, arrays in shown]
    footer = "Rows are samples, evenly spaced over the splits. Labels are drawn as they are stored."
    return data_sheet(columns, rows, title=f"{name}: {recipe.title}", footer=footer), [f"{s}/{n}" for s, n, _ in shown]


class _Sheet:
    """Colours the samples of one sheet, all in the same ranges."""

    def __init__(self, recipe: Recipe, tasks: Mapping[str, Task], samples: Sequence[Arrays]) -> None:
        self.recipe, self.tasks, self.samples = recipe, tasks, samples
        self.wrong = {t: spec.behaviour.check(t, spec) for t, spec in recipe.tasks.items()}
        self.ranges = {task: self._range(task) for task in tasks}
        # Beside vectors stand those of the depth where both are there: a flipped axis differs at a glance.
        found = {t: depth_of(recipe, list(tasks), t) for t, spec in recipe.tasks.items() if spec.behaviour.directions}
        self.depth = {t: d for t, d in found.items() if d is not None and any(t in s and d in s for s in samples)}

    def _target(self, task: str, array: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
        """What ``Task.colour`` takes, and masks of the missing pixels and of those with values that must not be."""
        spec = self.recipe.tasks[task]
        forbidden = self.wrong[task].forbidden(array)
        missing = ~valid_mask(array, spec) & ~forbidden
        return spec.behaviour.drawable(array, missing | forbidden), missing, forbidden

    def _targets(self, task: str) -> list[NDArray[Any]]:
        """What ``Task.colour`` takes, of all samples that have a label."""
        return [self._target(task, sample[task])[0] for sample in self.samples if task in sample]

    def _range(self, task: str) -> tuple[float, float] | None:
        """The range that holds the 2nd to 98th percentile of each sample shown; None for kinds without one."""
        found = [self.tasks[task].value_range(values) for values in self._targets(task)]
        known = [limits for limits in found if limits is not None]
        return (min(low for low, _ in known), max(high for _, high in known)) if known else None

    def columns(self) -> list[Column]:
        """The image, every task, and after vectors those of the depth."""
        result = [Column("image", "as stored", smooth=True)]
        for name, task in self.tasks.items():
            result.append(self._column(name, task))
            if name in self.depth:
                result.append(Column(f"{name} of the depth", "not stored, to compare"))
        return result

    def _column(self, name: str, task: Task) -> Column:
        key = task.behaviour.key(task, self._targets(name), self.ranges[name])
        directions = functools.partial(self._paint_vectors, name) if key.directions else None
        about = key.about
        if directions:
            about = f"floor = {colour_word(directions(np.array([[[0, -1, 0]]], np.float32))[0, 0])}"
        return Column(
            name,
            about + ", derived" * self.recipe.tasks[name].derived,
            smooth=key.smooth,
            classes=key.classes,
            scale=(functools.partial(self._paint_values, name), key.limits, task.units) if key.limits else None,
            directions=directions,
        )

    def _paint_values(self, task: str, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Colours of values (1, N), as the pictures have them."""
        channels = self.tasks[task].channels
        return self.tasks[task].colour(np.repeat(values[None], channels, axis=0), self.ranges[task])

    def _paint_vectors(self, task: str, vectors: NDArray[Any]) -> NDArray[np.uint8]:
        """Colours of unit vectors (H, W, 3)."""
        return self.tasks[task].colour(np.moveaxis(vectors, -1, 0))

    def row(self, split: str, name: str, sample: Arrays) -> Row:
        """One sample, coloured."""
        height, width = sample["image"].shape[:2]
        shown: list[Shown | None] = [Shown(sample["image"], note=f"{height} x {width}")]
        for task in self.tasks:
            label = self._shown(task, sample[task]) if task in sample else None
            if task in self.depth:
                shown += self._with_depth(task, label, sample)
            else:
                shown.append(label)
        return Row(split, name, shown)

    def _shown(self, task: str, array: NDArray[Any]) -> Shown:
        values, missing, forbidden = self._target(task, array)
        hidden = missing | forbidden
        rgb = self.tasks[task].colour(values, self.ranges[task])
        notes = []
        if self.ranges[task] is not None and not hidden.all():
            known = array[~hidden]
            notes.append(
                f"{amount(float(known.min()))} .. {amount(float(known.max()))} {self.tasks[task].units}".rstrip()
            )
        if missing.any():
            notes.append(f"{percent(float(missing.mean()))} missing")
        alarm = f"{int(forbidden.sum())} pixels with values that must not be" if forbidden.any() else ""
        return Shown(rgb, missing, forbidden, ", ".join(notes), alarm)

    def _with_depth(self, task: str, label: Shown | None, sample: Arrays) -> list[Shown | None]:
        """The vectors, with an alarm where other axes fit their depth clearly better, and those of the depth."""
        depth = sample.get(self.depth[task])
        if label is None or depth is None:
            return [label, None]
        known = pack_camera(self.recipe.intrinsics, self.recipe.fit, *depth.shape)
        found = agreement(sample[task], depth, camera_of(known, *depth.shape))
        missing = ~(found.derived != 0).any(axis=-1)
        beside = Shown(self._paint_vectors(task, found.derived), missing)
        if found.pixels < LEAST:
            return [label, beside]
        best, degrees = best_of(found.angles), float(found.angles[0])
        guess = "" if self.recipe.intrinsics is not None else ", camera guessed"
        beside = replace(beside, note=f"mean angle {degrees:.1f} degrees{guess}")
        if best:
            fits = f"{degrees:.0f} degrees off the depth; {found.angles[best]:.0f} with {conventions()[best].words}"
            label = replace(label, alarm="; ".join(part for part in (label.alarm, fits) if part))
        return [label, beside]
