"""What every sweep begins with: its seeds, and a folder of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from vtadapt.atomic import disk_error
from vtadapt.errors import ConfigError, UsageError
from vtadapt.lock import folder_lock
from vtadapt.workflows.run.settings.fields import LARGEST_SEED
from vtadapt.workflows.terminal.interrupt import going_on


def parse_seeds(text: str) -> list[int]:
    """Read "3" (0, 1, 2), "0,4,7", or "4," for that one alone.

    Raises:
        UsageError: something else.
    """
    try:
        numbers = [int(part) for part in text.removesuffix(",").split(",")]
    except ValueError as error:
        raise UsageError(f"--seeds {text!r}; wanted a number of seeds, or which, as 0,4,7 or 4,") from error
    seeds = numbers if "," in text else range(numbers[0])
    if not seeds or min(seeds) < 0 or max(seeds) > LARGEST_SEED or len({*numbers}) < len(numbers):
        raise UsageError(f"--seeds {text!r}; wanted at least one, none twice or negative, or above {LARGEST_SEED}")
    return [*seeds]


@contextlib.contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Make and hold the folder: of two comparisons (or ``what`` it is) at once in one folder the second is refused."""
    with disk_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
    busy = ConfigError(f"another {what} is running in {folder}; wait for it, or name another --out")
    with folder_lock(folder / ".lock", busy), going_on("the same command again: what is finished is kept"):
        yield
