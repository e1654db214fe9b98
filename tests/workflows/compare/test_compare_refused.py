"""What is compared: names of methods, encoders and seeds, and what cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.workflows.compare.conftest import base
from vtadapt.errors import ConfigError, UsageError
from vtadapt.workflows.compare.compare import CompareOptions, compare
from vtadapt.workflows.sweep import trials as compare_grid
from vtadapt.workflows.sweep.start import parse_seeds


@pytest.mark.slow
def test_two_at_once_in_one_folder(tiny: Any, tmp_path: Path, small: None) -> None:
    del small
    from vtadapt.lock import folder_lock

    folder = tmp_path / "compare-tiny"
    folder.mkdir()
    options = CompareOptions("linear", "1", "steps=1", jobs=0)
    with (
        folder_lock(folder / ".lock"),
        pytest.raises(ConfigError, match="another comparison is running in .*compare-tiny; wait for it"),
    ):
        compare(base(tiny, tmp_path, decoder_width=48), options, quiet=True)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"methods": "adaptors"}, "unknown method 'adaptors' in --methods.*Did you mean 'adapters'"),
        ({"methods": "stl,stl"}, "wanted each method once, or with another encoder or setting"),
        ({"methods": "stl:swin_a+resnet18"}, r"stl:swin_a\+resnet18.*wanted METHOD\[:ENCODER\]"),
        ({"methods": "stl:weights=a/b.pth"}, "paths go to --set stl:"),
        ({"methods": "stl:method=mult"}, "two methods"),
        ({"methods": ","}, "wanted each method once"),
        ({"seeds": "three"}, "--seeds 'three'; wanted a number of seeds"),
        ({"seeds": "0"}, "--seeds '0'; wanted at least one"),
        ({"seeds": "1,1"}, "none twice or negative"),
        ({"budget": "1000"}, "--budget '1000'; wanted steps=N or seconds=N"),
        ({"budget": "steps=1.5"}, "wanted steps=N or seconds=N"),
        ({"budget": "hours=3"}, "wanted steps=N or seconds=N"),
        ({"own": {"xtam": {"lr": 1.0}}, "methods": "stl"}, "--set xtam:...: no such method in this comparison"),
    ],
)
def test_what_cannot_be_compared(tiny: Any, tmp_path: Path, options: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        compare(base(tiny, tmp_path), CompareOptions(**options), quiet=True)
    assert not list(tmp_path.iterdir())


def test_a_method_with_settings_of_its_own_beside_itself(tiny: Any, tmp_path: Path) -> None:
    settings = base(tiny, tmp_path)
    names = "adapters,adapters:train_blocks=all+lr=0.5,adapters:swin_x+reduction=2,lora:decoder_sharing=per_task"
    found = compare_grid.find_variants(names, settings, {"adapters": {"lr": 0.1, "reduction": 8}})
    assert [v.label for v in found] == names.split(",")
    assert [v.method for v in found] == [*["adapters"] * 3, "lora"]
    assert [v.settings.train_blocks for v in found[:3]] == ["adapters", "all", "adapters"]
    assert [v.settings.lr for v in found] == [0.1, 0.5, 0.1, None]
    assert [(v.encoder, v.settings.reduction) for v in found[1:3]] == [("swin_lite", 8), ("swin_x", 2)]
    assert found[3].settings.decoder_sharing == "per_task"
    with pytest.raises(ConfigError, match="--methods stl:reduction=2: setting 'reduction' is read by"):
        compare_grid.find_variants("stl:reduction=2", settings, {})


def test_what_all_and_seeds_mean(tiny: Any, tmp_path: Path) -> None:
    settings = base(tiny, tmp_path)
    found = [v.label for v in compare_grid.find_variants("all", settings, {})]
    frozen, trained = ["linear", "dpt", "lora"], ["mtl-cnn", "consistency", "xtam", "tawt", "mult"]
    assert found == ["stl", "stl:cnn_lite", *frozen, *trained, "adapters"]
    one = settings.model_copy(update={"backbone": "swin_pico"})
    assert [v.encoder for v in compare_grid.find_variants("all", one, {})] == ["swin_pico"] * 10
    own = {"stl": {"lr": 0.5}, "stl:cnn_lite": {"lr": 0.1}}
    lrs = {v.label: v.settings.lr for v in compare_grid.find_variants("stl,stl:cnn_lite,linear", settings, own)}
    assert lrs == {"stl": 0.5, "stl:cnn_lite": 0.1, "linear": None}
    assert (parse_seeds("3"), parse_seeds("4,0"), parse_seeds("4,")) == ([0, 1, 2], [4, 0], [4])
