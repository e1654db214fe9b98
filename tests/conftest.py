"""What all tests share: the real sample sets, one thread, and no network."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
LOCAL_HOSTS = {"", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::", socket.gethostname()}


class NetworkUsedError(AssertionError):
    """A test reached for the network; not an OSError, so that no library takes it for a bad connection and goes on."""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real sample sets (camvid, sevenscenes, bsds500): VTADAPT_SHARED_DATA, or shared/data beside us."""
    folder = Path(os.environ.get("VTADAPT_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the real sample sets are not at {folder}; set VTADAPT_SHARED_DATA to their folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # Tests run side by side on small machines, where a second thread each costs more than it brings.
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")  # reaches commands that tests start, too
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded_connect(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", _guarded_lookup(socket.getaddrinfo))
        yield


def _guarded_connect(connect: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _require_local(address[0])
        return connect(self, address)

    return guarded


def _guarded_lookup(lookup: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(host: Any, *args: Any, **options: Any) -> Any:
        _require_local(host)
        return lookup(host, *args, **options)

    return guarded


def _require_local(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes) else host or ""
    if name not in LOCAL_HOSTS:
        raise NetworkUsedError(f"tests use no network, found a connection to {name}")
