"""An affinity matrix on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from vtadapt.workflows.terminal.tables import Table, show_result


def show_affinity(result: Mapping[str, Any], as_json: bool) -> None:
    """Print an affinity matrix in colour, what it says about grouping, and where it was written."""
    lines = group_lines(result["groups"]) if "groups" in result else []
    show_result(result, as_json, lambda: [affinity_table(result), *lines, *result["files"].values()])


def group_lines(found: Mapping[str, Any]) -> list[str]:
    """What is said of a grouping, the groups first."""
    lines = [f"groups for {found['budget']}: " + " | ".join(" + ".join(group) for group in found["groups"])]
    if found["lead"] is not None:
        second = " | ".join(" + ".join(group) for group in found["runner_up"])
        error = "" if found["lead_error"] is None else f" +- {found['lead_error']:.3f}"
        lines.append(f"  total affinity {found['total']:.3f}, {found['lead']:.3f}{error} above the next best: {second}")
    return lines


def affinity_table(result: Mapping[str, Any]) -> Table:
    """Sources down, targets across; "~" marks what is not told apart from noise, "-" what was never measured."""
    from vtadapt.workflows.affinity.pictures import displayed, footer_of  # matplotlib comes with it

    title = f"source (down) helps target (across), +- standard error\n{result['measure']}: {footer_of(result)}"
    table = Table(title)
    table.add_column("")
    for task in result["tasks"]:
        table.add_column(task, justify="right")
    matrix = displayed(result)
    bound = float(max((abs(v) for v in matrix.flat if v == v), default=0.0)) or 1.0
    for source, row, errors, marks in zip(result["tasks"], matrix, result["error"], result["marked"], strict=True):
        cells = [_affinity_cell(*entry, bound) for entry in zip(row.tolist(), errors, marks, strict=True)]
        table.add_row(source, *cells)
    return table


def _affinity_cell(value: float, error: float | None, mark: bool, bound: float) -> Text:
    if value != value:
        return Text("-", style="dim")
    digits = ".2f" if bound >= 0.1 else ".0e"
    # The error stands on a line of its own: side by side, six tasks would not fit into 80 columns.
    text = f"{value:{digits}}" + ("~" if mark else " ") + ("" if error is None else f"\n+-{error:{digits}} ")
    share = min(1.0, abs(value) / bound)
    light = round(255 - 155 * share)  # white to blue for help, white to red for harm
    background = f"rgb({light},{light},255)" if value >= 0 else f"rgb(255,{light},{light})"
    return Text(text, style=f"black on {background}", justify="right")
