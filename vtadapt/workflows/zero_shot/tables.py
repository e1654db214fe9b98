"""What a zero-shot transfer found: numbers over seeds, the share of the gap that is closed, tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vtadapt.digits import amount, percent
from vtadapt.tasks import Task
from vtadapt.workflows.evaluate.evaluate import Metrics
from vtadapt.workflows.evaluate.floor import floor_cell, floor_notes
from vtadapt.workflows.sweep.spread import about_seeds, paired, spread, verdict
from vtadapt.workflows.terminal.tables import Table, markdown_page, mean_and_sd
from vtadapt.workflows.zero_shot.plan import DIRECT, ORACLE, ZERO_SHOT, Plan

Results = Mapping[str, Any]
Found = Mapping[str, Mapping[int, Metrics]]
"""Column of the table -> seed -> task -> metric key -> value."""


def share_closed(direct: float, reached: float, oracle: float, higher_is_better: bool) -> float | None:
    """The share of the gap between direct transfer and the oracle that was closed.

    (reached - direct) / (oracle - direct): 0 is as good as direct transfer, 1 as good as the oracle, below 0 worse
    than direct transfer. None where the oracle is no better than direct transfer: there is no gap.
    """
    gap = (oracle - direct) if higher_is_better else (direct - oracle)
    gained = (reached - direct) if higher_is_better else (direct - reached)
    return gained / gap if gap > 0 else None


def summarise(plan: Plan, found: Found) -> dict[str, Any]:
    """Everything by column: metrics and shares over seeds; and how far ahead of each other A the run's own is."""
    several = len(set(plan.sources.values())) > 1
    columns: dict[str, Any] = {}
    for label, by_seed in found.items():
        # One run's direct transfer is one measurement, whatever the number of seeds.
        each = dict(list(by_seed.items())[:1]) if label == DIRECT and not several else by_seed
        columns[label] = {
            "metrics": _spreads(each),
            "share_closed": {} if label in (DIRECT, ORACLE) else _shares(plan.task, found, label),
            "by_seed": {str(seed): metrics for seed, metrics in each.items()},
        }
    others = [label for label in found if label not in (DIRECT, ZERO_SHOT, ORACLE)]
    return {"columns": columns, "ahead_of": {label: _ahead(plan.task, found, label) for label in others}}


def _spreads(by_seed: Mapping[int, Metrics]) -> dict[str, dict[str, Any]]:
    first = next(iter(by_seed.values()), {})
    return {
        task: {key: spread(metrics.get(task, {}).get(key) for metrics in by_seed.values()) for key in values}
        for task, values in first.items()
    }


def _shares(task: Task, found: Found, label: str) -> dict[str, Any]:
    """Metric of n -> the share of each seed, and its spread (None where no seed has a gap)."""
    direct, oracle, reached = (found.get(key, {}) for key in (DIRECT, ORACLE, label))
    seeds = [seed for seed in reached if seed in oracle]
    out: dict[str, Any] = {}
    for key in next(iter(oracle.values()), {}).get(task.name, {}):
        each = {}
        for seed in seeds:
            values = [where[seed].get(task.name, {}).get(key) for where in (direct, reached, oracle)]
            a, x, b = values
            up = task.higher_is_better(key)
            each[str(seed)] = None if a is None or x is None or b is None else share_closed(a, x, b, up)
        total = spread(each.values())
        out[key] = None if total is None else {**total, "by_seed": each}
    return out


def _ahead(task: Task, found: Found, label: str) -> dict[str, Any]:
    """Metric of n -> by how much the run's A is better than the other (> 0: better), seed by seed, and in how many."""
    out = {}
    for key in next(iter(found[label].values()), {}).get(task.name, {}):
        sign = 1 if task.higher_is_better(key) else -1
        differences = [
            sign * (found[ZERO_SHOT][seed][task.name][key] - metrics[task.name][key])
            for seed, metrics in found[label].items()
            if seed in found[ZERO_SHOT]
        ]
        if total := paired(differences):
            out[key] = {**total, "better_in": sum(d > 0 for d in differences)}
    return out


