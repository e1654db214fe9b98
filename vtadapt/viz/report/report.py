"""The report of a run as one HTML page: what its templates are filled with.

``render`` takes the document that ``vtadapt report --json`` prints, and the pictures that do not fit into JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vtadapt.viz.report.charts import Bars, Chart, Line, Matrix, bars, line_chart, matrix
from vtadapt.viz.report.page import fill
from vtadapt.viz.report.pictures import Pictures

Document = Mapping[str, Any]

# The sections in reading order: the fragment that their address ends in, which is also their template, and the heading.
SECTIONS = {
    "run": "What was run",
    "metrics": "Metrics",
    "curves": "Curves",
    "affinity": "Task affinity",
    "predictions": "Predictions",
    "extremes": "Best and worst images",
    "attention": "Attention",
    "parameters": "Parameters",
    "settings": "Settings",
}
MOST_CLASSES = 40  # whose colours are named
UP, DOWN = "higher is better", "lower is better"
SHORT = {UP: "↑ higher", DOWN: "↓ lower", "": ""}
# A task that was measured or trained, and that the run's configuration does not name.
UNKNOWN: Mapping[str, Any] = {"better": {}, "classes": [], "colours": [], "headline": "", "loss": ""}


def render(document: Document, pictures: Pictures) -> str:
    """Return the page.

    Args:
        document: see :func:`vtadapt.workflows.report.report`; "missing" says for sections, by their id, in one sentence
            each why something is not there.
        pictures: what to show beside it.
    """
    measured = document["measured"]
    values = {
        "document": document,
        "pictures": pictures,
        "sections": SECTIONS,
        "cards": _cards(document, measured[0]) if measured else [],
        "metrics": [
            {**entry, "tables": [_table(document, entry, data) for data in entry["metrics"]]} for entry in measured
        ],
        "curves": _curves(document),
        "matrices": [_matrix(entry) for entry in document["affinity"]],
        "evolution": next((_evolution(entry) for entry in document["affinity"] if entry.get("history")), []),
        "most_classes": MOST_CLASSES,
    }
    return fill("page.html", values)


def _arrow(better: Mapping[str, bool | None], key: str) -> str:
    up = better.get(key)
    return "" if up is None else UP if up else DOWN


def _cards(document: Document, measured: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The headline metric of every task."""
    cards = []
    for data, by_task in measured["metrics"].items():
        where = f"{data} {measured['split']}" if len(measured["metrics"]) > 1 else measured["split"]
        for name, values in by_task.items():
            task = document["tasks"].get(name)
            if task is not None and (key := task["headline"]) in values:
                better = _arrow(task["better"], key)
                cards.append({"task": name, "metric": key, "value": values[key], "where": where, "better": better})
    return cards


def _table(document: Document, measured: Mapping[str, Any], data: str) -> dict[str, Any]:
    """All metrics on one data set, and the bars of its classes."""
    rows: list[dict[str, Any]] = []
    charts: list[Bars] = []
    for name, values in measured["metrics"][data].items():
        task = document["tasks"].get(name, UNKNOWN)
        counts = measured.get("counts", {}).get(data, {}).get(name, {})
        per_class: dict[str, list[tuple[str, float | None]]] = {}
        for key, value in values.items():
            stem, _, what = key.partition("/")
            if what in task["classes"]:
                per_class.setdefault(stem, []).append((what, value))
                continue
            about = {"better": SHORT[_arrow(task["better"], key)], "images": counts.get("images", "")}
            rows.append({"task": name, "metric": key, "headline": key == task["headline"], "value": value, **about})
        chips = dict(zip(task["classes"], task["colours"], strict=False))
        for stem, found in per_class.items():
            charts.append(bars(f"{name}: {stem} per class, {data}", found, head=("class", stem), chips=chips))
    counted = any(row["images"] != "" for row in rows)  # what did not count the images leaves the column out
    return {"data": data, "rows": rows, "classes": charts, "counted": counted}


def _curves(document: Document) -> dict[str, list[Chart]]:
    curves, tasks = document["curves"], document["tasks"]
    if not curves["loss"] and not curves["metrics"]:
        return {}
    charts: dict[str, list[Chart]] = {"losses": [], "headlines": [], "others": []}
    for name, points in curves["loss"].items():
        loss = tasks.get(name, UNKNOWN).get("loss", "")
        charts["losses"].append(line_chart(f"{name}: loss", [Line(name, points)], y_name=loss))
    if curves["lr"]:
        charts["losses"].append(line_chart("learning rate", [Line("learning rate", curves["lr"])]))
    for name, by_key in curves["metrics"].items():
        task = tasks.get(name, UNKNOWN)
        for key, by_data in by_key.items():
            lines = [Line(data, points, marked=True) for data, points in by_data.items()]
            chart = line_chart(f"{name}: {key}", lines, y_name=_arrow(task["better"], key))
            charts["headlines" if key == task["headline"] else "others"].append(chart)
    return charts


def _matrix(entry: Mapping[str, Any]) -> Matrix:
    about = {"error": entry.get("error"), "marked": entry.get("marked"), "footer": entry["about"]}
    return matrix(entry["title"], entry["tasks"], entry["matrix"], **about)


def _evolution(entry: Mapping[str, Any]) -> Sequence[Chart]:
    """One chart per target, one line per other source."""
    names, history = entry["tasks"], entry["history"]
    charts = []
    for t, target in enumerate(names):
        lines = []
        for s, source in enumerate(names):
            values = [(step, values[s][t]) for step, values in zip(history["step"], history["matrix"], strict=True)]
            points = [(float(step), float(value)) for step, value in values if value is not None]
            lines.append(Line(source, points if s != t else []))
        # The target's own line is 1 throughout; it is kept as an empty one so that a source has one colour everywhere.
        charts.append(line_chart(f"target {target}", lines, y_name="affinity of each source"))
    return charts
