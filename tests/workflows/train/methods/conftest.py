"""Encoders so small that a run takes a second, in place of the bundled ones."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from timm.layers import GroupNorm
from timm.models.resnet import BasicBlock, ResNet

from tests.workflows.conftest import small_backbone
from vtadapt.data.pack.pack import PackReader
from vtadapt.models.backbones.families.cnn import CnnBackbone
from vtadapt.models.backbones.weights.state_dict import IMAGENET_MEAN, IMAGENET_STD
from vtadapt.workflows.run.methods import METHODS

PEERS = ("stl", "mtl-cnn", "consistency", "xtam", "tawt", "mult", "dpt", "lora")


def small_cnn(seed: int = 0) -> CnnBackbone:
    """A ResNet of four blocks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = ResNet(
            BasicBlock,  # type: ignore[arg-type]
            layers=(1, 1, 1, 1),
            channels=(8, 8, 16, 16),
            num_classes=0,
            output_stride=16,
            stem_width=8,
            norm_layer=partial(GroupNorm, num_groups=4),
        )
    return CnnBackbone("small-cnn", net, IMAGENET_MEAN, IMAGENET_STD)


def small_encoder(name: str, weights: str = "auto", *, seed: int = 0) -> Any:
    """Stands for ``load_backbone``."""
    del weights
    return small_cnn(seed) if name.startswith("resnet") else small_backbone(seed)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run built or loaded in this process has a small encoder."""
    monkeypatch.setattr("vtadapt.workflows.run.build.load_backbone", small_encoder)


def changes_of(method: str) -> dict[str, Any]:
    """Settings with which a method is small too."""
    own: dict[str, Any] = {"tawt": {"tawt_every": 2}, "consistency": {"cross_task_width": 4}}
    own |= {"dpt": {"dpt_width": 8}, "lora": {"lora_rank": 2, "head": "stem"}}
    own |= dict.fromkeys(("stl", "mult"), {"tasks": ["semseg", "depth"]})  # the dearest two
    decoder = {"decoder_width": 8} if METHODS[method].encoder == "cnn_lite" or method in ("stl", "lora") else {}
    return {"method": method, "val_images": 2, "evals": 1, **decoder, **own.get(method, {})}


def watch_target(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """From now on a test fails where a label of the target, the pack "shape", is read.

    Returns:
        Its files that were read, filled as the test goes on.
    """
    read = PackReader.read
    seen: set[str] = set()

    def watched(self: PackReader, index: int, tasks: list[str] | None = None, **more: Any) -> Any:
        if "shape" in self.path.parts:
            seen.add(self.path.name)
            assert tasks == [], f"labels {tasks} of the target were read"
        return read(self, index, tasks, **more)

    monkeypatch.setattr(PackReader, "read", watched)
    return seen
