from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtadapt.affinity import grouping
from vtadapt.affinity.grouping import group_tasks
from vtadapt.errors import DataError, UsageError

NAMES = tuple("abcdefghijklmnopqrst")


def score(matrix, labels, target):
    """Mean affinity of the others in the group onto a target, written as one reads it."""
    total, count = 0.0, 0
    for source in range(len(labels)):
        if source != target and labels[source] == labels[target]:
            total += matrix[source][target]
            count += 1
    return total / count if count else 0.0


def all_totals(matrix, budget):
    """Total of every grouping into at most ``budget`` groups: all colourings of the tasks, doubles dropped."""
    count = len(matrix)
    totals = {}
    for labels in itertools.product(range(budget), repeat=count):
        groups = frozenset(frozenset(t for t in range(count) if labels[t] == g) for g in set(labels))
        if groups not in totals:
            totals[groups] = sum(score(matrix, labels, t) for t in range(count))
    return totals


def as_sets(groups):
    return frozenset(frozenset(NAMES.index(name) for name in group) for group in groups)


@st.composite
def problems(draw):
    count = draw(st.integers(1, 5))
    cells = st.floats(-1, 1).map(lambda x: round(x, 3))
    rows = draw(st.lists(st.lists(cells, min_size=count, max_size=count), min_size=count, max_size=count))
    return np.array(rows), draw(st.integers(1, count))


@settings(max_examples=120, deadline=None)
@given(problems())
def test_it_is_the_best_of_all_groupings_and_names_the_second(problem):
    matrix, budget = problem
    found = group_tasks(matrix, NAMES[: len(matrix)], budget)
    totals = all_totals(matrix, budget)
    ordered = sorted(totals.values(), reverse=True)
    assert found.exact
    assert found.total == pytest.approx(ordered[0], abs=1e-9)
    assert totals[as_sets(found.groups)] == pytest.approx(found.total, abs=1e-9)
    labels = [next(i for i, group in enumerate(found.groups) if name in group) for name in NAMES[: len(matrix)]]
    assert found.per_task == pytest.approx({NAMES[t]: score(matrix, labels, t) for t in range(len(matrix))}, abs=1e-9)
    if len(totals) == 1:
        assert found.runner_up is None and found.lead is None
    else:
        assert found.runner_up.total == pytest.approx(ordered[1], abs=1e-9)
        assert totals[as_sets(found.runner_up.groups)] == pytest.approx(ordered[1], abs=1e-9)
        assert as_sets(found.runner_up.groups) != as_sets(found.groups)
        assert found.lead >= -1e-9


@pytest.mark.parametrize(("count", "bell"), [(1, 1), (2, 2), (5, 52), (8, 4140)])
def test_every_partition_is_looked_at_once(count, bell):
    partitions = [frozenset(p) for p in grouping._partitions(count, count)]
    assert len(partitions) == len(set(partitions)) == bell
    assert all(sum(p) == 2**count - 1 for p in partitions)


@pytest.mark.parametrize(("budget", "stirling"), [(1, 1), (2, 16), (3, 41)])
def test_the_budget_bounds_the_groups(budget, stirling):
    assert sum(1 for _ in grouping._partitions(5, budget)) == stirling


def test_a_worked_example():
    #          a    b    c    d      onto
    matrix = [
        [1.0, 0.6, -0.2, 0.1],  # from a
        [0.4, 1.0, 0.0, 0.1],
        [-0.1, 0.1, 1.0, 0.5],
        [0.0, 0.2, 0.3, 1.0],
    ]
    found = group_tasks(matrix, NAMES[:4], 2)
    assert found.groups == (("a", "b"), ("c", "d"))
    assert found.per_task == pytest.approx({"a": 0.4, "b": 0.6, "c": 0.3, "d": 0.5})
    assert found.total == pytest.approx(1.8)
    whole = group_tasks(matrix, NAMES[:4], 1)
    assert whole.groups == (NAMES[:4],)
    assert whole.total == pytest.approx((0.3 + 0.9 + 0.1 + 0.7) / 3)
    assert whole.runner_up is None


