"""The bundled transformer: there, small, loadable, with the teacher's convolutions, made from images of no split."""

from __future__ import annotations

import json
import sys
from importlib import resources

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vtadapt.assets.swin_lite import crops, pretrain, teacher
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.models.backbones.families.swin import SwinBackbone
from vtadapt.models.backbones.load import load_backbone

FOLDER = resources.files("vtadapt") / "assets" / "swin_lite"


def test_the_bundled_weights_are_small_and_load():
    assert (FOLDER / "model.safetensors").stat().st_size <= 8_000_000
    backbone = load_backbone()
    assert isinstance(backbone, SwinBackbone) and backbone.name == "swin_lite"
    assert backbone.digest() != load_backbone(weights="random").digest()
    levels = backbone.features(torch.rand(1, 3, 100, 130))
    assert [tuple(x.shape) for x in levels] == [(1, 32, 40, 24), (1, 16, 20, 40), (1, 8, 10, 128), (1, 4, 5, 256)]
    assert all(torch.isfinite(x).all() for x in levels)


def test_its_convolutions_are_those_of_the_bundled_cnn():
    """Both have the first five parts of EfficientNet-Lite0; folding and half precision leave rounding alone."""
    image = torch.rand(2, 3, 64, 96)
    ours, theirs = load_backbone(), load_backbone("cnn_lite")
    for level in (0, 1):
        a, b = (encoder.features(image)[level] for encoder in (ours, theirs))
        # The CNN's padding is timm's for output stride 16, the same up to here.
        assert (a - b).abs().mean() < 0.01 * b.abs().mean()


def test_random_weights_hang_on_the_seed_alone():
    a, b, c = (load_backbone(weights="random", seed=seed).digest() for seed in (1, 1, 2))
    assert a == b != c


def test_what_attention_does_depends_on_the_whole_image_and_convolutions_do_not():
    backbone = load_backbone(weights="random")
    image = torch.rand(1, 3, 256, 256)
    other = image.clone()
    other[..., :64, :64] = 0
    before, after = backbone.features(image), backbone.features(other)
    assert torch.equal(before[0][:, 40:, 40:], after[0][:, 40:, 40:])
    assert not torch.equal(before[3][:, 7, 7], after[3][:, 7, 7])


def test_how_they_were_made_is_kept_beside_them():
    made = json.loads((FOLDER / "training.json").read_text())
    assert {"seed", "steps", "batch", "lr"} <= set(made["settings"])
    assert not {"semseg", "depth", "normals", "edges"} & set(made["losses"])


@pytest.mark.parametrize("name", ["rooms", "streets_sim", "streets_real"])
def test_no_image_of_the_distillation_is_in_a_split(name):
    made = json.loads((FOLDER / "training.json").read_text())
    ours = range(crops.FIRST_SEED, crops.FIRST_SEED + max(made["crops"].values()))
    options = load_recipe(name).options
    for split, first in options["first_seed"].items():
        theirs = range(first, first + options["samples"][split])
        assert ours[-1] < theirs[0] or theirs[-1] < ours[0], split


def test_maps_of_the_pretexts_are_means_of_cells_and_ids_their_middle():
    maps = np.arange(64 * 2, dtype=np.float16).reshape(1, 8, 8, 2)
    assert torch.equal(
        crops._reduced(maps)[0, 1, 0], torch.from_numpy(maps[0, 4:8, :4].mean((0, 1), dtype=np.float32)).half()
    )
    ids = np.arange(64, dtype=np.uint16).reshape(1, 8, 8)
    assert crops._reduced(ids)[0].tolist() == [[18, 22], [50, 54]]


def test_geometry_of_tokens_is_compared_cell_by_cell():
    torch.manual_seed(0)
    truth = torch.rand(2, 2 * pretrain.CELL, 3 * pretrain.CELL, pretrain.MAPS)
    tokens = truth.view(2, 2, pretrain.CELL, 3, pretrain.CELL, -1).permute(0, 1, 3, 2, 4, 5).flatten(3)
    assert pretrain.geometry_loss(tokens, truth) == 0
    assert pretrain.geometry_loss(tokens + 0.1, truth) > 0
    truth[..., 0] = torch.nan
    assert pretrain.geometry_loss(tokens, truth) == 0


@pytest.mark.slow
def test_the_script_that_makes_them_runs(tmp_path, monkeypatch):
    import timm

    torch.manual_seed(0)
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    file = tmp_path / "teacher.pth"
    names = net.state_dict()
    torch.save({f"x{i}.{key.rsplit('.', 1)[1]}": value for i, (key, value) in enumerate(names.items())}, file)
    wrong = tmp_path / "wrong.pth"
    torch.save({"x0": torch.zeros(3)}, wrong)
    with pytest.raises(ValueError, match="not those of an EfficientNet-Lite0"):
        teacher.load_teacher(wrong)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["pretrain", *words, *cache])
        pretrain.main()

    cache = ["--teacher", str(file), "--cache", str(tmp_path / "cache")]
    for source in ("rooms", "streets"):
        run("crops", source, "--count", "9")
    run("train", "--steps", "3", "--batch", "4", "--out", str(tmp_path / "out"))
    state = load_file(tmp_path / "out" / "model.safetensors")
    assert state.keys() == load_backbone(weights="random").net.state_dict().keys()
    load_backbone(weights=str(tmp_path / "out" / "model.safetensors"))
