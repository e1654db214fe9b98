"""Downloads from a server on this machine: whole, cut and started again, wrong in every way that servers know."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pooch
import pytest

from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.source import download as module
from vtadapt.data.source.download import by_hand, download
from vtadapt.errors import DataError

CONTENT = os.urandom(900_001)
SHA = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """``how`` of a path: "plain", "unsized" (does not tell the length), "encoded" (calls the file an encoding), "cut"
    (breaks off after a third), "stuck" (breaks off at once), a status, a path to redirect to, or bytes to send in place
    of the content.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.how: dict[str, Any] = {}
        self.asked: list[str] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are no news."""

    def url(self, path: str, how: Any = "plain") -> str:
        self.how[path] = how
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        how = self.server.how[self.path]
        self.server.asked.append(self.path)
        if isinstance(how, int):
            self.send_error(how)
            return
        content = how if isinstance(how, bytes) else CONTENT
        self.send_response(302 if how in self.server.how else 200)
        if how in self.server.how:
            self.send_header("Location", how)
            content = b"there"
        if how == "encoded":
            self.send_header("Content-Encoding", "gzip")
        if how != "unsized":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: {"cut": len(content) // 3, "stuck": 0}.get(how, len(content))])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def recipe(*files: dict[str, Any]) -> Recipe:
    tasks = {"depth": {"kind": "regression"}, "normals": {"kind": "unit_vector"}}
    tasks["edges"] = {"kind": "boundary"}
    source = {"homepage": "https://example.org/set", "files": list(files)}
    given = {"name": "mine", "title": "t", "licence": "l", "reader": "folder", "tasks": tasks, "source": source}
    return Recipe.model_validate(given)


def one(url: str, **more: Any) -> Recipe:
    return recipe({"path": "a b ü.zip", "url": url, "sha256": SHA} | more)


def fails(wanted: Recipe, folder: Path, match: str) -> str:
    with pytest.raises(DataError, match=match) as caught:
        download(wanted, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name != ".download.lock")


@pytest.mark.parametrize("how", ["plain", "unsized", "encoded"])
@pytest.mark.parametrize("known", [True, False])
def test_downloads_once(server: Server, tmp_path: Path, how: str, known: bool) -> None:
    steps: list[tuple[str, int, int]] = []
    wanted = one(server.url("/a.zip", how), **({"bytes": len(CONTENT)} if known else {}))
    for _ in range(2):
        paths = download(wanted, tmp_path / "to here", lambda *step: steps.append(step))
        assert paths == [tmp_path / "to here" / "a b ü.zip"] and paths[0].read_bytes() == CONTENT
    assert server.asked == ["/a.zip"]
    assert left(tmp_path / "to here") == ["a b ü.zip"]
    total = len(CONTENT) if known or how != "unsized" else 0
    assert steps[-1] == ("a b ü.zip", len(CONTENT), total) and steps == sorted(steps) and len(steps) > 3
    mask = os.umask(0)
    os.umask(mask)
    assert paths[0].stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_redirect(server: Server, tmp_path: Path) -> None:
    server.url("/there.zip")
    [path] = download(one(server.url("/a.zip", "/there.zip"), bytes=len(CONTENT)), tmp_path)
    assert path.read_bytes() == CONTENT and server.asked == ["/a.zip", "/there.zip"]


@pytest.mark.parametrize("how", ["cut", "stuck"])
def test_a_connection_that_broke(server: Server, tmp_path: Path, how: str) -> None:
    message = fails(
        one(server.url("/a.zip", how)), tmp_path, "cannot be had from 127.0.0.1 .*run it again, or download by"
    )
    assert str(tmp_path / "a b ü.zip") in message and left(tmp_path) == []
    server.how["/a.zip"] = "plain"
    [path] = download(one(server.url("/a.zip")), tmp_path)
    assert path.read_bytes() == CONTENT


KILLED = """
import os, pooch, signal, sys
from pathlib import Path
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.source.download import download
def half(self, url, output, _):
    Path(output).write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
