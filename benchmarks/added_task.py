"""Tasks added to a finished run, against training all of them together: the table of docs/adding-tasks.md.

    OMP_NUM_THREADS=1 python benchmarks/added_task.py --out runs/added_task --seeds 0 1 2 --steps 1000 --jobs 2

For every seed: a run of semseg and depth; normals, then edges added to it; all four trained together; and a linear
layer on the frozen encoder for the two new ones, the floor. Before and after each addition the outputs of what was
there are compared bit by bit on validation images, in batches of 1 and of 4, at the stored size and another. Finished
parts are kept, so the script can be stopped and started again. Printed are Markdown tables, mean and deviation over the
seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch.nn import functional as F

from vtadapt.data.pack.manifest import open_pack
from vtadapt.tasks import Task
from vtadapt.workflows.run.added import read_added
from vtadapt.workflows.run.load import load_run

OLD, NEW = ("semseg", "depth"), ("normals", "edges")
SYSTEMS = ("joint", "linear", "base")
IMAGES = 8  # of the validation split, on which outputs are compared


def command(out: Path, words: list[str], log: str) -> None:
    """Run one vtadapt command with one thread; what it says goes to a log."""
    with (out / f"{log}.log").open("w") as file:
        line = [sys.executable, "-m", "vtadapt", "train", *words, "--data-dir", str(out / "data"), "--quiet"]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(line, check=True, stdout=file, stderr=subprocess.STDOUT, env=env)


def trained(out: Path, args: argparse.Namespace, name: str, seed: int, words: list[str]) -> Path:
    """The folder of a run, trained where it is not finished."""
    cell = out / f"{name}-{seed}"
    if not (found := list(cell.glob("*/results.json"))):
        shutil.rmtree(cell, ignore_errors=True)
        own = [args.data, "--seed", str(seed), "--steps", str(args.steps), "--run-dir", str(cell), *words, *args.extra]
        command(out, own, f"{name}-{seed}")
        found = list(cell.glob("*/results.json"))
    return found[0].parent


def outputs(run: Path, out: Path, data: str) -> Iterator[dict[str, torch.Tensor]]:
    """Logits of a run for validation images: one by one, then in batches of four; as they are stored, and larger."""
    reader, loaded = open_pack(out / "data", data, "val"), load_run(run)
    count = min(IMAGES, len(reader))
    found = [torch.from_numpy(reader.read(i)["image"]).permute(2, 0, 1).float() / 255 for i in range(count)]
    images = torch.stack(found)
    for size in (images.shape[-2:], (images.shape[-2] * 3 // 2, images.shape[-1] * 5 // 4)):
        resized = F.interpolate(images, size=tuple(size), mode="bilinear", align_corners=False)
        for batch in (*resized.split(1), *resized.split(4)):
            with torch.no_grad():
                yield loaded.model(batch)


def compare(before: list[dict[str, torch.Tensor]], after: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    """Task -> greatest absolute difference, or -1 where all are the same bit for bit."""
    found = {}
    for task in before[0]:
        pairs = [(one[task], other[task]) for one, other in zip(before, after, strict=True)]
        same = all(torch.equal(a, b) for a, b in pairs)
        found[task] = -1.0 if same else max(float((a - b).abs().max()) for a, b in pairs)
    return found


def one_seed(out: Path, args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Train all of a seed, or read it where it is finished."""
    joint = trained(out, args, "joint", seed, ["--tasks", ",".join((*OLD, *NEW))])
    linear = trained(out, args, "linear", seed, ["--tasks", ",".join(NEW), "--method", "linear"])
    base = trained(out, args, "base", seed, ["--tasks", ",".join(OLD)])
    run, told = out / f"added-{seed}" / "run", out / f"same-{seed}.json"
    if not run.is_dir():
        run.parent.mkdir(exist_ok=True)
        shutil.copytree(base, run.parent / "copied", dirs_exist_ok=True)
        (run.parent / "copied").rename(run)
    same: dict[str, Any] = json.loads(told.read_text()) if told.is_file() else {}
    for task in NEW:
        if task in same:
            continue
        if task not in read_added(run):
            words = ["--add-task", task, "--from", str(run), "--steps", str(args.add_steps or args.steps)]
            command(out, [*words, "--seed", str(seed), *args.add_extra], f"added-{seed}-{task}")
        # The last addition is taken out of sight for the outputs of before: a run is what its files are.
        file = run / "added" / f"{task}.safetensors"
        hidden = file.with_suffix(".hidden")
        file.rename(hidden)
        try:
            before = list(outputs(run, out, args.data))
        finally:
            hidden.rename(file)
        same[task] = compare(before, list(outputs(run, out, args.data)))
        told.write_text(json.dumps(same))
    paths = {"joint": joint, "linear": linear, "base": base}
    results = {name: json.loads((path / "results.json").read_text()) for name, path in paths.items()}
    return {"run": run, "same": same, "joint_run": joint, **results}


