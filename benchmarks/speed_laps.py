"""What ``speed.py`` times: networks by their training step and their inference, and the parts of one network alone."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from vtadapt.data.training.dataset import PackDataset, collate
from vtadapt.data.training.transforms import train_transform
from vtadapt.models.adapted import AdaptedModel, AdapterConfig
from vtadapt.models.backbones.families.table import family_of
from vtadapt.models.backbones.load import load_backbone
from vtadapt.tasks import Task, make_task
from vtadapt.workflows.train.learning_rates import make_optimiser

SHAPES = (
    ("semseg", "classes", {"num_classes": 14}),
    ("depth", "regression", {"units": "m"}),
    ("normals", "unit_vector", {}),
    ("edges", "boundary", {}),
)
"""The tasks of the protocol: 14, 1, 3 and 1 channels. More than four begin again from the first."""


@dataclass
class Lap:
    """Something to time.

    Attributes:
        name: of the row.
        run: does it once.
        model: whose trained parameters the row tells; None for a part.
        flops: of one run, counted by torch.
        cpu: CPU seconds of each round.
        wall: seconds of each round.
    """

    name: str
    run: Callable[[], Any]
    model: nn.Module | None = None
    flops: int = 0
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def count(self) -> None:
        """Run once and count the floating-point operations; a multiplication with its addition is two."""
        with FlopCounterMode(display=False) as counter:
            self.run()
        self.flops = counter.get_total_flops()

    def time(self) -> None:
        """Run once, timed."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.run()
        self.cpu.append(time.process_time() - cpu)
        self.wall.append(time.perf_counter() - wall)


def make_tasks(count: int) -> dict[str, Task]:
    """As many dense tasks, in turn of the kinds of the protocol."""
    out = {}
    for index in range(count):
        name, kind, options = SHAPES[index % len(SHAPES)]
        name = name if index < len(SHAPES) else f"{name}{index // len(SHAPES) + 1}"
        out[name] = make_task(name, kind, **options)
    return out