def _rows(result: Results) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the table, as plain text: rows are metrics, n's first."""
    columns, heads, name = result["columns"], result["headlines"], result["task"]
    rows = []
    for key in dict.fromkeys(key for entry in columns.values() for key in entry["metrics"].get(name, {})):
        row = [f"{name} {key}", *(_text(entry["metrics"].get(name, {}).get(key)) for entry in columns.values())]
        rows.append([*row, floor_cell(result["trivial"], result["data"], name, key)])
        shares = [entry["share_closed"].get(key) for entry in columns.values()]
        if any(shares):
            rows.append(["  of the gap closed", *(_percent(share) for share in shares), ""])
    for other in result["labels"]:
        key = heads[other]["metric"]
        row = [f"{other} {key}", *(_text(entry["metrics"].get(other, {}).get(key)) for entry in columns.values())]
        rows.append([*row, ""])
    return ["", *columns, "trivial"], rows


def _text(value: Results | None) -> str:
    if value is None:
        return "-"
    return f"{value['mean']:.3f}" + ("" if value["sd"] is None else f" +- {value['sd']:.3f}")


def _percent(value: Results | None) -> str:
    if value is None:
        return ""
    return percent(value["mean"]) + ("" if value["sd"] is None else f" +- {amount(100 * value['sd'], 2)}")


def zero_shot_table(result: Results) -> Table:
    """The table for a terminal."""
    heads, rows = _rows(result)
    title = f"{result['task']} on {result['data']}, mean +- sd over seeds {result['seeds']}"
    table = Table(title)
    for index, head in enumerate(heads):
        table.add_column(head, justify="right" if index else "left")
    for row in rows:
        table.add_row(*map(mean_and_sd, row))
    return table


def markdown(result: Results) -> str:
    """The table as Markdown, and what must be known to read it."""
    heads, rows = _rows(result)
    return markdown_page(heads, rows, notes(result))


def notes(result: Results) -> list[str]:
    """What must be known to read the table, one sentence a line."""
    name, held = result["task"], [task for task in result["held"] if task != result["task"]]
    sources = ", ".join(dict.fromkeys(result["from"].values()))
    lines = [
        f"{ZERO_SHOT}: {result['steps']} steps on labels of {', '.join(result['labels'])} of {result['data']}; head "
        f"and embedding of {name} as {sources} left them."
    ]
    if held:
        lines.append(f"Held as {name} is, without labels, in every column: {', '.join(held)}.")
    if result["rehearse"]:
        lines.append(
            f"Rehearsed in every column but direct: each step also has a batch of {result['rehearse']} with all its "
            "labels that the kept heads predict."
        )
    for task in result["new_heads"]:
        lines.append(f"{task} has other classes on {result['data']}: its head starts anew, the rest from the run.")
    lines += [result["checkpoint"], *about_seeds(result["seeds"]), *floor_notes(result["trivial"], result["headlines"])]
    return lines + _findings(result) + [f"failed: {trial}: {error}" for trial, error in result["failed"].items()]


def _findings(result: Results) -> list[str]:
    name = result["task"]
    if not result["measurable"]:
        return [f"{result['data']} has no validation labels of {name}: nothing to measure it by."]
    key = result["headlines"][name]["metric"]
    lines = []
    if ORACLE not in result["columns"]:
        lines.append(f"{result['data']} has no training labels of {name}: no oracle, and no gap to close.")
    elif result["columns"][ZERO_SHOT]["share_closed"].get(key, {}) is None:
        lines.append(f"In {key} no seed's oracle is ahead of its direct transfer, so there is no gap to close.")
    for label, by_key in result["ahead_of"].items():
        if (found := by_key.get(key)) is not None:
            ahead = "" if found["n"] == 1 else f", ahead in {found['better_in']} of {found['n']} seeds"
            lines.append(f"{key}: A of the run against A {label} {found['mean']:+.3f}{ahead} ({verdict(found)}).")
    return lines
