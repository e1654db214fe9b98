"""The report of a run as one HTML page: plain data and pictures in, text out.

``render`` takes the document that ``vtadapt report --json`` prints, and the pictures that do not fit into JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vtadapt.viz.report import pictures as report_pictures
from vtadapt.viz.report.charts import Line, bars, line_chart, matrix
from vtadapt.viz.report.markup import Markup, escaped, number, table, tag
from vtadapt.viz.report.page import Section, page
from vtadapt.viz.report.pictures import Extreme, Sample, Shot

Document = Mapping[str, Any]

UP, DOWN = "higher is better", "lower is better"
SHORT = {UP: "↑ higher", DOWN: "↓ lower", "": ""}


@dataclass(frozen=True)
class Pictures:
    """The pictures of a report; each part may be empty.

    Attributes:
        samples: data set -> images with their predictions and truth.
        extremes: data set -> task -> images with score, best first.
        attention: panels of ``visualize-attention``, each with what it shows.
    """

    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    extremes: Mapping[str, Mapping[str, Sequence[Extreme]]] = field(default_factory=dict)
    attention: Sequence[Shot] = ()


def render(document: Document, pictures: Pictures) -> str:
    """Return the page.

    Args:
        document: see :func:`vtadapt.workflows.report.report`; "missing" says for sections, by their id, in one sentence
            each why something is not there.
        pictures: what to show beside it.
    """
    sections = [
        Section("run", "What was run", _run(document)),
        Section("metrics", "Metrics", _metrics(document)),
        Section("curves", "Curves", _curves(document)),
        Section("affinity", "Task affinity", _affinity(document)),
        Section("predictions", "Predictions", report_pictures.predictions(document, pictures.samples)),
        Section("extremes", "Best and worst images", report_pictures.extremes(document, pictures.extremes)),
        Section("attention", "Attention", report_pictures.attention(pictures.attention)),
        Section("parameters", "Parameters", _ledger(document)),
        Section("settings", "Settings", _settings(document)),
    ]
    whole = [
        Section(s.id, s.title, [*s.content, *(tag("p", text, class_="missing") for text in _missing(document, s.id))])
        for s in sections
    ]
    about = f"{document['data']}: {', '.join(document['tasks'])}"
    return page(f"Run {document['name']}", about, whole, f"Written by vtadapt {document['vtadapt']}.")


def _missing(document: Document, section: str) -> list[str]:
    return list(document["missing"].get(section, []))


def _arrow(better: Mapping[str, bool | None], key: str) -> str:
    up = better.get(key)
    return "" if up is None else UP if up else DOWN


def _run(document: Document) -> list[Markup | None]:
    """Headline metrics, facts and commands."""
    facts = [(name, value) for name, value in document["facts"].items() if value is not None]
    rows = [tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in facts]
    first = document["measured"][0] if document["measured"] else None
    return [
        _cards(document, first) if first else None,
        tag("div", tag("table", tag("tbody", *rows)), class_="scroll"),
        tag("h3", "The command that made it"),
        *_commands(document["commands"][:1]),
        tag("h3", "Commands to go on with"),
        *_commands(document["commands"][1:]),
    ]


def _commands(commands: Sequence[Mapping[str, str]]) -> list[Markup]:
    found = []
    for entry in commands:
        found.append(tag("p", entry["what"], class_="note"))
        found.append(tag("pre", tag("code", entry["command"]), tabindex=0))
    return found


def _cards(document: Document, measured: Mapping[str, Any]) -> Markup:
    """The headline metric of every task, as large as they matter."""
    cards = []
    for data, by_task in measured["metrics"].items():
        for name, values in by_task.items():
            task = document["tasks"].get(name)
            if task is None or task["headline"] not in values:
                continue
            where = f"{data} {measured['split']}" if len(measured["metrics"]) > 1 else measured["split"]
            key = task["headline"]
            words = f"{key} on {where}, {_arrow(task['better'], key)}"
            cards.append(tag("li", name, tag("b", number(values[key])), tag("small", words)))
    return tag("ul", *cards, class_="cards")


def _metrics(document: Document) -> list[Markup | None]:
    parts: list[Markup | None] = []
    for i, measured in enumerate(document["measured"]):
        words = f"{measured['split']} split, from {measured['source']}"
        content = [part for data in measured["metrics"] for part in _measured(document, measured, data)]
        if i == 0:
            parts += [tag("p", f"Measured on the {words}.", class_="note"), *content]
        else:
            parts.append(tag("details", tag("summary", f"Measured on the {words}"), *content))
    return parts


def _measured(document: Document, measured: Mapping[str, Any], data: str) -> list[Markup]:
    """The table of all metrics on one data set, and the bars of its classes."""
    rows: list[Sequence[object]] = []
    charts = []
    for name, values in measured["metrics"][data].items():
        task = document["tasks"].get(name, {"better": {}, "classes": [], "colours": [], "headline": ""})
        per_class: dict[str, list[tuple[str, float | None]]] = {}
        counts = measured.get("counts", {}).get(data, {}).get(name, {})
        for key, value in values.items():
            stem, _, what = key.partition("/")
            if what in task["classes"]:
                per_class.setdefault(stem, []).append((what, value))
                continue
            shown = tag("b", key) if key == task["headline"] else key
            rows.append((name, shown, number(value), SHORT[_arrow(task["better"], key)], counts.get("images", "")))
        chips = dict(zip(task["classes"], task["colours"], strict=False))
        for stem, found in per_class.items():
            charts.append(bars(f"{name}: {stem} per class, {data}", found, head=("class", stem), chips=chips))
    head: Sequence[str] = ("task", "metric", "value", "better", "images with a label")
    if all(row[4] == "" for row in rows):  # measured by something that counts none
        head, rows = head[:4], [row[:4] for row in rows]
    label = f"Metrics on {data}"
    numbers = table(head, rows, label=label, numbers=(2, 4), class_="fixed")
    return [tag("h3", data), tag("div", numbers, *charts, class_="two")]


def _curves(document: Document) -> list[Markup | None]:
    curves = document["curves"]
    if not curves["loss"] and not curves["metrics"]:
        return []
    note = f"mean over {curves['binned']} records each" if curves["binned"] > 1 else ""
    losses = [
        line_chart(f"{name}: loss", [Line(name, points)], y_name=document["tasks"].get(name, {}).get("loss", ""))
        for name, points in curves["loss"].items()
    ]
    headlines: list[Markup] = []
    others: list[Markup] = []
    for name, by_key in curves["metrics"].items():
        task = document["tasks"].get(name, {"better": {}, "headline": ""})
        for key, by_data in by_key.items():
            lines = [Line(data, points, marked=True) for data, points in by_data.items()]
            chart = line_chart(f"{name}: {key}", lines, y_name=_arrow(task["better"], key))
            (headlines if key == task["headline"] else others).append(chart)
    rate = [line_chart("learning rate", [Line("learning rate", curves["lr"])])] if curves["lr"] else []
    return [
        tag("h3", "Losses in training"),
        tag("p", f"Before the weights of the tasks. {note}", class_="note"),
        tag("div", *losses, *rate, class_="grid"),
        tag("h3", "Headline metrics on the validation split"),
        tag("p", curves["about"], class_="note"),
        tag("div", *headlines, class_="grid"),
        tag("details", tag("summary", "All other metrics"), tag("div", *others, class_="grid")) if others else None,
    ]


def _affinity(document: Document) -> list[Markup | None]:
    found = document["affinity"]
    if not found:
        return []
    words = "How much each source task (down) helps each target task (across): blue helps, orange harms. "
    words += "A dashed frame and ~ mark what is not told apart from noise; ± is the standard error."
    tables = [
        matrix(
            entry["title"],
            entry["tasks"],
            entry["matrix"],
            error=entry.get("error"),
            marked=entry.get("marked"),
            footer=entry["about"],
        )
        for entry in found
    ]
    course = next((entry for entry in found if entry.get("history")), None)
    return [
        tag("p", words, class_="note"),
        tag("div", *tables, class_="two"),
        *(_course(course) if course else []),
    ]


def _course(entry: Mapping[str, Any]) -> list[Markup]:
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
    return [tag("h3", "How it came about"), tag("div", *charts, class_="grid")]


def _ledger(document: Document) -> list[Markup | None]:
    ledger = document["ledger"]
    rows = [
        (row["component"], row["what"], f"{row['parameters']:,}", "trained" if row["trained"] else "frozen")
        for row in ledger["components"]
    ]
    height, width = ledger["size"]
    total, trained = ledger["parameters"]["total"], ledger["parameters"]["trained"]
    words = (
        f"{trained:,} of {total:,} parameters are trained ({trained / max(total, 1):.1%}). One image of {height} x "
        f"{width} takes {ledger['forward_gflops']:.3g} GFLOP for {len(document['tasks'])} tasks."
    )
    sizes = [f"{name} {count / 2**20:.1f} MiB" for name, count in ledger["bytes"].items()]
    head = ("component", "what", "parameters", "")
    return [
        tag("p", words),
        table(head, rows, label="Parameters by component", numbers=(2,), class_="fixed"),
        tag("p", f"Memory without activations: {', '.join(sizes)}.", class_="note"),
    ]


def _settings(document: Document) -> list[Markup | None]:
    rows = []
    for entry in document["settings"]:
        cells = [tag("th", entry["key"], scope="row"), tag("td", entry["value"]), tag("td", entry["default"])]
        rows.append(tag("tr", *cells, tag("td", entry["what"]), class_="changed" if entry["changed"] else None))
    names = ("setting", "value", "default", "what it is")
    top = tag("tr", *(tag("th", name, scope="col") for name in names))
    count = sum(entry["changed"] for entry in document["settings"])
    content = tag("table", tag("thead", top), tag("tbody", *rows), class_="settings wide")
    words = f"{count} of {len(document['settings'])} differ from their defaults; they are in bold on a coloured row."
    box = tag("div", content, class_="scroll", role="region", aria_label="Settings", tabindex=0)
    return [tag("p", escaped(words), class_="note"), box]
