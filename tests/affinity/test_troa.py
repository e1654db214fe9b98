"""The state of TROA: moments against their definitions, A and its limits, mirror descent, saving."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vtadapt.affinity.troa import Moments, Troa, affinity, marked, mirror_step, sums

INF, NAN = math.inf, math.nan


def observations(count, tasks=3, seed=0):
    """(count, T, T) cosines between -1 and 1."""
    return 2 * torch.rand(count, tasks, tasks, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1


def all_equal(found, wanted):
    return torch.equal(torch.nan_to_num(found, nan=-7.0), torch.nan_to_num(wanted, nan=-7.0))


def close(found, wanted, atol=1e-12):
    return torch.allclose(
        found.double(), torch.as_tensor(wanted, dtype=torch.float64), rtol=0, atol=atol, equal_nan=True
    )


def test_undecayed_moments_are_numpys():
    x = observations(17)
    moments = Moments(3)
    for part in x.split((5, 1, 8, 3)):
        moments.add(*sums(part))
    a = x.numpy()
    assert close(moments.mean, a.mean(0))
    assert close(moments.sd, a.std(0, ddof=1))
    assert close(moments.error, a.std(0, ddof=1) / np.sqrt(17))
    assert close(moments.effective, np.full((3, 3), 17.0))


def test_decayed_moments_are_the_explicit_weighted_formula():
    decay, groups = 0.7, [observations(n, 2, seed=n) for n in (4, 1, 6, 2)]
    moments = Moments(2, decay)
    for group in groups:
        moments.add(*sums(group))
    x = torch.cat(groups).numpy()
    w = np.concatenate([np.full(len(g), decay ** (len(groups) - 1 - i)) for i, g in enumerate(groups)])[:, None, None]
    mean = (w * x).sum(0) / w.sum()
    effective = w.sum() ** 2 / (w**2).sum()
    # The unbiased variance for weights that say how reliable an observation is: sum w d^2 / (V1 - V2 / V1).
    variance = (w * (x - mean) ** 2).sum(0) / (w.sum() - (w**2).sum() / w.sum())
    assert close(moments.mean, mean)
    assert close(moments.effective, np.full((2, 2), effective))
    assert close(moments.sd, np.sqrt(variance))
    assert close(moments.error, np.sqrt(variance / effective))


def test_an_observation_weighs_less_only_by_updates_of_its_own_cell():
    moments = Moments(2, 0.5)
    first, second = torch.full((1, 2, 2), 1.0), torch.full((1, 2, 2), 0.0)
    second[0, 0, 1] = NAN
    for x in (first, second, second):
        moments.add(*sums(x))
    assert float(moments.mean[0, 1]) == 1
    assert float(moments.weight[0, 1]) == 1
    assert float(moments.mean[0, 0]) == pytest.approx(0.25 / 1.75)


def test_sums_of_two_halves_are_those_of_the_whole():
    x = observations(10)
    x[3, 0, 1] = NAN
    halves = [a + b for a, b in zip(sums(x[:4]), sums(x[4:]), strict=True)]
    assert all(close(a, b) for a, b in zip(halves, sums(x), strict=True))
    one, two = Troa(3, 0.6), Troa(3, 0.6)
    for _ in range(3):
        one.update(*sums(x))
        two.update(*halves)
    assert close(one.affinity, two.affinity)
    assert close(one.weights, two.weights)


def test_nan_is_no_observation():
    x = observations(6, 2)
    x[1, 0, 1] = x[4, 0, 1] = NAN
    x[:, 1, 0] = NAN
    count, total, square = sums(x)
    seen = x[[0, 2, 3, 5], 0, 1]
    assert count.tolist() == [[6, 4], [0, 6]]
    assert float(total[0, 1]) == pytest.approx(float(seen.sum()))
    assert float(square[0, 1]) == pytest.approx(float(seen.square().sum()))
    assert float(total[1, 0]) == float(square[1, 0]) == 0
    moments = Moments(2)
    moments.add(count, total, square)
    assert float(moments.sd[0, 1]) == pytest.approx(float(seen.std()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sums_are_float64_whatever_comes_in(dtype):
    x = torch.full((1000, 1, 1), 0.1, dtype=dtype)
    count, total, square = sums(x)
    assert {t.dtype for t in (count, total, square)} == {torch.float64}
    assert float(total) == pytest.approx(1000 * float(x[0]), rel=1e-12)


def test_a_pair_that_is_never_observed_stays_unknown_and_keeps_its_weight():
    state, x = Troa(3, 0.9, 0.5), observations(8)
    x[:, 0, 2] = NAN
    for part in x.split(2):
        state.update(*sums(part))
        assert close(state.weights.sum(0), torch.ones(3))
    assert bool(state.moments.mean[0, 2].isnan())
    assert float(state.affinity[0, 2]) == 0
    assert float(state.weights[0, 2]) == pytest.approx(1 / 3, abs=1e-15)
    assert not close(state.weights, np.full((3, 3), 1 / 3))
    assert state.moments.mean.isnan().sum() == 1


def test_a_target_without_any_label_changes_nothing():
    state = Troa(2, 0.9, 0.5)
    x = torch.full((4, 2, 2), NAN)
    state.update(*sums(x))
    assert torch.equal(state.weights, torch.full((2, 2), 0.5, dtype=torch.float64))
    assert torch.equal(state.affinity, torch.zeros(2, 2, dtype=torch.float64))
    assert state.updates == 1


def test_a_source_that_harms_loses_exp_of_minus_eta_a_step():
    eta, C = 0.3, torch.zeros(3, 3, dtype=torch.float64)
    C[0] = -1.0
    W = torch.full((3, 3), 1 / 3, dtype=torch.float64)
    for step in range(1, 6):
        W = mirror_step(W, C, eta)
        shrunk = math.exp(-eta * step)
        assert close(W[0] / W[1], np.full(3, shrunk))
        assert close(W[0], np.full(3, shrunk / (shrunk + 2)))  # closed form with the normalisation
        assert close(W[1], W[2])


def test_no_weight_falls_below_the_floor():
    C, W, floor = -torch.ones(2, 2, dtype=torch.float64), torch.full((2, 2), 0.5, dtype=torch.float64), 1e-4
    C[1] = 1.0
    for _ in range(100):
        W = mirror_step(W, C, 0.5, floor)
    # The floor is put before the column is normalised again.
    assert close(W[0], np.full(2, floor / (1 + floor)), atol=1e-7)
    for _ in range(100):  # and from there a source comes back
        W = mirror_step(W, -C, 0.5, floor)
    assert close(W[1], np.full(2, floor / (1 + floor)), atol=1e-7)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(1, 5), st.floats(0, 5))
def test_columns_of_the_weights_sum_to_one(data, tasks, eta):
    cells = st.one_of(st.just(NAN), st.floats(-1, 1))
    W = torch.full((tasks, tasks), 1 / tasks, dtype=torch.float64)
    for _ in range(3):
        rows = data.draw(st.lists(cells, min_size=tasks**2, max_size=tasks**2))
        C = torch.tensor(rows, dtype=torch.float64).view(tasks, tasks)
        before, W = W, mirror_step(W, C, eta)
        assert close(W.sum(0), torch.ones(tasks))
        assert bool((W > 0).all())
        for target in range(tasks):
            if not C[:, target].isfinite().any():
                assert close(W[:, target], before[:, target])


def test_permuting_tasks_permutes_both_axes():
    x, order = observations(12, 4), [2, 0, 3, 1]
    x[:, 1, 3] = NAN
    one, two = Troa(4, 0.8, 0.4), Troa(4, 0.8, 0.4)
    for part in x.split(3):
        one.update(*sums(part))
        two.update(*sums(part[:, order][:, :, order]))
    assert torch.equal(two.affinity, one.affinity[order][:, order])
    assert close(two.weights, one.weights[order][:, order], atol=1e-15)
    assert close(two.task_weights, one.task_weights[order], atol=1e-15)


def test_what_the_affinity_is_in_its_limits():
    mean = torch.tensor([[1.0, 0.5, -0.5], [0.5, 1.0, 0.5], [0.5, NAN, 1.0]], dtype=torch.float64)
    error = torch.tensor([[0.0, 0.0, 0.0], [INF, NAN, 0.5], [NAN, NAN, 3.0]], dtype=torch.float64)
    wanted = [
        [1.0, 0.5, 0.0],  # no error: the cosine itself; harm is 0
        [0.0, 1.0, 0.25],  # nothing but noise; a diagonal is no noise; an error as large as the cosine halves it
        [0.0, 0.0, 1.0],  # one observation has no error; none has no cosine either
    ]
    assert close(affinity(mean, error), wanted)
    assert close(affinity(torch.zeros(2, 2), torch.zeros(2, 2)), torch.zeros(2, 2))
    assert bool(mean[2, 1].isnan()), "the arguments are left as they are"
    assert float(error[0, 0]) == 0.0
    assert math.isnan(float(error[1, 1]))


def test_shrinking_leaves_a_cell_of_ten_errors_at_99_percent():
    found = affinity(torch.full((2, 2), 0.5), torch.full((2, 2), 0.05))
    assert float(found[0, 1]) == pytest.approx(0.5 * 100 / 101)


def test_one_observation_says_nothing_off_the_diagonal():
    state = Troa(3)
    state.update(*sums(torch.full((1, 3, 3), 0.9)))
    assert close(state.affinity, torch.eye(3) * state.moments.mean)
    assert bool(state.moments.error.isnan().all())
    state.update(*sums(torch.full((1, 3, 3), 0.8)))
    assert bool((state.affinity > 0.7).all())


def test_the_clamp_comes_after_averaging():
    x = torch.randn(4000, 2, 2, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    state = Troa(2, momentum=0.0)
    state.update(*sums(x))
    assert float(state.affinity[0, 1]) < 0.03  # clamped before, it would be about 0.32


def test_marked_are_the_cells_that_are_not_told_apart_from_noise():
    mean = torch.tensor([[0.1, 0.5, -0.5], [0.19, NAN, -0.21], [0.5, 0.5, 1.0]], dtype=torch.float64)
    error = torch.tensor([[1.0, 0.1, 0.1], [0.1, NAN, 0.1], [NAN, INF, 0.0]], dtype=torch.float64)
    assert marked(mean, error).tolist() == [[False, False, False], [True, True, False], [True, True, False]]


def test_state_goes_and_comes_back_bit_for_bit():
    x, one, two = observations(12), Troa(3, 0.9, 0.2), Troa(3, 0.9, 0.2)
    x[:3, 0, 1] = NAN
    for part in x[:6].split(3):
        one.update(*sums(part))
    saved = {name: tensor.clone() for name, tensor in one.state().items()}
    two.load_state(saved)
    assert two.updates == 2
    for part in x[6:].split(3):
        one.update(*sums(part))
        two.update(*sums(part))
    assert one.state().keys() == two.state().keys()
    assert all(all_equal(two.state()[name], tensor) for name, tensor in one.state().items())
    assert torch.equal(one.affinity, two.affinity)
    assert not torch.equal(saved["weights"], two.weights), "what was loaded is not shared"


def test_factors_of_the_losses_are_one_on_average():
    state = Troa(3, eta=0.5)
    assert close(state.task_weights, torch.ones(3))
    x = observations(5)
    x[:, 0] = -1.0
    for _ in range(4):
        state.update(*sums(x))
    assert float(state.task_weights.mean()) == pytest.approx(1)
    assert float(state.task_weights[0]) == float(state.task_weights.min())
    assert close(state.task_weights, 3 * state.weights.mean(1))
