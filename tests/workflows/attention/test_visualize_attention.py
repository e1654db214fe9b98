"""The panels and raw maps of visualize-attention, for pictures of any size and runs of each kind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vtadapt.errors import ConfigError, DataError, UsageError
from vtadapt.models.capture import regular_attention, task_attention
from vtadapt.workflows.attention.hint import whole_windows
from vtadapt.workflows.attention.visualize import AttentionOptions, visualize_attention
from vtadapt.workflows.predict.image import read_image
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.sizing.decoded import network_input
from vtadapt.workflows.sizing.size import parse_run_size
from vtadapt.workflows.train.train import train


def save(path: Path, height: int, width: int) -> Path:
    rgb = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(path)
    return path


def test_files_and_raw_maps(tiny: Any, tmp_path: Path) -> None:
    image = save(tmp_path / "a photo.png", 200, 300)
    entry = visualize_attention([image], tiny.run, tmp_path / "out", AttentionOptions(block=1, size="native"))[0]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a photo_attention.npz", "a photo_attention.png"]
    json.dumps(entry, allow_nan=False)
    assert entry["block"] == "stage 3 block 6"
    assert (entry["size"], entry["run_size"], entry["tokens"]) == ([200, 300], [200, 300], [13, 19])
    assert (entry["mode"], entry["query"], entry["head"]) == ("received", None, "mean")
    assert entry["on_padding"]["taa_depth"] == 0
    loaded = load_run(tiny.run)
    rgb = read_image(image)
    batch = network_input(rgb, rgb.shape[:2])
    _, found = task_attention(loaded.model, batch, 1)
    with np.load(entry["raw"]) as arrays:
        assert set(arrays) == {"regular", "pixels_per_token", *(f"taa_{name}" for name in loaded.tasks)}
        for name in loaded.tasks:
            assert np.array_equal(arrays[f"taa_{name}"], found[name][0].received().numpy())
        regular = regular_attention(loaded.model.backbone, batch, 1)[0]
        assert np.array_equal(arrays["regular"], regular.received().numpy())
        assert arrays["pixels_per_token"].tolist() == [16, 16]


@pytest.mark.parametrize(("height", "width"), [(33, 517), (1, 1), (20, 31)])
@pytest.mark.parametrize("mode", ["received", "query", "rollout-windows"])
def test_any_size_and_mode(tiny: Any, tmp_path: Path, height: int, width: int, mode: str) -> None:
    image = save(tmp_path / "a.png", height, width)
    options = AttentionOptions(tasks=["depth"], mode=mode, size="native" if height == 33 else "auto", head="3")
    entry = visualize_attention([image], tiny.run, tmp_path / "out", options)[0]
    with np.load(entry["raw"]) as arrays:
        assert {"regular", "taa_depth"} <= set(arrays)
        assert list(arrays["taa_depth"].shape) == entry["tokens"]
        assert all(np.isfinite(arrays[name]).all() for name in arrays)
        whole = 1 if mode == "query" else arrays["taa_depth"].size
        assert float(arrays["taa_depth"].sum()) == pytest.approx(whole, rel=1e-3)
    with Image.open(entry["panel"]) as page:
        assert page.width > 300


def test_the_query_is_a_pixel_of_the_photograph(tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = save(tmp_path / "a.png", 480, 640)  # run at half that size
    options = AttentionOptions(tasks=["edges"], block=0, query="639,0", size="240x320")
    entry = visualize_attention([image], tiny.run, tmp_path / "out", options)[0]
    assert (entry["mode"], entry["query"], entry["query_from"]) == ("query", [639, 0], None)
    assert "took" not in capsys.readouterr().err
    with np.load(entry["raw"]) as arrays:
        assert arrays["pixels_per_token"].tolist() == [32, 32]
        wanted = np.zeros((15, 20), bool)
        wanted[:8, 16:] = True  # windows of 8, not shifted
        assert np.array_equal(arrays["reach_taa"], wanted)
        assert np.array_equal(arrays["taa_edges"] > 0, wanted)


def test_an_automatic_query_is_told_and_always_the_same(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = save(tmp_path / "a.png", 48, 80)
    entries = [
        visualize_attention([image], tiny.run, tmp_path / str(i), AttentionOptions(query="auto"))[0] for i in range(2)
    ]
    assert entries[0]["query"] == entries[1]["query"]
    x, y = entries[0]["query"]
    assert 0 <= x < 80
    assert 0 <= y < 48
    assert f"a.png: --query auto took {x},{y}: " in capsys.readouterr().err


def test_exif_is_heeded_as_in_predict(tiny: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "turned.jpg", exif=exif)
    entry = visualize_attention([tmp_path / "turned.jpg"], tiny.run, tmp_path / "out", AttentionOptions(query="39,59"))[
        0
    ]
    assert entry["size"] == [60, 40]


def test_a_broken_picture_and_a_query_outside(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"broken.jpg: broken picture"):
        visualize_attention([tmp_path / "broken.jpg"], tiny.run, tmp_path / "out")
    image = save(tmp_path / "a.png", 20, 30)
    for query in ("30,0", "0,20", "-1,3"):
        with pytest.raises(UsageError, match=r"outside a.png, which is 30 x 20; wanted X from 0 to 29 and Y from 0"):
            visualize_attention([image], tiny.run, tmp_path / "out", AttentionOptions(query=query))
    assert list((tmp_path / "out").iterdir()) == []


def test_the_others_go_on(cli: Callable[..., Any], tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    (tmp_path / "c.mp4").write_bytes(b"video")
    files = [tmp_path / "a.jpg", save(tmp_path / "b.png", 20, 30), tmp_path / "c.mp4"]
    ran = cli("visualize-attention", *files, "--run", tiny.run, "--out", tmp_path / "out", "--json")
    assert ran.code == 3
    first, second, third = json.loads(ran.out)
    assert first == {"image": str(files[0]), "error": first["error"]}
    assert "a.jpg: broken picture" in first["error"]
    assert Path(second["panel"]).is_file()
    assert third["error"] == f"{files[2]}: a video; wanted photographs, such as single frames of it"
    assert ran.err.splitlines()[-1] == (
        "vtadapt: error: 2 of 3 files could not be read and were left out: a.jpg, c.mp4"
    )
    ran = cli("visualize-attention", *files, "--run", tiny.run, "--out", tmp_path / "out")
    assert (ran.code, ran.out) == (3, f"{second['panel']}\n{Path(second['panel']).with_suffix('.npz')}\n")


def test_a_query_is_checked_against_all_before_any_work(tiny: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    first, turned = save(tmp_path / "a.png", 60, 60), tmp_path / "b.jpg"
    Image.new("RGB", (60, 40)).save(turned, exif=exif)  # 40 wide and 60 high when upright
    with pytest.raises(UsageError, match="query 50,10 is outside b.jpg, which is 40 x 60"):
        visualize_attention([first, turned], tiny.run, tmp_path / "out", AttentionOptions(query="50,10"))
    assert not (tmp_path / "out").exists()
    found = visualize_attention([first, turned], tiny.run, tmp_path / "out", AttentionOptions(query="10,50"))
    assert len(found) == 2
    for empty in ({"query": ""}, {"mode": ""}):
        with pytest.raises(UsageError, match="query ''|unknown mode ''"):
            visualize_attention([first], tiny.run, tmp_path / "out", AttentionOptions(**empty))


def test_a_coarse_map_names_a_finer_one(tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [save(tmp_path / f"{name}.png", 480, 640) for name in "ab"]
    entry = visualize_attention(files, tiny.run, tmp_path / "out", AttentionOptions(["depth"], -1, size="auto"))[0]
    assert np.prod(entry["tokens"]) < 100
    hints = [line for line in capsys.readouterr().err.splitlines() if "--block" in line]
    assert len(hints) == 1
    rows, columns = entry["tokens"]
    found = re.fullmatch(rf"a.png: {rows} x {columns} tokens only.*; --block (\d+) --size (\S+) shows more", hints[0])
    assert found is not None
    assert found.groups() == ("1", "384x512")
    finer = AttentionOptions(tasks=["depth"], block=1, size="384x512")
    entry = visualize_attention(files[:1], tiny.run, tmp_path / "out", finer)[0]
    assert (entry["tokens"], entry["on_padding"]["regular"]) == ([24, 32], 0)
    assert "--block" not in capsys.readouterr().err
    padded = AttentionOptions(tasks=["depth"], block=1, size="400x528")
    visualize_attention(files[:1], tiny.run, tmp_path / "out", padded)
    assert "% of the regular attention on padding; --block 1 --size 384x512 has none" in capsys.readouterr().err


@pytest.mark.parametrize(("height", "width", "tokens"), [(480, 640, [24, 32]), (90, 60, [32, 24]), (30, 400, [8, 104])])
def test_block_and_size_are_chosen_so_that_the_map_is_fine(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], height: int, width: int, tokens: list[int]
) -> None:
    image = save(tmp_path / "a.png", height, width)
    entry = visualize_attention([image], tiny.run, tmp_path / "out", AttentionOptions(["depth"]))[0]
    assert (entry["block"], entry["tokens"], entry["on_padding"]["regular"]) == ("stage 3 block 6", tokens, 0)
    size = "x".join(str(16 * n) for n in tokens)
    told = f"a.png: took --block 1 (stage 3 block 6) and --size {size}, a map of {tokens[0]} x {tokens[1]} tokens"
    assert told in capsys.readouterr().err.splitlines()
    visualize_attention([image], tiny.run, tmp_path / "out", AttentionOptions(["depth"], 1, size=size))
    assert "took" not in capsys.readouterr().err


@pytest.mark.parametrize("aspect", [1.0, 3 / 4, 9 / 16, 2.0, 10.0, 0.001])
def test_the_size_that_is_named_needs_no_padding(tiny: Any, aspect: float) -> None:
    height, width = whole_windows(load_run(tiny.run).model.backbone, aspect)
    assert (height % 128, width % 128) == (0, 0)
    assert height * width <= 400_000
    assert 1 / 20 < height / width / min(max(aspect, 0.05), 20) < 1.2


def test_a_linear_probe_has_nothing_to_show(tiny: Any, tmp_path: Path) -> None:
    run = train(tiny.other(tmp_path, method="linear", epochs=1), quiet=True)["run"]
    image = save(tmp_path / "a.png", 20, 30)
    with pytest.raises(ConfigError, match="is of method 'linear', which has no adapters"):
        visualize_attention([image], Path(run), tmp_path / "out")


def test_regular_is_the_backbone_before_training(tiny: Any, tmp_path: Path) -> None:
    run = Path(train(tiny.other(tmp_path, train_blocks="full", epochs=1, lr=0.05), quiet=True)["run"])
    image = save(tmp_path / "a.png", 48, 48)
    entry = visualize_attention([image], run, tmp_path / "out", AttentionOptions(block=-1, size="auto"))[0]
    untouched, trained = load_run(tiny.run), load_run(run)  # of one seed: the same random weights
    rgb = read_image(image)
    batch = network_input(rgb, parse_run_size("auto", rgb.shape[:2], trained.size))
    first = untouched.model.backbone.net.layers[3].blocks[1].attn.qkv.weight
    assert not torch.equal(first, trained.model.backbone.net.layers[3].blocks[1].attn.qkv.weight)
    wanted = regular_attention(untouched.model.backbone, batch)[0].received()
    with np.load(entry["raw"]) as arrays:
        assert np.array_equal(arrays["regular"], wanted.numpy())
