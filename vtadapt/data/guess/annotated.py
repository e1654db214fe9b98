"""Which files of a folder are annotations of which tool, and which labels they name."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from vtadapt.data.guess.files import WORDS, Group, group_texts, spread_over, templated
from vtadapt.data.readers.annotations.formats.table import FORMATS
from vtadapt.data.readers.annotations.node import Node, read_json
from vtadapt.data.readers.annotations.shapes import Annotated
from vtadapt.errors import DataError
from vtadapt.strict_yaml import StrictYamlError, read_yaml

MOST = 20_000  # files of one picture each whose labels are counted
ANY = (1 << 14, 1 << 14)  # a (height, width) for those shapes that are only counted
NUMBERS = re.compile(r"^\d+( -?\d+(\.\d+)?([eE]-?\d+)?){4,}\s*$")


@dataclass
class Found:
    """Annotations of one format.

    Attributes:
        form: key of ``FORMATS``.
        files: pattern for the recipe.
        words: of splits that stand for ``{split}`` in it.
        pictures: how the files name pictures; none where each is of one picture.
        labels: how many shapes each label has, in the order of the files' own list where they have one.
        numbers: of classes, where the format has no names in it: those that occur.
        boxes: shapes that are boxes for want of an outline.
        problem: of a file that could not be read.
        own: the files, where each is of one picture.
    """

    form: str
    files: str
    words: list[str]
    pictures: list[str] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)
    numbers: Counter[int] = field(default_factory=Counter)
    boxes: int = 0
    problem: str = ""
    own: list[PurePosixPath] = field(default_factory=list)


def find_annotations(root: Path, files: Iterable[PurePosixPath], stems: set[str]) -> list[Found]:
    """All annotations in a folder.

    Args:
        root: the folder.
        files: below it.
        stems: names of its pictures, without suffix.
    """
    files = list(files)
    found = [*_of_one_picture(root, files, stems), *_of_many(root, files)]
    return sorted(found, key=lambda one: -sum(one.labels.values()) - sum(one.numbers.values()))


def _of_one_picture(root: Path, files: list[PurePosixPath], stems: set[str]) -> Iterator[Found]:
    for group in group_texts(files, ".json"):
        forms = Counter(filter(None, (json_format(root / path) for path in spread_over(group.every, 5))))
        form = next((form for form, _ in forms.most_common(1) if not FORMATS[form].many), None)
        if form is not None:
            yield _read_group(root, group, form, "{name}" if form == "supervisely" else "{path}")
    for group in group_texts(files, ".txt"):
        own = [path for path in group.every if path.stem in stems]
        if own and any(_is_yolo(root / path) for path in spread_over(own, 20)):
            group.files = defaultdict(list, {w: [p for p in of if p.stem in stems] for w, of in group.files.items()})
            yield _read_group(root, group, "yolo", "{path}")


def _read_group(root: Path, group: Group, form: str, name: str) -> Found:
    pattern = "/".join(filter(None, (group.place, f"{name}{group.suffix}")))
    found = Found(form, pattern, group.words, own=group.every)
    for path in spread_over(group.every, MOST):
        _count(found, lambda path=path: FORMATS[form].read(root / path))  # type: ignore[misc]
    return found


def _of_many(root: Path, files: list[PurePosixPath]) -> Iterator[Found]:
    by_pattern: dict[tuple[str, str], dict[str, list[PurePosixPath]]] = defaultdict(lambda: defaultdict(list))
    for path in files:
        suffix = path.suffix.lower()
        form = json_format(root / path) if suffix == ".json" else "cvat" if _is_cvat(root / path, suffix) else None
        if form is not None and FORMATS[form].many:
            pattern, word = templated(path)
            by_pattern[form, pattern][word].append(path)
    for (form, pattern), of_word in by_pattern.items():
        words = sorted((w for w in of_word if w), key=lambda w: [*WORDS].index(w.lower()))
        if len(words) < 2:
            for path in itertools.chain.from_iterable(of_word.values()):
                yield _read_many(root, form, path.as_posix(), [], [path])
        else:
            yield _read_many(root, form, pattern, words, [path for word in words for path in of_word[word]])


def _read_many(root: Path, form: str, pattern: str, words: list[str], paths: list[PurePosixPath]) -> Found:
    found = Found(form, pattern, words)
    for path in paths:
        for name in _own_list(root / path, form):
            found.labels.setdefault(name, 0)
        _count(found, lambda path=path: FORMATS[form].read(root / path))  # type: ignore[misc]
    return found


def _own_list(path: Path, form: str) -> list[str]:
    """The categories of COCO in their order."""
    if not form.startswith("coco"):
        return []
    try:
        return [node.need("name").text() for node in read_json(path).need("categories").items()]
    except DataError:
        return []


def _count(found: Found, read: Any) -> None:
    """Add the labels of a file; what is wrong in it is kept to be told."""
    try:
        for entry in read():
            _count_entry(found, entry)
    except DataError as error:
        found.problem = found.problem or str(error)


def _count_entry(found: Found, entry: Annotated) -> None:
    found.pictures += entry.names[:1]
    if entry.beside:  # segments, whose PNG would have to be read
        found.labels.update(_segments(entry))
        return
    for shape in entry.shapes(entry.size or ANY):
        found.boxes += shape.boxed
        if shape.label:
            found.labels[shape.label] += 1
        elif shape.number is not None:
            found.numbers[shape.number] += 1


def _segments(entry: Annotated) -> Counter[str]:
    node, names, _ = entry.shapes.args  # type: ignore[attr-defined]
    return Counter(names.get(segment.at("category_id").value, "") for segment in node.at("segments_info").items())


def json_format(path: Path) -> str | None:
    """The format of a JSON file; None of those that are no annotations."""
    try:
        whole = read_json(path)
    except DataError:
        return None
    if isinstance(whole.value, list):
        first = next(iter(whole.items()), None)
        return "label_studio" if first is not None and _is_label_studio(first) else None
    if "shapes" in whole and isinstance(whole.value["shapes"], list):
        return "labelme"
    if "objects" in whole and "size" in whole:
        return "supervisely"
    if not all(isinstance(whole.at(key).value, list) for key in ("images", "annotations", "categories")):
        return None
    first = next(iter(whole.at("annotations").items()), None)
    if first is None or "segments_info" in first:
        return "coco_panoptic" if first is not None else "coco"
    return "coco" if "segmentation" in first or "bbox" in first else None


def _is_label_studio(task: Node) -> bool:
    held = task.value if isinstance(task.value, dict) else {}
    return isinstance(held.get("data"), dict) or any(
        isinstance(value, list) and value and isinstance(value[0], dict) and "original_width" in value[0]
        for value in held.values()
    )


def _is_cvat(path: Path, suffix: str) -> bool:
    if suffix != ".xml":
        return False
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError:
        return False
    return b"<annotations" in start and (b"<meta" in start or b"<image" in start)


def _is_yolo(path: Path) -> bool:
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        return False
    return bool(lines) and all(NUMBERS.match(line.strip()) for line in lines[:20])


def yolo_names(root: Path, files: Iterable[PurePosixPath]) -> dict[int, str]:
    """The names of YOLO's classes: ``names`` of a YAML file (a list, or numbers and names), or ``classes.txt``."""
    for path in files:
        if path.suffix.lower() in (".yaml", ".yml"):
            try:
                content = read_yaml(root / path)
            except (StrictYamlError, OSError):
                continue
            names = content.get("names") if isinstance(content, dict) else None
            if isinstance(names, list) and names:
                return {i: str(name) for i, name in enumerate(names)}
            if isinstance(names, dict) and names and all(str(key).isdigit() for key in names):
                return {int(key): str(name) for key, name in sorted(names.items(), key=lambda item: int(item[0]))}
        elif path.name.lower() in ("classes.txt", "obj.names"):
            lines = (root / path).read_text(encoding="utf-8", errors="replace").splitlines()
            return {i: line.strip() for i, line in enumerate(lines) if line.strip()}
    return {}
