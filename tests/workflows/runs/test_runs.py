"""``vtadapt runs``: every state of a run is listed, runs are compared, and only what may be removed is."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vtadapt.errors import ConfigError
from vtadapt.workflows.run import files
from vtadapt.workflows.run.folder import alone_in, bundled_run, refuse_trained
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.runs.remove import remove_run
from vtadapt.workflows.runs.survey import age, describe_run, list_runs
from vtadapt.workflows.runs.tables import compare_runs, size


@pytest.fixture
def runs(tiny, tmp_path: Path) -> Path:
    """Three runs: one that is finished, one that was cut off, and one whose settings are broken; and other folders."""
    folder = tmp_path / "runs"
    for name in ("done", "cut", "odd"):
        shutil.copytree(tiny.run, folder / name)
    for name in ("model.safetensors", "config.json", "results.json"):
        (folder / "cut" / name).unlink()
    settings = (folder / "cut" / "settings.yaml").read_text().replace("seed: 0", "seed: 7")
    (folder / "cut" / "settings.yaml").write_text(settings)
    (folder / "odd" / "settings.yaml").write_text("a: [")
    (folder / "notes").mkdir()
    return folder


def test_every_run_is_described(runs):
    found = {path.name: describe_run(path) for path in list_runs(runs)}
    assert {name: run["state"] for name, run in found.items()} == {
        "done": "finished",
        "cut": "interrupted",
        "odd": "broken",
    }
    done = found["done"]
    assert done["metrics"]["depth"]["metric"].startswith("rmse")
    assert done["bytes"] > 1000
    assert done["steps"] == done["of"] > 0
    assert found["cut"]["steps"] == done["steps"]
    assert "settings.yaml" in found["odd"]["problem"]


def test_a_run_that_is_trained_is_told_apart_and_stays(runs):
    code = (
        "import sys, time; from pathlib import Path; from vtadapt.workflows.run.folder import alone_in\n"
        "with alone_in(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(runs / "cut")], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            assert describe_run(runs / "cut")["state"] == "training"
            with pytest.raises(ConfigError, match="another process is training"):
                remove_run(runs / "cut")
        finally:
            other.kill()
    assert (runs / "cut" / "settings.yaml").is_file()
    remove_run(runs / "cut")
    assert sorted(path.name for path in runs.iterdir()) == ["done", "notes", "odd"]


def test_a_run_that_was_cut_while_it_was_lengthened_is_not_done(runs, capsys):
    """Its results and its weights are those of before, and who uses them is told so."""
    done = describe_run(runs / "done")["steps"]
    load_run(runs / "done")
    assert capsys.readouterr().err == ""
    files.append_line(runs / "done" / "metrics.jsonl", {"step": done + 7, "split": "train", "loss": 1.0})
    about = describe_run(runs / "done")
    assert (about["state"], about["steps"]) == ("interrupted", done + 7)
    load_run(runs / "done")
    told = " ".join(capsys.readouterr().err.split())
    assert f"cut then, at step {done + 7}: these are its weights of step {done};" in told
    with alone_in(runs / "done"):
        assert describe_run(runs / "done")["state"] == "training"


def test_what_is_no_run_is_never_removed(runs, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(runs / "done")
    for path, words in ((runs / "notes", "is no run"), (link, "is a link"), (bundled_run(), "bundled")):
        with pytest.raises(ConfigError, match=words):
            remove_run(path)
    assert (runs / "done" / "settings.yaml").is_file()
    assert (bundled_run() / "config.json").is_file()


def test_runs_side_by_side_show_what_differs(runs):
    found = compare_runs([describe_run(runs / name) for name in ("done", "cut")])
    assert found["settings"] == {"seed": {"done": 0, "cut": 7}}
    assert found["results"]["depth rmse/pixel"]["cut"] is None
    assert found["cost"]["state"] == {"done": "finished", "cut": "interrupted"}


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999 B"), (1500, "2 kB"), (1_500_000, "2 MB"), (23_000_000, "23 MB"), (5 * 10**9, "5 GB")]
)
def test_sizes_are_short(count, text):
    assert size(count).replace("1.5", "2") == text


@pytest.mark.parametrize(
    ("past", "text"), [(5, "5 s"), (60, "1 minute"), (7200, "2 hours"), (86400 * 3.5, "3 days"), (-9, "0 s")]
)
def test_ages_have_one_unit(past, text):
    now = time.time()
    assert age(now - past, now) == text


def test_one_process_may_look_while_it_trains_itself(runs):
    with alone_in(runs / "done"):
        assert describe_run(runs / "done")["state"] == "training"
        with pytest.raises(ConfigError, match="another process is training"):  # and it still holds it
            refuse_trained(runs / "done")


class Terminal(io.StringIO):
    """Standard input with a person at it."""

    def isatty(self) -> bool:
        return True


class TestCommand:
    def test_list_and_compare(self, cli, runs):
        listed = cli("runs", "--run-dir", runs)
        assert listed.code == 0
        for word in ("done", "finished", "cut", "interrupted", "broken", "3 runs"):
            assert word in listed.out
        assert '"state": "broken"' in cli("runs", "--run-dir", runs, "--json").out
        assert "seed" in cli("runs", "done", "cut", "--compare", "--run-dir", runs).out

    def test_removing_asks_and_without_a_terminal_says_so(self, cli, runs, monkeypatch):
        refused = cli("runs", "done", "--remove", "--run-dir", runs)
        assert refused.code == 2
        assert "--yes" in refused.err
        assert (runs / "done").is_dir()
        monkeypatch.setattr(
            "sys.stdin", type("Terminal", (), {"isatty": lambda _: True, "readline": lambda _: "n\n"})()
        )
        assert "nothing removed" in cli("runs", "done", "--remove", "--run-dir", runs).out
        monkeypatch.setattr(
            "sys.stdin", type("Terminal", (), {"isatty": lambda _: True, "readline": lambda _: "y\n"})()
        )
        assert "removed" in cli("runs", "done", "--remove", "--run-dir", runs).out
        assert not (runs / "done").exists()
        assert cli("runs", "odd", "--remove", "--yes", "--run-dir", runs).code == 0
        assert [path.name for path in runs.iterdir() if path.is_dir()] == ["notes", "cut"] or not (
            runs / "odd"
        ).exists()

    def test_nothing_is_removed_where_one_cannot_be(self, cli, runs):
        assert cli("runs", "done", "notes", "--remove", "--yes", "--run-dir", runs).code == 4
        assert (runs / "done").is_dir()

    @pytest.mark.parametrize(
        "typed", [["--remove"], ["--yes"], ["done", "--compare"], ["done", "--compare", "--remove"]]
    )
    def test_what_makes_no_sense_is_refused(self, cli, runs, typed):
        assert cli("runs", *typed, "--run-dir", runs).code == 2

    def test_an_unknown_run_has_near_matches(self, cli, runs):
        assert "Did you mean 'done'" in cli("runs", "dne", "--run-dir", runs).err
        assert "no runs" in cli("runs", "--run-dir", runs / "none").out
