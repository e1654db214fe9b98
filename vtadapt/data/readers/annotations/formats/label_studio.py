"""Label Studio: one JSON export ("JSON" or "JSON-MIN") for many pictures.

Regions lie in their order, the later above. Of several annotations of a picture the one that was last updated counts;
cancelled ones do not, and predictions of models neither. Browsers show pictures upright as their EXIF says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from vtadapt.data.readers.annotations.figures import Size
from vtadapt.data.readers.annotations.formats.base import Format
from vtadapt.data.readers.annotations.formats.label_studio_regions import LABELS, drawn_by, shapes_of
from vtadapt.data.readers.annotations.node import Node, read_json
from vtadapt.data.readers.annotations.shapes import Annotated, Shape

UPLOADED = re.compile(r"[0-9a-f]{8}-")  # what Label Studio puts before the names of files that were uploaded


class LabelStudio(Format):
    """See the module's page."""

    many = True

    def read(self, path: Path) -> Sequence[Annotated]:
        """See :class:`Format`."""
        whole = read_json(path)
        if not isinstance(whole.value, list):
            raise whole.unlike("the list of tasks that Label Studio exports")
        found = []
        for task in whole.items():
            regions = list(_regions(task))
            size = next((known for region in regions if (known := size_of(region)) is not None), None)
            found.append(Annotated(_names(task), size, partial(_shapes, regions), f"{path}: {task.place}"))
        return found


def size_of(region: Node) -> Size | None:
    """(height, width) of the picture that a region was drawn on."""
    if "original_height" not in region or "original_width" not in region:
        return None
    return region.at("original_height").whole(1), region.at("original_width").whole(1)


def _shapes(regions: Sequence[Node], size: Size) -> list[Shape]:
    return [shape for region in regions for shape in shapes_of(region, size)]


def _regions(task: Node) -> Iterator[Node]:
    """What was drawn on the picture of a task."""
    if "data" not in task:  # JSON-MIN
        for key in task.value if isinstance(task.value, dict) else ():
            node = task.at(key)
            if isinstance(node.value, list):
                yield from (region for region in node.items() if drawn_by(region) is not None)
        return
    annotations = task.at("annotations") if "annotations" in task else task.at("completions")
    if annotations.value is None:
        return
    done = [one for one in annotations.items() if not one.at("was_cancelled").value]
    if not done:
        return
    newest = max(range(len(done)), key=lambda i: (str(done[i].at("updated_at").value or ""), i))
    results = list(done[newest].need("result").items())
    named = {str(one.at("id").value): one for one in results if one.at("type").value == "labels"}
    for one in results:
        if (drawn := drawn_by(one)) is None:
            continue
        # Tags <Polygon> and <Labels> apart give two entries of one id: the outline, and its name.
        if drawn not in LABELS and (name := named.get(str(one.at("id").value))) is not None:
            labels = name.need("value").at("labels").value
            yield Node({**one.value, "value": {**one.need("value").value, "labels": labels}}, one.path, one.place)
        else:
            yield one


def _names(task: Node) -> tuple[str, ...]:
    """The names that a task's picture may have on disk."""
    data = task.at("data") if "data" in task else task
    values = data.value if isinstance(data.value, dict) else {}
    keys = sorted((key for key, value in values.items() if isinstance(value, str)), key=lambda key: key != "image")
    links = [values[key] for key in keys if re.search(r"\.\w{2,5}($|[?#])", values[key])]
    found: list[str] = []
    for link in [*links[:1], *([task.at("file_upload").value] if "file_upload" in task else [])]:
        found += _paths(str(link))
    if not found:
        raise task.wrong("no picture in 'data'")
    return tuple(dict.fromkeys(found))


def _paths(link: str) -> list[str]:
    """``/data/local-files/?d=a/b.jpg``, ``/data/upload/1/0a1b2c3d-b.jpg``, ``s3://bucket/a/b.jpg`` as paths."""
    parts = urlsplit(link.replace("\\", "/"))
    path = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]
    folder, _, name = path.rpartition("/")
    uploaded = UPLOADED.match(name)
    return [path.lstrip("/"), *([name, name[uploaded.end() :]] if uploaded else [])]
