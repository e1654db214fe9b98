"""The command: where it listens, what it prints, how it ends."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from vtadapt.workflows.explore.explore import address_of, listening
from vtadapt.workflows.terminal.interrupt import Ended


@pytest.mark.parametrize("name", ["starlette", "uvicorn"])
def test_without_the_extra(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    ran = cli("explore", "--run-dir", tmp_path)
    assert ran.code == 2
    assert ran.err == (
        "vtadapt: error: the page needs starlette and uvicorn; install with: pip install 'vtadapt[web]'\n"
    )


def test_a_port_that_is_taken(cli: Callable[..., Any], tiny: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ran = cli("explore", tiny.run, "--port", port)
    assert ran.code == 5
    assert f"cannot listen on 127.0.0.1 port {port}" in ran.err
    assert ran.err.count("\n") == 1


def test_what_cannot_be_listened_on(
    cli: Callable[..., Any], tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = cli("explore", tiny.run, "--port", 70000)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "--port 70000: wanted 1 to 65535" in ran.err
    assert cli("explore", tiny.run, "--port", 0, "--size", "large").code == 2
    assert cli("explore", tmp_path / "none").code == 4

    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    ran = cli("explore", tiny.run, "--host", "nowhere.invalid")
    assert ran.code == 2
    assert "--host 'nowhere.invalid': no such name or address here" in ran.err


def test_others_are_let_in_with_a_warning(cli: Callable[..., Any], tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)
    assert "warning" not in cli("explore", tiny.run, "--port", 0).err
    ran = cli("explore", tiny.run, "--port", 0, "--host", "0.0.0.0")
    assert "warning: whoever reaches 0.0.0.0 can use the page" in ran.err
    assert re.search(r": http://127\.0\.0\.1:\d+/ ", ran.out)


def test_another_process_ends_it(cli: Callable[..., Any], tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*_: Any, **__: Any) -> None:
        raise Ended(signal.SIGTERM)

    monkeypatch.setattr("uvicorn.Server.run", ended)
    assert cli("explore", tiny.run, "--port", 0).code == 128 + signal.SIGTERM


def test_addresses() -> None:
    with listening("127.0.0.1", 0) as door:
        port = door.getsockname()[1]
        assert address_of(door, "127.0.0.1") == f"http://127.0.0.1:{port}/"
        assert address_of(door, "::1") == address_of(door, "::") == f"http://[::1]:{port}/"


@pytest.mark.slow  # torch is imported once more
def test_it_says_where_it_is_and_ends(tiny: Any) -> None:
    command = [sys.executable, "-m", "vtadapt", "explore", str(tiny.run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(rf"{tiny.run.name}: http://127\.0\.0\.1:(\d+)/ \(Ctrl-C ends it\)\n", line)
        assert found, (line, process.communicate()[1])
        connection = HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
        connection.request("GET", "/")
        assert connection.getresponse().read().startswith(b"<!DOCTYPE html>")
        process.send_signal(signal.SIGINT)  # while the connection is open
        out, err = process.communicate(timeout=60)
        connection.close()
    assert (process.returncode, out, err) == (0, "", "the page is closed; no file was written\n")
