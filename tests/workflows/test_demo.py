"""The demo, small: the whole job from nothing to pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from vtadapt.workflows.demo import demo


@pytest.mark.slow
def test_the_whole_job(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = demo(tmp_path, images=16, epochs=1, size=(48, 48), weights="random", workers=0, quiet=True)
    assert list(result["metrics"]["rooms"]) == ["semseg", "depth", "normals", "edges"]
    assert result["run"] == str(tmp_path / "runs" / "rooms-0001")
    assert [Path(picture).name for picture in result["pictures"]] == ["panel-rooms-val.png", "room_panel.png"]
    assert all(Path(picture).is_file() for picture in result["pictures"])
    assert capfd.readouterr().out == ""
