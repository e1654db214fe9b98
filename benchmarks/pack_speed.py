"""Milliseconds that a sample of a pack takes to read, beside decoding the same image and labels from PNG files.

    vtadapt prepare-data rooms
    OMP_NUM_THREADS=1 python benchmarks/pack_speed.py rooms

Image, class ids and boundaries as PNGs of 8 bits, depth in millimetres of 16, normals as three times 8: less than the
pack holds, which keeps depth as float32 and normals as float16. Decoded from memory by Pillow and by OpenCV, in turn
with the pack; medians of CPU seconds of one thread. ``loader`` is a whole training sample: read (or taken from memory),
augmented, put into a batch of 8.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.data.training.dataset import PackDataset, collate
from vtadapt.data.training.transforms import train_transform
from vtadapt.workflows.run.data.data_sets import find_recipe
from vtadapt.workflows.run.loaders import open_reader
from vtadapt.workflows.run.settings import TrainSettings

BATCH = 8


def to_png(key: str, array: NDArray[Any]) -> bytes:
    """One array of a sample as the PNG file that a data set would hold."""
    whole = np.nan_to_num(array.astype(np.float32))
    if key == "depth":
        array = np.clip(whole * 1000, 0, 65535).astype(np.uint16)
    elif key == "normals":
        array = ((whole + 1) * 127.5).astype(np.uint8)
    elif array.dtype != np.uint8:
        array = np.clip(whole * 255, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def ways(settings: TrainSettings, images: int) -> dict[str, Callable[[], object]]:
    """What is timed: each goes through the first ``images`` training samples."""
    reader, indices = open_reader(settings, settings.data, "train"), range(images)
    tasks = build_tasks([find_recipe(settings.data, settings.data_dir)], None)
    pngs = [[to_png(key, array) for key, array in reader.read(index).items()] for index in indices]
    look = train_transform(reader.size(0), settings.scale, 0.5, settings.colour_jitter)
    sets = {kept: PackDataset(reader, tasks, look, cache=kept) for kept in (False, True)}

    def pillow() -> None:
        for one in pngs:
            for png in one:
                np.asarray(Image.open(io.BytesIO(png)))

    def opencv() -> None:
        for one in pngs:
            for png in one:
                cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)

    def load(kept: bool) -> None:
        for begin in range(0, images, BATCH):
            collate([sets[kept][index] for index in indices[begin : begin + BATCH]], tasks)

    return {
        "pack": lambda: [reader.read(index) for index in indices],
        "Pillow": pillow,
        "OpenCV": opencv,
        "loader": lambda: load(False),
        "loader, kept": lambda: load(True),
    }


def milliseconds(ways: dict[str, Callable[[], object]], images: int, rounds: int) -> dict[str, float]:
    """Median CPU milliseconds an image, the ways in turn."""
    laps: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            start = time.process_time()
            work()
            laps[name].append(1000 * (time.process_time() - start) / images)
    return {name: median(values) for name, values in laps.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for name in args.data:
        found = milliseconds(
            ways(TrainSettings(data=name, data_dir=args.data_dir), args.images), args.images, args.rounds
        )
        print(f"| {name} | " + " | ".join(f"{way} {value:.2f}" for way, value in found.items()) + " |")


if __name__ == "__main__":
    main()