def quality(found: list[dict[str, Any]], data: str) -> list[str]:
    """The lines of the table of metrics."""
    tasks = load_run(found[0]["joint_run"]).tasks
    heads = ("task", "metric", "all four together", "added later", "linear layer", "together - added, by seed")
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name, task in tasks.items():
        key = task.headline
        by = {which: [each[which]["metrics"][data].get(name, {}).get(key) for each in found] for which in SYSTEMS}
        if name in OLD:
            lines.append(f"| {name} | {_words(task)} | {_pm(by['joint'])} | {_pm(by['base'])} (as it was) | - | |")
            continue
        added = [read_added(each["run"])[name].about["metrics"][data][name][key] for each in found]
        gaps = ", ".join(f"{a - b:+.3f}" for a, b in zip(by["joint"], added, strict=True))
        cells = (_pm(by["joint"]), _pm(added), _pm(by["linear"]))
        lines.append(f"| {name} | {_words(task)} | {' | '.join(cells)} | {gaps} |")
    return lines


def cost(found: list[dict[str, Any]]) -> list[str]:
    """The lines of the table of files, times, columns of A and outputs of what was there."""
    together = _pm([each["joint"]["train_seconds"] for each in found])
    heads = ("added", "bytes", "parameters", f"seconds (together: {together})", "column of A", "what was there")
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name in NEW:
        files = [read_added(each["run"])[name] for each in found]
        by_source = zip(*(each.tensors["column"].tolist() for each in files), strict=True)
        column = ", ".join(
            f"{source} {mean(weights):.2f}" for source, weights in zip([*files[0].before, name], by_source, strict=True)
        )
        worst = max(value for each in found for value in each["same"][name].values())
        said = f"bit for bit the same ({', '.join(files[0].before)})" if worst < 0 else f"DIFFERS by up to {worst:.2g}"
        size, parameters = max(each.path.stat().st_size for each in files), files[0].about["trained_parameters"]
        seconds = _pm([float(each.about["train_seconds"]) for each in files])
        lines.append(f"| {name} | {size:,} | {parameters:,} | {seconds} | {column} | {said} |")
    return lines


def _words(task: Task) -> str:
    return f"{task.headline}, {'higher' if task.higher_is_better(task.headline) else 'lower'} is better"


def _pm(values: list[float]) -> str:
    return f"{mean(values):.3f}" + (f" +- {stdev(values):.3f}" if len(values) > 1 else "")


def main() -> None:
    """Train what is missing and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/added_task"))
    parser.add_argument("--data", default="rooms", help="its pack is looked for, or rendered, in OUT/data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--add-steps", type=int, help="of each addition; default: --steps")
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time")
    parser.add_argument("--extra", nargs="+", default=[], help="words for every training, such as batch_size=4")
    parser.add_argument("--add-extra", nargs="+", default=[], help="the same for the additions")
    args = parser.parse_args()
    for key in ("extra", "add_extra"):
        setattr(args, key, [word for each in getattr(args, key) for word in ("--set", each)])
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    first, *others = args.seeds
    found = {first: one_seed(args.out, args, first)}  # alone: it renders the data
    with ThreadPoolExecutor(args.jobs) as pool:
        found |= dict(zip(others, pool.map(lambda seed: one_seed(args.out, args, seed), others), strict=True))
    print(f"{args.data}, {args.steps} steps, additions of {args.add_steps or args.steps}, seeds {args.seeds}\n")
    every = [found[seed] for seed in args.seeds]
    print("\n".join([*quality(every, args.data), "", *cost(every)]))


if __name__ == "__main__":
    main()
