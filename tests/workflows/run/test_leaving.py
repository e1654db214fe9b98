"""Several processes leave their group before they end, after work as after an error, and none waits for another."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = '''
import atexit, os, sys
from pathlib import Path

import torch

from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.settings import TrainSettings

def left():
    """The group's threads in C++ that there are still when the interpreter goes down."""
    names = []
    for thread in Path("/proc/self/task").iterdir():
        try:
            names.append((thread / "comm").read_text().strip())
        except OSError:
            continue  # it ends while it is looked at
    found = [name for name in names if "gloo" in name]
    Path(sys.argv[2], os.environ["LOCAL_RANK"]).write_text(str(len(found)))

def work(what):
    fabric = open_fabric(TrainSettings(data="none", accelerator="cpu", devices=2, precision="32-true"))
    model = fabric.setup(torch.nn.Linear(2, 2))
    fabric.backward(model(torch.ones(1, 2)).sum())
    if what == "error":
        torch.distributed.all_reduce(torch.ones(2), async_op=fabric.global_rank == 1)
        raise SystemExit(3)
    if what == "alone" and fabric.global_rank == 0:
        torch.distributed.all_reduce(torch.ones(2), async_op=True)  # the other never answers
        raise SystemExit(3)

atexit.register(left)  # the last to be called: the first that was registered
work(sys.argv[1])
'''


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the names of threads are read from Linux's /proc")
@pytest.mark.parametrize(("what", "code"), [("work", 0), ("error", 3), ("alone", 3)])
def test_processes_leave_their_group(tmp_path: Path, what: str, code: int) -> None:
    (tmp_path / "work.py").write_text(SCRIPT)
    begun = time.monotonic()
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "work.py"), what, str(tmp_path)], capture_output=True, timeout=240, check=False
    )
    assert ended.returncode == code, ended.stderr
    assert time.monotonic() - begun < 230  # seconds; the collectives' own patience is 1800
    while not (tmp_path / "1").is_file() and time.monotonic() - begun < 120:
        time.sleep(0.1)  # the second may end after the first
    if what != "alone":  # there the group waits for what never comes
        assert [(tmp_path / rank).read_text() for rank in "01"] == ["0", "0"]
