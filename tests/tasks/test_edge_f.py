"""One-to-one matching of edges: hand-made cases and a brute-force reference."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from vtadapt.tasks.metrics import edge_f


def line(row: int, shape: tuple[int, int] = (32, 32), columns: slice = slice(4, 28)) -> NDArray[np.bool_]:
    edges = np.zeros(shape, dtype=bool)
    edges[row, columns] = True
    return edges


def points(shape: tuple[int, int], *where: tuple[int, int]) -> NDArray[np.bool_]:
    edges = np.zeros(shape, dtype=bool)
    for y, x in where:
        edges[y, x] = True
    return edges


def brute_force(prediction: NDArray[np.bool_], target: NDArray[np.bool_], radius: float) -> int:
    """Assign with a dense cost: 0 for a pair in reach, 1 otherwise."""
    p, g = np.argwhere(prediction), np.argwhere(target)
    if len(p) == 0 or len(g) == 0:
        return 0
    near = np.hypot(*(p[:, None] - g[None]).transpose(2, 0, 1)) <= radius + 1e-9
    rows, columns = linear_sum_assignment(~near)
    return int(near[rows, columns].sum())


def count(
    probability: NDArray[np.floating], target: NDArray[np.bool_], radius: float, thresholds: tuple[float, ...] = (0.5,)
) -> NDArray[np.int64]:
    """Counts with the radius in pixels and every pixel valid."""
    max_dist = radius / float(np.hypot(*target.shape))
    return edge_f.count_matches(probability, target, np.ones_like(target), thresholds, max_dist)


def test_identical_maps_score_one() -> None:
    target = line(10) | line(20)
    counts = count(target.astype(np.float32), target, 2.0)
    assert counts.tolist() == [[48, 48, 48]]
    assert edge_f.f_measure(counts).tolist() == [1.0]


@pytest.mark.parametrize(("shift", "f"), [(1, 1.0), (2, 1.0), (3, 0.0)])
def test_a_shifted_line_counts_only_within_the_tolerance(shift: int, f: float) -> None:
    counts = count(line(10 + shift).astype(np.float32), line(10), 2.0)
    assert edge_f.f_measure(counts).tolist() == [f]


def test_the_tolerance_is_euclidean_and_inclusive() -> None:
    prediction, target = points((9, 9), (2, 2)), points((9, 9), (5, 6))  # 3-4-5
    assert edge_f.match(prediction, target, 5.0) == 1
    assert edge_f.match(prediction, target, 4.99) == 0


def test_doubled_lines_halve_precision() -> None:
    """A nearest-neighbour count would call both lines right; one to one, only one of them is."""
    doubled = line(9) | line(11)
    ((matched, predicted, truth),) = count(doubled.astype(np.float32), line(10), 2.0).tolist()
    assert (matched, predicted, truth) == (24, 48, 24)


def test_matching_reroutes_where_greedy_gets_stuck() -> None:
    """The chain p1 - g1 - p2 - g2 - p3 - g3: a greedy p2-g1, p3-g2 leaves p1 and g3 alone; the maximum is 3."""
    prediction = points((3, 14), (1, 1), (1, 5), (1, 9))
    target = points((3, 14), (1, 3), (1, 7), (1, 11))
    assert edge_f.match(prediction, target, 2.0) == 3
    # p2 is equally near to both, p1 reaches only g1: taking p2-g1 first would give 1.
    assert edge_f.match(points((3, 8), (1, 1), (1, 4)), points((3, 8), (1, 2), (1, 6)), 2.0) == 2


def test_empty_sides() -> None:
    nothing = np.zeros((16, 16), dtype=bool)
    some = line(8, (16, 16), slice(2, 14))
    assert count(nothing.astype(np.float32), some, 2.0).tolist() == [[0, 0, 12]]
    assert count(some.astype(np.float32), nothing, 2.0).tolist() == [[0, 12, 0]]
    assert count(nothing.astype(np.float32), nothing, 2.0).tolist() == [[0, 0, 0]]
    assert edge_f.f_measure(np.array([[0, 0, 12], [0, 12, 0], [0, 0, 0]])).tolist() == [0.0, 0.0, 0.0]


def test_missing_pixels_are_left_out_of_both_sides() -> None:
    rng = np.random.default_rng(0)
    target, valid = line(10), np.ones((32, 32), dtype=bool)
    valid[:, 16:] = False
    probability = target.astype(np.float32)
    clean = edge_f.count_matches(probability, target, valid, (0.5,))
    probability[:, 16:] = rng.random((32, 16))
    dirty_target = target.copy()
    dirty_target[:, 16:] = rng.random((32, 16)) > 0.5
    assert edge_f.count_matches(probability, dirty_target, valid, (0.5,)).tolist() == clean.tolist() == [[12, 12, 12]]


def test_thick_lines_are_thinned() -> None:
    thick = line(9) | line(10) | line(11)
    ((matched, predicted, truth),) = count(thick.astype(np.float32), thick, 1.0).tolist()
    assert matched == predicted == truth <= 24
    untouched = edge_f.count_matches(
        thick.astype(np.float32), thick, np.ones_like(thick), (0.5,), thin_prediction=False, thin_target=False
    )
    assert untouched.tolist() == [[72, 72, 72]]


def test_thresholds_with_equal_maps_give_equal_counts() -> None:
    probability = 0.6 * line(10) + 0.9 * line(20)
    counts = count(probability, line(10) | line(20), 2.0, (0.1, 0.3, 0.6, 0.7, 0.9, 0.95))
    assert counts.tolist() == [[48, 48, 48]] * 3 + [[24, 24, 48]] * 2 + [[0, 0, 48]]


def test_default_thresholds() -> None:
    np.testing.assert_allclose(edge_f.default_thresholds(), np.arange(0.05, 0.96, 0.05))


@pytest.mark.parametrize("seed", range(40))
def test_matches_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction, target = (rng.random((12, 12)) < rng.uniform(0.05, 0.7) for _ in range(2))
    for radius in (0.5, 1.0, 1.5, 2.0, 2.3, 4.0):
        assert edge_f.match(prediction, target, radius) == brute_force(prediction, target, radius), (seed, radius)


def test_chunks_do_not_change_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    prediction, target = (rng.random((40, 40)) < 0.2 for _ in range(2))
    whole = edge_f.match(prediction, target, 2.5)
    monkeypatch.setattr(edge_f, "_CHUNK", 100)
    assert edge_f.match(prediction, target, 2.5) == whole == brute_force(prediction, target, 2.5)
