"""Ctrl-C while a data set is prepared: all processes end at once, one line says how to go on, and it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vtadapt.data.pack.manifest import read_manifest

BEGIN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from vtadapt.cli import main; main()"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs groups of processes")
def test_ctrl_c_reaches_the_workers_too(tmp_path: Path) -> None:
    """As in a terminal, where the signal comes to the whole group."""
    asked = ["prepare-data", "rooms", "--size", "96x96", "--limit", "40", "--shard-size", "5", "--workers", "2"]
    command = [sys.executable, "-c", BEGIN, *asked, "--data-dir", str(tmp_path)]
    notes = tmp_path / ".rooms.state"
    with (tmp_path / "stderr").open("w+") as told:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told, start_new_session=True)
        try:
            while not any(notes.glob("*.h5.json")):
                assert process.poll() is None
                time.sleep(0.02)
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(timeout=600) == 130
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        told.seek(0)
        text = told.read()
    assert "Traceback" not in text, text
    assert text.splitlines()[-1].startswith("vtadapt: interrupted; to go on: the same command again")
    assert any(notes.glob("*.h5.json")) and not (tmp_path / "rooms").exists()
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert ended.returncode == 0, ended.stderr
    assert "taken over" not in ended.stderr  # it had let go
    assert sum(split["samples"] for split in read_manifest(tmp_path / "rooms")["splits"].values()) == 80
