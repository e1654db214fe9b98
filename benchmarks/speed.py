"""What a training step and a prediction cost, by number of tasks and by part; in bare forward passes of an encoder.

    OMP_NUM_THREADS=1 python benchmarks/speed.py                                   # the protocol below
    OMP_NUM_THREADS=1 python benchmarks/speed.py --parts --memory --out speed.json
    OMP_NUM_THREADS=1 python benchmarks/speed.py --backbone vit_small_patch16_224 --tasks 1 2 4 8 --size 224 --batch 2
    OMP_NUM_THREADS=1 python benchmarks/speed.py --set decoder=swin
    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/speed.py --with their_module:factory

Protocol: one thread, CPU seconds, 2 images of 224x224, 4 tasks of 14, 1, 3 and 1 channels, float32, random weights. The
unit is the forward pass of Swin-S on the same images, without gradients, as timm ships it (``--unit`` names another).
All rows take turns in one process, ``--rounds`` times after one that warms up; a row's ratio is the median over the
rounds of its CPU seconds over the unit's of the same round. "of peak" is FLOPs per second over what a product of two
matrices of 2048 x 2048 reaches in the same run. ``--with`` times another network, see ``speed_laps.other``.
``--memory`` trains three steps in a process of its own and tells the most it held, with Python and torch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml
from speed_laps import Lap, adapted, bare, flushed, make_batch, make_tasks, other, parts, whole
from tqdm import tqdm

from vtadapt.atomic import write_json
from vtadapt.workflows.train.cost import peak_memory

SIDE = 2048  # of the matrices whose product is the peak


def settings_of(pairs: list[str]) -> dict[str, Any]:
    """``key=value`` of :class:`vtadapt.models.adapted.AdapterConfig`, values as in YAML."""
    return {key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in pairs)}


def network(args: argparse.Namespace, count: int, where: str | None) -> tuple[str, Any, Any, Any, Any]:
    """Label, network, tasks and batch of one row: ours, or the ``where`` of ``--with``."""
    tasks = make_tasks(count)
    channels = {name: task.channels for name, task in tasks.items()}
    images, targets = make_batch(tasks, args.batch, args.size)
    if where is not None:
        return f"{where}, T = {count}", other(where, channels, args.size), tasks, images, targets
    model = adapted(args.backbone, channels, args.blocks, **settings_of(args.set))
    return f"{args.backbone}, T = {count}", model, tasks, images, targets


def measure(laps: list[Lap], rounds: int) -> None:
    """Time all in turn; a first round warms up."""
    for lap in laps:
        lap.count()
    for index in tqdm(range(rounds + 1), unit="round", disable=not sys.stderr.isatty()):
        for lap in laps:
            lap.time()
            if not index:
                lap.cpu.clear()
                lap.wall.clear()


def describe(lap: Lap, unit: Lap, peak: Lap, memory: float | None) -> dict[str, Any]:
    """A row's numbers."""
    fastest = peak.flops / median(peak.cpu)
    trained = lap.model and sum(p.numel() for p in lap.model.parameters() if p.requires_grad)
    return {
        "name": lap.name,
        "cpu_seconds": median(lap.cpu),
        "wall_seconds": median(lap.wall),
        "in_bare_forwards": median(a / b for a, b in zip(lap.cpu, unit.cpu, strict=True)),
        "gflops": lap.flops / 1e9,
        "share_of_peak": lap.flops / median(lap.cpu) / fastest,
        "peak_memory_gib": memory,
        "trained_parameters": trained,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown."""
    lines = [
        "| | CPU s | wall s | in bare forwards | GFLOP | of peak | peak memory, GiB | trained, M |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        memory, trained = row["peak_memory_gib"], row["trained_parameters"]
        cells = [
            row["name"],
            f"{row['cpu_seconds']:.3f}",
            f"{row['wall_seconds']:.3f}",
            f"{row['in_bare_forwards']:.2f}",
            f"{row['gflops']:.1f}",
            f"{row['share_of_peak']:.0%}",
            "" if memory is None else f"{memory:.2f}",
            "" if trained is None else f"{trained / 1e6:.2f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def child(args: argparse.Namespace) -> None:
    """Train three steps and print the most bytes that this process held."""
    laps = whole(*network(args, args.tasks[0], args.other[0] if args.other else None))
    for _ in range(3):
        laps[0].run()
    print(peak_memory(torch.device("cpu")))


def memory_of(args: argparse.Namespace, count: int, where: str | None) -> float:
    """Peak memory in GiB of training steps in a process of their own."""
    options = ["--backbone", args.backbone, "--tasks", str(count), "--batch", str(args.batch), "--size", str(args.size)]
    options += [*(["--set", *args.set] if args.set else []), *(["--with", where] if where else [])]
    options += ["--blocks", str(args.blocks)] if args.blocks else []
    found = subprocess.run(
        [sys.executable, __file__, "--child", *options], check=True, stdout=subprocess.PIPE, text=True
    )
    return int(found.stdout) / 2**30


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="swin_small_patch4_window7_224", help="an encoder of timm, or swin_pico")
    parser.add_argument("--unit", default="swin_small_patch4_window7_224", help="the encoder of the unit")
    parser.add_argument("--tasks", type=int, nargs="+", default=[4])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--blocks", type=int, help="adapted blocks, as the setting adapted_blocks")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="fields of AdapterConfig")
    parser.add_argument("--with", nargs="+", default=[], dest="other", metavar="MODULE:FACTORY")
    parser.add_argument("--parts", action="store_true", help="also each part of the last of --tasks alone")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="a JSON file of all numbers")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args)
        return
    images = make_batch({}, args.batch, args.size)[0]
    matrix = torch.rand(SIDE, SIDE)
    forward = bare(args.unit, images)
    unit, peak = Lap(f"{args.unit}: bare forward", forward), Lap("peak", lambda: matrix @ matrix)
    laps, memory = [unit, Lap("the same, denormals as 0", flushed(forward)), peak], {}
    for where in [None, *args.other]:
        for count in args.tasks:
            found = network(args, count, where)
            laps += whole(*found)
            if args.memory:
                memory[laps[-3].name] = memory_of(args, count, where)
        if args.parts and where is None:
            laps += parts(*found)
    measure(laps, args.rounds)
    rows = [describe(lap, unit, peak, memory.get(lap.name)) for lap in laps]
    about = {"torch": torch.__version__, "threads": torch.get_num_threads(), **vars(args), "rows": rows}
    if args.out:
        write_json(args.out, json.loads(json.dumps(about, default=str)))
    print(table(rows))
    print(f"\n{torch.get_num_threads()} thread(s), medians of {args.rounds} rounds, torch {torch.__version__}")


if __name__ == "__main__":
    main()
