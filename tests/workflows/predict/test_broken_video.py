"""Videos that are broken, cut short, or no videos at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.workflows.predict.clips import clip
from vtadapt.errors import DataError, VtadaptError
from vtadapt.workflows.predict.inputs import BrokenVideoError, failure_of
from vtadapt.workflows.predict.predict import predict
from vtadapt.workflows.predict.video import frames
from vtadapt.workflows.predict.video import writer as writing
from vtadapt.workflows.predict.video.frames import VideoOptions, read_frames
from vtadapt.workflows.predict.video.writer import CODECS, Writer

BROKEN: list[tuple[str, Callable[[Path], object]]] = [
    ("empty", lambda path: path.write_bytes(b"")),
    ("text", lambda path: path.write_text("hello")),
    ("no frame", lambda path: clip(path, frames=0)),
]


@pytest.mark.parametrize("make", [make for _, make in BROKEN], ids=[name for name, _ in BROKEN])
def test_a_broken_video(cli: Callable[..., Any], tiny: Any, tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "broken.avi")
    ran = cli("predict", tmp_path / "broken.avi", "--run", tiny.run, "--out", tmp_path / "out")
    assert (ran.code, ran.out) == (3, "")
    path = tmp_path / "broken.avi"
    assert (
        ran.err == f"vtadapt: error: {path}: broken or empty video (no frame can be read); wanted one with pictures\n"
    )
    assert not list((tmp_path / "out").iterdir())


LISTS = {
    "concat": "ffconcat version 1.0\nfile '{}'\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
    "sdp": "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
}
"""Texts that FFmpeg follows to other files and addresses."""


def count(path: Path) -> int:
    """How many frames a file gives."""
    capture = frames.open_video(path)
    found = sum(1 for _ in read_frames(capture, VideoOptions()))
    capture.release()
    return found


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("name", ["list.avi", "list.mp4"])
def test_a_text_leads_to_no_other_file(tmp_path: Path, kind: str, name: str) -> None:
    clip(tmp_path / "secret.avi")
    (tmp_path / name).write_text(LISTS[kind].format("secret.avi"))
    assert (count(tmp_path / name), count(tmp_path / "secret.avi")) == (0, 6)


def test_a_name_is_no_protocol_and_no_row_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clip(Path("secret.avi"), frames=2)
    clip(Path("own.avi"), frames=3).rename("concat:secret.avi")
    assert count(Path("concat:secret.avi")) == 3
    for i in range(3):
        Image.new("RGB", (32, 24)).save(f"a{i}.png")
    Path("a%01d.png").write_bytes(b"")
    assert count(Path("a%01d.png")) == 0


def test_a_decoder_that_fails_ends_only_its_video(
    cli: Callable[..., Any], tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    clip(folder / "a.avi")
    Image.new("RGB", (9, 7)).save(folder / "b.png")
    monkeypatch.setattr("vtadapt.data.readers.raw.video._grab", int)  # of a path there is none
    ran = cli("predict", folder, "--run", tiny.run, "--out", tmp_path / "out")
    assert ran.code == 3
    assert [Path(line).stem for line in ran.out.splitlines()] == ["b_panel"]
    [line] = [line for line in ran.err.splitlines() if line.startswith("left out: ")]
    assert "a.avi" in line
    assert "ValueError" in line or "TypeError" in line


def test_a_video_that_is_cut_short(tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = clip(tmp_path / "a.avi", frames=20, height=96, width=128)
    whole = path.read_bytes()
    path.write_bytes(whole[: (len(whole) + whole.index(b"00dc")) // 2])  # in the middle of the frames
    entry = predict([path], tiny.run, tmp_path / "out")[0]
    assert 0 < entry["frames"] < 20
    assert f"a.avi ends after {entry['frames']} of 20 frames" in capsys.readouterr().err


def test_the_others_go_on(cli: Callable[..., Any], tiny: Any, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"no picture")
    Image.new("RGB", (9, 7)).save(folder / "b.png")
    (folder / "c.mp4").write_bytes(b"no video")
    clip(folder / "d.avi", frames=2)
    (folder / "notes.txt").write_text("no")
    ran = cli("predict", folder, "--run", tiny.run, "--out", tmp_path / "out")
    assert ran.code == 3
    assert [Path(line).stem for line in ran.out.splitlines()] == ["b_panel", "d_panel"]
    assert sum(line.startswith("left out: ") for line in ran.err.splitlines()) == 2
    assert ran.err.splitlines()[-1] == (
        "vtadapt: error: 2 of 4 files could not be read and were left out: a.jpg, c.mp4"
    )
    ran = cli("predict", folder, "--run", tiny.run, "--out", tmp_path / "out", "--json", "--limit", 1)
    results = json.loads(ran.out)
    assert ran.code == 3
    assert ["error" in entry for entry in results] == [True, False, True, False]
    assert results[3]["frames"] == 1
    assert results[1]["images_per_second"] > 0
    assert failure_of(results[1:2]) is None


def test_a_full_disk_is_no_broken_file(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [clip(tmp_path / "a.avi"), clip(tmp_path / "b.avi")]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vtadapt.workflows.predict.video.writer.replace_file", full)
    with pytest.raises(DataError, match="no space left"):
        predict(files, tiny.run, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_frames_that_were_lost_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(VtadaptError, match="only 3 of 5 frames"), Writer(tmp_path / "a", 10) as writer:
        for _ in range(3):
            writer.add(page)
        writer.count = 5
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(writing, "CODECS", ((".mp4", "nono"), CODECS[-1]))
    with Writer(tmp_path / "a", 10) as writer:
        writer.add(page)
    assert [p.name for p in tmp_path.iterdir()] == ["a.avi"]


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"], ids=["concat", "playlist"]
)
@pytest.mark.parametrize("name", ["concat.avi", "list.mp4", "list.mkv"])
def test_a_text_that_names_a_video_is_none(tiny: Any, tmp_path: Path, text: str, name: str) -> None:
    """FFmpeg would go by what is in it and open the file that it names, which may be any of this machine."""
    clip(tmp_path / "real.avi", 3)
    (tmp_path / name).write_text(text.format(tmp_path / "real.avi"))
    with pytest.raises(BrokenVideoError, match="no frame can be read"):
        predict([tmp_path / name], tiny.run, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
