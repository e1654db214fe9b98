"""What is put on the same frozen encoder, side by side on ``rooms``: other methods, other heads, other embeddings.

    OMP_NUM_THREADS=1 python benchmarks/frozen_encoder.py heads --equal time
    OMP_NUM_THREADS=1 python benchmarks/frozen_encoder.py methods --equal steps
    OMP_NUM_THREADS=1 python benchmarks/frozen_encoder.py embeddings --equal steps --steps 150
    OMP_NUM_THREADS=1 python benchmarks/frozen_encoder.py methods --seeds         # CPU seconds of a step, no training
    OMP_NUM_THREADS=1 python benchmarks/frozen_encoder.py heads --pattern demo    # of runs that are there, no training

All in one process. With ``--equal time`` the steps of every variant are first timed in CPU seconds, variants in turn,
and each gets as many as cost what ``--steps`` of the first cost (updates of A, one in 30 steps, are left out).
Finished cells (one run folder per variant and seed) are kept. Prints Markdown: headline metrics, mean and standard
deviation over the seeds, and the pattern that the grid of 4x4 pixels leaves in what is predicted, see :func:`pattern`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import torch
from torch import Tensor

from vtadapt.atomic import write_json
from vtadapt.data.prepare.options import PrepareOptions
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.workflows.prepare.prepare_data import prepare_data
from vtadapt.workflows.run import files
from vtadapt.workflows.run.data.data_sets import find_recipe, load_recipes
from vtadapt.workflows.run.folder import bundled_run
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.loaders import build_eval, open_reader
from vtadapt.workflows.run.settings import TrainSettings, validate
from vtadapt.workflows.sweep.spread import headlines
from vtadapt.workflows.sweep.trials import Variant, begin, make_trial, run_trials
from vtadapt.workflows.train.plan import build_trainer

SPLIT = {"samples": {"train": 640, "val": 40}}
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "heads": {kind: {"head": kind} for kind in ("subpixel", "overlap", "convex", "stem", "x2")},
    "methods": {
        "adapters": {},
        "adapters-slides": {"adapter": "slides"},
        "adapters-per-task": {"decoder_sharing": "per_task"},
        "linear": {"method": "linear", "lr": 0.008},
        "linear-lr2": {"method": "linear", "lr": 0.002},
        "dpt": {"method": "dpt", "lr": 0.002},
        "dpt-lr8": {"method": "dpt", "lr": 0.008},
        "lora": {"method": "lora", "lr": 0.008},
        "lora-lr2": {"method": "lora", "lr": 0.002},
        "lora-per-task": {"method": "lora", "lr": 0.008, "decoder_sharing": "per_task"},
        "adapters-all": {"train_blocks": "all"},
    },
    "embeddings": {
        "e343": {"embedding_dim": 343},
        "e64": {"embedding_dim": 64},
        "slides-e343": {"adapter": "slides", "embedding_dim": 343},
        "slides-e64": {"adapter": "slides", "embedding_dim": 64},
    },
}
CELL = 4  # pixels a side that one token of the finest level has


def pattern(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Squared differences of neighbouring pixels, by where in the grid of tokens they lie.

    Args:
        maps: (B, C, H, W) or (B, H, W); ids differ by 0 or 1.

    Returns:
        (CELL,) means over all pairs side by side and all pairs one above the other whose first pixel lies at 0, 1, ...
        of its token; the last crosses from one token to the next. And how many pairs each has.
    """
    ids = not maps.is_floating_point()
    maps = maps[:, None] if maps.dim() == 3 else maps
    sums, counts = torch.zeros(CELL, dtype=torch.float64), torch.zeros(CELL, dtype=torch.float64)
    for each in (maps, maps.transpose(-1, -2)):
        one, other = each[..., :-1], each[..., 1:]
        energy = ((one != other).double() if ids else (one.double() - other.double()).square()).sum(1)
        for place in range(CELL):
            sums[place] += energy[..., place::CELL].sum()
            counts[place] += energy[..., place::CELL].numel()
    return sums, counts


def describe(sums: Tensor, counts: Tensor) -> dict[str, float]:
    """Energy across token borders over that within tokens, and the largest over the smallest of all places."""
    energy = sums / counts
    border = float(energy[-1] / energy[:-1].mean())
    return {"border": border, "extremes": float(energy.max() / energy.min())}


