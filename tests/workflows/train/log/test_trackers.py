"""What a run shows in TensorBoard beside its numbers, and what trackers are given of it."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vtadapt.errors import UsageError
from vtadapt.workflows.run.settings import load
from vtadapt.workflows.train.train import train


class Standin(types.ModuleType):
    """Takes the calls that wandb and trackio share, and keeps them."""

    def __init__(self, name: str, broken: str = "") -> None:
        super().__init__(name)
        self.__spec__ = types.SimpleNamespace(name=name)  # type: ignore[assignment]
        self.broken, self.begun, self.sent, self.finished = broken, [], [], 0

    def init(self, **options: Any) -> object:
        print("hello from a tracker")
        self.begun.append(options)
        return object()

    def log(self, values: dict[str, Any], step: int) -> None:
        if self.broken:
            raise RuntimeError(self.broken)
        self.sent.append((step, values))

    def Image(self, picture: np.ndarray) -> tuple[int, ...]:  # noqa: N802
        return picture.shape

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture(params=["wandb", "trackio"])
def tracker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Standin:
    module = Standin(request.param)
    monkeypatch.setitem(sys.modules, request.param, module)
    return module


def test_a_tracker_is_given_what_the_run_records(tiny: Any, tmp_path: Path, tracker: Standin, capsys: Any) -> None:
    settings = tiny.other(tmp_path, steps=4, epochs=2, evals=2, log_steps=1, tracker=tracker.__name__)
    run = Path(train(settings, quiet=True, trivial=False)["run"])
    assert "hello" not in capsys.readouterr().out
    (begun,) = tracker.begun
    assert (begun["project"], begun["name"], begun["config"]["steps"]) == ("vtadapt", run.name, 4)
    assert tracker.finished == 1
    json.dumps(begun["config"])
    numbers = {(step, key): v for step, values in tracker.sent for key, v in values.items() if np.isscalar(v)}
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for record in (one for one in records if one["split"] == "train"):
        assert numbers[record["step"], "lr"] == record["lr"]
        assert numbers[record["step"], "loss/depth"] == record["loss"]["depth"]
    pictures = [values["tiny/predictions"] for _, values in tracker.sent if "tiny/predictions" in values]
    assert len(pictures) == sum(one["split"] == "val" for one in records) > 0
    assert all(shape[2] == 3 for shape in pictures)
    # Lengthened, it is the same run there.
    longer = load(run / "settings.yaml").model_copy(update={"steps": 5, "epochs": None})
    train(longer, resume=run, quiet=True, trivial=False, longer=True)
    assert tracker.begun[1].get("id") == begun.get("id")
    assert tracker.begun[1]["resume"] == "allow"


def test_a_tracker_that_fails_ends_no_run(tiny: Any, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setitem(sys.modules, "trackio", Standin("trackio", "the server\nis down"))
    results = train(tiny.other(tmp_path, steps=2, log_steps=1, tracker="trackio"), quiet=True, trivial=False)
    assert results["steps"] == 2
    err = capsys.readouterr().err
    assert err.count("nothing more is sent to trackio (the server is down)") == 1


def test_a_tracker_that_is_not_installed_is_told_first(tiny: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"needs wandb; install with: pip install 'vtadapt\[wandb\]'"):
        train(tiny.other(tmp_path / "runs", steps=1, tracker="wandb"), quiet=True)
    assert not (tmp_path / "runs").exists()


def test_tensorboard_shows_predictions_and_weights_and_nothing_else_changes(tiny: Any, tmp_path: Path) -> None:
    shown = Path(train(tiny.other(tmp_path / "a", steps=3, log_pictures=1), quiet=True, trivial=False)["run"])
    plain = Path(train(tiny.other(tmp_path / "b", steps=3, log_pictures=0), quiet=True, trivial=False)["run"])
    assert (shown / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()
    boards = [EventAccumulator(str(run / "tensorboard")) for run in (shown, plain)]
    for board in boards:
        board.Reload()
    assert boards[0].Tags()["images"] == ["tiny/predictions"]
    weights = boards[0].Tags()["histograms"]
    assert "weights/embeddings" in weights or any("embedding" in name for name in weights)
    (histogram,) = boards[0].Histograms(weights[0])
    assert histogram.histogram_value.num > 0
    assert boards[1].Tags()["images"] == boards[1].Tags()["histograms"] == []
