"""What a ``Task`` of any kind must fulfil, and what a person may write for its fields; errors are one line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from vtadapt.errors import ConfigError, near_matches
from vtadapt.tasks.kinds import find_kind
from vtadapt.tasks.names import check_name
from vtadapt.tasks.spec import AnyTask, Colour

MOST = 10**6  # channels: there are data sets of 70 000 classes


def triples(colours: Iterable[Sequence[int]]) -> tuple[Colour, ...]:
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


def wrong_field(name: str, kind: str, error: ValueError) -> ConfigError:
    """What a kind says of a field, as a sentence on the task."""
    return ConfigError(f"Task {name!r} of kind {kind!r} {str(error).removesuffix('.')}" + "." * (str(error)[-1] != "?"))


def check_task(task: AnyTask, weight: float) -> None:
    """Raise ConfigError where the fields of a task do not go together, with its name."""
    try:
        check_name(task.name)
    except ValueError as error:
        raise ConfigError(f"Task {task.name!r} {error}.") from error
    kind = find_kind(task.kind)
    try:
        kind.check_declared(task)
        if task.channels > MOST:
            raise ValueError(f"has {task.channels} channels, wanted at most {MOST}")
        wanted = max(kind.channels_of(task), 1)
        if task.channels != wanted:
            raise ValueError(f"has {task.channels} channels, wanted {wanted}")
        if task.loss not in kind.losses:
            near = near_matches(task.loss, kind.losses)
            raise ValueError(f"has unknown loss {task.loss!r}; one of {', '.join(kind.losses)}.{near}")
        kind.check_task(task)
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"has weight {weight}; wanted a finite number of at least 0")
    except ValueError as error:
        raise wrong_field(task.name, task.kind, error) from error
    kind.higher_is_better(task.headline)
