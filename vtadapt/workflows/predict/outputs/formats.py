"""The formats by name: what was asked for, as one checked list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vtadapt.errors import UsageError, near_matches
from vtadapt.tasks import Task
from vtadapt.workflows.terminal.text import warn

PANEL, IDS, RAW, JSON, OVERLAY, COCO = "panel", "ids", "npz", "json", "overlay", "coco"

LOSSLESS: Mapping[str, str] = {IDS: "ids", "depth16": "numbers", "normals": "vectors", "edges": "strengths"}
"""Format -> what tasks hold that it is for (``Kind.file_form``)."""

ABOUT: Mapping[str, str] = {
    PANEL: "the picture beside all tasks in colours",
    IDS: "class ids, PNG with a palette, and the names of the classes",
    "depth16": "numbers, 16-bit PNG with its scale beside it",
    "normals": "unit vectors, RGB PNG",
    "edges": "probabilities, 8-bit PNG",
    RAW: "arrays as they are",
    JSON: "what is where, and how much",
    OVERLAY: "each task over the picture",
    COCO: "masks of the classes, run-length coded, one file for all pictures",
}
"""All formats, in the order in which they are written."""

HELP = "; ".join(f"{name}: {about}" for name, about in ABOUT.items())


def parse_formats(text: str | Sequence[str]) -> tuple[str, ...]:
    """The formats named, separated by commas, each once and in the order of :data:`ABOUT`; "all" is all.

    Raises:
        UsageError: there is no such format.
    """
    names = [part.strip().lower() for part in (text.split(",") if isinstance(text, str) else text)]
    names = [name for name in names if name]
    if "all" in names:
        return tuple(ABOUT)
    wrong = next((name for name in names if name not in ABOUT), None)
    if wrong is not None or not names:
        found = "no format named" if wrong is None else f"no format {wrong!r}"
        raise UsageError(f"{found}; wanted some of {', '.join(ABOUT)}, or all.{near_matches(wrong or '', ABOUT)}")
    return tuple(name for name in ABOUT if name in names)


def needed_form(name: str) -> str | None:
    """What a task must hold for a format to have something of it; None for formats of all tasks."""
    return LOSSLESS[IDS] if name == COCO else LOSSLESS.get(name)


def need_tasks(formats: Iterable[str], tasks: Mapping[str, Task], run: str) -> None:
    """See that there is something to write, and warn of formats that no task of the run has anything for.

    Raises:
        UsageError: no format has anything.
    """
    forms = {task.behaviour.file_form for task in tasks.values()}
    empty = [name for name in formats if (form := needed_form(name)) is not None and form not in forms]
    if empty and len(empty) == len(tuple(formats)):
        raise UsageError(
            f"nothing to write as {', '.join(empty)}: run {run!r} has no such task (its tasks: {', '.join(tasks)}); "
            f"add another --format, such as {PANEL}"
        )
    for name in empty:
        warn(f"nothing is written as {name}: run {run!r} has no such task")
