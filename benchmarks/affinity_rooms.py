"""The affinity matrix over seeds, and whether it is asymmetric beyond its error: the tables of docs/affinity.md.

    python benchmarks/affinity_rooms.py RUN RUN RUN --data-dir runs/rooms_table/data --out docs/images

RUNs are finished trainings of the same tasks with different seeds. Every measure is taken on the default number of
batches; printed are mean and standard deviation over the runs, the asymmetry A[s, t] - A[t, s] of the signed means
with its t value over the runs, and the split-half correlation of every run.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np

from vtadapt.viz.matrices.heatmap import heatmap
from vtadapt.viz.panels import save_png
from vtadapt.workflows.affinity.measure import AffinityOptions
from vtadapt.workflows.affinity.run_affinity import affinity_of_run

MEASURES = ("troa", "cosine", "permuted", "lookahead")


def markdown(names: list[str], mean: np.ndarray, sd: np.ndarray, scale: float) -> str:
    """A matrix with its deviation as a Markdown table, in units of ``scale``."""
    lines = ["| source \\ target | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 1)]
    for name, row, spread in zip(names, mean / scale, sd / scale, strict=True):
        lines.append(
            f"| {name} | " + " | ".join(f"{v:.3f} +- {e:.3f}" for v, e in zip(row, spread, strict=True)) + " |"
        )
    return "\n".join(lines)


def asymmetry(names: list[str], matrices: np.ndarray, scale: float) -> str:
    """For each pair of tasks the difference of the two directions, over runs (n, T, T)."""
    lines = ["| pair | there - back | t (runs) |", "|---|---|---|"]
    for s, t in itertools.combinations(range(len(names)), 2):
        d = (matrices[:, s, t] - matrices[:, t, s]) / scale
        error = d.std(ddof=1) / np.sqrt(len(d))
        value = f"{d.mean() / error:.1f}" if error > 0 else "-"
        lines.append(f"| {names[s]} -> {names[t]} | {d.mean():+.3f} +- {d.std(ddof=1):.3f} | {value} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--measures", nargs="+", default=list(MEASURES), choices=list(MEASURES))
    parser.add_argument("--batches", type=int, default=AffinityOptions().batches)
    parser.add_argument("--out", type=Path, help="folder for a heat map per measure")
    args = parser.parse_args()
    for measure in args.measures:
        results = []
        for seed, run in enumerate(args.runs):  # other images for every run: the deviation holds their share too
            options = AffinityOptions(measure, data_dir=args.data_dir, batches=args.batches, seed=seed)
            results.append(affinity_of_run(run, options, quiet=True))
        names = results[0]["tasks"]
        matrices = np.array([r["mean"] for r in results], dtype=np.float64)
        mean, sd = matrices.mean(0), matrices.std(0, ddof=1)
        scale = 1e-4 if measure == "lookahead" else 1.0
        print(f"\n### {measure}{' (in 1e-4)' if scale != 1 else ''}\n\n{markdown(names, mean, sd, scale)}\n")
        print(asymmetry(names, matrices, scale))
        print("\nsplit-half of the runs:", ", ".join(f"{r['split_half']:.3f}" for r in results))
        within = np.array([r["error"] for r in results], dtype=np.float64)
        print(f"standard error within a run, mean over cells: {within[:, ~np.eye(len(names), dtype=bool)].mean():.2g}")
        if args.out is not None and scale == 1:
            footer = (
                f"{results[0]['data']}, mean over {len(results)} seeds of {args.batches} batches each; error over seeds"
            )
            picture = heatmap(
                mean, names, error=sd / len(results) ** 0.5, title=f"Task affinity ({measure})", footer=footer
            )
            save_png(args.out / f"affinity-{measure}.png", picture)


if __name__ == "__main__":
    main()