def test_rows_are_sources_and_columns_targets():
    # c is harmed by both others while it helps them: only the target's own column may say so.
    matrix = np.array([[1, 0.2, -0.9], [0.2, 1, -0.9], [0.3, 0.3, 1]])
    found = group_tasks(matrix, NAMES[:3], 3)
    assert found.groups == (("a", "b"), ("c",))
    turned = group_tasks(matrix.T, NAMES[:3], 1)
    assert turned.per_task == pytest.approx({"a": -0.35, "b": -0.35, "c": 0.3})


def test_the_diagonal_plays_no_part():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(6, 6))
    found = group_tasks(matrix, NAMES[:6], 3)
    for diagonal in (1e6, -1e6, np.nan):
        other = matrix.copy()
        np.fill_diagonal(other, diagonal)
        assert group_tasks(other, NAMES[:6], 3) == found


def test_tasks_that_harm_each_other_stay_alone_and_win_nothing():
    found = group_tasks(-np.ones((4, 4)), NAMES[:4], 4)
    assert found.groups == (("a",), ("b",), ("c",), ("d",))
    assert found.total == 0 and set(found.per_task.values()) == {0.0}


def test_equal_affinities_are_a_tie_that_goes_to_one_group():
    found = group_tasks(np.full((5, 5), 0.3), NAMES[:5], 5)
    assert found.groups == (NAMES[:5],)
    assert found.lead == pytest.approx(0)
    assert min(map(len, found.runner_up.groups)) > 1


def test_a_tie_does_not_depend_on_rounding():
    # 0.1 + 0.2 and 0.3 differ in the last bit: the pairs (a, b), (c, d) and (a, c), (b, d) win the same.
    matrix = np.full((4, 4), -1.0)
    matrix[0, 1], matrix[1, 0], matrix[2, 3], matrix[3, 2] = 0.3, 0.0, 0.3, 0.0
    matrix[0, 2], matrix[2, 0], matrix[1, 3], matrix[3, 1] = 0.1, 0.2, 0.2, 0.1
    for scale in (1.0, 1e-7, 1e7):
        assert group_tasks(matrix * scale, NAMES[:4], 2).groups == (("a", "b"), ("c", "d"))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.permutations(range(6)), st.integers(1, 6))
def test_the_order_of_tasks_changes_no_group(seed, order, budget):
    matrix = np.random.default_rng(seed).normal(size=(6, 6))
    found = group_tasks(matrix, NAMES[:6], budget)
    moved = group_tasks(matrix[np.ix_(order, order)], [NAMES[i] for i in order], budget)
    assert as_sets(moved.groups) == as_sets(found.groups)
    assert moved.total == pytest.approx(found.total)


def test_groups_keep_the_order_of_the_matrix():
    matrix = np.full((5, 5), -1.0)
    for pair in ((0, 4), (1, 3)):
        matrix[pair] = matrix[pair[::-1]] = 1.0
    assert group_tasks(matrix, NAMES[:5], 5).groups == (("a", "e"), ("b", "d"), ("c",))


def test_a_pair_that_was_never_measured_counts_as_nothing_and_is_named():
    matrix = [[None, 0.5, None], [0.5, 1.0, -0.2], [0.1, -0.2, 1.0]]
    found = group_tasks(matrix, NAMES[:3], 2)
    assert found.unmeasured == (("a", "c"),)
    assert found.groups == (("a", "b"), ("c",))
    assert group_tasks(matrix, NAMES[:3], 1).per_task == pytest.approx({"a": 0.3, "b": 0.15, "c": -0.1})


def test_the_error_of_the_lead_follows_from_the_cells_in_which_the_two_differ():
    matrix = np.array([[1, 0.5, -0.9], [0.5, 1, -0.9], [-0.4, -0.9, 1]])
    error = np.array([[9, 0.3, 0.1], [0.4, 9, 0.1], [0.2, 0.1, 9]])
    found = group_tasks(matrix, NAMES[:3], 3, error=error)
    assert found.groups == (("a", "b"), ("c",))
    assert found.runner_up.groups == (("a",), ("b",), ("c",))
    assert found.lead == pytest.approx(1.0)
    assert found.lead_error == pytest.approx(0.5)  # of A[a, b] + A[b, a]
    assert group_tasks(matrix, NAMES[:3], 3).lead_error is None


