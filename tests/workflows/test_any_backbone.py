"""Every family of backbones through the commands, on tiny networks of timm with random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
from PIL import Image
from timm.models import register_model
from torch import nn

from tests.models.backbones import test_families
from tests.workflows.train.cutting import assert_same, cut_and_resume
from vtadapt.workflows.train.train import train
from vtadapt.workflows.zero_shot.zero_shot import ZeroShotOptions, zero_shot

CASES = [
    case
    for case in vars(test_families).values()
    if isinstance(case, type) and issubclass(case, test_families.FamilyContract) and hasattr(case, "name")
]


def known_to_timm(case: Any) -> str:
    """A name of timm for the tiny network of a case."""

    def build(pretrained: bool = False, **options: Any) -> nn.Module:
        return timm.create_model(case.name, pretrained=pretrained, **case.tiny, **options)

    build.__name__ = f"tiny_{case.name}"
    if not timm.is_model(build.__name__):
        register_model(build)
    return build.__name__


SMALL = {"embedding_dim": 8, "decoder_width": 8, "val_images": 1, "troa_every": 1}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_train_predict_affinity_eval_and_attention(
    cli: Callable[..., Any], tiny: Any, tmp_path: Path, case: Any
) -> None:
    settings = tiny.other(tmp_path / "runs", backbone=known_to_timm(case), adapter="residual", epochs=1, **SMALL)
    run = Path(train(settings, quiet=True)["run"])
    config = json.loads((run / "config.json").read_text())
    assert config["adapters"]["adapter"] == "residual"

    photo = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(photo)
    ran = cli("predict", photo, "--run", run, "--out", tmp_path / "predictions", "--json")
    assert ran.code == 0, ran.err
    assert Path(json.loads(ran.out)[0]["panel"]).is_file()

    ran = cli("affinity", run, "--batches", 2, "--batch-size", 4, "--out", tmp_path / "affinity", "--json")
    assert ran.code == 0, ran.err
    tasks = len(settings.tasks or config["tasks"])
    assert np.shape(json.loads(ran.out)["matrix"]) == (tasks, tasks)

    ran = cli("eval", run, "--json")
    assert ran.code == 0, ran.err

    ran = cli("visualize-attention", photo, "--run", run, "--out", tmp_path / "attention", "--json")
    assert ran.code == 0, ran.err
    entry = json.loads(ran.out)[0]
    assert min(entry["tokens"]) >= 24
    assert entry["block"] in case.blocks


@pytest.mark.slow
@pytest.mark.parametrize("case", [test_families.TestSwinV2, test_families.TestDinoV3], ids=lambda case: case.name)
def test_an_interrupted_run_ends_as_a_whole_one_and_serves_a_zero_shot_transfer(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Any
) -> None:
    changes = {"backbone": known_to_timm(case), "adapter": "residual", "epochs": 2, **SMALL}
    whole = Path(train(tiny.other(tmp_path / "whole", **changes), quiet=True)["run"])
    assert_same(cut_and_resume(tiny.other(tmp_path / "cut", **changes), monkeypatch, "_step"), whole)

    fast = {"steps": 2, "val_images": 1, "evals": 1}
    options = ZeroShotOptions(task="normals", labels="semseg,depth", jobs=0, changes=fast, images=2, ablations="")
    found = zero_shot("tiny", [whole], options, data_dir=tiny.data_dir, run_dir=tmp_path / "transfer", quiet=True)
    assert found["failed"] == {}
