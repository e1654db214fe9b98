"""What an adaptation found: over seeds, per method, source-only beside adapted and oracle; as numbers and tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from vtadapt.data.recipe.common_tasks import Agreement
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.digits import percent
from vtadapt.tasks import Task
from vtadapt.workflows.evaluate.floor import floor_cell, floor_notes
from vtadapt.workflows.sweep.spread import Spread, about_seeds, spread
from vtadapt.workflows.sweep.trials import Trial
from vtadapt.workflows.terminal.tables import Table, markdown_page, mean_and_sd

SOURCE_ONLY, ADAPTED, ORACLE = "source-only", "adapted", "oracle"
SETTINGS = (SOURCE_ONLY, ADAPTED, ORACLE)

Results = Mapping[str, Any]


def class_lists(agreed: Agreement, recipes: Sequence[Recipe]) -> dict[str, dict[str, Any]]:
    """Per task what is shared, what each set alone has, and lists that keep some of the shared classes.

    ``subsets`` holds label set -> classes of it, from the recipes of both sets: lists whose classes are some of the
    shared ones under the same names, such as the 13 of the 16 SYNTHIA-Cityscapes classes that mIoU13 is over.
    """
    found = {}
    for name, shared in agreed.classes.items():
        first, second = (recipe.name for recipe in recipes)
        found[name] = {
            "label_set": shared.label_set,
            "shared": list(shared.classes),
            "only": {first: list(shared.only_first), second: list(shared.only_second)},
            "subsets": _subsets(shared.classes, recipes),
        }
    return found


def _subsets(classes: Sequence[str], recipes: Sequence[Recipe]) -> dict[str, list[str]]:
    """Lists whose classes are a part of ``classes``, by the label sets and the class maps of the recipes."""
    lists: dict[str, set[str]] = {}
    for recipe in recipes:
        for key, label_set in recipe.label_sets.items():
            lists.setdefault(key, set(label_set.classes))
        for key, mapping in recipe.class_maps.items():
            kept = {own: other for own, other in mapping.items() if own in classes and other is not None}
            # A map of other classes, of which a few are called the same, says nothing of these.
            if mapping.keys() >= set(classes) and all(own == other for own, other in kept.items()):
                lists.setdefault(key.rpartition(">")[2], set(kept))
    found: dict[str, list[str]] = {}
    for key, names in lists.items():
        part = [c for c in classes if c in names]
        if 1 < len(part) < len(classes) and names <= set(classes) and part not in found.values():
            found[key] = part
    return found


def with_subsets(metrics: Mapping[str, Any], classes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """A run's metrics and, of the same confusion matrix, ``miou/LABEL SET``: the mean IoU over part of the classes.

    As in ``miou/dataset`` only classes with a pixel in the ground truth count.
    """
    out = {task: dict(values) for task, values in metrics.items()}
    for task, about in classes.items():
        for key, names in about["subsets"].items():
            there = [out[task][f"iou/{c}"] for c in names if f"iou/{c}" in out.get(task, {})]
            if there:
                out[task][f"miou/{key}"] = mean(there)
    return out


def summarise(
    labels: Sequence[str],
    trials: Sequence[Trial],
    found: Mapping[str, Mapping[str, Any]],
    classes: Mapping[str, Mapping[str, Any]],
    tasks: Mapping[str, Task],
) -> dict[str, Any]:
    """Label -> {setting -> what is known of it, "gap": task -> metric -> ...}, over the finished runs.

    ``gap`` is, of the means over seeds, adapted - source-only and, where the oracle is better than source-only, the
    share of the way to it: (adapted - source-only) / (oracle - source-only).
    """
    out = {}
    for label in labels:
        entry: dict[str, Any] = {}
        for setting in SETTINGS:
            own = [trial for trial in trials if trial.label == f"{label}:{setting}"]
            if own:
                entry[setting] = _setting(own, found, classes)
        out[label] = {**entry, "gap": _gaps(entry, tasks, classes)}
    return out


def _setting(
    trials: Sequence[Trial], found: Mapping[str, Mapping[str, Any]], classes: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    there = [found[os.fspath(trial.path)] for trial in trials if os.fspath(trial.path) in found]
    results = [one["results"] for one in there]
    return {
        "cells": {str(c.seed): {"run": str(c.path), "error": c.error} for c in trials},
        "target": _spreads([with_subsets(one["target"], classes) for one in there if "target" in one]),
        "source": _spreads([with_subsets(one["source"], classes) for one in there if "source" in one]),
        "steps": next((r["steps"] for r in results), None),
        "trained_parameters": next((r["trained_parameters"] for r in results), None),
        "seconds_per_step": spread(r["seconds_per_step"] for r in results),
        "train_seconds": spread(r["train_seconds"] for r in results),
    }


def _spreads(results: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, Spread | None]]:
    """Task -> metric key -> spread over seeds."""
    keys: dict[str, dict[str, None]] = {}
    for one in results:
        for task, values in one.items():
            keys.setdefault(task, {}).update(dict.fromkeys(values))
    return {t: {k: spread(r.get(t, {}).get(k) for r in results) for k in found} for t, found in keys.items()}


def shown_metrics(classes: Mapping[str, Mapping[str, Any]], headlines: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(task, metric key) of the tables: each task's headline, then means over part of its classes."""
    out = []
    for task, about in headlines.items():
        out.append((task, str(about["metric"])))
        out += [(task, f"miou/{key}") for key in classes.get(task, {}).get("subsets", {})]
    return out