def test_one_task():
    found = group_tasks([[0.9]], ["a"], 1, error=[[0.1]])
    assert (found.groups, found.total, found.per_task) == ((("a",),), 0.0, {"a": 0.0})
    assert found.exact and found.runner_up is None and found.lead_error is None


def planted(count, groups, noise, seed=0):
    """Tasks that help those of their own group and harm all others, in mixed order, and the groups."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % groups)
    matrix = np.where(labels[:, None] == labels, 0.4, -0.3) + rng.normal(0, noise, (count, count))
    return matrix, {frozenset(np.flatnonzero(labels == g).tolist()) for g in range(groups)}


@pytest.mark.parametrize(("count", "groups"), [(11, 3), (16, 4), (20, 5)])
def test_many_tasks_are_searched_and_planted_groups_found(count, groups):
    # A wider budget is left unused only without noise: of equal partners, a small group with the luckiest wins.
    for budget, noise in ((groups, 0.05), (count, 0.0)):
        matrix, wanted = planted(count, groups, noise)
        found = group_tasks(matrix, NAMES[:count], budget)
        assert not found.exact
        assert as_sets(found.groups) == wanted
        assert found.total >= found.runner_up.total
    assert len(group_tasks(matrix, NAMES[:count], 2).groups) <= 2


@pytest.mark.parametrize("budget", [1, 2, 4, 7])
def test_the_search_comes_close_to_the_best_and_repeats_itself(monkeypatch, budget):
    rng = np.random.default_rng(budget)
    matrices = [rng.normal(size=(7, 7)) for _ in range(20)]
    best = [group_tasks(matrix, NAMES[:7], budget) for matrix in matrices]
    monkeypatch.setattr(grouping, "EXACT_TASKS", 1)
    found = [group_tasks(matrix, NAMES[:7], budget) for matrix in matrices]
    assert found == [group_tasks(matrix, NAMES[:7], budget) for matrix in matrices]
    assert not any(f.exact for f in found)
    assert all(f.total <= b.total + 1e-9 and len(f.groups) <= budget for f, b in zip(found, best, strict=True))
    assert sum(f.groups == b.groups for f, b in zip(found, best, strict=True)) >= 18


def test_ten_tasks_are_compared_exactly_in_little_time():
    matrix, wanted = planted(10, 3, 0.0)
    start = time.process_time()
    found = group_tasks(matrix, NAMES[:10], 10)
    assert found.exact and as_sets(found.groups) == wanted
    assert time.process_time() - start < 10  # 0.3 s where this was written


@pytest.mark.parametrize("budget", [0, -1, 4])
def test_a_budget_that_cannot_be_is_a_usage_error(budget):
    with pytest.raises(
        UsageError, match=rf"found a budget of {budget} networks for 3 tasks \(a, b, c\), wanted 1 to 3"
    ):
        group_tasks(np.eye(3), NAMES[:3], budget)


@pytest.mark.parametrize(
    ("matrix", "names", "message"),
    [
        (np.eye(3), "ab", r"is \(3, 3\), wanted \(2, 2\)"),
        (np.ones(2), "ab", r"is \(2,\)"),
        ([[1, np.inf], [0, 1]], "ab", "infinite"),
        ([["x", 1], [0, 1]], "ab", "other than numbers"),
        (np.eye(2), "aa", "each once"),
        (np.zeros((0, 0)), "", "at least one"),
    ],
)
def test_a_matrix_that_does_not_fit_is_a_data_error(matrix, names, message):
    with pytest.raises(DataError, match=message) as caught:
        group_tasks(matrix, list(names), 1)
    assert "\n" not in str(caught.value)


def test_errors_of_another_shape_are_refused():
    with pytest.raises(DataError, match=r"matrix of errors is \(3, 3\)"):
        group_tasks(np.eye(2), ["a", "b"], 2, error=np.eye(3))
