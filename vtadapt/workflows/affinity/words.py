"""What a matrix of affinities advises, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vtadapt.digits import amount
from vtadapt.workflows.affinity.pictures import displayed
from vtadapt.workflows.affinity.run_affinity import grouped, warnings_of
from vtadapt.workflows.affinity.tables import group_lines

NETWORKS = 2  # that the tasks are shared out among, where there are more tasks than that


def advice_of(result: Mapping[str, Any]) -> list[str]:
    """One line on who helps each task, then what is told beside ``vtadapt affinity``, then the best two networks.

    Args:
        result: what :func:`vtadapt.workflows.affinity.run_affinity.affinity_of_run` returns.
    """
    if len(result["tasks"]) > NETWORKS and "groups" not in result:
        result = {**result, "groups": grouped(result, NETWORKS)}
    lines = [*_helpers(result), *warnings_of(result)]
    if "groups" in result:
        lines.append("; ".join(line.strip() for line in group_lines(result["groups"])))
    return lines


def _helpers(result: Mapping[str, Any]) -> list[str]:
    """Of each task: the two others that help it most, of those that are told apart from noise."""
    names, values = result["tasks"], displayed(result)
    lines = []
    for j, target in enumerate(names):
        others = [i for i in range(len(names)) if i != j and values[i, j] > 0 and not result["marked"][i][j]]
        best = sorted(others, key=lambda i: -values[i, j])[:2]
        told = ", then ".join(f"{names[i]} ({amount(float(values[i, j]))})" for i in best)
        lines.append(f"{target} is helped most by {told}" if told else f"{target} is helped by none beyond noise")
    return lines
