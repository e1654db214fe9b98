"""Fetching the files that a recipe gives a URL and a checksum of; a download that was cut goes on where it stopped.

What is under way lies in ``NAME.part``. Bytes that came over the network are only ever used if their SHA-256 is the
recipe's, so http is as good as https here. pooch tests that and puts the file in its place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vtadapt.atomic import disk_error, folder_lock
from vtadapt.data.recipe.recipe import ExpectedFile, Recipe
from vtadapt.data.source.archive_checks import plain_path
from vtadapt.data.source.archives import free_bytes
from vtadapt.errors import DataError

OnDownload = Callable[[str, int, int], None]

CHUNK = 1 << 16  # what a connection may lose when it breaks
TIMEOUT = (20.0, 60.0)  # seconds to connect, and without a byte
ATTEMPTS = 20  # of one file; each must bring it on


def download(
    recipe: Recipe, folder: Path, on_progress: OnDownload | None = None, *, tasks: Sequence[str] | None = None
) -> list[Path]:
    """Fetch what has a URL and a SHA-256 into ``folder``; files that are there with this checksum are kept.

    Args:
        recipe: its ``source.files`` are looked at.
        folder: made if needed.
        on_progress: called with (name, done, total) bytes; total is 0 where the server does not tell.
        tasks: leave files out that serve none of these; default all.

    Returns:
        The files, also those that were put into ``folder`` by hand, as published.

    Raises:
        DataError: nothing can be fetched (the line lists what is to be fetched by hand), no connection, an answer other
            than the file, a wrong size or checksum (the file is removed), a file of the user that has another checksum
            (it stays), a full disk.
    """
    wanted = _serving(recipe, tasks)
    fetched = [file for file in wanted if file.url and file.sha256]
    missing = [file for file in wanted if file not in fetched and not _place(folder, file).exists()]
    if not fetched and (missing or not wanted):
        raise DataError(_nothing_to_fetch(recipe, folder, missing))
    with disk_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with folder_lock(folder / ".download.lock"):
        for file in fetched:
            _fetch(file, _place(folder, file), on_progress)
    return [_place(folder, file) for file in wanted if file not in missing]


def by_hand(recipe: Recipe, folder: Path, *, tasks: Sequence[str] | None = None) -> list[str]:
    """One text for each expected file that cannot be downloaded from here and is not in ``folder`` yet."""
    files = [file for file in _serving(recipe, tasks) if not (file.url and file.sha256)]
    return [_described(file) for file in files if not _place(folder, file).exists()]


def _serving(recipe: Recipe, tasks: Sequence[str] | None) -> list[ExpectedFile]:
    """The files that the tasks need: also those of what they are derived from."""
    chosen = set(recipe.tasks if tasks is None else tasks)
    for task in recipe.tasks:
        if task in chosen and (how := recipe.tasks[task].derive) is not None:
            chosen.add(how.source)
    return [file for file in recipe.source.files if not file.tasks or chosen.intersection(file.tasks)]


def _place(folder: Path, file: ExpectedFile) -> Path:
    try:
        return folder / plain_path(file.path)
    except ValueError as error:
        raise DataError(f"recipe: source.files path {file.path!r} is refused ({error}); wanted a plain name") from error


def _described(file: ExpectedFile) -> str:
    size = f"{file.bytes} bytes" if file.bytes else ""
    details = ", ".join(text for text in (size, file.url or "", file.about) if text)
    return f"{file.path} ({details})" if details else file.path


def _nothing_to_fetch(recipe: Recipe, folder: Path, missing: Sequence[ExpectedFile]) -> str:
    where = recipe.source.homepage or recipe.source.hint
    files = "; ".join(map(_described, missing)) or f"what {where or 'its homepage'} offers"
    why = "has no files with both URL and sha256, so nothing can be downloaded"
    return f"data set {recipe.name!r} {why}; fetch by hand into {folder}: {files}"


def _fetch(file: ExpectedFile, path: Path, on_progress: OnDownload | None) -> None:
    """One file, unless it is there."""
    import pooch

    known_hash, url = f"sha256:{file.sha256}", str(file.url)
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise DataError(f"{path.name}: URL {url!r}, wanted http:// or https://; download it by hand to {path}")
    if path.exists():
        with disk_error(path):
            if pooch.file_hash(str(path), alg="sha256") == file.sha256:
                return
        raise DataError(f"{path}: there, but its sha256 is not {file.sha256}; move it away to download it again")
    pooch.get_logger().setLevel("WARNING")  # it would announce each download
    checked = path.parent / ".download"  # pooch's temporary files; a killed run may leave some
    try:
        with disk_error(path):
            checked.mkdir(parents=True, exist_ok=True)
            for left in checked.glob("tmp*"):
                left.unlink()
            pooch.retrieve(
                url, known_hash, fname=path.name, path=checked, downloader=_Resuming(file, path, on_progress)
            )
            os.replace(checked / path.name, path)
    except ValueError as error:
        found = [one for one in re.findall("[0-9a-f]{64}", str(error)) if one != file.sha256]
        if not found:
            raise
        raise DataError(
            f"{path}: downloaded with sha256 {found[0]}, wanted {file.sha256}; it is removed: try again, or the file "
            f"at {url} is another one by now"
        ) from error
    finally:
        with suppress(OSError):
            checked.rmdir()


class _Resuming:
    """A downloader as pooch wants it: writes ``NAME.part``, from where it ends, and hands it over when it is whole."""

    def __init__(self, file: ExpectedFile, path: Path, on_progress: OnDownload | None) -> None:
        self.file, self.path, self.on_progress = file, path, on_progress
        self.part = path.with_name(f"{path.name}.part")
        self.host = urlsplit(str(file.url)).hostname
        self.by_hand = f"run it again to go on, or download by hand: {file.url} to {path}"

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        del pooch
        for attempt in range(ATTEMPTS):
            before = self._there()
            try:
                self._one_attempt(url)
                break
            except _CutError as error:
                if self._there() <= before or attempt == ATTEMPTS - 1:
                    raise DataError(
                        f"{self.path.name}: the connection to {self.host} broke after {self._there()} bytes "
                        f"({error}); {self.by_hand}"
                    ) from error
        os.replace(self.part, output_file)

    def _there(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _one_attempt(self, url: str) -> None:
        import requests

        start = self._there()
        if self.file.bytes is not None and start == self.file.bytes:
            return
        if self.file.bytes is not None and start > self.file.bytes:
            self.part.unlink()
            start = 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with (
            self._network(),
            requests.Session() as session,
            session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer,
        ):
            nothing_more = answer.status_code == 416 and start > 0
            if nothing_more and answer.headers.get("Content-Range", "").rpartition("/")[2] == str(start):
                return  # it is whole; its checksum will tell
            if not nothing_more:
                self._judge(answer, start)
                return
        self.part.unlink()  # longer than the file there: of another one
        self._one_attempt(url)

    def _judge(self, answer: Any, start: int) -> None:
        """Receive the answer if it is the file, or the part of it that was asked for."""
        if answer.status_code not in (200, 206):
            raise DataError(
                f"{self.path.name}: {self.host} answered {answer.status_code} {answer.reason} for {self.file.url}; "
                f"download by hand to {self.path}"
            )
        goes_on = answer.status_code == 206 and _first_byte(answer) == start
        if answer.status_code == 206 and not goes_on:
            self.part.unlink(missing_ok=True)
            raise DataError(f"{self.path.name}: {self.host} sent another part than asked for; {self.by_hand}")
        self._receive(answer, start if goes_on else 0)

    def _receive(self, answer: Any, start: int) -> None:
        """Append the answer from byte ``start`` on."""
        length = answer.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else 0
        if self.file.bytes is not None and total not in (0, self.file.bytes):
            raise DataError(
                f"{self.path.name}: {self.host} has a file of {total} bytes, wanted {self.file.bytes}; "
                f"it is another file by now: download by hand to {self.path}"
            )
        total = total or self.file.bytes or 0
        if total - start > free_bytes(self.part.parent):
            raise DataError(f"{self.path}: needs {total - start} bytes more than the disk has; free some space")
        done = start
        with self.part.open("r+b" if start else "wb") as file:
            file.seek(start)
            for chunk in answer.raw.stream(CHUNK, decode_content=False):
                done += len(chunk)
                if total and done > total:
                    raise DataError(f"{self.path.name}: {self.host} sends more than {total} bytes; {self.by_hand}")
                file.write(chunk)
                if self.on_progress is not None:
                    self.on_progress(self.path.name, done, total)
        if total and done < total:
            raise _CutError(f"{done} of {total} bytes")

    @contextmanager
    def _network(self) -> Iterator[None]:
        """Errors of the network: of connecting as a DataError, of reading as ``_CutError``."""
        import requests
        import urllib3

        try:
            yield
        except requests.exceptions.RequestException as error:
            reason = _reason(error)
            if isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.Timeout):
                raise DataError(f"{self.path.name}: cannot reach {self.host} ({reason}); {self.by_hand}") from error
            raise DataError(
                f"{self.path.name}: {self.host} gave no proper answer ({reason}); {self.by_hand}"
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise _CutError(_reason(error)) from error


class _CutError(Exception):
    """The connection broke; what came before is in the part."""


def _first_byte(answer: Any) -> int | None:
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _reason(error: BaseException) -> str:
    """The innermost cause in short: those of requests wrap several others."""
    inner: BaseException = error
    for _ in range(10):
        below = getattr(inner, "reason", None) or next((a for a in inner.args if isinstance(a, BaseException)), None)
        if not isinstance(below, BaseException):
            break
        inner = below
    text = inner.strerror if isinstance(inner, OSError) and inner.strerror else str(inner)
    text = re.sub(r"^<[^>]*>: |^\S*Connection\(.*?\): ", "", " ".join(text.split()))
    return text[:150] or type(inner).__name__