@torch.no_grad()
def patterns(run: Path | None, settings: TrainSettings) -> dict[str, dict[str, float]]:
    """Task -> :func:`describe` of what a run predicts on the validation images; of the labels where there is no run."""
    recipe = find_recipe("rooms", settings.data_dir)
    tasks = build_tasks([recipe], None)
    model = None if run is None else load_run(run).model.eval()
    found = {name: [torch.zeros(CELL, dtype=torch.float64), torch.zeros(CELL, dtype=torch.float64)] for name in tasks}
    for batch in build_eval(open_reader(settings, "rooms", "val"), tasks, 4, None):
        maps = batch["targets"] if model is None else model(batch["image"])
        for name, task in tasks.items():
            sums, counts = pattern(maps[name] if model is None else task.decode(maps[name]))
            found[name][0] += sums
            found[name][1] += counts
    return {name: describe(*both) for name, both in found.items()}


def cpu_seconds(variants: list[Variant], rounds: int) -> dict[str, float]:
    """Median CPU seconds of a step, the variants in turn, after a round that warms up."""
    trainers = {variant.label: build_trainer(variant.settings, quiet=True) for variant in variants}
    laps: dict[str, list[float]] = {label: [] for label in trainers}
    batches: dict[str, Iterator[Any]] = {label: iter(trainer.loader) for label, trainer in trainers.items()}
    for _ in range(rounds + 1):
        for label, trainer in trainers.items():
            start = time.process_time()
            trainer._step(next(batches[label]))
            laps[label].append(time.process_time() - start)
    return {label: median(values[1:]) for label, values in laps.items()}


def make_variants(args: argparse.Namespace, data: Path) -> list[Variant]:
    """The variants with as many steps as each may make."""
    common = {"data": "rooms", "data_dir": data, "steps": args.steps, "evals": 1, "val_images": 4, "batch_size": 4}
    names = args.only or list(VARIANTS[args.what])
    variants = []
    for name in names:
        settings = validate({**common, **VARIANTS[args.what][name]}, name)
        variants.append(Variant(name, settings.method, settings))
    if args.equal == "steps":
        return variants
    kept = args.out / f"cpu-{args.what}.json"
    if not kept.is_file():
        write_json(kept, cpu_seconds(variants, args.rounds))
    costs = files.read_json(kept)
    budget = args.steps * costs[names[0]]
    print({name: round(cost, 3) for name, cost in costs.items()}, "CPU seconds a step; budget", round(budget, 1))
    return [
        Variant(v.label, v.method, v.settings.model_copy(update={"steps": max(1, round(budget / costs[v.label]))}))
        for v in variants
    ]


def cell_text(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{mean(values):.3f}" + (f" +- {stdev(values):.3f}" if len(values) > 1 else "")


def print_patterns(runs: list[str], data: Path) -> None:
    """Print what :func:`patterns` finds in the labels and in each run."""
    settings = TrainSettings(data="rooms", data_dir=data)
    for run in [None, *runs]:
        found = patterns(None if run is None else bundled_run() if run == "demo" else Path(run), settings)
        print(run or "labels", {task: {key: round(v, 2) for key, v in each.items()} for task, each in found.items()})


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(VARIANTS))
    parser.add_argument("--only", nargs="+", help="some of the variants; the first one's time is the budget")
    parser.add_argument("--equal", choices=["steps", "time"], default="time")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--pattern", nargs="+", help="folders of runs on rooms, or demo")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("runs/frozen_encoder"))
    args = parser.parse_args()
    data = args.out / "data"
    if not (data / "rooms" / "manifest.json").is_file():
        prepare_data("rooms", None, data, PrepareOptions(reader=SPLIT), quiet=True)
    if args.pattern:
        print_patterns(args.pattern, data)
        return
    variants = make_variants(args, data)
    if not args.seeds:
        return
    trials = [make_trial(v, seed, args.out / f"{v.settings.steps}-steps") for seed in args.seeds for v in variants]
    for trial in trials:
        begin(trial)
    run_trials(trials, 0, args.what, True, lambda trial: trial.label)
    heads = headlines(build_tasks(load_recipes(variants[0].settings), None))
    columns = [f"{name} {head['metric']}" for name, head in heads.items()]
    columns += [f"{name} pattern" for name in heads]
    print("| variant | steps | seeds | " + " | ".join(columns) + " |")
    print("|---|---|---|" + "---|" * len(columns))
    truth = patterns(None, variants[0].settings)
    print("| labels | | | " + " | " * len(heads) + " | ".join(f"{truth[name]['border']:.2f}" for name in heads) + " |")
    for variant in variants:
        mine = [trial for trial in trials if trial.label == variant.label and trial.done]
        if not mine:
            continue
        results = [files.read_json(trial.path / files.RESULTS)["metrics"]["rooms"] for trial in mine]
        seen = [patterns(trial.path, variant.settings) for trial in mine]
        row = [cell_text([r[name][head["metric"]] for r in results]) for name, head in heads.items()]
        row += [cell_text([s[name]["border"] for s in seen]) for name in heads]
        print(f"| {variant.label} | {variant.settings.steps} | {len(mine)} | " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
