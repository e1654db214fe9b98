"""Annotations as tools write them, made by hand: a scene of boxes, polygons and masks, and its files in each format.

Nothing here draws as the readers do: what a file must become is said by slices of arrays and by half planes.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 40, 60
Mask = np.ndarray


@dataclass
class Thing:
    """One object: its name, its outline (x, y), holes in it, and the pixels that it has."""

    label: str
    outline: list[tuple[float, float]]
    mask: Mask
    holes: list[list[tuple[float, float]]] = field(default_factory=list)
    mask_only: bool = False


def rectangle(label: str, left: int, top: int, right: int, bottom: int) -> Thing:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return Thing(label, [(left, top), (right, top), (right, bottom), (left, bottom)], mask)


def triangle(label: str, a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> Thing:
    """By three half planes, at the centres of pixels."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    sides = []
    for (ax, ay), (bx, by) in ((a, b), (b, c), (c, a)):
        sides.append((bx - ax) * (y - ay) - (by - ay) * (x - ax))
    mask = np.all([s > 0 for s in sides], axis=0) | np.all([s < 0 for s in sides], axis=0)
    return Thing(label, [a, b, c], mask)


def with_hole(label: str, outer: Thing, inner: Thing) -> Thing:
    return Thing(label, outer.outline, outer.mask & ~inner.mask, [inner.outline])


def painted(things: list[Thing], classes: list[str], base: int = 255) -> np.ndarray:
    """Ids of the classes; the later thing lies above."""
    out = np.full((HEIGHT, WIDTH), base, np.uint8)
    for thing in things:
        out[thing.mask] = classes.index(thing.label)
    return out


