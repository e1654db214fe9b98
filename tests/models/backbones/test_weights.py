"""Weights of timm and of the hub: what is asked for, in which order, and what is said where they cannot be had."""

from __future__ import annotations

import sys
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors.torch import save_file

from tests.models.backbones.layouts import spread
from vtadapt.errors import ConfigError
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.backbones.weights.find import HUB, NAMES, locate

SWIN = "swin_tiny_patch4_window7_224"


class Hub:
    """Stands for the hub: the files that it has, and what it was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}
        self.asked: list[tuple[str, str, str | None, bool]] = []
        self.reachable = True

    def download(self, repository: str, file: str, *, revision: str | None, local_files_only: bool) -> str:
        self.asked.append((repository, file, revision, local_files_only))
        if not self.reachable or local_files_only:
            raise LocalEntryNotFoundError("not on this machine\nand no network")
        if file not in self.files:
            raise EntryNotFoundError(f"no {file}")
        return str(self.files[file])


@pytest.fixture
def hub(monkeypatch):
    found = Hub()
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", found.download)
    return found


def test_weights_of_timm_come_from_the_repository_that_timm_names(hub, tmp_path):
    net = load_backbone(SWIN, "random").net
    hub.files["model.safetensors"] = tmp_path / "model.safetensors"
    save_file(spread(net, 4).state_dict(), hub.files["model.safetensors"])
    loaded = load_backbone(SWIN, "timm").net
    assert hub.asked == [(f"timm/{SWIN}.ms_in1k", "model.safetensors", None, False)]
    assert all((value == net.state_dict()[key]).all() for key, value in loaded.state_dict().items())


def test_a_repository_of_the_hub_is_asked_for_the_names_in_order(hub, tmp_path):
    hub.files["pytorch_model.bin"] = tmp_path / "pytorch_model.bin"
    assert locate(SWIN, f"{HUB}some/one@v2") == hub.files["pytorch_model.bin"]
    assert [asked[:3] for asked in hub.asked] == [("some/one", name, "v2") for name in NAMES[:3]]


def test_a_repository_without_weights_names_what_was_looked_for(hub):
    with pytest.raises(ConfigError, match=r"hf-hub:some/one .*model\.safetensors.*pytorch_model\.bin"):
        locate(SWIN, f"{HUB}some/one")
    assert len(hub.asked) == len(NAMES)


@pytest.mark.parametrize("weights", ["timm", f"{HUB}some/one"])
def test_offline_the_line_says_what_to_do(hub, weights):
    hub.reachable = False
    with pytest.raises(ConfigError, match="--weights FILE") as error:
        load_backbone(SWIN, weights)
    assert "\n" not in str(error.value) and len(hub.asked) == 1
    with pytest.raises(ConfigError, match="not been downloaded"):
        locate(SWIN, weights, download=False)
    assert all(only_local for *_, only_local in hub.asked[1:])


def test_without_its_library_the_hub_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"vtadapt\[hub\]"):
        locate(SWIN, "timm")


@pytest.mark.parametrize("name", [f"{SWIN}.none", "swin_s3_tiny_224.none"])
def test_a_tag_that_timm_does_not_have_names_those_it_has(name):
    with pytest.raises(ConfigError, match=rf"{name.split('.')[0]}\.ms_in"):
        load_backbone(name, "timm")


def test_weights_are_never_random_unasked(hub):
    hub.reachable = False
    with pytest.raises(ConfigError, match="--weights random"):
        load_backbone(SWIN)
    assert hub.asked == []
