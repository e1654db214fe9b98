"""What the machine refuses while a run is trained: one line, exit code 5, how to go on; what was kept stays."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workflows.train.cutting import assert_same
from vtadapt.data.training.dataset import PackDataset
from vtadapt.errors import DataError, VtadaptError
from vtadapt.workflows.run import checkpoint
from vtadapt.workflows.terminal.failures import explained, quiet_threads
from vtadapt.workflows.train.log.metrics_log import MetricsLog
from vtadapt.workflows.train.state import LAST
from vtadapt.workflows.train.train import train
from vtadapt.workflows.train.trainer import Trainer

REFUSALS: list[tuple[BaseException, str]] = [
    (MemoryError(), "not enough memory"),
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "not enough memory.*CUDA"),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "not enough memory"),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), "not enough memory"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "not enough memory"),
    (OSError(errno.ENOSPC, "No space left on device", "x/y"), "No space left on device while writing x/y"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "quota"),
    (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
    (
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
        "process 7 is killed by signal: Killed.*workers",
    ),
    (RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"), "process 7, 8 exited.*workers"),
    (RuntimeError("can't start new thread"), "no more threads"),
]


@pytest.mark.parametrize(("error", "said"), REFUSALS, ids=lambda value: type(value).__name__)
def test_refusals_are_one_line(error: BaseException, said: str) -> None:
    error.add_note("the same again")
    known = explained(error)
    assert known is not None and known.exit_code == 5
    with pytest.raises(VtadaptError, match=f"{said}.*; to go on: the same again"):
        raise known


@pytest.mark.parametrize(
    "error", [ValueError("x"), RuntimeError("shape mismatch"), OSError(errno.ENOENT, "x"), KeyError(1)]
)
def test_defects_stay_defects(error: BaseException) -> None:
    assert explained(error) is None


def test_errors_of_our_own_stay_as_they_are() -> None:
    error = DataError("a.png: out of memory of colours")
    assert explained(error) is error
    wrapped = DataError(
        "Caught DataError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        '  File "x"\nvtadapt.errors.DataError: a.png: broken\n'
    )
    known = explained(wrapped)
    assert (type(known), str(known)) == (DataError, "a.png: broken")


def test_a_thread_of_a_library_ends_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with quiet_threads():
        thread = threading.Thread(target=full)
        thread.start()
        thread.join()
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "No space left" in err


def test_out_of_memory_keeps_the_last_state(
    tiny: Any, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer._step

    def refuse(self: Trainer, batch: Any) -> Any:
        if self.step == 5:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory")
        return step(self, batch)

    (tmp_path / "mine.yaml").write_text(tiny.other(tmp_path / "runs").to_yaml())
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", refuse)
        ran = cli("train", "--config", tmp_path / "mine.yaml", "--quiet")
    run = tmp_path / "runs" / "tiny-0001"
    assert (ran.code, ran.out, ran.err.count("\n")) == (5, "", 1), ran.err
    assert "not enough memory" in ran.err and f"vtadapt train --resume {run}" in ran.err
    assert checkpoint.load_state(run / LAST).about["step"] == 4
    train(tiny.settings, resume=run, quiet=True)
    assert_same(run, tiny.run)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_killed_process_that_loads_data(
    tiny: Any, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, get = os.getpid(), PackDataset.__getitem__

    def dying(self: PackDataset, index: int) -> Any:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return get(self, index)

    (tmp_path / "mine.yaml").write_text(tiny.other(tmp_path / "runs", workers=1).to_yaml())
    monkeypatch.setattr(PackDataset, "__getitem__", dying)
    ran = cli("train", "--config", tmp_path / "mine.yaml", "--quiet")
    assert (ran.code, ran.out, ran.err.count("\n")) == (5, "", 1), ran.err
    assert "a process that loads data ended" in ran.err and "workers" in ran.err


def test_a_full_disk_for_tensorboard_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gfile = pytest.importorskip("tensorboard.compat.tensorflow_stub.io.gfile")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    records = [{"step": step, "split": "train", "loss": {"a": 0.5}} for step in range(1, 4)]
    for name, writes in (("at once", 0), ("later", 1)):
        run = tmp_path / name
        run.mkdir()
        with monkeypatch.context() as patch, quiet_threads():
            if not writes:
                patch.setattr(gfile.GFile, "write", full)
            log = MetricsLog(run, 0, active=True)
            patch.setattr(gfile.GFile, "write", full)
            patch.setattr(gfile.GFile, "flush", full)
            for record in records:
                log.write(record)
            log.close()
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and "TensorBoard" in err and "No space left" in err, name
        assert len((run / "metrics.jsonl").read_text().splitlines()) == 3
