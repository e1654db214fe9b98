"""What a linear layer reads from the frozen features of encoders: how much of a task they know before adapters come.

    vtadapt prepare-data camvid --source FOLDER --size 192x256        # likewise sevenscenes and bsds500
    OMP_NUM_THREADS=1 python benchmarks/linear_probe.py swin_lite cnn_lite swin_pico resnet_pico --seeds 0 1 2

Levels at strides 8, 16 and 32 are brought to stride 8 and standardised per channel by the training images; one 1x1
convolution per task, its outputs enlarged to the labels; 600 steps of 8 images, no augmentation. Prints one row per
encoder: the headline metric of each task on val, mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean, stdev

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.models.backbones.base import Encoder
from vtadapt.models.backbones.load import load_backbone
from vtadapt.tasks.task import Task
from vtadapt.workflows.run.data.data_sets import find_recipe
from vtadapt.workflows.run.loaders import build_eval, open_reader
from vtadapt.workflows.run.settings import TrainSettings

DATA = {"camvid": ("semseg",), "sevenscenes": ("depth", "normals"), "bsds500": ("edges",)}
STRIDE = 8


Sample = dict[str, Tensor]


@torch.no_grad()
def read(encoder: Encoder, settings: TrainSettings, data: str, split: str, tasks: dict[str, Task]) -> list[Sample]:
    """Of each image features (1, C, H/8, W/8), float16, and targets; images of a set may have several sizes."""
    found = []
    for batch in build_eval(open_reader(settings, data, split), tasks, 1, None):
        levels = [x.permute(0, 3, 1, 2).float() for x in encoder.features(batch["image"])[1:]]
        size = levels[0].shape[-2:]
        maps = [F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in levels]
        found.append({"features": torch.cat(maps, 1).half(), **batch["targets"]})
    return found


def probe(task: Task, train: list[Sample], val: list[Sample], seed: int, steps: int) -> dict[str, float]:
    """Metrics of a linear layer after ``steps`` of 8 images."""
    torch.manual_seed(seed)
    few = torch.cat([sample["features"].flatten(2).float() for sample in train[::4]], 2)
    middle, spread = few.mean((0, 2))[:, None, None], few.std((0, 2))[:, None, None] + 1e-5
    head = nn.Conv2d(few.shape[1], task.channels, 1)
    optimiser = torch.optim.AdamW(head.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=steps)

    def predict(sample: Sample) -> Tensor:
        small = head((sample["features"].float() - middle) / spread)
        large = F.interpolate(small, scale_factor=STRIDE, mode="bilinear", align_corners=False)
        height, width = sample[task.name].shape[-2:]
        return large[..., :height, :width]

    for _ in range(steps):
        chosen = [train[i] for i in torch.randint(0, len(train), (8,))]
        losses = [task.loss_fn(predict(sample), sample[task.name]).value for sample in chosen]
        optimiser.zero_grad()
        torch.stack(losses).mean().backward()
        optimiser.step()
        schedule.step()
    meter = task.meter()
    with torch.no_grad():
        for sample in val:
            meter.update(predict(sample), sample[task.name])
    return meter.compute()


def cell(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{mean(values):.3f}" + (f" +- {stdev(values):.3f}" if len(values) > 1 else "")


def main() -> None:
    """Probe every encoder on every set and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="+", help="names, or NAME=FILE of weights")
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    args = parser.parse_args()
    rows: dict[str, dict[str, str]] = {}
    for name in args.encoders:
        encoder = load_backbone(*name.split("=", 1)).eval()
        for data in args.data:
            settings = TrainSettings(data=data, data_dir=args.data_dir)
            recipe = find_recipe(data, args.data_dir)
            tasks = {task: made for task, made in build_tasks([recipe], None).items() if task in DATA[data]}
            train, val = (read(encoder, settings, data, split, tasks) for split in ("train", "val"))
            for task, made in tasks.items():
                found = [probe(made, train, val, seed, args.steps)[made.headline] for seed in args.seeds]
                rows.setdefault(name, {})[f"{data} {task} {made.headline}"] = cell(found)
                print(name, data, task, rows[name][f"{data} {task} {made.headline}"], flush=True)
    columns = list(next(iter(rows.values())))
    print("| encoder | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(row.get(column, "") for column in columns) + " |")


if __name__ == "__main__":
    main()