def _gaps(
    entry: Mapping[str, Any], tasks: Mapping[str, Task], classes: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, dict[str, float | None]]]:
    out: dict[str, dict[str, dict[str, float | None]]] = {}
    for task, key in shown_metrics(classes, {n: {"metric": t.headline} for n, t in tasks.items()}):
        means = [_mean(entry, setting, task, key) for setting in SETTINGS]
        if means[0] is None or means[1] is None:
            continue
        sign = 1 if tasks[task].higher_is_better(key) else -1
        whole = None if means[2] is None else sign * (means[2] - means[0])
        gain = sign * (means[1] - means[0])
        closed = gain / whole if whole is not None and whole > 0 else None
        out.setdefault(task, {})[key] = {"gain": gain, "oracle_gain": whole, "closed": closed}
    return out


def _mean(entry: Mapping[str, Any], setting: str, task: str, key: str) -> float | None:
    found = entry.get(setting, {}).get("target", {}).get(task, {}).get(key)
    return None if found is None else float(found["mean"])


def _text(value: Spread | None) -> str:
    if value is None:
        return "-"
    return f"{value['mean']:.3f}" + ("" if value["sd"] is None else f" +- {value['sd']:.3f}")


def _head(result: Results, task: str, key: str) -> str:
    about = result["headlines"][task]
    units = f" {about['units']}" if about["units"] else ""
    up = about["higher_is_better"]
    return f"{task} {key}{units} ({'up' if up else 'down'})"


def _rows(result: Results, label: str) -> list[tuple[str, list[str]]]:
    """Quantity -> one text per setting, the share of the gap that is closed, and the floor."""
    entry = result["methods"][label]
    rows = []
    metrics = shown_metrics(result["classes"], result["headlines"])
    for side in ("target", "source"):
        for task, key in metrics:
            trials = [_text(entry.get(s, {}).get(side, {}).get(task, {}).get(key)) for s in SETTINGS]
            closed = entry["gap"].get(task, {}).get(key, {}).get("closed") if side == "target" else None
            if set(trials) != {"-"}:
                share = "-" if closed is None else percent(closed)
                floor = floor_cell(result["trivial"], result[side], task, key)
                rows.append((f"{result[side]}: {_head(result, task, key)}", [*trials, share, floor]))
    return rows


def adaptation_tables(result: Results) -> list[Table]:
    """One table per method for a terminal: quantities down, settings across."""
    tables = []
    for label in result["methods"]:
        title = f"{label}: {result['source']} to {result['target']}, mean +- sd over seeds {result['seeds']}"
        table = Table(title)
        table.add_column("")
        for name in (*SETTINGS, "gap closed", "trivial"):
            table.add_column(name, justify="right")
        for head, trials in _rows(result, label):
            table.add_row(head, *map(mean_and_sd, trials))
        tables.append(table)
    return tables


def markdown(result: Results) -> str:
    """One table over all methods as Markdown, one row per method and setting, and what must be known to read it."""
    heads = list(dict.fromkeys(head for label in result["methods"] for head, _ in _rows(result, label)))
    lines: list[list[str]] = []
    for label, entry in result["methods"].items():
        rows = dict(_rows(result, label))
        for index, setting in enumerate(SETTINGS):
            if setting in entry:
                found = entry[setting]
                cost = [str(found["steps"] or "-"), _text(found["seconds_per_step"])]
                trials = [rows[head][index] if head in rows else "-" for head in heads]
                lines.append([label, setting, *trials, *cost])
        closed = [rows[head][len(SETTINGS)] if head in rows else "-" for head in heads]
        lines.append([label, "gap closed", *closed, "", ""])
    floors = {head: cells[-1] for label in result["methods"] for head, cells in _rows(result, label)}
    lines.append(["trivial", "", *(floors[head] for head in heads), "", ""])
    return markdown_page(["method", "setting", *heads, "steps", "s/step"], lines, notes(result))


def notes(result: Results) -> list[str]:
    """What must be known to read the tables, one sentence a line; the class lists among it."""
    lines = [result["checkpoint"]]
    for task, about in result["classes"].items():
        names = about["shared"]
        lines.append(f"{task}: miou/dataset is mIoU{len(names)}, over the classes that both have: {', '.join(names)}.")
        for key, part in about["subsets"].items():
            lines.append(f"{task}: miou/{key} is mIoU{len(part)}: {', '.join(part)}.")
        for data, alone in about["only"].items():
            if alone:
                lines.append(f"{task}: {data} alone has {', '.join(alone)}; left out.")
    lines += about_seeds(result["seeds"])
    lines += floor_notes(result["trivial"], result["headlines"])
    return [*lines, *result["notes"], *(f"failed: {name}: {error}" for name, error in result["failed"].items())]
