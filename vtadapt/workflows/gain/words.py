"""What a yardstick advises, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LITTLE = 0.03  # a gain below which nobody would pay for labels


def percent(found: Mapping[str, Any] | None) -> str:
    """A gain with its error, in percent of the metric."""
    if found is None:
        return "-"
    error = "" if found["error"] is None else f" +- {100 * found['error']:.1f}"
    return f"{100 * found['mean']:+.1f}{error} %"


def advice(result: Mapping[str, Any]) -> list[str]:
    """One line for each target: which labels to add, and what is to be expected of them where that was measured."""
    return [_of_target(result, target) for target in result["scores"]]


def _of_target(result: Mapping[str, Any], target: str) -> str:
    scores = result["scores"][target]
    order = sorted(scores, key=scores.__getitem__, reverse=True)
    gains = result["gains"].get(target, {})
    measured = [source for source in order if source in gains]
    if not measured:
        return f"{target}: helped most by {order[0]}" + (f", then {order[1]}" if order[1:] else "") + " (predicted)"
    best = max(measured, key=lambda source: gains[source]["mean"])
    found = gains[best]
    metric = result["headlines"][target]
    if found["error"] is None:
        return f"{target}: helped most by {best}, {percent(found)} in {metric} over {found['n']} seeds: no error known"
    if found["told_apart"] and found["mean"] > 0:
        return f"{target}: helped most by {best}, expected gain {percent(found)} in {metric}"
    said = f"of what was measured {best} helps most, {percent(found)} in {metric}, not told apart from nothing"
    if found["mean"] + found["error"] < LITTLE:
        return f"{target}: {result['scarce']} labels are enough already: {said}"
    return f"{target}: {said}; more seeds would tell"
