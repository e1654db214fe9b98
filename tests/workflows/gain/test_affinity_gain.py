"""``vtadapt affinity-gain``: what it writes, goes on with and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vtadapt.errors import ConfigError, DataError, UsageError
from vtadapt.workflows.gain.options import GainOptions
from vtadapt.workflows.gain.run import affinity_gain, weights_of
from vtadapt.workflows.run.files import read_json

SMALL = GainOptions(scarce=3, images=10, seeds=(0, 1, 2))


def test_a_whole_yardstick(settings: Any, small: None, tmp_path: Path) -> None:
    del small
    result = affinity_gain(settings, SMALL, None, "all", quiet=True, out=tmp_path / "g")
    cells = sorted((tmp_path / "g" / "cells").iterdir())
    assert len(cells) == 3 * 3 * (1 + 2 + 2)  # seeds x targets x (alone, each other, all, all by their scores)
    weighted = [read_json(path)["weights"] for path in cells if "-by-features-" in path.name]
    assert len(weighted) == 9 and all(max(each.values()) == 1 and min(each.values()) >= 0 for each in weighted)
    assert set(result["judged"]) == {"features", "labels", "troa", "lookahead", "permuted"}
    assert set(result["choices"]) == {"semseg", "depth", "edges"}
    assert result["choices"]["depth"]["by_all"]["n"] == result["choices"]["depth"]["by_weighted"]["n"] == 3
    assert result["gains"]["depth"]["edges"]["n"] == 3
    assert -1 <= result["ceiling"] <= 1
    kept = read_json(tmp_path / "g" / "gain.json")
    assert kept["gains"] == result["gains"]
    page = (tmp_path / "g" / "table.md").read_text(encoding="utf-8")
    assert "how each predictor orders" in page.lower() and "- depth: " in page
    # It goes on where it was: one lost cell is trained again and comes out the same, the others are kept.
    content, before = cells[5].read_bytes(), {path: path.stat().st_mtime_ns for path in cells}
    cells[5].unlink()
    again = affinity_gain(settings, SMALL, None, "all", quiet=True, out=tmp_path / "g")
    assert again["gains"] == result["gains"]
    assert [path for path in cells if path.stat().st_mtime_ns != before[path]] == [cells[5]]
    assert read_json(cells[5])["loss"] == json.loads(content)["loss"]


def test_scores_as_weights() -> None:
    assert weights_of({"a": 0.5, "b": 0.25, "c": -1.0}) == {"a": 1.0, "b": 0.5, "c": 0.0}
    assert weights_of({"a": -0.5, "b": 0.0}) == {"a": 1.0, "b": 1.0}


def test_only_the_best_are_measured(settings: Any, small: None, tmp_path: Path) -> None:
    del small
    options = GainOptions(scarce=3, images=10, seeds=(0,), predictor="labels")
    result = affinity_gain(settings, options, ["depth"], "top", quiet=True, out=tmp_path / "g")
    assert set(result["scores"]) == {"depth"} and "judged" not in result
    assert len(list((tmp_path / "g" / "cells").iterdir())) == 3
    pairs = affinity_gain(settings, options, ["depth"], "pairs", quiet=True, out=tmp_path / "g")
    assert set(pairs["gains"]["depth"]) == {"semseg", "edges"} and pairs["choices"]["depth"]["by_all"] is None
    nothing = affinity_gain(settings, options, ["edges"], "none", quiet=True, out=tmp_path / "g")
    assert nothing["gains"] == {} and set(nothing["scores"]) == {"edges"}


def test_another_yardstick_in_the_folder_is_refused(settings: Any, small: None, tmp_path: Path) -> None:
    del small
    options = GainOptions(scarce=3, images=10, predictor="labels")
    affinity_gain(settings, options, ["depth"], "none", quiet=True, out=tmp_path / "g")
    with pytest.raises(ConfigError, match="was measured with scarce = 3, wanted 4.*--out"):
        affinity_gain(settings, GainOptions(4, 10, predictor="labels"), None, "none", quiet=True, out=tmp_path / "g")
    for change, said in (({"scale": (1.0, 1.0)}, "scale"), ({"decoder_width": 16}, "decoder_width")):
        with pytest.raises(ConfigError, match=f"was measured with {said} = "):
            changed = settings.model_copy(update=change)
            affinity_gain(changed, options, ["depth"], "none", quiet=True, out=tmp_path / "g")
    plan = read_json(tmp_path / "g" / "plan.json")
    (tmp_path / "g" / "plan.json").write_text(json.dumps({**plan, "packs": {"tiny": "0"}}), encoding="utf-8")
    with pytest.raises(ConfigError, match="was measured with packs = "):
        affinity_gain(settings, options, ["depth"], "none", quiet=True, out=tmp_path / "g")
    (tmp_path / "g" / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    (tmp_path / "g" / "predicted-labels-seed0.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="is no prediction; remove it"):
        affinity_gain(settings, options, ["depth"], "none", quiet=True, out=tmp_path / "g")


def test_wrong_questions(settings: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown target 'dept'.*Did you mean 'depth'"):
        affinity_gain(settings, SMALL, ["dept"], "none", quiet=True, out=tmp_path / "g")
    with pytest.raises(UsageError, match="--measure 'al'.*all"):
        affinity_gain(settings, SMALL, None, "al", quiet=True, out=tmp_path / "g")
    with pytest.raises(UsageError, match="--scarce 10 of --images 10"):
        GainOptions(scarce=10, images=10)
    with pytest.raises(UsageError, match="--scarce 1 of --images 10; wanted 2 or more"):
        GainOptions(scarce=1, images=10)
    with pytest.raises(ConfigError, match="'look.shape' is several data sets; wanted one"):
        several = settings.model_copy(update={"data": "look+shape"})
        affinity_gain(several, SMALL, None, "none", quiet=True, out=tmp_path / "g")
    with pytest.raises(ConfigError, match="batch_size 1; wanted 2 or more"):
        one = settings.model_copy(update={"batch_size": 1})
        affinity_gain(one, SMALL, None, "none", quiet=True, out=tmp_path / "g")
    with pytest.raises(UsageError, match="unknown predictor --by 'feature'.*Did you mean 'features'"):
        GainOptions(predictor="feature")
    alone = settings.model_copy(update={"tasks": ("depth",)})
    with pytest.raises(ConfigError, match="one task .depth. has no other"):
        affinity_gain(alone, SMALL, None, "none", quiet=True, out=tmp_path / "g")
    assert not (tmp_path / "g").exists()


def test_from_the_command_line(cli: Callable[..., Any], tiny: Any, small: None, tmp_path: Path) -> None:
    del small
    typed = ["affinity-gain", "tiny", "--data-dir", tiny.data_dir, "--scarce", 3, "--images", 10, "--by", "labels"]
    ran = cli(
        *typed, "--tasks", "depth,edges,semseg", "--targets", "depth", "--out", tmp_path / "g", "--weights", "random"
    )
    assert ran.code == 0, ran.err
    assert "depth: helped most by" in ran.out and "(predicted)" in ran.out
    assert cli(*typed, "--set", "steps=3").code == 2
    assert "wanted KEY=VALUE" in cli(*typed, "--set", "adapters:lr=0.1").err


def test_of_a_run(cli: Callable[..., Any], tiny: Any, small: None, tmp_path: Path, monkeypatch: Any) -> None:
    import shutil

    del small
    monkeypatch.setattr("vtadapt.workflows.gain.of_run.STEPS", 2)
    monkeypatch.setattr(GainOptions, "images", 10)
    run = tmp_path / "run"
    shutil.copytree(tiny.run, run)
    ran = cli("affinity", run, "--scarce", "depth=3")
    assert ran.code == 0, ran.err
    assert "depth: helped most by" in ran.out
    assert (run / "affinity" / "scarce-depth-3" / "gain.json").is_file()
    both = cli("affinity", run, "--scarce", "depth=3", "--scarce", "edges=3", "--json")
    assert [list(each["scores"]) for each in json.loads(both.out)] == [["depth"], ["edges"]]
    assert "does not read --plot, --groups" in cli("affinity", run, "--scarce", "depth=3", "--plot", "--groups", 2).err
    assert cli("affinity", run, "--scarce", "depth").code == 2
    assert "wanted TASK=N" in cli("affinity", run, "--scarce", "depth=0").err
    assert "unknown target 'dept'" in cli("affinity", run, "--scarce", "dept=3").err
