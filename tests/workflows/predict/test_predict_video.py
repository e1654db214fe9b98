"""Videos through a run: what is written, at which rate, with how much memory, and what a broken one does."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.workflows.predict.clips import clip, read
from vtadapt.errors import DataError, UsageError, VtadaptError
from vtadapt.workflows.predict.image import Predictor
from vtadapt.workflows.predict.inputs import BrokenVideoError
from vtadapt.workflows.predict.predict import predict
from vtadapt.workflows.predict.video import drawing, film, frames
from vtadapt.workflows.predict.video import writer as writing
from vtadapt.workflows.predict.video.drawing import Drawing
from vtadapt.workflows.predict.video.frames import VideoOptions, read_frames
from vtadapt.workflows.predict.video.steady import Steady
from vtadapt.workflows.predict.video.writer import CODECS, Writer
from vtadapt.workflows.run.load import load_run


def test_one_frame_for_each(tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = predict([clip(tmp_path / "a clip.avi")], tiny.run, tmp_path / "out")[0]
    assert [p.name for p in (tmp_path / "out").iterdir()] == [Path(entry["panel"]).name]
    assert Path(entry["panel"]).stem == "a clip_panel"
    assert (entry["size"], entry["frames"], entry["frames_per_second"]) == ([24, 32], 6, 10.0)
    assert entry["images_per_second"] == pytest.approx(entry["frames"] / entry["seconds"], rel=0.05)
    frames, rate = read(entry["panel"])
    assert (len(frames), rate) == (6, 10.0)
    height, width, _ = frames[0].shape
    assert width == 32 * 5
    assert height > 24
    assert height % 2 == 0
    assert "images/s)" in capsys.readouterr().err


def test_cells_stand_side_by_side(tiny: Any) -> None:
    loaded = load_run(tiny.run)
    draw = Drawing(loaded.tasks, 24, 32)
    frame = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    found = Predictor(loaded)(frame, draw.cell).maps
    page = draw(frame, found)
    top = draw.above.shape[0]
    rows = page[top : top + 24]
    assert np.array_equal(rows[:, :32], frame)
    for i, (name, task) in enumerate(loaded.tasks.items(), 1):
        wanted = task.colour(found[name], task.value_range(found[name]))
        assert np.array_equal(rows[:, 32 * i : 32 * (i + 1)], wanted), name


def test_large_frames_are_made_smaller(tiny: Any) -> None:
    loaded = load_run(tiny.run)
    draw = Drawing(loaded.tasks, 1080, 1921)
    page = draw(np.zeros((1080, 1921, 3), np.uint8), Predictor(loaded)(np.zeros((8, 8, 3), np.uint8), draw.cell).maps)
    assert 2500 < page.shape[1] <= drawing.WIDTH + 6
    assert draw.cell[1] / draw.cell[0] == pytest.approx(1921 / 1080, rel=0.01)


@pytest.mark.parametrize(("every", "limit", "levels"), [(1, 2, [0, 20]), (2, None, [0, 40, 80]), (4, 5, [0, 80])])
def test_some_frames(tiny: Any, tmp_path: Path, every: int, limit: int | None, levels: list[int]) -> None:
    capture = cv2.VideoCapture(str(clip(tmp_path / "a.avi")))
    found = [frame.mean() for frame in read_frames(capture, VideoOptions(every, limit))]
    assert found == pytest.approx(levels, abs=3)
    entry = predict([tmp_path / "a.avi"], tiny.run, tmp_path / "out", video=VideoOptions(every, limit))[0]
    assert (entry["frames"], entry["frames_per_second"]) == (len(levels), 10 / every)


def test_colours_do_not_flicker(tiny: Any) -> None:
    loaded = load_run(tiny.run)
    draw = Drawing(loaded.tasks, 8, 8)
    frames = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    for i, frame in enumerate(frames):
        found = Predictor(loaded)(frame, draw.cell).maps
        old = draw.ranges.get("depth")
        draw(frame, found)
        now = loaded.tasks["depth"].value_range(found["depth"])
        assert now is not None
        if old is None:
            assert (i, draw.ranges["depth"]) == (0, now)
        else:
            assert draw.ranges["depth"] == pytest.approx([0.9 * a + 0.1 * b for a, b in zip(old, now, strict=True)])


def test_only_the_frame_at_hand_is_kept(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    predicted = Predictor.__call__

    def watched(self: Predictor, frame: np.ndarray, *args: Any) -> Any:
        nonlocal most
        alive.append(weakref.ref(frame))
        most = max(most, sum(ref() is not None for ref in alive))
        return predicted(self, frame, *args)

    monkeypatch.setattr(Predictor, "__call__", watched)
    entry = predict([clip(tmp_path / "a.avi", frames=12)], tiny.run, tmp_path / "out")[0]
    assert entry["frames"] == len(alive) == 12
    assert most <= 2


def test_a_rate_that_no_format_can_tell(tiny: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    entry = predict([clip(tmp_path / "a.avi")], tiny.run, tmp_path / "out", video=VideoOptions(every=10_000))[0]
    assert (entry["frames"], entry["frames_per_second"]) == (1, frames.SLOWEST)
    assert read(entry["panel"])[1] == pytest.approx(frames.SLOWEST, rel=0.01)
    said = capfd.readouterr().err.splitlines()
    assert [line.partition(" ")[0] for line in said] == ["a.avi:", str(tmp_path / "a.avi")]  # to do, done


def test_what_cannot_be_written_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = np.zeros((16, 16, 3), np.uint8)
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DataError, match="cannot write .*file/a: "),
        Writer(tmp_path / "file" / "a", 10) as writer,
    ):
        writer.add(page)
    monkeypatch.setattr(writing, "CODECS", ((".none", "MJPG"),))
    with pytest.raises(VtadaptError, match="no video can be written"), Writer(tmp_path / "a", 10) as writer:
        writer.add(page)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_frames_have_files_of_their_own(tiny: Any, tmp_path: Path) -> None:
    path = clip(tmp_path / "a.avi", frames=5)
    wanted = ["panel", "ids", "npz", "json", "overlay", "coco"]
    entry = predict([path], tiny.run, tmp_path / "out", formats=wanted, video=VideoOptions(every=2, limit=2))[0]
    assert entry["frames_folder"] == str(tmp_path / "out" / "a_frames")
    assert sorted(p.name for p in (tmp_path / "out" / "a_frames").iterdir()) == [
        *("000000.json", "000000.npz", "000000_semseg.png", "000002.json", "000002.npz", "000002_semseg.png"),
    ]
    stored = np.load(tmp_path / "out" / "a_frames" / "000002.npz")
    assert {name: array.shape[:2] for name, array in stored.items()} == dict.fromkeys(
        load_run(tiny.run).tasks, (24, 32)
    )
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "out" / "a_frames" / "000002_semseg.png")), stored["semseg"]
    )
    content = json.loads((tmp_path / "out" / "coco-semseg.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["a.avi/000000", "a.avi/000002"]
    for video in (entry["panel"], *entry["overlay"].values()):
        assert len(read(video)[0]) == 2
    assert entry["overlay"].keys() == stored.keys()
    alone = predict([path], tiny.run, tmp_path / "arrays", raw=True, panel=False)[0]
    assert "panel" not in alone
    assert len([*(tmp_path / "arrays" / "a_frames").iterdir()]) == 5


def test_h264_where_opencv_has_it(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    assert CODECS[0] == (".mp4", "avc1")
    entry = predict([clip(tmp_path / "a.avi", frames=2)], tiny.run, tmp_path / "out")[0]
    assert (Path(entry["panel"]).suffix, entry["codec"]) in CODECS
    assert "codec" not in capfd.readouterr().err.lower()  # what was tried in vain is not told
    tried: list[str] = []
    opened = cv2.VideoWriter

    def recorded(name: str, kind: int, *given: Any) -> Any:
        tried.append(kind.to_bytes(4, "little").decode())
        return opened(name, cv2.VideoWriter.fourcc(*"mp4v") if tried[-1] == "avc1" else kind, *given)

    recorded.fourcc = opened.fourcc  # type: ignore[attr-defined]
    monkeypatch.setattr(cv2, "VideoWriter", recorded)
    assert predict([tmp_path / "a.avi"], tiny.run, tmp_path / "again")[0]["codec"] == "avc1"
    assert tried == ["avc1"]


def test_what_is_predicted_follows_smoothly(tiny: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "noise.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (32, 24))
    for _ in range(6):
        video.write((128 + random.normal(0, 30, (24, 32, 3))).clip(0, 255).astype(np.uint8))
    video.release()

    def depths(smooth: float, **more: Any) -> np.ndarray:
        out = tmp_path / f"out{smooth}{[*more]}"
        predict([path], tiny.run, out, formats="npz", video=VideoOptions(smooth=smooth), **more)
        return np.stack([np.load(file)["depth"] for file in sorted((out / "noise_frames").iterdir())])

    apart, near = depths(0.0), depths(0.8)
    np.testing.assert_allclose(apart[0], near[0], rtol=1e-5)
    wanted = apart[0].astype(float)
    for each, found in zip(apart[1:], near[1:], strict=True):
        wanted = 0.8 * wanted + 0.2 * each
        np.testing.assert_allclose(found, wanted, rtol=2e-3)
    assert np.abs(np.diff(near, axis=0)).mean() < 0.5 * np.abs(np.diff(apart, axis=0)).mean()
    tiles = {"size": "192x256", "tile": "128"}
    apart, near = depths(0.0, **tiles), depths(0.5, **tiles)
    np.testing.assert_allclose(near[1], (apart[0] + apart[1]) / 2, rtol=2e-3)


def test_smoothing_begins_anew_where_the_scene_is_cut(tiny: Any) -> None:
    loaded = load_run(tiny.run)
    steady = Steady(loaded.tasks, 0.9)
    dark, light = np.zeros((24, 32, 3), np.uint8), np.full((24, 32, 3), 220, np.uint8)
    alone = Predictor(loaded)(light).maps
    follows = Predictor(loaded, after=steady)
    for frame, same in ((dark, False), (light, True), (light, True)):
        steady.begin(frame)
        found = follows(frame).maps
        np.testing.assert_allclose(found["depth"], alone["depth"] if same else found["depth"], rtol=1e-4)
    steady.begin(light + 20)
    assert not np.allclose(follows(light + 20).maps["depth"], Predictor(loaded)(light + 20).maps["depth"], rtol=1e-4)


def test_a_camera_by_its_number(
    cli: Callable[..., Any], tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = cli("predict", 7, "--run", tiny.run, "--out", tmp_path / "out")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("vtadapt: error: no camera 7 answers")
    assert len(ran.err.splitlines()) == 1
    opened, path = cv2.VideoCapture, str(clip(tmp_path / "a.avi", frames=6))
    monkeypatch.setattr(cv2, "VideoCapture", lambda source, *more: opened(path if source == 7 else source, *more))
    ran = cli("predict", 7, "--run", tiny.run, "--out", tmp_path / "out", "--limit", 3)
    assert ran.code == 0, ran.err
    assert Path(ran.out.strip()).stem == "camera-7_panel"
    assert len(read(ran.out.strip())[0]) == 3
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (20, 10)).save(tmp_path / "7", "png")  # a file of that name is the file
    assert cli("predict", 7, "--run", tiny.run, "--out", tmp_path / "file").out.strip().endswith("7_panel.png")


def test_a_camera_that_is_ended_leaves_a_whole_file(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened, path = cv2.VideoCapture, str(clip(tmp_path / "a.avi", frames=6))
    monkeypatch.setattr(cv2, "VideoCapture", lambda source, *more: opened(path if source == 3 else source, *more))

    def until(capture: Any, options: VideoOptions) -> Any:
        for number, frame in enumerate(read_frames(capture, options)):
            if number == 4:
                raise KeyboardInterrupt
            yield frame

    monkeypatch.setattr(film, "read_frames", until)
    entry = predict([Path("3")], tiny.run, tmp_path / "out")[0]
    assert (entry["frames"], len(read(entry["panel"])[0])) == (4, 4)
    assert "camera-3 was ended" in capsys.readouterr().err
    clip(tmp_path / "b.avi")
    with pytest.raises(KeyboardInterrupt):  # of a file it is an interruption
        predict([tmp_path / "b.avi"], tiny.run, tmp_path / "other")
    assert not [*(tmp_path / "other").iterdir()]


def test_wrong_numbers(cli: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="wanted numbers from 1"):
        VideoOptions(every=0)
    for smooth in (1.0, -0.1, float("nan")):
        with pytest.raises(UsageError, match="smooth"):
            VideoOptions(smooth=smooth)
    with pytest.raises(BrokenVideoError, match="no video at"):
        frames.open_video(tmp_path / "none.mp4")
    assert cli("predict", "x.avi", "--every", 0).code == 2
