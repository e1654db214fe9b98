"""How fast ``vtadapt predict`` is: each step of a photograph, and whole commands of several checkouts in turn.

    python benchmarks/predict_speed.py --photos 40
    python benchmarks/predict_speed.py --photos 200 --code ../before . --rounds 3
    python benchmarks/predict_speed.py --photos 200 --code . --options="--raw --no-panel"

Photographs are smooth noise, drawn from a seed, as JPEG. Steps are CPU seconds of one thread, per photograph, the least
of all rounds. Whole commands run ``python -m vtadapt predict`` with the bundled run, in turn, once with all photographs
and once with one of them, whose time is what starting takes; both CPU and wall-clock seconds are printed, for as many
threads as ``--threads`` says. On a machine that others work on, too, only CPU seconds can be compared.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--size", default="321x481", help="HEIGHTxWIDTH of the photographs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--code", nargs="*", default=[], help="checkouts whose whole commands are timed")
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2], help="OMP_NUM_THREADS of whole commands")
    parser.add_argument("--options", default="", help="of the command, such as --raw")
    given = parser.parse_args()
    height, width = map(int, given.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [photograph(folder / "photos" / f"{i:04}.jpg", height, width, i) for i in range(given.photos)]
        if not given.code:
            show_steps(files[:8], folder, given.rounds)
        for threads in given.threads if given.code else ():
            for code, (cpu, wall) in whole(folder, files, given, threads).items():
                each = f"{1e3 * cpu / len(files):.0f} ms CPU, {1e3 * wall / len(files):.0f} ms wall a photograph"
                print(f"{threads} threads  {code}: {each}, {len(files) / wall:.1f} images/s")


def photograph(path: Path, height: int, width: int, seed: int) -> Path:
    """Write smooth noise of several scales as a JPEG."""
    random, rgb = np.random.default_rng(seed), np.zeros((height, width, 3), np.float32)
    for cells in (4, 16, 64):
        coarse = random.normal(0, 60 / cells**0.5, (cells, cells, 3)).astype(np.float32)
        rgb += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.clip(rgb + 120, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return path


def show_steps(files: list[Path], folder: Path, rounds: int) -> None:
    """Print what each step takes."""
    found: dict[str, float] = {}
    for file in files * rounds:
        for step, seconds in steps(file, folder).items():
            found.setdefault(f"{step}\t{file}", seconds)
            found[f"{step}\t{file}"] = min(found[f"{step}\t{file}"], seconds)
    names = list(dict.fromkeys(key.split("\t")[0] for key in found))
    for name in names:
        mean = np.mean([seconds for key, seconds in found.items() if key.startswith(f"{name}\t")])
        print(f"{name:28} {1e3 * mean:6.1f} ms")


def steps(file: Path, folder: Path) -> dict[str, float]:
    """CPU seconds of each step of one photograph; the first call loads the bundled run."""
    import torch

    from vtadapt.viz.panels import Cell, panel, save_png
    from vtadapt.workflows.evaluate.cells import legends, prediction_cells
    from vtadapt.workflows.predict.image import Predictor, read_image
    from vtadapt.workflows.predict.photograph import as_arrays
    from vtadapt.workflows.run.files import write_arrays
    from vtadapt.workflows.run.folder import find_run
    from vtadapt.workflows.run.load import load_run
    from vtadapt.workflows.sizing.decoded import network_input

    torch.set_num_threads(1)
    loaded = _kept.setdefault("run", None) or load_run(find_run("demo", Path("none")))
    _kept["run"] = loaded
    laps: dict[str, float] = {}

    def lap(name: str, work: Callable[[], Any]) -> Any:
        started = time.process_time()
        result = work()
        laps[name] = time.process_time() - started
        return result

    predictor = Predictor(loaded)
    rgb = lap("read", lambda: read_image(file))
    predicted = lap("network and decoding", lambda: predictor(rgb))
    with torch.no_grad():
        image = network_input(rgb, predicted.plan.size)
        lap("  of that the network", lambda: loaded.model(image))
    tasks, maps = loaded.tasks, predicted.maps
    ranges = {name: task.value_range(maps[name]) for name, task in tasks.items()}
    cells = lap("colours", lambda: [Cell(rgb), *prediction_cells(tasks, maps, ranges)])
    page = lap("panel laid out", lambda: panel([cells], title=file.name, footer="x", strips=legends(tasks)))
    lap("panel written (PNG)", lambda: save_png(folder / "panel.png", page))
    lap("arrays written (--raw)", lambda: write_arrays(folder / "maps.npz", as_arrays(tasks, maps)))
    return laps


_kept: dict[str, Any] = {}


def whole(folder: Path, files: list[Path], given: Any, threads: int) -> dict[str, tuple[float, float]]:
    """Checkout -> (CPU, wall) seconds of all photographs, less those of a command with one: the least of the rounds."""
    found: dict[str, list[tuple[float, float]]] = {code: [] for code in given.code}
    for _ in range(given.rounds):
        for code, times in found.items():
            one, all_ = (command(code, paths, folder, given.options, threads) for paths in (files[:1], files))
            times.append((all_[0] - one[0], all_[1] - one[1]))
    scale = len(files) / max(len(files) - 1, 1)
    return {c: (scale * min(t[0] for t in times), scale * min(t[1] for t in times)) for c, times in found.items()}


def command(code: str, files: list[Path], folder: Path, options: str, threads: int) -> tuple[float, float]:
    """(CPU, wall) seconds of one command."""
    typed = [sys.executable, "-m", "vtadapt", "predict", *map(str, files), "--run", "demo", *shlex.split(options)]
    environment = {**os.environ, "PYTHONPATH": str(Path(code).resolve()), "OMP_NUM_THREADS": str(threads)}
    started, before = time.perf_counter(), os.times()
    subprocess.run([*typed, "--out", "out"], cwd=folder, env=environment, check=True, capture_output=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu, time.perf_counter() - started


if __name__ == "__main__":
    main()
