"""Small real models with all kinds of tasks, and random batches for them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor

from tests.edited import with_checksum
from vtadapt.models.adapted import AdaptedModel, AdapterConfig
from vtadapt.models.backbones.families.swin import SwinBackbone
from vtadapt.models.backbones.weights.state_dict import IMAGENET_MEAN, IMAGENET_STD
from vtadapt.tasks import Task, make_task
from vtadapt.workflows.train.train import train

SIZE = (44, 60)  # no multiple of the stride: padding and its masks take part

KINDS = {
    "semseg": make_task("semseg", "classes", num_classes=4),
    "depth": make_task("depth", "regression"),
    "normals": make_task("normals", "unit_vector"),
    "edges": make_task("edges", "boundary"),
}


def small_backbone(seed: int = 0) -> SwinBackbone:
    """A Swin of 30 000 parameters; the last of the two blocks of stage 3 and the two of stage 4 are adapted."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = SwinTransformer(
            img_size=64,
            patch_size=4,
            embed_dim=8,
            depths=(1, 1, 2, 2),
            num_heads=(1, 1, 2, 2),
            window_size=4,
            num_classes=0,
            strict_img_size=False,
            drop_path_rate=0.0,
        )
    return SwinBackbone("small", net, IMAGENET_MEAN, IMAGENET_STD)


def small_model(tasks: dict[str, Task], seed: int = 0, **config: Any) -> AdaptedModel:
    """With every trained parameter moved: a fresh adapter adds nothing, and all conditioning is alike."""
    backbone = small_backbone(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        options = {"embedding_dim": 8, "decoder_width": 8, **config}
        model = AdaptedModel(backbone, {n: t.channels for n, t in tasks.items()}, AdapterConfig(**options))
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data.add_(0.2 * torch.randn_like(parameter))
        eye = torch.eye(len(tasks))
        model.affinity.copy_(eye + 0.3 * torch.rand(len(tasks), len(tasks)) * (1 - eye))
    return model


def labels_of(task: Task, images: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Random labels of any kind."""
    shape = (images, task.channels, *size)
    if task.kind == "classes":
        return torch.randint(task.channels, (images, *size), generator=generator)
    if task.kind == "unit_vector":
        return torch.nn.functional.normalize(torch.randn(shape, generator=generator), dim=1)
    if task.kind == "boundary":
        return (torch.rand(shape, generator=generator) < 0.2).float()
    return torch.rand(shape, generator=generator) + (0.5 if task.distance else 0.0)


def missing_of(task: Task) -> float:
    return {"classes": 255, "unit_vector": 0, "boundary": -1, "regression": 0 if task.distance else torch.nan}[
        task.kind
    ]


def random_batch(
    tasks: dict[str, Task], images: int = 3, size: tuple[int, int] = SIZE, seed: int = 0
) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(images, 3, *size, generator=generator)
    return {"image": image, "targets": {n: labels_of(t, images, size, generator) for n, t in tasks.items()}}


def double(batch: dict[str, Any]) -> dict[str, Any]:
    targets = {n: y.double() if y.is_floating_point() else y for n, y in batch["targets"].items()}
    return {"image": batch["image"].double(), "targets": targets}


@pytest.fixture(scope="session")
def runs(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Runs by their settings, each trained once: one epoch, TROA at every step."""
    made: dict[str, Path] = {}

    def run(**changes: Any) -> Path:
        key = json.dumps(changes)
        if key not in made:
            learned = {"troa_every": 1} if changes.get("method", "adapters") == "adapters" else {}
            options = {"epochs": 1, "val_images": 1, "lr": 1e-2, **learned, **changes}
            made[key] = Path(train(tiny.other(tmp_path_factory.mktemp("runs"), **options), quiet=True)["run"])
        return made[key]

    return run


@pytest.fixture
def measure(cli: Callable[..., Any], runs: Callable[..., Path], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """The document that ``vtadapt affinity --json`` prints; nothing else may be on stdout."""

    def measured(*arguments: Any, run: Path | None = None) -> dict[str, Any]:
        ran = cli("affinity", run or runs(), "--batches", 3, "--batch-size", 4, *arguments, "--out", tmp_path, "--json")
        assert ran.code == 0, ran.err
        result = json.loads(ran.out)
        assert result == with_checksum(tmp_path / "affinity.json")
        return {**result, "stderr": ran.err}

    return measured


@pytest.fixture(scope="session")
def good_places(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders with good sources (see ``broken_sources``) and their packs, each made once."""
    from tests.workflows.prepare.broken.place import place_in, prepare_good

    made: dict[str, Path] = {}

    def prepare(data: str) -> Path:
        if data not in made:
            made[data] = prepare_good(place_in(tmp_path_factory.mktemp("good ü"), data), data)
        return made[data]

    return prepare


@pytest.fixture
def place_of(good_places: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Any]:
    """A copy of a good source and its pack that may be spoilt; times are kept, so that the pack would be, too."""
    from tests.workflows.prepare.broken.place import place_in

    def copied(data: str) -> Any:
        shutil.copytree(good_places(data), tmp_path / "a copy", dirs_exist_ok=True)
        return place_in(tmp_path / "a copy", data)

    return copied
