"""What a ``Task`` must fulfil; every function raises ConfigError with one line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from vtadapt.errors import ConfigError, near_matches
from vtadapt.tasks.kinds import KINDS, Kind
from vtadapt.tasks.losses import DISTANCE_LOSSES, IGNORE, LOSSES, RESERVED

if TYPE_CHECKING:
    from vtadapt.tasks.task import Task


def find_kind(name: str, kind: str) -> Kind:
    """Return the behaviour of ``kind``."""
    if kind not in KINDS:
        near = near_matches(kind, KINDS)
        raise ConfigError(f"Task {name!r} has unknown kind {kind!r}; one of {', '.join(KINDS)}.{near}")
    return KINDS[kind]


def class_names(name: str, kind: str, classes: Sequence[str], count: int | None) -> tuple[str, ...]:
    """Return the class names of a task: given, or numbered by ``count``."""
    if kind != "classes":
        return tuple(classes)  # rejected by Task when there are any
    if count is not None and classes and count != len(classes):
        raise ConfigError(f"Task {name!r} names {len(classes)} classes but num_classes is {count}; drop one of them.")
    return tuple(classes) or tuple(f"class {i}" for i in range(count or 0))


def triples(colours: Sequence[Sequence[int]]) -> tuple[tuple[int, int, int], ...]:
    """Return ``colours`` as a tuple of RGB triples."""
    found = []
    for colour in colours:
        if len(colour) != 3 or not all(int(c) == c and 0 <= c <= 255 for c in colour):
            raise ConfigError(f"A colour is three whole numbers 0..255, found {list(colour)}.")
        found.append((int(colour[0]), int(colour[1]), int(colour[2])))
    return tuple(found)


def no_unknown(values: Mapping[str, Any], known: Set[str], what: str) -> None:
    """Reject keys outside ``known``; ``what`` names them in the message."""
    for key in values:
        if key not in known:
            raise ConfigError(f"Unknown {what} {key!r}; one of {', '.join(sorted(known))}.{near_matches(key, known)}")


def check_kind(task: Task) -> None:
    """Check the name, the kind and the channels."""
    only = find_kind(task.name, task.kind).channels
    if not task.name:
        raise ConfigError("A task needs a name, found an empty one.")
    if task.channels < 1 or (only is not None and task.channels != only):
        wanted = "at least 1" if only is None else str(only)
        raise ConfigError(f"Task {task.name!r} of kind {task.kind!r} has {task.channels} channels, wanted {wanted}.")


def check_classes(task: Task) -> None:
    """Check the classes against kind, channels and colours."""
    k = len(task.classes)
    if task.kind != "classes":
        if k or task.colours:
            raise ConfigError(f"Task {task.name!r} of kind {task.kind!r} takes no classes or colours; remove them.")
        return
    if k == 0:
        raise ConfigError(f"Task {task.name!r} of kind 'classes' has no classes; give classes or num_classes.")
    if k > IGNORE and task.classes[IGNORE] != RESERVED:
        raise ConfigError(
            f"Task {task.name!r} has {k} classes; at most {IGNORE} fit beside the ignore label {IGNORE}, "
            f"or more where the one at position {IGNORE} is named {RESERVED!r} and never used."
        )
    if len(set(task.classes)) != k:
        twice = sorted({c for c in task.classes if task.classes.count(c) > 1})
        raise ConfigError(f"Task {task.name!r} names classes twice: {', '.join(twice)}.")
    if task.channels != k:
        raise ConfigError(f"Task {task.name!r} has {k} classes but {task.channels} channels; they must be equal.")
    if len(task.colours) != k:
        found = len(task.colours)
        raise ConfigError(f"Task {task.name!r} has {k} classes but {found} colours; give one per class or none.")


def check_loss(task: Task) -> None:
    """Check that the kind has the loss, and that a loss for distances gets one."""
    losses = LOSSES[task.kind]
    if task.loss not in losses:
        raise ConfigError(
            f"Task {task.name!r} of kind {task.kind!r} has unknown loss {task.loss!r}; "
            f"one of {', '.join(losses)}.{near_matches(task.loss, losses)}"
        )
    if task.loss in DISTANCE_LOSSES and not task.distance:
        raise ConfigError(f"Loss {task.loss!r} of task {task.name!r} needs a distance; set units to 'm' or use 'l1'.")


def check_numbers(task: Task) -> None:
    """Check distance, max_value, typical and weight."""
    name, units, most, typical = task.name, task.units, task.max_value, task.typical
    if task.distance and (task.kind != "regression" or units != "m"):
        raise ConfigError(f"Task {name!r}: distance is for a regression in 'm', found {task.kind!r} in {units!r}.")
    if most is not None and (task.kind != "regression" or not math.isfinite(most)):
        raise ConfigError(f"Task {name!r}: max_value is a finite number for a regression, found {most}.")
    if task.distance and not (typical > 0 and (most is None or most > 0)):
        raise ConfigError(f"Task {name!r}: typical and max_value are positive metres, found {typical} and {most}.")
    if not (math.isfinite(task.weight) and task.weight >= 0):
        raise ConfigError(f"Task {name!r}: weight is a finite number of at least 0, found {task.weight}.")


CHECKS = (check_kind, check_classes, check_loss, check_numbers)
"""Run on every task in this order; later ones rely on earlier ones."""