def make_batch(tasks: Mapping[str, Task], batch: int, size: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Random images and labels; every pixel has one."""
    torch.manual_seed(0)
    shape, targets = (batch, size, size), {}
    for name, task in tasks.items():
        targets[name] = {
            "classes": lambda n=task.channels: torch.randint(0, n, shape),
            "regression": lambda: 1 + torch.rand(batch, 1, size, size),
            "unit_vector": lambda: F.normalize(torch.randn(batch, 3, size, size), dim=1),
            "boundary": lambda: (torch.rand(batch, 1, size, size) > 0.9).float(),
        }[task.kind]()
    return torch.rand(batch, 3, size, size), targets


def bare(name: str, images: Tensor) -> Callable[[], Tensor]:
    """The forward pass of an encoder as timm ships it, without gradients: the unit of all rows."""
    options = {"num_classes": 0, **family_of(name).options}
    net = timm.create_model(name, pretrained=False, **options).eval()

    @torch.no_grad()
    def run() -> Tensor:
        return net.forward_features(images)

    return run


def flushed(run: Callable[[], Any]) -> Callable[[], Any]:
    """The same with denormal numbers taken as 0: the masks of timm's Swins leave many, and they are slow."""

    def flushing() -> None:
        torch.set_flush_denormal(True)
        run()
        torch.set_flush_denormal(False)

    return flushing


def adapted(backbone: str, channels: Mapping[str, int], blocks: int | None, **config: Any) -> AdaptedModel:
    """The adapted model on random weights."""
    encoder: Any = load_backbone(backbone, "random")
    if blocks is not None:
        encoder.adapt_last(blocks)
    torch.manual_seed(0)
    return AdaptedModel(encoder, channels, AdapterConfig(**config))


def other(where: str, channels: Mapping[str, int], size: int) -> nn.Module:
    """Any network: ``module:factory``, called with (channels by task, side of the images).

    Its forward takes images (B, 3, H, W) in 0..1 and gives logits (B, channels, H, W) by task.
    """
    module, _, factory = where.partition(":")
    network: nn.Module = getattr(importlib.import_module(module), factory)(dict(channels), size)
    return network


def optimiser_of(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW as a training run has it."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return make_optimiser([{"params": parameters, "lr": 1e-4}], "32-true")


def update(model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Clip the gradients and make a step, as a training run does."""
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 5.0)
    optimiser.step()


def loss_of(logits: Mapping[str, Tensor], targets: Mapping[str, Tensor], tasks: Mapping[str, Task]) -> Tensor:
    """Sum of the tasks' losses."""
    return torch.stack([task.loss_fn(logits[name], targets[name]).value for name, task in tasks.items()]).sum()


def whole(
    label: str, model: nn.Module, tasks: Mapping[str, Task], images: Tensor, targets: dict[str, Tensor]
) -> list[Lap]:
    """Laps of a network: a training step, and inference of all tasks on the batch and on one image."""
    model.train()
    optimiser = optimiser_of(model)

    def step() -> None:
        model.train()
        loss = loss_of(model(images), targets, tasks)
        optimiser.zero_grad()
        loss.backward()
        update(model, optimiser)

    @torch.no_grad()
    def infer(count: int) -> None:
        model.eval()
        model(images[:count])

    return [
        Lap(f"{label}: training step", step, model),
        Lap(f"{label}: inference, {len(images)} images", lambda: infer(len(images))),
        Lap(f"{label}: inference, 1 image", lambda: infer(1)),
    ]


def parts(
    label: str, model: AdaptedModel, tasks: Mapping[str, Task], images: Tensor, targets: dict[str, Tensor]
) -> list[Lap]:
    """Laps of each part of a training step alone, on what it gets in the whole: forward, and backward where trained.

    Gradients that enter a part are random.
    """
    model.train()
    names, index = list(tasks), list(range(len(tasks)))
    with torch.no_grad():
        trunk = model.backbone.trunk(images)
        skips, features = model._adapt(trunk, index)
        decoded = model._decode(features, skips, index)
        logits = model._predict(decoded, names, trunk)
    # Copies with gradients of their own: the other parts clear those of the model.
    copies = nn.ParameterList(p.detach().clone() for p in model.trained_parameters())
    for copy in copies:
        copy.grad = torch.randn_like(copy) * 1e-3
    optimiser = optimiser_of(copies)

    def part(name: str, run: Callable[..., Any], inputs: list[Tensor]) -> Lap:
        leaves = [x.detach().clone().requires_grad_() for x in inputs]
        outputs = [y for y in flat(run(*leaves)) if y.requires_grad]
        gradients = [torch.randn_like(y) * 1e-3 if y.dim() else torch.ones_like(y) for y in outputs]

        def lap() -> None:
            model.zero_grad()
            for leaf in leaves:
                leaf.grad = None
            torch.autograd.backward([y for y in flat(run(*leaves)) if y.requires_grad], gradients)

        return Lap(f"{label}: {name}", lap)

    def lossy(*found: Tensor) -> Tensor:
        return loss_of(dict(zip(names, found, strict=True)), targets, tasks)

    return [
        Lap(f"{label}: trunk", lambda: model.backbone.trunk(images)),
        part("adapters", lambda: model._adapt(trunk, index), []),
        part("decoder", lambda *x: model._decode(list(x), skips, index), features),
        part("heads", lambda x: model._predict(x, names, trunk), [decoded]),
        part("loss", lossy, list(logits.values())),
        Lap(f"{label}: optimiser", lambda: update(copies, optimiser)),
        Lap(f"{label}: data", loader_of(tasks, images, targets)),
    ]


def loader_of(tasks: Mapping[str, Task], images: Tensor, targets: Mapping[str, Tensor]) -> Callable[[], Any]:
    """What makes a batch of decoded samples that are kept in memory: augmentation, and stacking them."""
    arrays: list[dict[str, Any]] = []
    for i, image in enumerate(images):
        arrays.append({"image": np.ascontiguousarray((image.permute(1, 2, 0).numpy() * 255).astype(np.uint8))})
        for name, target in targets.items():
            kind = np.uint8 if tasks[name].kind in ("classes", "boundary") else np.float32
            label = target[i].squeeze(0).numpy().astype(kind)
            arrays[-1][name] = label if label.ndim == 2 else np.ascontiguousarray(label.transpose(1, 2, 0))
    reader: Any = Kept(arrays, tasks)
    size = (int(images.shape[-2]), int(images.shape[-1]))
    data = PackDataset(reader, tasks, train_transform(size, (1.0, 1.3), 0.5, 0.2), cache=True)
    return lambda: collate([data[i] for i in range(len(arrays))], tasks)


class Kept:
    """Stands for a pack whose samples are all in memory."""

    path = "memory"

    def __init__(self, arrays: list[dict[str, Any]], tasks: Mapping[str, Task]) -> None:
        self.arrays, self.tasks, self.names = arrays, dict(tasks), [str(i) for i in range(len(arrays))]

    def __len__(self) -> int:
        return len(self.arrays)

    def read(self, index: int, tasks: object = None, *, image: bool = True) -> dict[str, Any]:
        """A sample, whole whatever is asked for."""
        del tasks, image
        return self.arrays[index]


def flat(value: Any) -> list[Tensor]:
    """All tensors of nested lists, tuples and dicts."""
    if isinstance(value, Tensor):
        return [value]
    values = value.values() if isinstance(value, Mapping) else value
    return [x for each in values for x in flat(each)]
