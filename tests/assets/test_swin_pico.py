"""The bundled encoder of before: there, small, loadable, made from images that no split of the data set holds."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources

import pytest
import torch
from safetensors.torch import load_file

from vtadapt.assets.swin_pico import pretrain
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.models.backbones.load import load_backbone

FOLDER = resources.files("vtadapt") / "assets" / "swin_pico"


def test_the_bundled_weights_are_small_and_load():
    assert (FOLDER / "model.safetensors").stat().st_size <= 8_000_000
    backbone = load_backbone("swin_pico")
    assert 2e6 < sum(p.numel() for p in backbone.parameters()) < 7e6
    assert backbone.digest() != load_backbone("swin_pico", "random").digest()
    assert all(torch.isfinite(x).all() for x in backbone.features(torch.rand(1, 3, 128, 128)))


def test_how_they_were_made_is_kept_beside_them():
    made = json.loads((FOLDER / "training.json").read_text())
    assert {"seed", "images", "epochs", "pretexts"} <= set(made["settings"])
    assert not {"semseg", "depth", "normals", "edges"} & set(made["settings"]["pretexts"])


def test_no_pretraining_image_is_in_a_split():
    images = json.loads((FOLDER / "training.json").read_text())["settings"]["images"]
    ours = range(pretrain.FIRST_SEED, pretrain.FIRST_SEED + images)
    options = load_recipe("rooms").options
    for split, first in options["first_seed"].items():
        theirs = range(first, first + options["samples"][split])
        assert ours[-1] < theirs[0] or theirs[-1] < ours[0], split


@pytest.mark.slow
def test_the_script_that_makes_them_runs(tmp_path):
    command = [sys.executable, "-m", "vtadapt.assets.swin_pico.pretrain", "--images", "8", "--batch", "4"]
    command += [
        "--epochs",
        "1",
        "--ranks",
        "1",
        "--cache",
        str(tmp_path / "cache"),
        "--out",
        str(tmp_path / "out"),
        "--port",
        "29677",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    state = load_file(tmp_path / "out" / "model.safetensors")
    assert state.keys() == load_backbone("swin_pico", "random").net.state_dict().keys()
    load_backbone("swin_pico", str(tmp_path / "out" / "model.safetensors"))
