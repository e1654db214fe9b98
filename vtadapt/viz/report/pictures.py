"""The sections of a report that show pictures: predictions, best and worst images, attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vtadapt.viz.panels import Cell
from vtadapt.viz.report.markup import Markup, number, picture, scrolled, tag

SHOWN = 176  # pixels across a picture on the page
SIDE = 352  # pixels that it has: twice as many, for dense screens
MAX_CLASSES = 40  # whose colours are named
PANEL = 1600  # pixels of the longer side of an attention panel


@dataclass(frozen=True)
class Sample:
    """An image with one cell per task of prediction and of truth (None where it has no label)."""

    name: str
    image: Cell
    prediction: Mapping[str, Cell]
    truth: Mapping[str, Cell | None]


@dataclass(frozen=True)
class Extreme:
    """An image chosen by its score, and which end of the scores it stands at: "best" or "worst"."""

    sample: Sample
    score: float
    end: str


@dataclass(frozen=True)
class Shot:
    """A picture with what it shows, in words."""

    cell: Cell
    words: str


def predictions(document: Mapping[str, Any], samples: Mapping[str, Sequence[Sample]]) -> list[Markup | None]:
    """Per data set the images, each a row of predictions over a row of truth."""
    keys = [_classes(name, task) for name, task in document["tasks"].items() if 0 < len(task["classes"]) <= MAX_CLASSES]
    parts: list[Markup | None] = [*keys] if samples else []
    for data, found in samples.items():
        about = document["samples"][data]
        words = f"{data}, {about['split']} split: {len(found)} images, evenly spaced."
        parts.append(tag("h3", data))
        parts.append(tag("p", words, class_="note"))
        parts += [_rows(sample) for sample in found]
    return parts


def _classes(name: str, task: Mapping[str, Any]) -> Markup:
    """The names of a task's classes beside their colours."""
    chips = [
        (text, ",".join(str(int(c)) for c in rgb)) for text, rgb in zip(task["classes"], task["colours"], strict=True)
    ]
    entries = [tag("li", tag("i", class_="chip", style=f"background:rgb({rgb})"), text) for text, rgb in chips]
    return tag("ul", *entries, class_="key", aria_label=f"Colours of {name}")


def _rows(sample: Sample) -> Markup:
    names = list(sample.prediction)
    top = tag("tr", tag("td"), *(tag("th", name, scope="col") for name in ["image", *names]))
    image = _shown(sample.image, f"image {sample.name}")
    first = [_shown(sample.prediction[name], f"{name} predicted for {sample.name}") for name in names]
    second = [_shown(sample.truth[name], f"{name} of {sample.name}, ground truth") for name in names]
    rows = [
        tag("tr", tag("th", "prediction", scope="row"), image, *first),
        tag("tr", tag("th", "truth", scope="row"), tag("td", tag("small", sample.name)), *second),
    ]
    content = tag("table", tag("thead", top), tag("tbody", *rows), class_="pictures")
    return scrolled(content, f"Predictions for {sample.name}")


def _shown(cell: Cell | None, alt: str) -> Markup:
    if cell is None:
        return tag("td", tag("small", "no label"))
    return tag("td", picture(cell, alt, side=SIDE, width=SHOWN), tag("small", cell.note) if cell.note else None)


def extremes(document: Mapping[str, Any], chosen: Mapping[str, Mapping[str, Sequence[Extreme]]]) -> list[Markup | None]:
    """Per data set and task the images with the best and with the worst scores."""
    if not chosen:
        return []
    words = (
        "Each image is scored by itself with its task's headline metric. What that metric pools over the whole split "
        "elsewhere (a mean over classes, the best threshold) is then of this one image, so that scores of images and "
        "of the split differ."
    )
    parts: list[Markup | None] = [tag("p", words, class_="note")]
    for data, by_task in chosen.items():
        for name, found in by_task.items():
            split = document["samples"][data]["split"]
            scores = document["samples"][data]["scores"][name]
            low, middle, high = scores["lowest"], scores["median"], scores["highest"]
            words = (
                f"{scores['headline']} of {scores['scored']} images ({split} split, evenly spaced): "
                f"lowest {number(low)}, median {number(middle)}, highest {number(high)}."
            )
            parts.append(tag("h3", f"{name}, {data}" if len(chosen) > 1 else name))
            parts.append(tag("p", words, class_="note"))
            parts.append(_columns(name, scores["headline"], found))
    return parts


def _columns(name: str, key: str, found: Sequence[Extreme]) -> Markup:
    """A column per image: image, prediction, truth."""
    titles = [tag("th", f"{e.end}: {number(e.score)}", scope="col") for e in found]
    rows = [
        tag("tr", tag("th", "image", scope="row"), *(_shown(e.sample.image, f"image {e.sample.name}") for e in found)),
        tag(
            "tr",
            tag("th", "prediction", scope="row"),
            *(_shown(e.sample.prediction[name], f"{name} predicted for {e.sample.name}") for e in found),
        ),
        tag(
            "tr",
            tag("th", "truth", scope="row"),
            *(_shown(e.sample.truth[name], f"{name} of {e.sample.name}, ground truth") for e in found),
        ),
        tag("tr", tag("th", "name", scope="row"), *(tag("td", tag("small", e.sample.name)) for e in found)),
    ]
    content = tag("table", tag("thead", tag("tr", tag("td"), *titles)), tag("tbody", *rows), class_="pictures")
    return scrolled(content, f"Best and worst images for {name} by {key}")


def attention(shots: Sequence[Shot]) -> list[Markup | None]:
    """The panels of ``visualize-attention``."""
    if not shots:
        return []
    words = (
        "Where an adapted block looks: the frozen block's regular self-attention, that of each task, and below it each "
        "task less the regular one."
    )
    parts: list[Markup | None] = [tag("p", words, class_="note")]
    for shot in shots:
        image = picture(shot.cell, shot.words, side=PANEL)
        parts.append(tag("figure", tag("figcaption", shot.words), scrolled(image, shot.words, "scroll panel")))
    return parts
