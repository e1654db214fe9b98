"""The one door to the terminal: text stays text, no print loses work, an interruption says how to go on."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from vtadapt.errors import VtadaptError
from vtadapt.workflows.terminal import interrupt
from vtadapt.workflows.terminal.progress import Progress
from vtadapt.workflows.terminal.tables import Table, markdown_cell, markdown_table, show_tables
from vtadapt.workflows.terminal.text import guarded_streams, say, show, show_json

NAMES = ["[red]wall[/red]", "[/]", "a\x1b[31mb", "line\nbreak", "ä|b", "\udc80", "*x*", "[link=file:///etc]"]


def stream(encoding: str, failing: int | None = None) -> io.TextIOWrapper:
    """A stdout of that encoding, on a disk that fails with an errno where one is named."""

    class Raw(io.BytesIO):
        def write(self, data: Any) -> int:
            if failing is not None:
                raise OSError(failing, os.strerror(failing))
            return super().write(data)

    class Stream(io.TextIOWrapper):
        def close(self) -> None:  # a buffer that cannot be written would fail once more
            with contextlib.suppress(OSError):
                super().close()

    return Stream(Raw(), encoding=encoding)


def written(to: io.TextIOWrapper) -> str:
    return to.buffer.getvalue().decode(to.encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("name", NAMES)
def test_names_are_text_wherever_they_are_printed(name: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = stream(encoding), stream(encoding)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    table = Table(name)
    table.add_column(name)
    table.add_row(name)
    with guarded_streams():
        show_tables([table])
        show(name)
        say(name)
        with Progress(1, 0, name) as bar:
            bar.message(name)
    shown = written(out) + written(err)
    assert "\x1b" not in shown
    if name.startswith("[") and encoding == "utf-8":
        assert shown.count(name) == 7  # title, head, cell, show, say, title and line of the progress
    if name == NAMES[0]:
        assert "red" in written(out).splitlines()[0]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_is_json_in_every_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out = stream(encoding)
    monkeypatch.setattr(sys, "stdout", out)
    document = {name: ["é", "日本"] for name in NAMES}
    with guarded_streams():
        show_json(document)
    assert json.loads(written(out)) == document


def test_a_stdout_that_is_full_is_an_error_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", stream("utf-8", failing=28))
    with pytest.raises(VtadaptError, match="No space left on device"):
        show("result")


def test_a_stderr_that_is_gone_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream("utf-8", failing=5))
    say("still here")
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    say("still here")


@pytest.mark.slow
@pytest.mark.parametrize(("target", "code"), [("/dev/full", 5), (None, 0)])
def test_results_that_nobody_takes(target: str | None, code: int) -> None:
    """On a full disk one line and an exit code; for ``| head`` nothing at all."""
    if target is not None and not os.path.exists(target):
        pytest.skip("no /dev/full here")
    command = [sys.executable, "-m", "vtadapt", "data-sets"]
    if target is None:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.close()  # type: ignore[union-attr]
        err = process.stderr.read().decode()  # type: ignore[union-attr]
        process.stderr.close()  # type: ignore[union-attr]
        process.wait()
    else:
        with open(target, "w") as full:
            process = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
        err = process.stderr.decode()
    assert process.returncode == code, err
    assert len(err.splitlines()) == (1 if code else 0)


@pytest.mark.parametrize("columns", [10, 20, 40, 80, 200])
def test_a_table_shows_every_cell_at_every_width(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    table = Table("data")
    heads = ["task", "metric", "value", "units", "more"]
    for head in heads:
        table.add_column(head)
    table.add_row("semseg", "miou/dataset", "0.1234", "-", "x")
    show_tables([table])
    shown = capsys.readouterr().out
    assert all(text in shown for text in [*heads, "semseg", "0.1234"])


def test_markdown_keeps_its_columns() -> None:
    lines = markdown_table(["a|b", "c"], [["x\ny", "<b>"], ["`q`", "w_x _y_"]])
    assert all(line.replace("\\|", "").count("|") == 3 for line in lines)
    assert markdown_cell("<b>") == "\\<b\\>"
    assert markdown_cell("w_x _y_") == "w_x \\_y\\_"
    assert markdown_cell("0.1 +- 0.2") == "0.1 +- 0.2"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_end_of_a_step(number: int) -> None:
    done = []
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    with interrupt.ended_by_signals():
        with pytest.raises(KeyboardInterrupt) as caught, interrupt.going_on("outer"), interrupt.going_on("inner"):
            with interrupt.uninterrupted():
                signal.raise_signal(number)
                done.append("step")
            done.append("after")
        assert done == ["step"]
        assert caught.value.exit_code == 128 + number
        assert "outer" in interrupt.told(caught.value)
        assert "inner" not in interrupt.told(caught.value)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


IMPORTED = """
import os, signal
os.kill(os.getpid(), signal.SIGTERM)
loaded = sum(range(1000))
"""


def test_a_module_is_loaded_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries in C++ abort the process where a signal raises while they are loaded."""
    (tmp_path / "interrupted_module.py").write_text(IMPORTED)
    monkeypatch.syspath_prepend(tmp_path)
    with interrupt.ended_by_signals(), pytest.raises(interrupt.Ended) as caught:
        loaded = importlib.import_module("interrupted_module").loaded
        threading.Event().wait(60)  # until the signal comes again
    assert (loaded, caught.value.exit_code) == (499500, 143)


def test_who_stays_in_a_module_for_ever_is_ended_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "endless_module.py").write_text(IMPORTED + "import threading\nthreading.Event().wait(60)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(interrupt, "MOST", 2)
    with interrupt.ended_by_signals(), pytest.raises(interrupt.Ended):
        importlib.import_module("endless_module")


def test_a_signal_that_was_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupt.ended_by_signals(), interrupt.uninterrupted():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
