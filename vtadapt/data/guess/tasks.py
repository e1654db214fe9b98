"""What a recipe would say of a group of labels: the task, how its files are read, and what to ask its owner."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from vtadapt.data.guess.annotated import Found
from vtadapt.data.guess.contents import Content
from vtadapt.data.readers.annotations.formats.table import FORMATS
from vtadapt.tasks.class_ids import VOID

BACKGROUND = "background"
_NOTHING = ("_background_", "background", "__background__")  # names of labels that mean it
_UNKNOWN = ("__ignore__", "ignore", "_ignore_", "void", "unlabeled", "unlabelled", "unknown")
MOST = 60  # colours or ids of which classes are made


@dataclass
class TaskGuess:
    """One task.

    Attributes:
        name: suggested; it may be taken already.
        task: what stands for it in ``tasks``.
        labels: what stands for it in ``options.labels``.
        questions: to be written as comments before it.
        found: one line for the terminal.
    """

    name: str
    task: dict[str, Any]
    labels: dict[str, Any]
    questions: list[str] = field(default_factory=list)
    found: str = ""


def of_annotations(found: Found, names: Mapping[int, str]) -> TaskGuess | None:
    """The task of a format of annotations; None where nothing is in its files.

    Args:
        found: the annotations.
        names: of numbered classes, where a file beside them says them.
    """
    how: dict[str, Any] = {"files": found.files, "format": found.form}
    labels = {name: count for name, count in found.labels.items() if count}
    if not FORMATS[found.form].numbered:
        labels = dict(sorted(labels.items()))
    numbers = {n: names.get(n, f"class_{n}") for n in sorted({*found.numbers, *(names if found.numbers else ())})}
    background = next((name for name in _NOTHING if name in labels), BACKGROUND)
    unknown = [name for name in labels if name in _UNKNOWN]
    classes = list(dict.fromkeys([background, *(n for n in labels if n not in unknown), *numbers.values()]))
    if len(classes) < 2:
        return None
    questions = [
        f"what is a pixel that nothing was drawn on? Here it is {background!r}; where only a part was annotated, take "
        "the line 'unlabelled' away (it is void then, and teaches nothing) and the class with it",
    ]
    if found.form == "coco_panoptic":
        background = ""
        classes = [name for name in classes if name != BACKGROUND or name in labels]
        questions = ["pixels of no segment are void"]
    else:
        how["unlabelled"] = background
    if numbers:
        how["ids"] = dict(numbers)
        if not names:
            questions.append("what are the classes called? No file beside the labels says it")
    if unknown:
        how["names"] = dict.fromkeys(unknown)
        questions.append(f"{', '.join(unknown)}: void")
    questions += [
        f"{' and '.join(map(repr, alike))} differ by case or spaces alone: are they one class? Then keep one of "
        "them among the classes, and let 'names' give the others its name"
        for alike in _alike(labels)
    ]
    if found.boxes:
        how["boxes"] = True
        questions.append(f"{found.boxes} objects are boxes without an outline: the whole box is taken for the object")
    if found.problem:
        questions.append(f"not all could be read: {found.problem}")
    shown = labels or {numbers[n]: count for n, count in found.numbers.items()}
    return TaskGuess("semseg", {"kind": "classes", "classes": classes}, how, questions, _shapes_line(found, shown))


def _alike(names: Iterable[str]) -> list[list[str]]:
    """Names that are the same to a reader: but for upper and lower case and spaces."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault("".join(name.split()).casefold(), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _shapes_line(found: Found, labels: Mapping[str, int]) -> str:
    most = Counter(labels).most_common(8)
    more = f", and {len(labels) - 8} more" if len(labels) > 8 else ""
    what = "segments" if found.form == "coco_panoptic" else "shapes"
    return f"{found.form} {found.files}: {sum(labels.values())} {what}, " + (
        ", ".join(f"{name} {count}" for name, count in most) + more
    )


def of_pictures(
    content: Content, files: str, ending: str, hint: str, known: Mapping[tuple[int, int, int], str]
) -> TaskGuess | None:
    """The task of a group of label pictures or arrays; None where nothing is told by them.

    Args:
        content: what was seen in samples.
        files: pattern of the recipe.
        ending: of the names, or the folder's name: what to call a second task of a kind.
        hint: what the names say, see ``HINTS``.
        known: names of colours, where a file beside them says them.
    """
    how: dict[str, Any] = {"files": files}
    if content.kind == "colours":
        guess = _colours(content, how, known)
    elif content.kind == "ids":
        guess = _ids(content, how)
    elif content.kind == "binary":
        guess = _edges(content, how) if hint == "strengths" else _binary(content, how)
    elif content.kind == "strengths":
        guess = _edges(content, how)
    elif content.kind == "numbers":
        guess = _numbers(content, how)
    elif content.kind == "vectors":
        axes = "are x right, y down, z away from the camera? Else say flip: [y] or flip: [y, z]"
        guess = TaskGuess("normals", {"kind": "unit_vector"}, how, [axes], "unit vectors")
    else:
        return None
    guess.found = f"{files}: {guess.found}"
    guess.labels["_name"] = re.sub(r"[^a-z0-9]+", "_", ending.lower()).strip("_")
    return guess


