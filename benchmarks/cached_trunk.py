"""What cached features save: CPU seconds of a training step with and without, interleaved in one process.

    OMP_NUM_THREADS=1 python benchmarks/cached_trunk.py network --backbone swin_small_patch4_window7_224
    OMP_NUM_THREADS=1 python benchmarks/cached_trunk.py rooms --data-dir data

``network``: the random images, labels, tasks and weights of ``speed.py``, in units of a bare forward of the encoder on
the same images, as timm ships it. The cached step reads its features from a file, as a run does.
``rooms``: whole steps of two runs with default settings on rooms, loading included, updates of A left out; one of them
has all features cached on disk (one view of each image).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch
from speed_laps import adapted, bare, flushed, loss_of, make_batch, make_tasks, optimiser_of, update
from torch import Tensor

from vtadapt.models.backbones.base import Encoded
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.cached.form import Form
from vtadapt.workflows.train.cached.slots import Slots
from vtadapt.workflows.train.plan import build_trainer
from vtadapt.workflows.train.trainer import Trainer


def interleaved(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each, in turn, after a round that warms up."""
    laps: dict[str, list[float]] = {name: [] for name in work}
    for index in range(rounds + 1):
        for name, run in work.items():
            start = time.process_time()
            run()
            if index:
                laps[name].append(time.process_time() - start)
    return laps


def network(args: argparse.Namespace, folder: Path) -> None:
    """Print the table of a network."""
    tasks = make_tasks(4)
    image, labels = make_batch(tasks, args.batch, args.size)
    model = adapted(args.backbone, {name: task.channels for name, task in tasks.items()}, None).train()
    optimiser = optimiser_of(model)
    form = Form([part.shape[1:] for part in model.encode(image)])
    slots = Slots(folder / "x.features", "0" * 64, form, args.batch)
    for row in range(args.batch):
        slots.put(row, Form.rounded([part[0] for part in model.encode(image[row : row + 1])]))

    def read() -> Encoded:
        found = [slots.get(row) for row in range(args.batch)]
        assert None not in found
        parts = tuple(torch.stack(each) for each in zip(*found, strict=True))  # type: ignore[arg-type]
        return Encoded(parts, (args.size, args.size))

    def step(given: Tensor | Encoded) -> None:
        loss = loss_of(model(given), labels, tasks)
        optimiser.zero_grad()
        loss.backward()
        update(model, optimiser)

    forward = bare(args.backbone, image)
    laps = interleaved(
        {
            "bare forward": forward,
            "the same, denormals as 0": flushed(forward),
            "trunk": lambda: model.backbone.trunk(image),
            "step": lambda: step(image),
            "step, cached": lambda: step(read()),
            "reading the features": read,
        },
        args.rounds,
    )
    unit = median(laps["bare forward"])
    print(f"{args.backbone}, {args.size} x {args.size}, batch {args.batch}, {form.bytes / 2**20:.2f} MiB a picture")
    show(laps, {name: median(values) / unit for name, values in laps.items()})


def rooms(args: argparse.Namespace) -> None:
    """Print the table of a run on rooms."""
    common: dict[str, Any] = {"data": "rooms", "data_dir": args.data_dir, "affinity": "identity", "epochs": 1000}
    kept = {"cache_features": "disk", "augment_views": 1}
    trainers = {
        "step": build_trainer(TrainSettings(**common)),
        "step, cached": build_trainer(TrainSettings(**common, **kept)),
    }
    batches = {name: endless(trainer) for name, trainer in trainers.items()}
    for name, trainer in trainers.items():  # an epoch fills the cache, and the memory of decoded samples
        start = time.process_time()
        for _ in range(trainer.data.sampler.batches):
            next(batches[name])
        print(f"{name}: an epoch of loading without training, {time.process_time() - start:.1f} s")
    work = {n: lambda n=n, t=t: t._step(next(batches[n])) for n, t in trainers.items()}
    laps = interleaved(work, args.rounds)  # type: ignore[arg-type]
    show(laps, {name: median(values) / median(laps["step"]) for name, values in laps.items()})


def endless(trainer: Trainer) -> Iterator[Any]:
    """Batches of one epoch after the other."""
    for epoch in range(1000):
        trainer.data.train.set_epoch(epoch)
        trainer.data.sampler.set(epoch)
        trainer.model.train()
        yield from trainer.loader


def show(laps: Mapping[str, list[float]], ratios: Mapping[str, float]) -> None:
    """Print medians, the middle half of the rounds, and ratios."""
    print("| | CPU s | middle half | ratio |\n|---|---|---|---|")
    for name, values in laps.items():
        ordered = sorted(values)
        low, high = ordered[len(values) // 4], ordered[-1 - len(values) // 4]
        print(f"| {name} | {median(values):.4f} | {low:.4f} to {high:.4f} | {ratios[name]:.2f} |")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["network", "rooms"])
    parser.add_argument("--backbone", default="swin_small_patch4_window7_224")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VTADAPT_CACHE_DIR"] = folder
        network(args, Path(folder)) if args.what == "network" else rooms(args)


if __name__ == "__main__":
    main()
