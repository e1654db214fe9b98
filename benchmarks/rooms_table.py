"""Frozen encoder + adapters against its references on ``rooms``: the table of the README.

    python benchmarks/rooms_table.py --out runs/rooms_table --seeds 0 1 2 --jobs 2

Finished cells (one run folder per system and seed) are kept, so the script can be stopped and started again. Each job
is one process with one thread; the table is printed as Markdown, mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from typing import Any

SYSTEMS: dict[str, tuple[str, list[str]]] = {
    "adapters": ("adapters on the frozen `swin_pico`", []),
    "linear": ("one linear layer on the same frozen features", ["--method", "linear"]),
    "all": ("everything fine-tuned from the same start", ["--train-blocks", "all"]),
    "random": ("adapters on a random frozen encoder", ["--weights", "random"]),
    "full": ("adapters, and the adapted blocks trained too", ["--train-blocks", "full"]),
    "identity": ("A = identity", ["--set", "affinity=identity", "--set", "troa_weights=false"]),
    "uniform": ("A uniform", ["--set", "affinity=uniform", "--set", "troa_weights=false"]),
    "troa": ("A by TROA", ["--set", "affinity=troa", "--set", "troa_weights=false"]),
    "identity-w": ("A = identity, losses weighted by W", ["--set", "affinity=identity", "--set", "troa_weights=true"]),
    "uniform-w": ("A uniform, losses weighted by W", ["--set", "affinity=uniform", "--set", "troa_weights=true"]),
    "troa-w": ("A by TROA, losses weighted by W", ["--set", "affinity=troa", "--set", "troa_weights=true"]),
}
HEADLINES = {
    "semseg": ("miou/dataset", "mIoU", 1),
    "depth": ("rmse/pixel", "RMSE, m", -1),
    "normals": ("angle_mean/pixel", "mean angle, degrees", -1),
    "edges": ("odsf/d0.011", "odsF", 1),
}


def run(out: Path, system: str, seed: int, extra: list[str]) -> dict[str, Any]:
    """Train one cell, or read it where it is finished."""
    cell = out / f"{system}-{seed}"
    found = list(cell.glob("*/results.json"))
    if not found:
        # The rate that the README's and the affinities' tables were made with.
        command = [sys.executable, "-m", "vtadapt", "train", "rooms", "--seed", str(seed), "--quiet"]
        command += ["--lr", "0.002"]
        command += ["--data-dir", str(out / "data"), "--run-dir", str(cell), *SYSTEMS[system][1], *extra]
        with (out / f"{system}-{seed}.log").open("w") as log:
            subprocess.run(
                command, check=True, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )
        found = list(cell.glob("*/results.json"))
    return dict(json.loads(found[0].read_text()))


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    """The Markdown table: one row per system."""
    head = ["system", "trained", *(f"{task}: {name}" for task, (_, name, _) in HEADLINES.items()), "minutes"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for system, runs in results.items():
        cells = [SYSTEMS[system][0], f"{runs[0]['trained_parameters'] / 1e6:.2f} M"]
        for task, (key, _, _) in HEADLINES.items():
            values = [r["metrics"]["rooms"][task][key] for r in runs]
            spread = f" +- {stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{mean(values):.3f}{spread}")
        cells.append(f"{mean(r['train_seconds'] for r in runs) / 60:.1f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the grid and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/rooms_table"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--systems", nargs="+", default=["adapters", "linear", "all", "random"], choices=list(SYSTEMS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("extra", nargs="*", help="options of vtadapt train for every cell, after --")
    args = parser.parse_args()
    (args.out).mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "vtadapt", "prepare-data", "rooms", "--quiet", "--data-dir", str(args.out / "data")],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    cells = [(system, seed) for seed in args.seeds for system in args.systems]
    with ThreadPoolExecutor(args.jobs) as pool:
        done = list(pool.map(lambda cell: run(args.out, *cell, args.extra), cells))
    results = {s: [r for (system, _), r in zip(cells, done, strict=True) if system == s] for s in args.systems}
    print(table(results))


if __name__ == "__main__":
    main()
