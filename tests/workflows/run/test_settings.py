"""Where settings come from, which wins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vtadapt.errors import ConfigError, UsageError
from vtadapt.workflows.run.methods import ADAPTERS_LR, LR
from vtadapt.workflows.run.settings import TrainSettings, load, parse_assignments, parse_size, resolve
from vtadapt.workflows.run.settings.resolve import PAPERS_ADAPTATION


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("data: camvid\nepochs: 2\nseed: 2\nlr: 0.5\n")
    environ = {"VTADAPT_EPOCHS": "3", "VTADAPT_SEED": "3", "VTADAPT_DEBUG": "1", "HOME": "/"}
    settings = resolve({"seed": 4}, file, environ)
    assert (settings.seed, settings.epochs, settings.lr, settings.data) == (4, 3, 0.5, "camvid")
    assert settings.batch_size == TrainSettings.model_fields["batch_size"].default


def test_a_typed_none_or_zero_counts() -> None:
    assert resolve({"data": "rooms", "val_images": None}, None, {}).val_images is None
    assert resolve({"data": "rooms", "seed": 0}, None, {"VTADAPT_SEED": "7"}).seed == 0


def test_values_of_the_environment_are_yaml() -> None:
    environ = {
        "VTADAPT_DATA": "camvid+sevenscenes",
        "VTADAPT_TASKS": "depth, edges",
        "VTADAPT_SIZE": "64x96",
        "VTADAPT_LOSS_WEIGHTS": "{depth: 2}",
        "VTADAPT_FLIP": "no",
        "VTADAPT_LR": "1e-3",
    }
    settings = resolve({}, None, environ)
    assert settings.data_names == ("camvid", "sevenscenes")
    assert (settings.tasks, settings.size) == (("depth", "edges"), (64, 96))
    assert (settings.loss_weights, settings.flip, settings.lr) == ({"depth": 2.0}, False, 1e-3)


def test_nothing_to_train_on() -> None:
    with pytest.raises(UsageError, match="no data set given; type for example: vtadapt train rooms"):
        resolve({"epochs": 3}, None, {})


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("epocs", 3, "unknown key 'epocs'; Did you mean 'epochs'"),
        ("xyzzy", 3, "unknown key 'xyzzy'; they are listed by vtadapt settings"),
        ("epochs", 0, "epochs = 0: Input should be greater than or equal to 1"),
        ("epochs", "many", "epochs = 'many': Input should be a valid integer"),
        ("lr", -1, "lr = -1: Input should be greater than 0"),
        ("lr", float("inf"), "lr = inf: Input should be a finite number"),
        ("decoder", "big", "decoder = 'big': Input should be 'light', 'swin' or 'aspp'"),
        ("scale", [2, 1], "scale = [2, 1]: wanted 0 < lowest <= highest"),
        ("size", [4, 64], "size.0 = 4: Input should be greater than or equal to 8"),
        ("loss_weights", {"depth": -1}, "loss_weights.depth = -1: Input should be greater than or equal to 0"),
        ("data", 5, "data = 5: Input should be a valid string"),
        ("method", "adaptors", "method = 'adaptors': wanted one of adapters, linear, dpt, lora, stl, mtl-cnn"),
        ("method", "adaptors", "Did you mean 'adapters' or 'dpt'?"),
    ],
)
def test_what_does_not_fit_is_one_line_that_names_the_key(key: str, value: object, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve({"data": "rooms", key: value}, None, {})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [("epocs: 3", "unknown key 'epocs'"), ("- 3", "hold a list"), ("a: [", "cannot read"), ("3: 4", "unknown key '3'")],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match="mine.yaml") as caught:
        resolve({"data": "rooms"}, file, {})
    assert said in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        resolve({"data": "rooms"}, tmp_path / "none.yaml", {})


def test_yaml_round_trip(tmp_path: Path) -> None:
    settings = TrainSettings(
        data="a+b",
        tasks="depth,edges",  # type: ignore[arg-type]
        size=(64, 96),
        scale=(1.0, 1.5),
        loss_weights={"depth": 0.5},
        val_images=None,
        run_dir=Path("läufe und so"),
    )
    file = tmp_path / "settings.yaml"
    file.write_text(settings.to_yaml(), encoding="utf-8")
    assert load(file) == settings
    assert set(yaml.safe_load(settings.to_yaml())) == set(TrainSettings.model_fields)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        TrainSettings(data="rooms").epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize("text", ["nonsense", "64", "64x", "0x64", "64x64x3", "-1x5"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="size"):
        parse_size(text)


def test_assignments() -> None:
    assert parse_assignments(["a=1", "b = [2, 3]", "c=null", "d=x=y"]) == {"a": 1, "b": [2, 3], "c": None, "d": "x=y"}
    for wrong in ("epochs", "epochs=["):
        with pytest.raises(UsageError):
            parse_assignments([wrong])


@pytest.mark.parametrize(
    ("changes", "rate"),
    [
        ({}, ADAPTERS_LR),
        ({"train_blocks": "all"}, LR),
        ({"method": "linear"}, LR),
        ({"method": "mult"}, LR),
        ({"lr": 0.5}, 0.5),
        ({"method": "mult", "lr": 0.5}, 0.5),
    ],
)
def test_the_default_learning_rate_is_the_methods(changes, rate):
    settings = TrainSettings(data="rooms", **changes)
    assert settings.peak_lr == rate
    assert settings.lr == changes.get("lr")  # so that a change of method in a copy is a change of the default


def test_runs_adapted_before_there_were_settings_for_it_were_adapted_as_the_paper_does(tmp_path):
    old = yaml.safe_load(TrainSettings(data="rooms", target="camvid").to_yaml())
    for key in PAPERS_ADAPTATION:
        del old[key]
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(old))
    found = load(path)
    assert (found.adversarial_warmup, found.class_ratios, found.match_camera) == (0, False, False)
    path.write_text(yaml.safe_dump({**old, "target": None}))
    assert load(path) == TrainSettings(data="rooms"), "without a target it makes no difference"


@pytest.mark.parametrize("method", ["adapters", "linear", "stl"])
def test_runs_of_before_the_order_could_be_chosen_have_that_of_the_slides(tmp_path, method):
    settings = TrainSettings(data="rooms", method=method)
    old = yaml.safe_load(settings.to_yaml())
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(old))
    assert load(path).adapter == "residual"
    del old["adapter"]
    path.write_text(yaml.safe_dump(old))
    assert load(path).adapter == ("slides" if method == "adapters" else "residual")


def refused(text: str, tmp_path) -> str:
    file = tmp_path / "mine.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        resolve({"data": "rooms"}, file, {})
    assert str(file) in str(caught.value)
    return str(caught.value)


def test_a_key_twice_in_a_file_is_named_with_both_lines(tmp_path):
    said = refused("lr: 0.1\nseed: 1\nlr: 0.2\n", tmp_path)
    assert "'lr'" in said
    assert "lines 1 and 3" in said
    assert "'depth'" in refused("loss_weights: {depth: 1, depth: 2}\n", tmp_path)
    assert "UTF-16" in refused("lr: 1\n".encode("utf-16"), tmp_path)
    assert "40" in refused("tasks: " + "[" * 100_000, tmp_path)


def test_a_key_twice_on_the_command_line_names_both():
    with pytest.raises(UsageError, match=r"'lr'.*lr=0\.1.*lr = 0\.2"):
        parse_assignments(["lr=0.1", "seed=1", "lr = 0.2"])
    with pytest.raises(UsageError, match=r"'batch_size'.*'4' by --batch-size.*'8' by --set batch_size"):
        resolve({"data": "rooms", "batch_size": 4}, None, {}, {"batch_size": 8})
    with pytest.raises(UsageError, match=r"'rooms' by the argument DATA.*'camvid'"):
        resolve({"data": "rooms"}, None, {}, {"data": "camvid"})
    with pytest.raises(UsageError, match="stands twice"):
        parse_assignments(["loss_weights={depth: 1, depth: 2}"])


def test_the_same_value_twice_is_fine_however_it_is_written():
    same = {"tasks": ["depth", "semseg"], "size": [32, 48], "lr": "1e-3"}
    flags = {"data": "rooms", "tasks": "depth,semseg", "size": "32x48", "lr": 0.001}
    assert resolve(flags, None, {}, same).tasks == ("depth", "semseg")


def test_a_variable_that_an_option_reads_was_not_typed():
    """Options such as --data-dir take their variable themselves; --set is above it, as it is above every variable."""
    settings = resolve({"data": "rooms", "data_dir": Path("a")}, None, {"VTADAPT_DATA_DIR": "a"}, {"data_dir": "b"})
    assert settings.data_dir == Path("b")
    with pytest.raises(UsageError, match="--data-dir"):
        resolve({"data": "rooms", "data_dir": Path("c")}, None, {"VTADAPT_DATA_DIR": "a"}, {"data_dir": "b"})


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 0.001), ("1E-3", 0.001), ("2e+1", 20), (".5e1", 5), ("1.e-2", 0.01)]
)
def test_numbers_with_an_exponent_are_numbers(tmp_path, text, value):
    """YAML 1.1 takes most of them for text."""
    file = tmp_path / "mine.yaml"
    file.write_text(f"lr: {text}\nloss_weights: {{depth: {text}}}\nscale: [{text}, 1e2]\n")
    found = resolve({"data": "rooms"}, file, {})
    assert (found.lr, found.loss_weights, found.scale) == (value, {"depth": value}, (value, 100))
    assert resolve({"data": "rooms"}, None, {"VTADAPT_LR": text}).lr == value


def test_whole_numbers_with_an_exponent_are_whole_numbers():
    for key in ("steps", "batch_size", "val_images", "seed"):
        assert getattr(resolve({"data": "rooms"}, None, {}, parse_assignments([f"{key}=1e3"])), key) == 1000
    assert resolve({"data": "rooms"}, None, {}, parse_assignments(["size=[1e2, 96]"])).size == (100, 96)
    with pytest.raises(ConfigError, match=r"steps = .*15\.5"):
        resolve({"data": "rooms"}, None, {}, parse_assignments(["steps=1.55e1"]))


@pytest.mark.parametrize(
    ("method", "named", "meant"),
    [
        ("adapters", None, "swin_pico"),
        ("mtl-cnn", None, "resnet_pico"),
        ("adapters", "swin_lite", "swin_lite"),
        ("mtl-cnn", "resnet18", "resnet18"),
    ],
)
def test_runs_that_do_not_name_their_encoder_have_that_of_before(tmp_path, method, named, meant):
    settings = TrainSettings(data="rooms", method=method, backbone=named)
    path = tmp_path / "settings.yaml"
    path.write_text(settings.to_yaml())
    assert load(path).encoder == settings.encoder, "what is written names it"
    path.write_text(yaml.safe_dump({**yaml.safe_load(settings.to_yaml()), "backbone": named}))
    assert load(path).encoder == meant
