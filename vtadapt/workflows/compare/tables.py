"""What a comparison found, as numbers over seeds and as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vtadapt.tasks import Task
from vtadapt.workflows.evaluate.floor import floor_cell, floor_notes, not_beaten
from vtadapt.workflows.run import files
from vtadapt.workflows.run.methods import BASELINE
from vtadapt.workflows.sweep.spread import Results, Spread, about_seeds, overall_delta_m, spread
from vtadapt.workflows.sweep.trials import Trial, Variant
from vtadapt.workflows.terminal.tables import Table, markdown_page, mean_and_sd


def summarise(
    variants: Sequence[Variant], trials: Sequence[Trial], tasks: Mapping[str, Task], trivial: Results
) -> dict[str, dict[str, Any]]:
    """Label -> everything that is known of a variant over its finished trials.

    ``delta_m`` is against STL of the same encoder and seed, ``delta_m_first_stl`` against the first STL of the grid.
    """
    found = {v.label: {c.seed: files.read_json(c.path / files.RESULTS) for c in trials if _of(c, v)} for v in variants}
    singles = [v for v in variants if v.method == BASELINE]
    out = {}
    for variant in variants:
        results = found[variant.label]
        alike = next((v for v in singles if v.encoder == variant.encoder), None)
        out[variant.label] = {
            "method": variant.method,
            "encoder": variant.encoder,
            "weights": variant.settings.weights,
            "cells": {str(c.seed): _trial(c) for c in trials if c.label == variant.label},
            "metrics": _metric_spreads(list(results.values())),
            "delta_m": _deltas(results, alike, found, tasks),
            "delta_m_first_stl": _deltas(results, singles[0] if singles else None, found, tasks),
            "not_above_trivial": sorted(
                {t for r in results.values() for t in not_beaten(r["metrics"], trivial, tasks)}
            ),
            "steps": next((r["steps"] for r in results.values()), None),
            "trained_parameters": next((r["trained_parameters"] for r in results.values()), None),
            "total_parameters": next((r["total_parameters"] for r in results.values()), None),
            "seconds_per_step": spread(r["seconds_per_step"] for r in results.values()),
            "train_seconds": spread(r["train_seconds"] for r in results.values()),
            "used_seconds": spread(_used(r) for r in results.values()),
            "prepare_seconds": spread(r.get("prepared", {}).get("seconds", 0.0) for r in results.values()),
            "peak_memory": spread(r["peak_memory"] for r in results.values()),
        }
    return out


def _of(trial: Trial, variant: Variant) -> bool:
    return trial.label == variant.label and trial.error is None and trial.done


def _used(results: Results) -> float | None:
    """Seconds of preparation and steps, without evaluation; None where no step was timed."""
    each = results["seconds_per_step"]
    return None if each is None else each * results["steps"] + results.get("prepared", {}).get("seconds", 0.0)


def _trial(trial: Trial) -> dict[str, Any]:
    return {"run": str(trial.path), "error": trial.error}


def _metric_spreads(results: Sequence[Results]) -> dict[str, dict[str, dict[str, Spread | None]]]:
    """Data set -> task -> metric key -> spread over seeds."""
    if not results:
        return {}
    return {
        data: {
            task: {key: spread(r["metrics"].get(data, {}).get(task, {}).get(key) for r in results) for key in metrics}
            for task, metrics in by_task.items()
        }
        for data, by_task in results[0]["metrics"].items()
    }


def _deltas(
    results: Mapping[int, Results],
    baseline: Variant | None,
    found: Mapping[str, Mapping[int, Results]],
    tasks: Mapping[str, Task],
) -> dict[str, Any] | None:
    """Delta_m of every seed that both have, and its spread."""
    if baseline is None:
        return None
    singles = found[baseline.label]
    each = {
        str(seed): overall_delta_m(r["metrics"], singles[seed]["metrics"], tasks)
        for seed, r in results.items()
        if seed in singles
    }
    total = spread(each.values())
    return None if total is None else {"baseline": baseline.label, **total, "by_seed": each}


def _rows(result: Results) -> tuple[list[str], list[list[str]]]:
    """Heads and trials of the table, as plain text."""
    arrow = {True: "up", False: "down"}
    places = places_of(result)
    several = len({data for data, _ in places}) > 1
    heads = ["method", "encoder"]
    for data, task in places:
        head = result["headlines"][task]
        units = f" {head['units']}" if head["units"] else ""
        where = f"{data} " if several else ""
        heads.append(f"{where}{task} {head['metric']}{units} ({arrow[head['higher_is_better']]})")
    heads += ["Delta_m, %", "Delta_m (first stl), %", "trained, M", "total, M", "steps", "s/step", "training, s", "GiB"]
    rows = []
    for label, entry in result["methods"].items():
        row = [label, entry["encoder"]]
        for data, task in places:
            key = result["headlines"][task]["metric"]
            row.append(_text(entry["metrics"].get(data, {}).get(task, {}).get(key), 3))
        row += [_text(entry[key], 1, signed=True) for key in ("delta_m", "delta_m_first_stl")]
        row += [_millions(entry[key]) for key in ("trained_parameters", "total_parameters")]
        row += ["-" if entry["steps"] is None else str(entry["steps"]), _text(entry["seconds_per_step"], 3)]
        row += [_text(entry["used_seconds"], 0), _text(entry["peak_memory"], 2, 2**30)]
        rows.append(row)
    heads_of = result["headlines"]
    floor = [floor_cell(result["trivial"], data, task, heads_of[task]["metric"]) for data, task in places]
    rows.append(["trivial", "", *floor, *[""] * 8])
    return heads, rows


def places_of(result: Results) -> list[tuple[str, str]]:
    """Every data set with each task that was measured there, by a method or by a trivial predictor."""
    measured = [entry["metrics"] for entry in result["methods"].values()]
    found: dict[tuple[str, str], None] = {}
    for data, by_task in [pair for each in [result["trivial"]["metrics"], *measured] for pair in each.items()]:
        found.update(dict.fromkeys((data, task) for task in by_task))
    return list(found)


def _text(value: Spread | None, digits: int, unit: float = 1.0, *, signed: bool = False) -> str:
    if value is None:
        return "-"
    text = f"{value['mean'] / unit:{'+' if signed else ''}.{digits}f}"
    return text if value["sd"] is None else f"{text} +- {value['sd'] / unit:.{digits}f}"


def _millions(count: int | None) -> str:
    return "-" if count is None else f"{count / 1e6:.2f}"


def comparison_table(result: Results) -> Table:
    """The table for a terminal: one column per method, as there are more numbers than methods."""
    heads, rows = _rows(result)
    table = Table(f"{result['data']}, mean +- sd over seeds {result['seeds']}")
    table.add_column("")
    for row in rows:
        table.add_column(row[0], justify="right")
    for index, head in enumerate(heads[1:], 1):
        table.add_row(head, *[mean_and_sd(row[index]) for row in rows])
    return table


def markdown(result: Results) -> str:
    """The table as Markdown, one row per method, and what must be known to read it."""
    heads, rows = _rows(result)
    return markdown_page(heads, rows, notes(result))


def notes(result: Results) -> list[str]:
    """What must be known to read the table, one sentence a line."""
    lines = [result["fairness"], *result["about_kept"], *about_seeds(result["seeds"])]
    lines += floor_notes(result["trivial"], result["headlines"])
    for label, entry in result["methods"].items():
        if entry["prepare_seconds"] and entry["prepare_seconds"]["mean"] > 0:
            lines.append(
                f"{label} prepared for {entry['prepare_seconds']['mean']:.0f} s, counted in its training time."
            )
        if entry["not_above_trivial"]:
            lines.append(
                f"{label} is not above the floor of the trivial predictors in: {', '.join(entry['not_above_trivial'])}."
            )
    if not any(entry["method"] == BASELINE for entry in result["methods"].values()):
        lines.append("No Delta_m: there is no stl to compare with.")
    return lines + [f"failed: {name}: {error}" for name, error in result["failed"].items()]
