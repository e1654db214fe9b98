"""What TROA costs: time of training with it over without, interleaved in one process, and peak memory.

    OMP_NUM_THREADS=1 python benchmarks/troa_cost.py --data-dir runs/rooms_table/data --rounds 6
    OMP_NUM_THREADS=1 python benchmarks/troa_cost.py --updates 2 4 12
    OMP_NUM_THREADS=1 python benchmarks/troa_cost.py --memory 4 12

Time: two trainers of the same settings, one with A fixed to the identity, take turns of two default intervals of steps
each; the ratio is that of their medians. Memory: for each number of tasks, a process trains a few steps of random
images with TROA at every step, another without; their peak resident sizes are compared.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch

from vtadapt.models.adapted import AdaptedModel, AdapterConfig
from vtadapt.models.backbones.load import load_backbone
from vtadapt.tasks import make_task
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.plan import build_trainer
from vtadapt.workflows.train.trainer import Trainer
from vtadapt.workflows.train.troa import batch_cosines, default_interval


def trainer(data_dir: Path, affinity: str) -> Trainer:
    """A trainer on rooms with default settings."""
    settings = TrainSettings(data="rooms", data_dir=data_dir, affinity=affinity, epochs=1000)  # type: ignore[arg-type]
    return build_trainer(settings, quiet=True)


def turn(work: Trainer, steps: int) -> float:
    """Seconds for so many steps, loading included."""
    work.model.train()
    start = time.perf_counter()
    for count, batch in enumerate(work.loader):
        if count == steps:
            break
        if work.troa.due(work.step):
            work.troa.update(batch, work.step)
        work._step(batch)
        work.step += 1
    return time.perf_counter() - start


def measure_time(data_dir: Path, rounds: int) -> None:
    """Print the ratio of medians."""
    both = {name: trainer(data_dir, name) for name in ("identity", "troa")}
    steps = 2 * default_interval(len(both["troa"].tasks))
    seconds: dict[str, list[float]] = {name: [] for name in both}
    for index in range(rounds + 1):
        for name, work in both.items():
            value = turn(work, steps)
            if index:  # the first round warms up
                seconds[name].append(value)
    ratios = [b / a for a, b in zip(seconds["identity"], seconds["troa"], strict=True)]
    medians = {name: round(median(values) / steps * 1000, 1) for name, values in seconds.items()}
    print(f"ms per step: {medians}; with / without: {median(seconds['troa']) / median(seconds['identity']):.3f}")
    print("per round:", ", ".join(f"{r:.3f}" for r in ratios), f"; {torch.get_num_threads()} thread(s)")


def measure_memory(counts: list[int]) -> None:
    """Print peak resident sizes of fresh processes."""
    for count in counts:
        peaks = []
        for mode in ("without", "with"):
            command = [sys.executable, __file__, "--child", mode, str(count)]
            peaks.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(f"{count} tasks: peak {peaks[0]:.0f} MiB without TROA, {peaks[1]:.0f} MiB with it")


def measure_updates(counts: list[int]) -> None:
    """Print an update's time in training steps, and its share at the default interval, on random images."""
    for count in counts:
        tasks = {f"t{i}": make_task(f"t{i}", "regression", units="x") for i in range(count)}
        model = AdaptedModel(load_backbone(), {name: task.channels for name, task in tasks.items()}, AdapterConfig())
        batch = {"image": torch.rand(8, 3, 128, 128), "targets": {name: torch.rand(8, 1, 128, 128) for name in tasks}}
        optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0)
        seconds: dict[str, list[float]] = {"step": [], "update": []}
        for _ in range(6):
            start = time.perf_counter()
            logits = model(batch["image"])
            loss = torch.stack([t.loss_fn(logits[n], batch["targets"][n]).value for n, t in tasks.items()]).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            between = time.perf_counter()
            batch_cosines(model, tasks, batch)
            seconds["step"].append(between - start)
            seconds["update"].append(time.perf_counter() - between)
        steps = median(seconds["update"]) / median(seconds["step"])
        share = steps / default_interval(count)
        print(f"{count} tasks: an update takes {steps:.2f} steps, {share:.1%} of the time at the default interval")


def child(mode: str, count: int) -> None:
    """Train three steps on random images and print the peak resident size in MiB."""
    tasks = {f"t{i}": make_task(f"t{i}", "regression", units="x") for i in range(count)}
    model = AdaptedModel(load_backbone(), {name: task.channels for name, task in tasks.items()}, AdapterConfig())
    batch = {"image": torch.rand(8, 3, 128, 128), "targets": {name: torch.rand(8, 1, 128, 128) for name in tasks}}
    for _ in range(3):
        if mode == "with":
            batch_cosines(model, tasks, batch)
        logits = model(batch["image"])
        torch.stack([t.loss_fn(logits[n], batch["targets"][n]).value for n, t in tasks.items()]).sum().backward()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--memory", type=int, nargs="+", metavar="TASKS", help="measure memory instead of time")
    parser.add_argument("--updates", type=int, nargs="+", metavar="TASKS", help="measure single updates instead")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], int(args.child[1]))
    elif args.updates:
        measure_updates(args.updates)
    elif args.memory:
        measure_memory(args.memory)
    else:
        measure_time(args.data_dir, args.rounds)


if __name__ == "__main__":
    main()
