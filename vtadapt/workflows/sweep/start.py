"""What every sweep begins with: its seeds."""

from __future__ import annotations

from vtadapt.errors import UsageError
from vtadapt.workflows.run.settings.fields import LARGEST_SEED


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
