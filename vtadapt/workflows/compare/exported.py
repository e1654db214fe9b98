"""A comparison for other programs: every number as CSV, the table as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vtadapt.workflows.compare.tables import places_of
from vtadapt.workflows.sweep.spread import Results, Spread, about_seeds
from vtadapt.workflows.terminal.exported import CSV, LATEX, csv_text, latex_table, latex_text, write_tables

SPREADS = ("delta_m", "delta_m_first_stl", "seconds_per_step", "used_seconds", "peak_memory")
COUNTS = ("trained_parameters", "total_parameters", "steps")


def write_compared(stem: Path, kinds: Sequence[str], result: Results) -> dict[str, str]:
    """Write ``stem.csv`` and ``stem.tex``; returns kind -> path.

    Args:
        stem: path without a suffix.
        kinds: "csv", "latex".
        result: the content of ``compare.json``.
    """
    return write_tables(stem, kinds, {CSV: lambda: compared_csv(result), LATEX: lambda: compared_latex(result)})


def compared_csv(result: Results) -> str:
    """One row per method: every metric with mean, standard deviation and number of seeds, and what it costs."""
    metrics = {
        (data, task, key): None
        for entry in result["methods"].values()
        for data, by_task in entry["metrics"].items()
        for task, values in by_task.items()
        for key in values
    }
    heads = ["method", "encoder"]
    for data, task, key in metrics:
        heads += [f"{data} {task} {key}{part}" for part in ("", " sd", " seeds")]
    heads += [f"{name}{part}" for name in SPREADS for part in ("", " sd")] + [*COUNTS]
    rows = []
    for label, entry in result["methods"].items():
        row: list[Any] = [label, entry["encoder"]]
        for data, task, key in metrics:
            row += _parts(entry["metrics"].get(data, {}).get(task, {}).get(key), ("mean", "sd", "n"))
        for name in SPREADS:
            row += _parts(entry[name], ("mean", "sd"))
        rows.append([*row, *(entry[name] for name in COUNTS)])
    return csv_text(heads, rows)


def _parts(value: Spread | None, names: Sequence[str]) -> list[Any]:
    return [None if value is None else value[name] for name in names]


def compared_latex(result: Results) -> str:
    """One row per method with the headline metrics, the best mean of each column in bold."""
    places = places_of(result)
    several = len({data for data, _ in places}) > 1
    heads, columns = ["method"], []
    for data, task in places:
        about = result["headlines"][task]
        up, key = about["higher_is_better"], about["metric"]
        units = f", {about['units']}" if about["units"] else ""
        name = f"{data}: {task}" if several else task
        arrow = "$\\uparrow$" if up else "$\\downarrow$"
        heads.append(f"{latex_text(f'{name} {key}{units}')} {arrow}")
        values = [e["metrics"].get(data, {}).get(task, {}).get(key) for e in result["methods"].values()]
        columns.append(_column(values, 3, up=up))
    heads += ["$\\Delta_m$, \\% $\\uparrow$", "trained, M"]
    columns.append(_column([entry["delta_m"] for entry in result["methods"].values()], 1, up=True))
    columns.append([_millions(entry["trained_parameters"]) for entry in result["methods"].values()])
    rows = [[latex_text(label), *cells] for label, *cells in zip(result["methods"], *columns, strict=True)]
    caption = f"{result['data']}, mean and standard deviation over seeds {', '.join(map(str, result['seeds']))}."
    return latex_table(heads, rows, caption, [result["fairness"], *about_seeds(result["seeds"])])


def _column(values: Sequence[Spread | None], digits: int, *, up: bool) -> list[str]:
    """Mean and standard deviation as LaTeX; the best mean, as it is written, is bold."""
    written = [None if value is None else f"{value['mean']:.{digits}f}" for value in values]
    there = [float(text) for text in written if text is not None]
    best = (max(there) if up else min(there)) if there else None
    cells = []
    for value, text in zip(values, written, strict=True):
        if value is None or text is None:
            cells.append("--")
            continue
        number = f"\\mathbf{{{text}}}" if float(text) == best else text
        cells.append(f"${number}$" if value["sd"] is None else f"${number} \\pm {value['sd']:.{digits}f}$")
    return cells


def _millions(count: int | None) -> str:
    return "--" if count is None else f"{count / 1e6:.2f}"
