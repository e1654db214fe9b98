"""Shares of classes on a target without labels: recovered where the theory holds, bounded where it does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vtadapt.workflows.train.methods.class_ratios import DOUBT, HIGHEST, LEAST_STEPS, MEMORY, ClassRatios, solve

CONFUSION = np.array([[0.7, 0.1, 0.1], [0.2, 0.8, 0.3], [0.1, 0.1, 0.6]])
"""P(predicted | class), a column per class."""

SHARES = np.array([0.5, 0.3, 0.2])


def test_a_shift_of_shares_is_recovered_exactly() -> None:
    """q = C w has one solution where nothing but the shares differs; without a ridge it is found."""
    on_target = np.array([0.2, 0.3, 0.5])
    found = solve(CONFUSION * SHARES, CONFUSION @ on_target, ridge=0.0)
    assert found == pytest.approx(on_target / SHARES)


def test_the_minimiser_by_the_normal_equations() -> None:
    joint, predicted, ridge = CONFUSION * SHARES, np.array([0.3, 0.4, 0.3]), 0.05
    left = joint.T @ np.diag(1 / joint.sum(1)) @ joint + ridge * np.diag(SHARES)
    right = joint.T @ (predicted / joint.sum(1)) + ridge * SHARES
    wanted = np.linalg.solve(left, right)
    assert (wanted > 0).all(), "else the bound w >= 0 would be at work"
    assert solve(joint, predicted, ridge) == pytest.approx(wanted)


def test_same_shares_give_ones_whatever_the_confusion_and_unknown_classes_too() -> None:
    joint = CONFUSION * SHARES
    assert solve(joint, joint.sum(1)) == pytest.approx(np.ones(3))
    padded = np.pad(joint, (0, 1))  # a class without a pixel on the source
    assert solve(padded, np.append(joint.sum(1), 0.0)) == pytest.approx(np.ones(4))


def test_shares_of_a_step_by_hand() -> None:
    source = torch.log(torch.tensor([[[[0.9, 0.5, 0.2]], [[0.1, 0.5, 0.8]]]]))  # (1, 2, 1, 3)
    target = torch.log(torch.tensor([[[[0.25, 0.75]], [[0.75, 0.25]]]]))
    joint, predicted = ClassRatios.shares(source, torch.tensor([[[0, 1, 255]]]), target)
    assert torch.allclose(joint, torch.tensor([[0.45, 0.25], [0.05, 0.25]]).double())
    assert predicted.tolist() == pytest.approx([0.5, 0.5])
    joint, _ = ClassRatios.shares(source, torch.full((1, 1, 3), 255), target)
    assert not joint.any()


def test_large_images_are_thinned_evenly() -> None:
    labels = torch.zeros(1, 256, 512, dtype=torch.long)
    labels[..., 128:] = 1  # a quarter is class 0
    logits = torch.where(labels == 0, torch.tensor([[[[9.0]], [[0.0]]]]), torch.tensor([[[[0.0]], [[9.0]]]]))
    joint, predicted = ClassRatios.shares(logits, labels, logits[..., :256])
    assert joint.sum(0).tolist() == pytest.approx([0.25, 0.75])
    assert predicted[0] == pytest.approx(0.5, abs=1e-3)


def observed(shares: np.ndarray, steps: int = LEAST_STEPS) -> ClassRatios:
    ratios = ClassRatios(3)
    for _ in range(steps):
        ratios.observe(torch.from_numpy(CONFUSION * SHARES), torch.from_numpy(CONFUSION @ shares))
    return ratios


def test_weights_are_within_their_bounds_and_wait_for_enough_steps() -> None:
    assert observed(SHARES, LEAST_STEPS - 1).weights() is None
    ratios = observed(np.array([0.55, 0.15, 0.3]))
    w = ratios.ratios()
    assert w is not None
    assert w[1] < 1 < DOUBT < w[2] < HIGHEST
    assert ratios.weights() == pytest.approx(torch.tensor([1.0, 1.0, float(w[2])]))
    few = ClassRatios(3)
    few.observe(torch.zeros(3, 3), torch.ones(3) / 3)
    few.observe(torch.eye(3) / 3, torch.tensor([0.5, torch.nan, 0.5]))
    assert float(few.known) == 0.0, "a step without labels, or with a NaN, says nothing"
    far = ClassRatios(2)
    for _ in range(LEAST_STEPS):
        far.observe(torch.diag(torch.tensor([0.99, 0.01])).double(), torch.tensor([0.5, 0.5]).double())
    assert far.weights() == pytest.approx(torch.tensor([1.0, HIGHEST]))


def test_means_forget_and_resume_exactly() -> None:
    ratios = observed(SHARES, 3)
    weights = [MEMORY**k * (1 - MEMORY) for k in (2, 1, 0)]
    assert float(ratios.known) == pytest.approx(sum(weights))
    assert torch.allclose(ratios.joint / ratios.known, torch.from_numpy(CONFUSION * SHARES))
    again = ClassRatios(3)
    again.load_state(ratios.state())
    for one in (ratios, again):
        one.observe(torch.from_numpy(CONFUSION * SHARES), torch.full((3,), 1 / 3).double())
    assert all(torch.equal(ratios.state()[k], again.state()[k]) for k in ratios.state())
