"""The images of the distillation, and what the teacher makes of them, written to disk once: it is the slow part.

Three sources, each a folder of memory-mapped arrays: crops of photographs over scales, rendered rooms, and rendered
streets in both looks; the last two with maps of the geometry pretexts. Strong changes of light and colour come before
the teacher looks, so that it and the student see the same picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vtadapt.assets.swin_lite.teacher import COPIED, Teacher
from vtadapt.atomic import write_json
from vtadapt.synthetic.pool import Sample
from vtadapt.synthetic.rooms.rooms import KINDS, render_room
from vtadapt.synthetic.streets.streets import render_street

SIDE = 256  # pixels; the teacher sees twice as many
FIRST_SEED = 40_000_000  # seeds of no split of a data set
STRUCTURE = ("wall", "floor", "ceiling", "beam", "column", "skirting board")  # not objects
GEOMETRY = ("albedo", "shading", "reshading", "height")
MAP = 4  # pixels per cell of the pretexts' maps
NO_KIND = 255


@dataclass(frozen=True)
class Crop:
    """An image uint8 (SIDE, SIDE, 3), and what its renderer knows besides: maps by name, (SIDE, SIDE[, 3])."""

    image: np.ndarray
    maps: dict[str, np.ndarray]


def photographs(folder: Path, random: np.random.Generator) -> Iterator[Crop]:
    """Endless crops of the pictures in a folder, of a side from 200 pixels to the whole height, flipped half the time.

    Each picture is opened once and cut sixteen times in a row: decoding takes longer than cutting.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".png", ".webp"))
    if not files:
        raise FileNotFoundError(f"no .jpg, .png or .webp in {folder}")
    while True:
        picture = cv2.imread(str(files[random.integers(len(files))]), cv2.IMREAD_COLOR)
        if picture is None:
            continue
        height, width = picture.shape[:2]
        for _ in range(16):
            side = int(np.exp(random.uniform(np.log(min(200, height)), np.log(min(height, width)))))
            top, left = (int(random.integers(0, n - side + 1)) for n in (height, width))
            cut = cv2.resize(picture[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            yield Crop(np.ascontiguousarray(cut[:, :: random.choice((-1, 1)), ::-1]), {})


def rendered(source: str, seeds: range, random: np.random.Generator) -> Iterator[Crop]:
    """Rooms, or streets whose look changes with every seed."""
    for seed in seeds:
        if source == "rooms":
            sample = render_room(seed, size=(SIDE, SIDE), extras=True)
        else:
            sample = render_street(seed, "real" if seed % 2 else "sim", (SIDE, 2 * SIDE), extras=True)
            left = int(random.integers(0, SIDE + 1))
            sample = {k: v[:, left : left + SIDE] for k, v in sample.items()}
        maps = _geometry(sample)
        if source == "rooms":
            maps |= {"instance": sample["instance"], "kind": _objects(sample["kind"])}
        flip = int(random.choice((-1, 1)))
        yield Crop(sample["image"][:, ::flip], {k: v[:, ::flip] for k, v in maps.items()})


def _objects(kind: np.ndarray) -> np.ndarray:
    """Kinds of single objects; walls, floor and the like have :data:`NO_KIND`."""
    structure = [i for i, name in enumerate(KINDS) if name in STRUCTURE]
    return np.where(np.isin(kind, structure), NO_KIND, kind).astype(np.uint8)


def _geometry(sample: Sample) -> dict[str, np.ndarray]:
    """The maps of :data:`GEOMETRY` in one array (H, W, 6) float16, NaN where the renderer does not know."""
    h, w = sample["depth"].shape
    y, x = np.mgrid[:h, :w].astype(np.float32)
    rays = np.stack([(x - w / 2) / (0.9 * w), (y - h / 2) / (0.9 * w), np.ones_like(x)], -1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    normals = sample["normals"].astype(np.float32)
    out = np.full((h, w, 6), np.nan, np.float32)
    if "albedo" in sample:
        out[..., :3] = sample["albedo"] / 255.0
        out[..., 3] = 0.5 * np.log(np.maximum(sample["shading"].astype(np.float32), 0) + 0.05)
    out[..., 4] = np.clip(-(normals * rays).sum(-1), 0, 1)
    known = np.abs(normals).sum(-1) > 0
    out[..., 5] = np.where(known, np.clip(sample["height"].astype(np.float32) / 3, -1, 4), np.nan)
    return {"geometry": out.astype(np.float16)}


def disturb(image: Tensor, random: np.random.Generator) -> Tensor:
    """Change exposure, contrast, saturation, white balance, sharpness and noise of images (B, 3, H, W) in 0..1."""
    n = len(image)

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.from_numpy(random.uniform(low, high, (n, channels, 1, 1)).astype(np.float32))

    image = image.clamp(1e-3, 1) ** draw(0.6, 1.6) * draw(0.7, 1.3) * draw(0.88, 1.12, 3)
    mean = image.mean((1, 2, 3), keepdim=True)
    image = mean + (image - mean) * draw(0.6, 1.4)
    grey = image.mean(1, keepdim=True)
    image = grey + (image - grey) * draw(0.2, 1.5)
    soft = (draw(0, 1) < 0.25).float()
    image = soft * F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, 1) + (1 - soft) * image
    return (image + torch.randn_like(image) * draw(0, 0.02)).clamp(0, 1)


def arrays_of(folder: Path, mode: Any = "r") -> dict[str, np.ndarray]:
    """The arrays of a cache, memory-mapped."""
    return {file.stem: np.load(file, mmap_mode=mode) for file in sorted(folder.glob("*.npy"))}


def write(folder: Path, teacher: Teacher, crops: Iterator[Crop], count: int, random: np.random.Generator) -> None:
    """Write ``count`` crops and the teacher's features of them; what is there already is kept, see ``done.json``.

    entered (N, h, w, C) at stride 16, what the student's first transformer block gets; "half" what the teacher gives at
    twice the size: its parts 6 and 7 side by side, at the same places; "whole" its part 7 at the size itself, at stride
    32.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "done.json"
    arrays: dict[str, np.ndarray] = {}
    for start in range(0, count, 8):
        batch = [next(crops) for _ in range(min(8, count - start))]
        image = torch.from_numpy(np.stack([crop.image for crop in batch])).permute(0, 3, 1, 2).float() / 255
        image = disturb(image, random)
        found = {"image": (image * 255).round().byte().permute(0, 2, 3, 1)} | _features(teacher, image)
        for key in batch[0].maps:
            found[key] = _reduced(np.stack([crop.maps[key] for crop in batch]))
        for key, value in found.items():
            if key not in arrays:
                shape = (count, *value.shape[1:])
                arrays[key] = np.lib.format.open_memmap(folder / f"{key}.npy", "w+", value.numpy().dtype, shape)
            arrays[key][start : start + len(value)] = value.numpy()
        write_json(note, {"crops": start + len(batch)})
        if start % 400 == 0:
            print(f"{folder.name}: {start + len(batch)} crops", flush=True)


def _reduced(maps: np.ndarray) -> Tensor:
    """Maps (B, H, W[, C]) with one value per cell of :data:`MAP` pixels: ids at its middle, others their mean."""
    if maps.dtype != np.float16:
        return torch.from_numpy(np.ascontiguousarray(maps[:, MAP // 2 :: MAP, MAP // 2 :: MAP]))
    b, h, w, c = maps.shape
    cells = maps.astype(np.float32).reshape(b, h // MAP, MAP, w // MAP, MAP, c)
    return torch.from_numpy(cells.mean((2, 4)).astype(np.float16))


@torch.inference_mode()
def _features(teacher: Teacher, image: Tensor) -> dict[str, Tensor]:
    kind = next(teacher.parameters()).dtype
    larger = F.interpolate(image, scale_factor=2, mode="bicubic", align_corners=False).clamp(0, 1)
    found: dict[str, list[Tensor]] = {"entered": [], "half": [], "whole": []}
    for one, two in zip(image.split(1), larger.split(1), strict=True):  # one by one: maps of several leave the cache
        once, twice = (teacher(x.to(kind).contiguous(memory_format=torch.channels_last)) for x in (one, two))
        found["entered"].append(once[COPIED - 1])
        found["half"].append(torch.cat(twice[-2:], 1))
        found["whole"].append(once[-1])
    return {key: torch.cat(values).permute(0, 2, 3, 1).half().contiguous() for key, values in found.items()}
