"""Which tasks should share a network: the grouping of tasks that wins most affinity for a budget of networks.

A is a matrix (S, T) of the same tasks on both axes; ``A[s, t]`` says how much source s helps target t.

Pass the signed matrix (``cosine`` in affinity.json), not the clamped one: a task leaves a group where the others harm
it, and that takes negative numbers. Where all affinities are positive, a task alone always loses its own score, so
tasks part only because a weak partner lowers the mean of the others; equal affinities make every grouping without a
lonely task a tie. Ties go to fewer groups, then to the grouping that keeps earlier tasks together. A mean wins nothing
by size: of partners that are equal but for noise, a small group with the luckiest ones comes out best, so a wide budget
tends to be spent. Where the affinities are noise, the best of many groupings still shows a positive total (the highest
of many noisy sums): believe it only where ``lead`` exceeds about twice ``lead_error``. That error takes the entries of
A as independent, which they are not quite: a guide and no test.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtadapt.errors import DataError, UsageError

# Up to here every grouping is looked at: 115 975 of them for ten tasks, 678 570 for eleven.
EXACT_TASKS = 10

# A group is a set of task numbers as the bits of an integer; a partition is its groups in order of their first task.
Partition = tuple[int, ...]


@dataclass(frozen=True)
class RunnerUp:
    """The grouping that comes second: to be named where the lead of the first is within the error of the matrix."""

    groups: tuple[tuple[str, ...], ...]
    total: float


@dataclass(frozen=True)
class Grouping:
    """Tasks in groups, one network per group, and what the affinities say they win by it.

    ``groups`` hold every task once, in the order of the matrix; there may be fewer than the budget allows.
    ``per_task`` is the score of every task (0 for a task alone), ``total`` their sum. ``exact`` is True where all
    groupings were compared and False where they were too many and a search found this one: there may be a better one.
    ``runner_up`` is the second best grouping (of those looked at), None where there is no other; ``lead_error`` is
    the standard error of ``lead`` if errors were given. ``unmeasured`` names the pairs (source, target) that had no
    affinity and counted as 0.
    """

    groups: tuple[tuple[str, ...], ...]
    total: float
    per_task: dict[str, float]
    exact: bool
    runner_up: RunnerUp | None
    lead_error: float | None = None
    unmeasured: tuple[tuple[str, str], ...] = ()

    @property
    def lead(self) -> float | None:
        """How much the total exceeds that of the runner-up; 0 for a tie, None where there is no runner-up."""
        return None if self.runner_up is None else self.total - self.runner_up.total


def group_tasks(matrix: Any, names: Sequence[str], budget: int, *, error: Any = None) -> Grouping:
    """Find the grouping of tasks into at most ``budget`` groups with the highest total affinity.

    The score of target t in group g is the mean affinity of the others in the group onto it, and the total is the sum
    over all tasks, each of which is in exactly one group::

        score(t, g) = mean of A[s, t] over s in g, s != t        0 if t is alone
        total       = sum over groups g, over t in g, of score(t, g)

    Source: TAG (Fifty et al., "Efficiently Identifying Task Groupings for Multi-Task Learning", NeurIPS 2021), which
    averages pairwise affinities onto a target and sums over targets; the budget of networks is that of Standley et al.,
    "Which Tasks Should Be Learned Together in Multi-task Learning?", ICML 2020. Ours: a partition (there, a task may
    be trained in several networks and is served by the best of them), and a task alone scores 0, which is neither
    gain nor harm. The diagonal is never read: it is the largest entry of an affinity matrix and says how reliable
    the gradient of a task is, not what a partner wins it; with it, the best use of a budget would be lonely tasks.

    ``matrix`` is (S, T) with S = T = ``len(names)``, anything numpy takes, None or NaN where a pair was never
    measured: such a pair counts as 0 (a gap on the diagonal is no gap) and is named in ``unmeasured``. ``error``
    (S, T) holds standard errors, NaN as 0. Up to ``EXACT_TASKS`` tasks all groupings are compared; beyond, a
    deterministic search (merge the pair of groups that wins most, then move and swap tasks while that helps; the same
    from a few other starts) finds a good one and ``exact`` is False.

    Raises UsageError for a budget below 1 or above the number of tasks, DataError for a matrix that does not fit.
    """
    A = _checked(matrix, names, "affinity matrix")
    count = len(names)
    _need_budget(budget, names)
    apart = ~np.eye(count, dtype=bool)
    gaps = tuple((names[s], names[t]) for s, t in np.argwhere(np.isnan(A) & apart))
    A = np.where(np.isnan(A) | ~apart, 0.0, A)
    exact = count <= EXACT_TASKS
    scores = _Scores(A)
    candidates = _partitions(count, budget) if exact else _search(scores, budget)
    first, second = _best_two(scores, candidates)
    lead_error = None
    if error is not None and second is not None:
        E = np.nan_to_num(_checked(error, names, "matrix of errors"), nan=0.0)
        lead_error = float(np.sqrt((((_shares(first, count) - _shares(second, count)) * E) ** 2).sum()))
    per_task = (_shares(first, count) * A).sum(0)
    return Grouping(
        groups=_named(first, names),
        total=float(per_task.sum()),
        per_task={name: float(score) for name, score in zip(names, per_task, strict=True)},
        exact=exact,
        runner_up=None
        if second is None
        else RunnerUp(_named(second, names), float((_shares(second, count) * A).sum())),
        lead_error=lead_error,
        unmeasured=gaps,
    )


def _need_budget(budget: int, names: Sequence[str]) -> None:
    """Raise a UsageError unless so many networks can be filled."""
    count = len(names)
    if not 1 <= budget <= count:
        raise UsageError(
            f"found a budget of {budget} networks for {count} task{'s' if count > 1 else ''} ({', '.join(names)}), "
            f"wanted {'1' if count == 1 else f'1 to {count}'}: choose another number of groups"
        )


def _checked(matrix: Any, names: Sequence[str], what: str) -> np.ndarray:
    """Return the matrix as float64 (S, T), or say what is wrong with it or with the names."""
    try:
        array = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise DataError(f"the {what} holds something other than numbers ({problem}); measure it again") from problem
    if not names or len(set(names)) != len(names):
        raise DataError(f"found the task names {list(names)}, wanted at least one and each once; name the tasks apart")
    wanted = (len(names), len(names))
    if array.shape != wanted:
        raise DataError(
            f"the {what} is {array.shape}, wanted {wanted}: one row and one column per task; measure it anew"
        )
    if np.isinf(array).any():
        raise DataError(f"the {what} holds infinite values, wanted numbers or NaN for not measured; measure it again")
    return array


class _Scores:
    """Total score of groups, remembered, and of partitions; whole multiples of a tiny step, so that ties are ties."""

    def __init__(self, A: np.ndarray) -> None:
        self.A = A
        # The order of a sum changes its last bits; a ten-billionth of the largest affinity is far above those.
        self.step = max(float(np.abs(A).max()), np.finfo(float).tiny * 1e10) * 1e-10
        self._known: dict[int, float] = {}

    def group(self, group: int) -> float:
        """Sum over the tasks of a group of the mean affinity of its others onto them."""
        if group not in self._known:
            members = _members(group)
            others = max(len(members) - 1, 1)
            self._known[group] = float(self.A[np.ix_(members, members)].sum()) / others
        return self._known[group]

    def rank(self, partition: Partition) -> tuple[int, int, tuple[int, ...]]:
        """Sort key, the best first: highest total, fewest groups, earlier tasks together."""
        total = math.fsum(self.group(group) for group in partition)
        return -round(total / self.step), len(partition), _labels(partition)


def _best_two(scores: _Scores, candidates: Iterator[Partition]) -> tuple[Partition, Partition | None]:
    """Return the first and the second of all candidates in the order of ``rank``; a candidate may come twice."""
    ranked: list[tuple[tuple[int, int, tuple[int, ...]], Partition]] = []
    for partition in candidates:
        if len(ranked) == 2 and -round(sum(map(scores.group, partition)) / scores.step) > ranked[1][0][0] + 1:
            continue  # clearly behind the second: saves the rest of the key
        entry = scores.rank(partition), partition
        if entry not in ranked:
            ranked = sorted([*ranked, entry])[:2]
    return ranked[0][1], ranked[1][1] if len(ranked) > 1 else None


def _partitions(count: int, budget: int) -> Iterator[Partition]:
    """Yield every partition of ``count`` tasks into at most ``budget`` groups, once: each task joins or founds."""

    def grow(task: int, groups: list[int]) -> Iterator[Partition]:
        if task == count:
            yield tuple(groups)
            return
        for i in range(len(groups)):
            groups[i] |= 1 << task
            yield from grow(task + 1, groups)
            groups[i] ^= 1 << task
        if len(groups) < budget:
            yield from grow(task + 1, [*groups, 1 << task])

    return grow(0, [])


def _search(scores: _Scores, budget: int) -> Iterator[Partition]:
    """Yield what is met on the way up from several starts: merged groups, one group of all, tasks dealt out in turn."""
    count = len(scores.A)
    dealt = [_dealt(count, groups) for groups in range(1, min(budget, 6) + 1)]
    for start in (_merged(scores, budget), *dealt):
        here = start
        yield here
        while True:
            around = list(_neighbours(here, count, budget))
            yield from around
            best = min(around, key=scores.rank, default=here)
            if scores.rank(best) >= scores.rank(here):
                break
            here = best


def _dealt(count: int, groups: int) -> Partition:
    """Deal the tasks out in turn to that many groups."""
    return tuple(sum(1 << task for task in range(first, count, groups)) for first in range(groups))


def _merged(scores: _Scores, budget: int) -> Partition:
    """Start with every task alone and merge the best two groups while that wins, or while there are too many."""
    here: Partition = tuple(1 << task for task in range(len(scores.A)))
    while len(here) > 1:
        options = [_ordered({*here} - {a, b} | {a | b}) for a, b in itertools.combinations(here, 2)]
        best = min(options, key=scores.rank)
        if len(here) <= budget and scores.rank(best) >= scores.rank(here):
            break
        here = best
    return here


def _neighbours(partition: Partition, count: int, budget: int) -> Iterator[Partition]:
    """Yield the partitions one step away: one task in another or a new group, or two tasks exchanged."""
    home = {task: group for group in partition for task in _members(group)}
    for task in range(count):
        bit, old = 1 << task, home[task]
        places = [group for group in partition if group != old]
        if len(partition) < budget and old != bit:
            places.append(0)
        for new in places:
            yield _ordered({*partition} - {old, new} | {old ^ bit, new | bit})
    for a, b in itertools.combinations(range(count), 2):
        swap = 1 << a | 1 << b
        if home[a] != home[b]:
            yield _ordered({*partition} - {home[a], home[b]} | {home[a] ^ swap, home[b] ^ swap})


def _ordered(groups: set[int]) -> Partition:
    """Return the groups that are not empty, by their first task."""
    return tuple(sorted(groups - {0}, key=lambda group: group & -group))


def _members(group: int) -> list[int]:
    """Return the task numbers of a group."""
    return [task for task in range(group.bit_length()) if group >> task & 1]


def _labels(partition: Partition) -> tuple[int, ...]:
    """Return for every task the number of its group."""
    home = {task: i for i, group in enumerate(partition) for task in _members(group)}
    return tuple(home[task] for task in sorted(home))


def _shares(partition: Partition, count: int) -> np.ndarray:
    """Return P (S, T) with total = (P * A).sum(): 1 / (size - 1) where s and t are two tasks of one group, else 0."""
    shares = np.zeros((count, count))
    for members in map(_members, partition):
        shares[np.ix_(members, members)] = 1.0 / max(len(members) - 1, 1)
    np.fill_diagonal(shares, 0.0)
    return shares


def _named(partition: Partition, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(names[task] for task in _members(group)) for group in partition)
