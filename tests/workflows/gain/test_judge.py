"""Closed forms of gains, orders and regrets."""

from __future__ import annotations

import math

import pytest

from vtadapt.tasks import make_task
from vtadapt.workflows.gain.cell import Cell
from vtadapt.workflows.gain.judge import ceiling, choices, gain, gains_of, judged, summary_of, tau
from vtadapt.workflows.gain.words import advice

DEPTH, SEMSEG = make_task("depth", "regression", units="m"), make_task("semseg", "classes", num_classes=3)
TASKS = {"depth": DEPTH, "semseg": SEMSEG}
GAINS = {"t": {"a": {0: 0.3, 1: 0.1}, "b": {0: 0.1, 1: 0.1}, "c": {0: -0.1, 1: 0.0}}}


def test_a_gain_is_positive_where_the_metric_is_better() -> None:
    assert gain(DEPTH, {"metrics": {DEPTH.headline: 1.0}}, {"metrics": {DEPTH.headline: 0.5}}) == math.log(2)
    assert gain(SEMSEG, {"metrics": {SEMSEG.headline: 0.5}}, {"metrics": {SEMSEG.headline: 0.25}}) == -math.log(2)


def test_gains_are_paired_by_seed() -> None:
    def result(value: float) -> dict[str, object]:
        return {"metrics": {DEPTH.headline: value}, "loss": value**2}

    found = {
        Cell("depth", (), 0, 16): result(1.0),
        Cell("depth", (), 1, 16): result(2.0),
        Cell("depth", ("semseg",), 0, 16): result(0.5),
        Cell("depth", ("semseg",), 1, 16): result(2.0),
        Cell("depth", ("semseg",), 2, 16): result(2.0),  # nothing to compare it with yet
    }
    gains = gains_of(found, TASKS)
    assert gains == {"depth": {"semseg": {0: math.log(2), 1: 0.0}}}
    assert gains_of(found, TASKS, by_loss=True) == {"depth": {"semseg": {0: math.log(4), 1: 0.0}}}
    assert summary_of(gains)["depth"]["semseg"]["mean"] == pytest.approx(math.log(2) / 2)


def test_an_order_and_its_reverse() -> None:
    right, wrong = {"t": {"a": 3.0, "b": 2.0, "c": 1.0}}, {"t": {"a": 1.0, "b": 2.0, "c": 3.0}}
    good, bad = judged(GAINS, right), judged(GAINS, wrong)
    assert (good["tau"], bad["tau"]) == (pytest.approx(1), pytest.approx(-1))
    assert good["regret"] == 0 and bad["regret"] == pytest.approx(0.25)
    assert good["random_regret"] == pytest.approx(0.2 - (0.2 + 0.1 - 0.05) / 3)
    assert tau([1.0, 1.0], [1.0, 2.0]) is None


def test_the_ceiling_is_how_well_seeds_agree() -> None:
    assert ceiling({"t": {"a": {0: 1, 1: 2}, "b": {0: 0, 1: 1}, "c": {0: -1, 1: 0}}}) == pytest.approx(1)
    assert ceiling({"t": {"a": {0: 1, 1: 0}, "b": {0: 0, 1: 1}, "c": {0: -1, 1: 2}}}) == pytest.approx(-1)
    assert ceiling({"t": {"a": {0: 1}, "b": {0: 0}}}) is None


def test_following_the_advice() -> None:
    found = choices(GAINS, {"t": {"a": 0.0, "b": 1.0, "c": 0.5}}, {"all": {"t": {0: 0.4, 1: 0.2}}, "weighted": {}})["t"]
    assert (found["advice"], found["best"]) == ("b", "a")
    assert found["by_advice"]["mean"] == pytest.approx(0.1) and found["by_best"] == pytest.approx(0.2)
    assert found["by_all"]["mean"] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ([0.10, 0.11, 0.12], "t: helped most by s, expected gain +11.0 +- 2.5 % in m"),
        ([0.001, -0.002, 0.0], "t: 16 labels are enough already"),
        ([0.30, -0.10, 0.05], "more seeds would tell"),
        ([0.1, 0.2], "no error known"),
        ([], "t: helped most by s, then r (predicted)"),
    ],
)
def test_the_advice_says_how_sure_it_is(seeds: list[float], said: str) -> None:
    gains = {"t": {"s": dict(enumerate(seeds))}} if seeds else {}
    scores = {"t": {"s": 0.9, "r": 0.5}}
    result = {"scores": scores, "gains": summary_of(gains), "headlines": {"t": "m"}, "scarce": 16}
    assert said in advice(result)[0]
