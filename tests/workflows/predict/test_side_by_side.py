"""Photographs that are read, predicted and written side by side: the same files, results and messages in order."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vtadapt.errors import DataError, VtadaptError
from vtadapt.workflows.predict import photograph, side_by_side
from vtadapt.workflows.predict.outputs import outputs
from vtadapt.workflows.predict.predict import predict
from vtadapt.workflows.predict.side_by_side import Room, StoppedError, threads_for


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Seven photographs of three sizes, the third and the last broken."""
    folder, random = tmp_path / "photos", np.random.default_rng(0)
    folder.mkdir()
    for i, size in enumerate([(20, 30), (31, 17), (20, 30), (40, 40), (20, 30), (31, 17), (20, 30)]):
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    for i in (2, 6):
        (folder / f"{i}.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    threads, of_torch = threading.active_count(), torch.get_num_threads()
    yield
    assert threading.active_count() == threads
    assert torch.get_num_threads() == of_torch


def arrays_in(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    found = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as arrays:
            found[path.name] = dict(arrays)
    return found


@pytest.mark.parametrize("raw", [False, True])
def test_threads_change_nothing_that_is_written_or_said(
    tiny: Any, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], raw: bool
) -> None:
    said, entries = {}, {}
    for threads in (1, 3):
        out = tmp_path / "out"
        found = predict([photos], tiny.run, out, raw=raw, threads=threads)
        lines = capsys.readouterr().err.splitlines()
        said[threads] = [line.split(" (")[0] for line in lines]
        entries[threads] = [{k: v for k, v in e.items() if k not in ("seconds", "images_per_second")} for e in found]
        out.rename(tmp_path / str(threads))
    assert entries[1] == entries[3]
    assert [Path(entry["image"]).name for entry in entries[3]] == [f"{i}.png" for i in range(7)]
    assert [i for i, entry in enumerate(entries[3]) if "error" in entry] == [2, 6]
    assert said[1][:-1] == said[3][:-1]
    assert said[3][-1].startswith("5 photographs in ")
    names = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "3").iterdir())
    assert len(names) == (10 if raw else 5)
    for name in names:
        if name.endswith(".png"):  # one encoder, one file
            assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()
    one, three = arrays_in(tmp_path / "1"), arrays_in(tmp_path / "3")
    assert all(np.array_equal(one[file][task], three[file][task]) for file in one for task in one[file])


def test_the_first_error_that_is_none_of_a_file_ends_the_work(
    tiny: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = outputs.save_png

    def full(path: Path, *given: Any, **words: Any) -> Any:
        if path.name.startswith("3"):
            raise DataError("no space left on the disk")
        return written(path, *given, **words)

    monkeypatch.setattr(outputs, "save_png", full)
    with pytest.raises(DataError, match="no space left"):
        predict([photos], tiny.run, tmp_path / "out", threads=2)
    said = capsys.readouterr().err
    assert "0.png ->" in said
    assert "1.png ->" in said
    assert "left out" in said
    assert "4.png ->" not in said
    assert not list((tmp_path / "out").glob(".*"))


def test_an_interruption_ends_all_threads_and_leaves_whole_files(
    tiny: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    network = photograph.Predictor.__call__

    def interrupted(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return network(*given)

    monkeypatch.setattr(photograph.Predictor, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict([photos], tiny.run, tmp_path / "out", threads=2)
    for path in (tmp_path / "out").iterdir():
        assert path.name in ("0_panel.png", "1_panel.png")
        with Image.open(path) as panel:
            panel.load()


def test_memory_that_the_network_lacks_is_told_in_its_turn(
    tiny: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = photograph.Predictor.__call__

    def lacking(predictor: Any, rgb: np.ndarray) -> Any:
        if rgb.shape[0] == 40:
            raise VtadaptError("not enough memory")
        return network(predictor, rgb)

    monkeypatch.setattr(photograph.Predictor, "__call__", lacking)
    with pytest.raises(VtadaptError, match="not enough memory"):
        predict([photos], tiny.run, tmp_path / "out", threads=2)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert all(words in line for words, line in zip(("0.png ->", "1.png ->", "left out"), said, strict=True))


def test_what_is_in_memory_is_bounded(tiny: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The photographs read and not yet written never have more pixels than the bound and one photograph."""
    alive: dict[Path, int] = {}
    most: list[int] = []
    read, write = photograph.PhotographSteps.read, photograph.PhotographSteps.write

    def counted(steps: Any, file: Path, out: Path) -> Any:
        begun = read(steps, file, out)
        alive[file] = begun.pixels
        most.append(sum(alive.values()))
        return begun

    def slow(steps: Any, begun: Any) -> Any:
        time.sleep(0.02)
        entry = write(steps, begun)
        del alive[begun.file]
        return entry

    monkeypatch.setattr(photograph.PhotographSteps, "read", counted)
    monkeypatch.setattr(photograph.PhotographSteps, "write", slow)
    monkeypatch.setattr(side_by_side, "PIXELS", 1000)
    predict([photos], tiny.run, tmp_path / "out", threads=3)
    assert 1000 < max(most) <= 1000 + 40 * 40
    assert not alive


def test_who_waits_for_room_is_let_go_by_what_leaves_and_by_the_end() -> None:
    room, waited = Room(2), []
    room.take(side_by_side.PIXELS)

    def wait() -> None:
        try:
            room.wait()
            waited.append("room")
        except StoppedError:
            waited.append("end")

    for let_go, said in ((lambda: room.give(side_by_side.PIXELS), "room"), (room.stop, "end")):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.02)
        assert thread.is_alive()
        let_go()
        thread.join(5)
        assert waited.pop() == said
        room.take(side_by_side.PIXELS)


@pytest.mark.parametrize(("of_torch", "wanted"), [(4, [1, 1, 3, 4]), (96, [1, 1, 3, side_by_side.MOST])])
def test_threads_are_as_many_as_torch_has_and_there_is_work(of_torch: int, wanted: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: of_torch)
        assert [threads_for(n) for n in (0, 1, 3, 100)] == wanted


def test_without_panels_only_arrays_are_written(
    cli: Callable[..., Any], tiny: Any, photos: Path, tmp_path: Path
) -> None:
    ran = cli("predict", photos / "0.png", "--run", tiny.run, "--out", tmp_path / "out", "--no-panel", "--raw")
    assert (ran.code, ran.out.split()) == (0, [str(tmp_path / "out" / "0.npz")])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["0.npz"]
    common = (photos / "0.png", photos / "1.png", "--run", tiny.run, "--out", tmp_path / "out", "--json")
    found = json.loads(cli("predict", *common, "--no-panel", "--raw").out)
    assert [sorted({"panel", "raw"} & entry.keys()) for entry in found] == [["raw"], ["raw"]]


def test_nothing_to_write_is_told_before_any_work(
    cli: Callable[..., Any], tiny: Any, photos: Path, tmp_path: Path
) -> None:
    ran = cli("predict", photos, "--run", tiny.run, "--out", tmp_path / "out", "--no-panel")
    assert (ran.code, ran.out) == (2, "")
    assert "--raw" in ran.err
    assert not (tmp_path / "out").exists()
