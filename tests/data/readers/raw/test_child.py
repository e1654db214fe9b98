"""Parsers in a process of their own: what it does not survive is an error of one file, and the next is read."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from vtadapt.data.readers.raw import child, mat
from vtadapt.data.readers.raw.child import ParserError, run_in_child
from vtadapt.data.readers.raw.mat import names_in_mat, read_mat
from vtadapt.errors import DataError


def _die(number: int) -> None:
    os.kill(os.getpid(), number)


def _spin() -> None:
    while True:
        pass


def _refuse() -> None:
    raise DataError("a: no")


def _fail() -> None:
    print("not an answer")
    raise IndexError("beyond\nthe end")


def test_one_child_answers_until_it_dies() -> None:
    first = run_in_child(os.getpid)
    assert first not in (os.getpid(), None)
    for function, kind, message in (
        (_refuse, DataError, "^a: no$"),
        (_fail, ParserError, "^IndexError: beyond the end$"),
    ):
        with pytest.raises(kind, match=message):
            run_in_child(function)
    assert run_in_child(os.getpid) == first
    with pytest.raises(ParserError, match="crashed, SIGSEGV"):
        run_in_child(_die, int(signal.SIGSEGV))
    assert run_in_child(os.getpid) not in (first, os.getpid())


def test_what_comes_to_no_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParserError, match="came to no end"):
        run_in_child(_spin, seconds=0.2)
    assert run_in_child(abs, -3) == 3
    monkeypatch.setattr(child, "PATIENCE", 0.2)  # by the clock, what waits
    with pytest.raises(ParserError, match="came to no end"):
        run_in_child(time.sleep, 60)
    monkeypatch.undo()
    assert run_in_child(abs, -3) == 3


def test_a_child_that_was_killed_in_between_is_started_again() -> None:
    os.kill(run_in_child(os.getpid), signal.SIGKILL)
    assert child._child is not None
    child._child.process.wait()
    assert run_in_child(abs, -3) == 3


def _ask(queue: Any) -> None:
    queue.put(run_in_child(os.getpid))


def test_a_forked_process_has_its_own() -> None:
    mine = run_in_child(os.getpid)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_ask, args=(queue,))
    process.start()
    assert queue.get(timeout=60) != mine
    process.join()
    assert run_in_child(os.getpid) == mine
    queue.close()


def test_matlab_files_that_crash_the_parser_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = tmp_path / "good.mat", tmp_path / "bad.mat"
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = {"Boundaries": np.eye(3)}, np.arange(4)
    scipy.io.savemat(good, {"a": np.eye(3), "cells": cells})
    bad.write_bytes(good.read_bytes())
    read = read_mat(good, "cells", "cells")
    assert (read.dtype, read.shape, read[0, 0]["Boundaries"][0, 0].trace()) == (object, (1, 2), 3)
    monkeypatch.setattr(mat, "_load", _crash)
    with pytest.raises(DataError, match=r"bad\.mat: not a whole MATLAB v5 file \(its parser crashed, SIGSEGV\)"):
        read_mat(bad, "a", "numbers")
    monkeypatch.undo()
    assert names_in_mat(good) == ["a"]


def _crash(path: str, name: str) -> None:
    del path, name
    _die(int(signal.SIGSEGV))


@pytest.mark.slow
def test_damage_in_matlab_files_never_ends_this_process(tmp_path: Path) -> None:
    path, random = tmp_path / "a.mat", np.random.default_rng(3)
    part = np.array([("head", np.eye(5, dtype=np.uint8))], [("part_name", object), ("mask", object)])
    scipy.io.savemat(path, {"anno": {"objects": {"class_ind": 15, "parts": part}}})
    whole = path.read_bytes()
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for place in random.integers(128, len(whole), 3):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_mat(path, "anno", "an annotation")
        except DataError as error:
            assert str(error).startswith(f"{path}: ")
            assert "\n" not in str(error)
            refused += 1
    assert refused > 30
