"""A run finds its backbone again by its digest, says what is missing, and takes a file that was moved."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.edited import edit
from tests.workflows.train.cutting import CutError, cut
from vtadapt.checked import parse_json
from vtadapt.errors import ConfigError
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.backbones.weights import store
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.settings import load
from vtadapt.workflows.sweep.trials import Trial, begin, disagreement
from vtadapt.workflows.train.train import train


def save_weights(path: Path, seed: int) -> Path:
    """A file of a Swin's weights, which publishers lay out in another way than timm."""
    save_file(load_backbone("swin_pico", "random", seed=seed).net.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory) -> Path:
    """A run whose backbone came from a file in a folder that later goes."""
    folder = tmp_path_factory.mktemp("trained")
    weights = save_weights(folder / "w.safetensors", 3)
    settings = tiny.other(folder / "runs", backbone="swin_pico", weights=str(weights), epochs=1, val_images=1)
    return Path(train(settings, quiet=True)["run"])


@pytest.fixture
def run(trained, tmp_path, monkeypatch) -> Path:
    """A copy of that run on a machine that has seen no weights; its file lies beside it, in another place."""
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "cache"))
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    shutil.copy(trained.parents[1] / "w.safetensors", tmp_path / "kept.safetensors")
    for name in ("config.json", "settings.yaml"):
        edit(copy / name, str(trained.parents[1]), str(tmp_path / "gone"))
    return copy


def test_the_run_keeps_the_digests_and_the_store_the_place(trained):
    file = trained.parents[1] / "w.safetensors"
    known = parse_json((trained / "config.json").read_bytes())["backbone"]
    assert known["sha256"] == load_backbone("swin_pico", "random", seed=3).digest()
    assert known["file"]["path"] == str(file) and known["file"]["sha256"] == store.look(file).sha256
    assert store.find(known["sha256"]) == file
    assert load_run(trained).model.digest() == known["sha256"]


def test_a_moved_file_is_asked_for_by_digest_and_is_known_once_it_was_given(run, tmp_path):
    known = parse_json((run / "config.json").read_bytes())["backbone"]
    with pytest.raises(ConfigError) as error:
        load_run(run)
    for part in (known["sha256"][:12], known["file"]["sha256"], "gone/w.safetensors", "--weights", "'run'"):
        assert part in str(error.value)
    assert load_run(run, weights=str(tmp_path / "kept.safetensors")).model.digest() == known["sha256"]
    assert load_run(run).settings.weights == str(tmp_path / "kept.safetensors")
    (tmp_path / "kept.safetensors").rename(tmp_path / "again.safetensors")
    with pytest.raises(ConfigError, match=known["sha256"][:12]):
        load_run(run)


def test_the_same_weights_in_another_layout_are_the_same_backbone(run, tmp_path):
    state = load_backbone("swin_pico", "random", seed=3).net.state_dict()
    shifted = {
        re.sub(r"layers\.(\d)\.down", lambda m: f"layers.{int(m[1]) - 1}.down", key): value
        for key, value in state.items()
    }
    torch.save({"model": {**shifted, "head.weight": torch.ones(2, 2)}}, tmp_path / "published.pth")
    load_run(run, weights=str(tmp_path / "published.pth"))


def test_weights_one_byte_off_are_refused(run, tmp_path):
    file = tmp_path / "kept.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="is not the one that run 'run' was trained with"):
        load_run(run, weights=str(file))
    file.write_bytes(content[:-1])
    with pytest.raises(ConfigError, match="cannot read"):
        load_run(run, weights=str(file))


def test_a_file_that_was_changed_in_its_place_is_not_taken(run, tmp_path):
    load_run(run, weights=str(tmp_path / "kept.safetensors"))
    save_weights(tmp_path / "kept.safetensors", 4)
    with pytest.raises(ConfigError, match="not there any more"):
        load_run(run)


def test_runs_of_before_files_were_kept_load_by_their_path(run, tmp_path):
    config = parse_json((run / "config.json").read_bytes())
    del config["backbone"]["file"]
    (run / "config.json").write_text(json.dumps(config))
    (tmp_path / "gone").mkdir()
    shutil.copy(tmp_path / "kept.safetensors", tmp_path / "gone" / "w.safetensors")
    load_run(run)


