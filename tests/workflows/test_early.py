"""What is typed wrong is told before anything is rendered, read or trained, whatever the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

TRAIN = ("train", "rooms")
COMPARE = ("compare", "rooms", "--budget", "steps=1", "--methods", "linear,adapters")
ADAPT = ("adapt", "streets_sim", "streets_real", "--steps", "1")
ZERO_SHOT = ("zero-shot", "rooms", "--from", "demo", "--task", "depth", "--steps", "1")
AFFINITY = ("affinity", "demo", "--measure", "troa")
PREDICT = ("predict", "photo.png", "--run", "demo")
ATTENTION = ("visualize-attention", "photo.png", "--run", "demo")
ALL = {each[0]: each for each in (TRAIN, COMPARE, ADAPT, ZERO_SHOT, AFFINITY, PREDICT, ATTENTION)} | {
    "eval": ("eval", "demo")
}
LARGE = "123456789012345678901234567890"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder without packs; rendering, opening a pack and reading a picture are too late for an error."""

    def late(*_: Any, **__: Any) -> None:
        raise RuntimeError("too late")

    for name in ("prepare.prepare_data.prepare", "run.loaders.open_pack", "predict.photograph.read_image"):
        monkeypatch.setattr(f"vtadapt.workflows.{name}", late)
    monkeypatch.setattr("vtadapt.workflows.attention.visualize.read_image", late)
    Image.new("RGB", (40, 30), (90, 120, 30)).save(tmp_path / "photo.png")
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    (tmp_path / "broken.pth").write_bytes(bytes(range(200)))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", ALL)
def test_without_a_mistake_the_work_would_begin(cli: Callable[..., Any], command: str) -> None:
    with pytest.raises(RuntimeError, match="too late"):
        cli(*ALL[command])


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        *(
            (each, code, said)
            for code, typed, said in (
                (4, "--set backbone=swin_pic", "'swin_pico'"),
                (4, "--set weights=none.pth", "'none.pth'"),
                (4, "--set weights=broken.pth", "'broken.pth'"),
                (4, "--set learning_rate=1", "'learning_rate'"),
                (2, "--tasks semseg,deph", "'deph'"),
                (4, "--set adapted_blocks=99", "99"),
                (4, "--accelerator gpx", "'gpx'"),
                (3, "--run-dir file/runs", "file"),
                (3, "--data-dir file/data", "file"),
                (4, f"--set seed={LARGE}", "seed"),
            )
            for each in ((*TRAIN, *typed.split()), (*COMPARE, *typed.split()), (*ADAPT, *typed.split()))
        ),
        ((*TRAIN, "--set", "start=nowhere"), 4, "'nowhere'"),
        ((*COMPARE, "--set", "start=nowhere"), 4, "'nowhere'"),
        ((*TRAIN, "--method", "adaptors"), 4, "'adapters'"),
        ((*TRAIN, "--method", "tawt", "--tasks", "depth"), 4, "at least 2 tasks"),
        ((*TRAIN, "--method", "mult", "--set", "reference=deph"), 4, "deph"),
        ((*TRAIN, "--set", "loss_weights={deph: 2}"), 4, "'deph'"),
        ((*TRAIN, "--set", "start=demo", "--set", "reduction=2"), 4, "adapters"),
        ((*TRAIN, "--set", "start=demo", "--set", "rehearse=rums"), 2, "'rooms'"),
        ((*TRAIN, "--set", "start=demo", "--set", "rehearse=camvid"), 3, "prepare-data camvid"),
        ((*TRAIN, "--set", "target=camvid"), 3, "prepare-data camvid"),
        (("train", "rooms+camvid"), 3, "prepare-data camvid"),
        (("train", "rums"), 2, "'rooms'"),
        (("compare", "rooms", "--methods", "adaptors"), 2, "'adapters'"),
        ((*COMPARE, "--out", "file/x"), 3, "file"),
        ((*COMPARE, "--seeds", f"{LARGE},"), 2, LARGE),
        (("adapt", "streets_sim", "streets_reel"), 2, "'streets_real'"),
        ((*ADAPT, "--out", "file/x"), 3, "file"),
        ((*ADAPT, "--size", "16x16"), 4, "16x16"),
        ((*ZERO_SHOT, "--from", "nowhere"), 4, "'nowhere'"),
        ((*ZERO_SHOT, "--labels", "deph"), 2, "'deph'"),
        ((*ZERO_SHOT, "--seeds", f"{LARGE},"), 2, LARGE),
        ((*ZERO_SHOT, "--set", "accelerator=gpx"), 4, "'gpx'"),
        ((*ZERO_SHOT, "--out", "file/x"), 3, "file"),
        ((*ZERO_SHOT, "--data-dir", "file/x"), 3, "file"),
        ((*ZERO_SHOT, "--ablations", "no"), 2, "uniform"),
        ((*AFFINITY, "--data", "rums"), 2, "'rooms'"),
        ((*AFFINITY, "--split", "vall"), 2, "'val'"),
        ((*AFFINITY, "--accelerator", "gpx"), 4, "'gpx'"),
        ((*AFFINITY, "--out", "file/x"), 3, "file"),
        (("eval", "nowhere"), 4, "'nowhere'"),
        (("eval", "demo", "--data", "rums"), 2, "'rooms'"),
        (("eval", "demo", "--accelerator", "gpx"), 4, "'gpx'"),
        (("eval", "demo", "--run-dir", "file/x"), 3, "file"),
        ((*PREDICT, "--device", "gpx"), 2, "'gpx'"),
        ((*PREDICT, "--out", "file/x"), 3, "file"),
        ((*ATTENTION, "--out", "file/x"), 3, "file"),
        ((*ATTENTION, "--tasks", "deph"), 2, "'depth'"),
        (("demo", "--out", "file/x"), 3, "file"),
    ],
    ids=lambda value: " ".join(value)[-50:] if isinstance(value, tuple) else None,
)
def test_a_mistake_is_told_first(cli: Callable[..., Any], typed: tuple[str, ...], code: int, said: str) -> None:
    ran = cli(*typed)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err.splitlines()[-1]
    assert not Path("runs").exists()
    assert not Path("data").exists()
