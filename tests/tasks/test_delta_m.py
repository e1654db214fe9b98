"""The direction of metrics, and Delta_m."""

from __future__ import annotations

import pytest

from vtadapt.errors import ConfigError, DataError
from vtadapt.tasks import TASKS, delta_m

DEPTH = TASKS["depth"]


def test_directions() -> None:
    assert TASKS["semseg"].higher_is_better("iou/tv")
    assert not DEPTH.higher_is_better("rmse/pixel@0.001..10m+median")
    assert DEPTH.higher_is_better("delta1.25^2/pixel")
    assert TASKS["normals"].higher_is_better("within30/pixel")
    with pytest.raises(ConfigError, match="Did you mean 'rmse'"):
        DEPTH.higher_is_better("rsme/pixel")


def test_delta_m_by_hand() -> None:
    tasks = [TASKS["semseg"], DEPTH]
    base = {"semseg": {"miou/dataset": 0.5}, "depth": {"rmse/pixel": 2.0, "rmse/image": 1.0}}
    results = {"semseg": {"miou/dataset": 0.55}, "depth": {"rmse/pixel": 1.5, "rmse/image": 9.0}}
    assert delta_m(results, base, tasks) == pytest.approx((10 + 25) / 2)  # +10 %, and 25 % less error
    assert delta_m(base, base, tasks) == 0.0
    assert delta_m(results, base, tasks[:1]) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("results", "base", "message"),
    [
        ({}, {"depth": {"rmse/pixel": 1.0}}, "results lack it"),
        ({"depth": {"rmse/pixel": 1.0}}, {"depth": {}}, "baselines lack it"),
        ({"depth": {"rmse/pixel": 1.0}}, {"depth": {"rmse/pixel": 0.0}}, "is 0"),
    ],
)
def test_delta_m_needs_both_sides(
    results: dict[str, dict[str, float]], base: dict[str, dict[str, float]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        delta_m(results, base, [DEPTH])
    with pytest.raises(DataError, match="at least one task"):
        delta_m(results, base, [])
