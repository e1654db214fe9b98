"""Rendering many samples in order, in this process or in several; the result does not depend on their number."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy.typing as npt

Sample = dict[str, npt.NDArray[Any]]
Render = Callable[[int], Sample]

_GROUP = 8


def render_many(render: Render, seeds: Iterable[int], workers: int = 0) -> Iterator[Sample]:
    """Samples of the seeds, in order; `render` must be picklable; `workers` processes (0 = this one)."""
    if workers <= 0:
        for seed in seeds:
            yield render(seed)
        return
    groups = iter(partial(_take, iter(seeds), _GROUP), [])
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        # Only a few groups are under way at a time: a slow consumer must not let finished samples pile up.
        waiting = deque(pool.apply_async(_render_all, (render, group)) for group in islice(groups, 2 * workers))
        while waiting:
            done = waiting.popleft().get()
            waiting.extend(pool.apply_async(_render_all, (render, group)) for group in islice(groups, 1))
            yield from done


def _take(seeds: Iterator[int], count: int) -> list[int]:
    return list(islice(seeds, count))


def _render_all(render: Render, seeds: list[int]) -> list[Sample]:
    return [render(seed) for seed in seeds]