pooch.HTTPDownloader.__call__ = half
download(Recipe.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
"""


def test_what_a_killed_run_left_is_collected(server: Server, tmp_path: Path) -> None:
    wanted = one(server.url("/a.zip"))
    command = [sys.executable, "-c", KILLED, wanted.model_dump_json(), str(tmp_path)]
    ended = subprocess.run(command, cwd=Path(__file__).parents[3], check=False)
    assert ended.returncode == -signal.SIGKILL and len(left(tmp_path)) == 1
    [path] = download(wanted, tmp_path)
    assert path.read_bytes() == CONTENT and left(tmp_path) == [path.name]


def test_wrong_checksum(server: Server, tmp_path: Path) -> None:
    other = b"x" * len(CONTENT)
    message = fails(one(server.url("/a.zip", other)), tmp_path, "it is removed")
    assert SHA in message and hashlib.sha256(other).hexdigest() in message and left(tmp_path) == []
    [path] = download(one(server.url("/a.zip")), tmp_path)
    assert path.read_bytes() == CONTENT


def test_more_than_the_recipe_says(server: Server, tmp_path: Path) -> None:
    """Without a length in the answer it is stopped as soon as it is too much."""
    steps: list[int] = []
    wanted = one(server.url("/a.zip", "unsized"), bytes=1000)
    with pytest.raises(DataError, match="sends more than 1000 bytes"):
        download(wanted, tmp_path, lambda _, done, __: steps.append(done))
    assert steps == [] and left(tmp_path) == []


def test_a_file_of_the_user_is_never_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a b ü.zip").write_bytes(b"mine")
    fails(one(server.url("/a.zip")), tmp_path, "there, but its sha256 is not")
    assert (tmp_path / "a b ü.zip").read_bytes() == b"mine" and server.asked == []


@pytest.mark.parametrize(
    ("how", "match"),
    [
        (404, "127.0.0.1 answered 404 Not Found for http://127.0.0.1:.*download by hand"),
        (503, "answered 503"),
        (b"<html>Log in</html>", "has a file of 19 bytes, wanted 900001"),
    ],
)
def test_answers_that_are_not_the_file(server: Server, tmp_path: Path, how: Any, match: str) -> None:
    fails(one(server.url("/a.zip", how), bytes=len(CONTENT)), tmp_path, match)
    assert not (tmp_path / "a b ü.zip").exists()
    assert len(server.asked) == 1  # no use in asking again


@pytest.mark.usefixtures("server")  # for its environment without a proxy
def test_no_server(tmp_path: Path) -> None:
    with Server() as closed:
        url = closed.url("/a.zip")
    message = fails(one(url), tmp_path, r"cannot be had from 127.0.0.1 \(.*refused.*\); .*by hand: http")
    assert str(tmp_path / "a b ü.zip") in message


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a", "file:///etc/passwd", "/etc/passwd", "http:///a"])
def test_only_http(tmp_path: Path, url: str) -> None:
    fails(one(url), tmp_path, "wanted http:// or https://")


def test_paths_that_lead_outside(server: Server, tmp_path: Path) -> None:
    fails(one(server.url("/a.zip"), path="../evil.zip"), tmp_path / "in", r"'../evil.zip' is refused \('..' in its")
    assert server.asked == [] and not (tmp_path / "evil.zip").exists()


def test_full_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "free_bytes", lambda _: 900_000)
        fails(one(server.url("/a.zip")), tmp_path, "needs 900001 bytes, the disk has 900000")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", full)
    fails(one(server.url("/a.zip")), tmp_path, "no space left on the disk while writing .*a b ü.zip")
    assert left(tmp_path) == []


BY_HAND = {"path": "labels.tar", "bytes": 2972037809, "url": "https://example.org/login", "about": "needs an account"}


def test_nothing_to_download_lists_what_to_fetch_by_hand(tmp_path: Path) -> None:
    message = fails(recipe(BY_HAND, {"path": "b.zip"}), tmp_path / "there", "fetch by hand into")
    assert "labels.tar (2972037809 bytes, https://example.org/login, needs an account); b.zip" in message
    assert str(tmp_path / "there") in message and not (tmp_path / "there").exists()
    fails(recipe(), tmp_path, "what https://example.org/set offers")
    for name in ("labels.tar", "b.zip"):  # fetched meanwhile
        (tmp_path / name).write_bytes(b"x")
    files = recipe(BY_HAND, {"path": "b.zip"})
    assert download(files, tmp_path) == [tmp_path / "labels.tar", tmp_path / "b.zip"]


def test_some_by_hand_and_some_not(server: Server, tmp_path: Path) -> None:
    url = {"url": server.url("/a"), "sha256": SHA}
    files = recipe({"path": "a.zip", **url}, BY_HAND, {"path": "d.zip", **url, "tasks": ["depth"]})
    assert download(files, tmp_path, tasks=["edges"]) == [tmp_path / "a.zip"]
    assert by_hand(files, tmp_path) == ["labels.tar (2972037809 bytes, https://example.org/login, needs an account)"]
    (tmp_path / "labels.tar").write_bytes(b"x")
    assert download(files, tmp_path) == [tmp_path / name for name in ("a.zip", "labels.tar", "d.zip")]
    assert by_hand(files, tmp_path) == []


def test_files_of_what_a_task_is_derived_from(server: Server, tmp_path: Path) -> None:
    files = one(server.url("/a"), tasks=["depth"])
    derived = files.model_dump()
    derived["tasks"]["edges"] |= {"derived": True, "derive": {"method": "class_boundaries", "source": "depth"}}
    assert len(download(Recipe.model_validate(derived), tmp_path, tasks=["edges"])) == 1
    fails_with = pytest.raises(DataError, match="nothing can be downloaded")
    with fails_with:
        download(files, tmp_path, tasks=["edges"])