def png(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG", **options)
    return file.getvalue()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def window(mask: Mask) -> tuple[int, int, int, int]:
    """Left, top, width and height of the pixels of a mask."""
    rows, columns = np.nonzero(mask)
    return (
        int(columns.min()),
        int(rows.min()),
        int(np.ptp(columns)) + 1,
        int(np.ptp(rows)) + 1,
    )


def cut_out(mask: Mask) -> Mask:
    left, top, width, height = window(mask)
    return mask[top : top + height, left : left + width]


def runs(flat: Mask) -> list[int]:
    """Lengths of the runs, beginning with those of False."""
    counts, value = [0], False
    for pixel in flat:
        if bool(pixel) != value:
            counts.append(0)
            value = not value
        counts[-1] += 1
    return counts


def labelme(things: list[Thing], name: str, **more: Any) -> dict[str, Any]:
    shapes = []
    for thing in things:
        shape: dict[str, Any] = {"label": thing.label, "group_id": None, "description": "", "flags": {}}
        if thing.mask_only:
            left, top, width, height = window(thing.mask)
            corners = [[left, top], [left + width - 1, top + height - 1]]
            picture = png(cut_out(thing.mask).astype(np.uint8) * 255)
            shape |= {"shape_type": "mask", "points": corners, "mask": base64_of(picture)}
        else:
            shape |= {"shape_type": "polygon", "points": [list(p) for p in thing.outline], "mask": None}
        shapes.append(shape)
    whole = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": name, "imageData": None}
    return {**whole, "imageHeight": HEIGHT, "imageWidth": WIDTH, **more}


def coco(pictures: dict[str, list[Thing]], labels: list[str], rle: bool = False) -> dict[str, Any]:
    images, annotations = [], []
    for number, (name, things) in enumerate(pictures.items(), start=7):
        images.append({"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH})
        for thing in things:
            left, top, width, height = window(thing.mask)
            segmentation: Any = [[float(v) for point in thing.outline for v in point]]
            if rle or thing.mask_only or thing.holes:
                segmentation = {"size": [HEIGHT, WIDTH], "counts": runs(thing.mask.T.ravel())}
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 10 * labels.index(thing.label) + 3,
                    "segmentation": segmentation,
                    "bbox": [left, top, width, height],
                    "area": int(thing.mask.sum()),
                    "iscrowd": int(isinstance(segmentation, dict)),
                }
            )
    categories = [{"id": 10 * i + 3, "name": name, "supercategory": ""} for i, name in enumerate(labels)]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco_panoptic(folder: Path, pictures: dict[str, list[Thing]], labels: list[str]) -> dict[str, Any]:
    """Writes the PNGs to ``folder``, too."""
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number, (name, things) in enumerate(pictures.items(), start=1):
        colours = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        segments = []
        for i, thing in enumerate(things):
            segment = 1000 * (i + 1) + 70000 * i
            colours[thing.mask] = (segment % 256, segment // 256 % 256, segment // 65536)
            segments.append({"id": segment, "category_id": labels.index(thing.label) + 1, "iscrowd": 0})
        file = f"{Path(name).stem}.png"
        (folder / file).write_bytes(png(colours))
        images.append({"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH})
        annotations.append({"image_id": number, "file_name": file, "segments_info": segments})
    categories = [{"id": i + 1, "name": name, "isthing": 1} for i, name in enumerate(labels)]
    return {"images": images, "annotations": annotations, "categories": categories}


def cvat(pictures: dict[str, list[Thing]], orders: dict[str, list[int]] | None = None) -> str:
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>", "  <meta/>"]
    for number, (name, things) in enumerate(pictures.items()):
        lines.append(f'  <image id="{number}" name="{name}" width="{WIDTH}" height="{HEIGHT}">')
        for i, thing in enumerate(things):
            order = (orders or {}).get(name, [0] * len(things))[i]
            common = f'label="{thing.label}" source="manual" occluded="0" z_order="{order}"'
            if thing.mask_only or thing.holes:
                left, top, width, height = window(thing.mask)
                code = ", ".join(map(str, runs(cut_out(thing.mask).ravel())))
                place = f'left="{left}" top="{top}" width="{width}" height="{height}"'
                lines.append(f'    <mask {common} rle="{code}" {place}></mask>')
            else:
                points = ";".join(f"{x:.2f},{y:.2f}" for x, y in thing.outline)
                lines.append(f'    <polygon {common} points="{points}"></polygon>')
        lines.append("  </image>")
    return "\n".join([*lines, "</annotations>"])


def label_studio(pictures: dict[str, list[Thing]], prefix: str = "/data/upload/1/0a1b2c3d-") -> list[dict[str, Any]]:
    tasks = []
    for number, (name, things) in enumerate(pictures.items(), start=1):
        results = []
        for i, thing in enumerate(things):
            entry: dict[str, Any] = {"id": f"r{i}", "from_name": "label", "to_name": "image", "image_rotation": 0}
            entry |= {"original_width": WIDTH, "original_height": HEIGHT}
            if thing.mask_only or thing.holes:
                value: dict[str, Any] = {"format": "rle", "rle": brush(thing.mask), "brushlabels": [thing.label]}
                entry |= {"type": "brushlabels", "value": value}
            else:
                points = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in thing.outline]
                value = {"points": points, "closed": True, "polygonlabels": [thing.label]}
                entry |= {"type": "polygonlabels", "value": value}
            results.append(entry)
        annotation = {"id": number, "was_cancelled": False, "result": results, "updated_at": "2024-05-01T10:00:00Z"}
        tasks.append({"id": number, "data": {"image": f"{prefix}{name}"}, "annotations": [annotation]})
    return tasks


def brush(mask: Mask) -> list[int]:
    """Bits as Label Studio's brush packs them: blocks of one value that repeats, and one of values that do not."""
    flat = np.repeat(mask.ravel().astype(np.uint8) * 255, 4)
    flat.reshape(-1, 4)[:, :3] = 7
    bits = f"{flat.size:032b}{7:05b}" + "".join(f"{width - 1:04b}" for width in (3, 4, 8, 16))
    done, literal = 0, True
    while done < flat.size:
        count = min(200, flat.size - done) if literal else min(13, flat.size - done)
        part = flat[done : done + count]
        bits += f"0{2:02b}{count - 1:08b}" if literal else f"0{1:02b}{count - 1:04b}"
        bits += "".join(f"{value:08b}" for value in part)
        done, literal = done + count, not literal
        if done < flat.size:  # one value, repeated once
            bits += f"1{0:02b}{0:03b}{flat[done]:08b}"
            done += 1
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def supervisely(things: list[Thing]) -> dict[str, Any]:
    objects = []
    for i, thing in enumerate(things):
        entry: dict[str, Any] = {"id": i, "classId": 5, "classTitle": thing.label, "tags": [], "labelerLogin": "x"}
        left, top, width, height = window(thing.mask)
        if thing.mask_only or thing.holes:
            picture = Image.fromarray(cut_out(thing.mask).astype(np.uint8) * 255).convert("1")
            file = io.BytesIO()
            picture.save(file, "PNG", transparency=0)
            data = base64_of(zlib.compress(file.getvalue()))
            entry |= {"geometryType": "bitmap", "bitmap": {"data": data, "origin": [left, top]}}
        elif len(thing.outline) == 4:  # corners are pixels that belong to it
            corners = [[left, top], [left + width - 1, top + height - 1]]
            entry |= {"geometryType": "rectangle", "points": {"exterior": corners, "interior": []}}
        else:
            points = [[x - 0.5, y - 0.5] for x, y in thing.outline]
            entry |= {"geometryType": "polygon", "points": {"exterior": points, "interior": []}}
        objects.append(entry)
    return {"description": "", "tags": [], "size": {"height": HEIGHT, "width": WIDTH}, "objects": objects}


def yolo(things: list[Thing], labels: list[str]) -> str:
    lines = []
    for thing in things:
        numbers = [f"{x / WIDTH:.8f} {y / HEIGHT:.8f}" for x, y in thing.outline]
        lines.append(" ".join([str(labels.index(thing.label)), *numbers]))
    return "\n".join(lines) + "\n"


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path
