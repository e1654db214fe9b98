"""The file of entries: each is whole or not there, wherever a writer was cut and whatever became of the bytes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vtadapt.workflows.train.cached.form import Form, Parts
from vtadapt.workflows.train.cached.memory import Memory
from vtadapt.workflows.train.cached.slots import HEADER, Slots, file_size

KEY = "0123456789abcdef" * 4
FORM = Form([(2, 3, 4), (5,)])


def parts(seed: int) -> Parts:
    torch.manual_seed(seed)
    return Form.rounded([torch.randn(2, 3, 4), torch.randn(5)])


def same(found: Parts | None, wanted: Parts) -> bool:
    return found is not None and all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    return Slots(tmp_path / "x.features", KEY, FORM, 4)


def test_entries_come_back_to_the_bit_and_holes_are_not_there(slots: Slots) -> None:
    assert slots.get(0) is None
    slots.put(2, parts(2))
    slots.put(0, parts(0))
    assert same(slots.get(2), parts(2))
    assert same(slots.get(0), parts(0))
    assert [slots.get(entry) for entry in (1, 3, 4, 99)] == [None] * 4
    assert slots.path.stat().st_size == file_size(FORM, 4) == 4 * (HEADER + 2 * (24 + 5))
    again = Slots(slots.path, KEY, FORM, 6)
    assert same(again.get(2), parts(2))
    assert slots.path.stat().st_size == file_size(FORM, 6)
    Slots(slots.path, KEY, FORM, 1)
    assert slots.path.stat().st_size == file_size(FORM, 6), "a file never shrinks under another run"


def test_half_an_entry_is_none_wherever_it_was_cut(slots: Slots) -> None:
    """Every length that a write may have reached, over a hole and over another entry."""
    length = HEADER + FORM.bytes
    slots.put(1, parts(1))
    whole = slots.path.read_bytes()[length : 2 * length]
    slots.put(1, parts(7))
    other = slots.path.read_bytes()[length : 2 * length]
    for old in (bytes(length), other):
        for cut in range(length + 1):
            with slots.path.open("r+b") as file:
                file.seek(length)
                file.write(whole[:cut] + old[cut:])
            found = slots.get(1)
            content = whole[:cut] + old[cut:]
            if content in (whole, other):
                assert same(found, parts(1) if content == whole else parts(7))
            else:
                assert found is None, cut


def test_a_changed_bit_or_another_files_or_places_entry_is_not_read(slots: Slots) -> None:
    slots.put(1, parts(1))
    length = HEADER + FORM.bytes
    whole = bytearray(slots.path.read_bytes())
    for place in (length, length + HEADER - 1, length + HEADER, 2 * length - 1):
        broken = bytearray(whole)
        broken[place] ^= 4
        slots.path.write_bytes(broken)
        assert slots.get(1) is None, place
    slots.path.write_bytes(whole[length : 2 * length] * 2)  # the entry in another's place, too
    assert slots.get(0) is None
    assert same(slots.get(1), parts(1))
    assert Slots(slots.path, KEY[::-1], FORM, 4).get(1) is None


KILLED = """
import os, signal, sys, torch
from pathlib import Path
from io import FileIO
from vtadapt.workflows.train.cached import slots
from vtadapt.workflows.train.cached.form import Form

class Dying(FileIO):
    def write(self, content):
        super().write(bytes(content[: len(content) // 2]))
        os.kill(os.getpid(), signal.SIGKILL)

form = Form([(2, 3, 4), (5,)])
parts = Form.rounded([torch.ones(2, 3, 4), torch.ones(5)])
found = slots.Slots(Path(sys.argv[1]), sys.argv[2], form, 4)
found.put(0, parts)
slots.FileIO, found._file = Dying, None
found.put(1, parts)
"""


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_whole_entries_and_a_free_file(tmp_path: Path) -> None:
    path = tmp_path / "x.features"
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path), KEY], timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL
    slots = Slots(path, KEY, FORM, 4)
    assert same(slots.get(0), (torch.ones(2, 3, 4).bfloat16(), torch.ones(5).bfloat16()))
    assert slots.get(1) is None
    slots.put(1, parts(1))
    assert same(slots.get(1), parts(1))


def test_a_full_disk_is_told_once_and_ends_nothing(
    slots: Slots, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    slots.put(0, parts(0))

    class Full:
        def __getattr__(self, name: str) -> object:
            return getattr(slots_file, name)

        def write(self, _: bytes) -> int:
            raise OSError(28, os.strerror(28))

    slots_file, _ = slots._file, monkeypatch.setattr(slots, "_file", Full())
    slots.put(1, parts(1))
    slots.put(2, parts(2))
    assert capfd.readouterr().err.count("No space left") == 1
    monkeypatch.setattr(slots, "_file", slots_file)
    assert slots.get(1) is None
    assert same(slots.get(0), parts(0))


def _read(slots: Slots, queue: object) -> None:
    queue.put([slots.get(entry) is not None for entry in range(3)])  # type: ignore[attr-defined]


def test_other_processes_read_what_was_written_and_a_copy_too(slots: Slots) -> None:
    slots.put(1, parts(1))
    slots.get(1)  # its place in the file is somewhere in the middle
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_read, args=(slots, queue))
    child.start()
    assert queue.get(timeout=60) == [False, True, False]
    child.join()
    assert same(pickle.loads(pickle.dumps(slots)).get(1), parts(1))


def test_in_memory_a_copy_is_empty() -> None:
    memory = Memory(FORM)
    memory.put(3, parts(3))
    assert same(memory.get(3), parts(3))
    assert memory.get(2) is None
    assert pickle.loads(pickle.dumps(memory)).get(3) is None