def _colours(content: Content, how: dict[str, Any], known: Mapping[tuple[int, int, int], str]) -> TaskGuess:
    colours = [colour for colour, _ in content.counts.most_common(MOST)]
    names: list[str | None] = []
    for colour in colours:
        name = known.get(colour)
        names.append(None if name in _UNKNOWN else name or f"class_{len(names)}")
    how["colours"] = {}
    for name, colour in zip(names, colours, strict=True):
        how["colours"].setdefault(name, []).append(list(colour))
    how["colours"] = {name: of[0] if len(of) == 1 else of for name, of in how["colours"].items()}
    questions = []
    if any(name and name.startswith("class_") for name in names):
        questions.append(
            "what are the classes called? Their colours were seen in samples; rename class_0, ... in both places, and "
            "write null for a colour that means no class"
        )
    if content.mixed or content.lossy:
        how |= {"tolerance": 32, "others": "void"}
        why = "JPEG" if content.lossy else "smoothed edges"
        questions.append(
            f"the masks have colours between those of classes ({why}): within 32 it is the class, else void"
        )
    classes = list(dict.fromkeys(name for name in names if name))
    found = f"masks in {len(colours)} colours"
    return TaskGuess("semseg", {"kind": "classes", "classes": classes}, how, questions, found)


def _ids(content: Content, how: dict[str, Any]) -> TaskGuess:
    numbers = sorted(content.counts)
    void = [number for number in numbers if number == VOID]
    ids = [number for number in numbers if number != VOID][:MOST]
    dense = bool(ids) and ids[-1] < max(2 * len(ids), 8)
    questions = ["what are the classes called? The numbers were seen in samples; there may be more"]
    count = ids[-1] + 1 if dense else len(ids)
    classes = [f"class_{i}" for i in range(count)] if dense else [f"class_{i}" for i in ids]
    task: dict[str, Any] = {"kind": "classes", "classes": classes}
    if dense and content.palette:
        used = [list(content.palette.get(i, (0, 0, 0))) for i in range(count)]
        if len({tuple(colour) for colour in used}) == len(used):
            task["colours"] = used
    if not dense:
        how["ids"] = {i: f"class_{i}" for i in ids}
    if void:
        how["void"] = void
        questions.append("255 is taken for 'no class'")
    if content.lossy:
        questions.append("these files are JPEG, which changes ids: save them as PNG, they are refused")
    return TaskGuess("semseg", task, how, questions, f"ids {', '.join(map(str, numbers[:12]))}")


def _binary(content: Content, how: dict[str, Any]) -> TaskGuess:
    top = max(content.counts)
    question = "what is the object called, and is black the background or unknown?"
    task = {"kind": "classes", "classes": [BACKGROUND, "object"]}
    return TaskGuess(
        "semseg", task, {**how, "ids": {0: BACKGROUND, top: "object"}}, [question], f"masks of 0 and {top}"
    )


def _edges(content: Content, how: dict[str, Any]) -> TaskGuess:
    top = 1.0 if content.floats else content.top or 1
    whole = 255 if 1 < top <= 255 else 65535 if top > 255 else 1
    question = f"is {whole} a whole edge? Or say from which number on a pixel is one: threshold: NUMBER"
    said = how if content.floats else {**how, "scale": whole}
    return TaskGuess("edges", {"kind": "boundary"}, said, [question], f"edges up to {content.top:g}")


def _numbers(content: Content, how: dict[str, Any]) -> TaskGuess:
    low, middle, high = content.quantiles
    seen = f"half of the numbers lie below {middle:g}, the largest is {content.top:g}"
    if content.floats and high < 500:
        factor, unit = 1.0, "metres"
    elif middle > 100:
        factor, unit = (0.001, "millimetres") if middle < 30000 else (1 / 256, "256ths of a metre")
    else:
        factor, unit = 1.0, "metres"
    question = f"is depth in {unit}? {seen}. Else change 'factor': metres of one unit of the files"
    missing = [65535] if not content.floats and content.top == 65535 else []
    said = {**how, "factor": factor, **({"missing": missing} if missing else {})}
    del low
    return TaskGuess(
        "depth", {"kind": "regression", "units": "m"}, said, [question, "0 means missing"], f"numbers, {seen}"
    )


def colour_names(root: Path, files: Sequence[PurePosixPath]) -> dict[tuple[int, int, int], str]:
    """Names of colours out of ``labelmap.txt`` (CVAT: ``name:r,g,b::``) or lines of three numbers and a name."""
    found: dict[tuple[int, int, int], str] = {}
    for path in files:
        if path.suffix.lower() not in (".txt", ".csv") or not re.search(
            r"label|class|colou?r", path.name, re.IGNORECASE
        ):
            continue
        for line in (root / path).read_text(encoding="utf-8", errors="replace").splitlines()[:1000]:
            named = re.match(r"^\s*([^#:,;\t]+?)\s*[:,;\t]\s*(\d+)\s*[, ]\s*(\d+)\s*[, ]\s*(\d+)\b", line)
            listed = re.match(r"^\s*(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+([A-Za-z]\S.*?)\s*$", line)
            if named:
                colour, name = named.group(2, 3, 4), named[1]
            elif listed:
                colour, name = listed.group(1, 2, 3), listed[4]
            else:
                continue
            r, g, b = map(int, colour)
            if max(r, g, b) <= 255:
                found[r, g, b] = name
    return found
