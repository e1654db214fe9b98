"""A small search of the adapters' defaults on rooms that no table reports.

    python benchmarks/adapter_search.py --out runs/adapter_search --steps 150 lr=0.004 adapted_blocks=6+lr=0.004

Trains the default and every variant (settings KEY=VALUE joined with "+") for the same steps and one seed, on the
training rooms, and scores them on a split of its own (150 rooms, first seed 40 000 000; the validation rooms of the
tables begin at 20 000 000). Finished cells are kept. Prints Markdown: headline metrics and the mean change against the
default in %, as Delta_m is computed, with seconds per step, which mean something only where nothing else runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vtadapt.data.prepare.options import PrepareOptions
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.tasks import delta_m
from vtadapt.workflows.prepare.prepare_data import prepare_data
from vtadapt.workflows.run import files
from vtadapt.workflows.run.data.data_sets import load_recipes
from vtadapt.workflows.run.settings import TrainSettings, parse_assignments, validate
from vtadapt.workflows.sweep.spread import headlines
from vtadapt.workflows.sweep.trials import Variant, begin, make_trial, run_trials

SPLIT = {"samples": {"train": 1600, "val": 150}, "first_seed": {"train": 0, "val": 40_000_000}}
DEFAULT = "default"


def settings_of(name: str, data: Path, steps: int, seed: int) -> TrainSettings:
    """Settings of a variant by its name."""
    own: dict[str, Any] = {} if name == DEFAULT else parse_assignments(name.split("+"))
    common = {"data": "rooms", "data_dir": data, "steps": steps, "seed": seed, "evals": 1, "val_images": 50}
    return validate({**common, **own}, name)


def main() -> None:
    """Run the search and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", help="KEY=VALUE[+KEY=VALUE...]")
    parser.add_argument("--out", type=Path, default=Path("runs/adapter_search"))
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    data = args.out / "data"
    if not (data / "rooms" / "manifest.json").is_file():
        prepare_data("rooms", None, data, PrepareOptions(reader=SPLIT), quiet=True)
    names = [DEFAULT, *args.variants]
    variants = [Variant(name, "adapters", settings_of(name, data, args.steps, args.seed)) for name in names]
    cells = [make_trial(variant, args.seed, args.out) for variant in variants]
    for cell in cells:
        begin(cell)
    run_trials(cells, args.jobs, "search", False, lambda cell: cell.label)
    tasks = build_tasks(load_recipes(variants[0].settings), None)
    heads = headlines(tasks)
    results = {cell.label: files.read_json(cell.path / files.RESULTS) for cell in cells if cell.done}
    columns = [f"{name} {head['metric']}" for name, head in heads.items()]
    print("| variant | " + " | ".join(columns) + " | change, % | trained, M | s/step |")
    print("|" + "---|" * (len(columns) + 4))
    base = results[DEFAULT]["metrics"]["rooms"]
    for name, result in results.items():
        found = result["metrics"]["rooms"]
        row = [f"{found[task][head['metric']]:.3f}" for task, head in heads.items()]
        change = delta_m(found, base, list(tasks.values()))
        trained = result["trained_parameters"] / 1e6
        print(f"| {name} | {' | '.join(row)} | {change:+.1f} | {trained:.2f} | {result['seconds_per_step']:.2f} |")


if __name__ == "__main__":
    main()