COMMANDS = {
    "predict": ("predict", "photo.png", "--run", "run"),
    "eval": ("eval", "run"),
    "affinity": ("affinity", "run", "--batches", "2", "--batch-size", "2"),
    "visualize-attention": ("visualize-attention", "photo.png", "--run", "run"),
    "report": ("report", "run", "--images", "0"),
    "info": ("info", "run"),
    "zero-shot": ("zero-shot", "tiny", "--task", "depth", "--from", "run", "--steps", "1", "--images", "0"),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_loads_a_run_takes_the_file_again(run, cli, tiny, monkeypatch, command):
    monkeypatch.chdir(run.parent)
    Image.new("RGB", (40, 30), (90, 120, 30)).save("photo.png")
    monkeypatch.setenv("VTADAPT_DATA_DIR", str(tiny.data_dir))
    monkeypatch.setenv(store.VARIABLE, str(run / "config.json"))  # a store that cannot be written
    ran = cli(*COMMANDS[command])
    assert ran.code == 4 and "--weights" in ran.err
    ran = cli(*COMMANDS[command], "--weights", "kept.safetensors")
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("command", [("train",), ("compare", "--methods", "adapters"), ("adapt", "streets_real")])
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (("backbone=swin_pica", "weights=random"), "swin_pico"),
        (("backbone=resnet18", "weights=random"), "wants a Swin"),
        (("weights=none.pth",), "none.pth"),
        (("weights=.",), "wanted a safetensors or .pth"),
        (("weights=text.pth",), "cannot read"),
        (("weights=other.safetensors",), "do not fit"),
    ],
)
def test_wrong_encoders_are_told_before_anything_is_rendered(cli, tmp_path, monkeypatch, command, setting, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.pth").write_text("weights")
    save_file({"layers.0.weight": torch.ones(2)}, tmp_path / "other.safetensors")
    name, *more = command
    data = ("streets_sim", *more) if name == "adapt" else ("rooms", *more)
    ran = cli(name, *data, *(part for each in setting for part in ("--set", each)))
    assert ran.code == 4 and said in ran.err
    assert not (tmp_path / "data").exists() and not (tmp_path / "runs").exists()


def test_a_sweep_goes_on_with_a_file_that_was_moved_and_with_no_other(trained, tmp_path, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "cache"))
    begun = tmp_path / "adapters-seed0"
    shutil.copytree(trained, begun)
    (moved := tmp_path / "moved.safetensors").write_bytes((trained.parents[1] / "w.safetensors").read_bytes())
    other = save_weights(tmp_path / "other.safetensors", 4)
    settings = load(begun / "settings.yaml").model_copy(update={"run_dir": tmp_path, "seed": 0})
    for weights, same in ((moved, True), (other, False), (tmp_path / "none.safetensors", False)):
        trial = Trial("adapters", 0, begun, settings.model_copy(update={"weights": str(weights)}))
        assert (disagreement(trial) is None) is same
        if same:
            begin(trial)
            assert store.find(load_backbone("swin_pico", "random", seed=3).digest()) == moved
        else:
            with pytest.raises(ConfigError, match="was made with weights = "):
                begin(trial)


@pytest.mark.parametrize("step", [0, 1])
def test_an_interrupted_training_goes_on_with_the_file_in_another_place(trained, tmp_path, monkeypatch, step):
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "cache"))
    weights, moved = save_weights(tmp_path / "w.safetensors", 3), tmp_path / "moved.safetensors"
    changes = {"run_dir": tmp_path, "weights": str(weights), "checkpoint_steps": 1}
    run = tmp_path / trained.name
    with monkeypatch.context() as patch:
        cut(patch, "_step", lambda trainer: trainer.step == step)
        with pytest.raises(CutError):
            train(load(trained / "settings.yaml").model_copy(update=changes), quiet=True)
    weights.rename(moved)
    settings = load(run / "settings.yaml")
    with pytest.raises(ConfigError, match="--weights FILE"):
        train(settings, resume=run, quiet=True)
    if step:
        with pytest.raises(ConfigError, match="is not the one that run 'tiny-0001' was trained with"):
            train(settings, resume=run, quiet=True, weights=str(save_weights(tmp_path / "other.safetensors", 4)))
    train(settings, resume=run, quiet=True, weights=str(moved))
    found, wanted = (load_file(folder / "model.safetensors") for folder in (run, trained))
    assert all(torch.equal(found[key], wanted[key]) for key in found.keys() | wanted.keys())
