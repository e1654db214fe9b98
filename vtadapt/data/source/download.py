"""Fetching the files that a recipe gives a URL and a checksum of, with pooch; one that was cut starts again.

Bytes that came over the network are only ever used if their SHA-256 is the recipe's, so http is as good as https here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vtadapt.atomic import disk_error, remove_leftovers, whole_file
from vtadapt.data.recipe.files import ExpectedFile
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.source.archive_checks import plain_path
from vtadapt.data.source.archives import free_bytes
from vtadapt.errors import DataError
from vtadapt.lock import folder_lock

OnDownload = Callable[[str, int, int], None]

CHUNK = 1 << 18
TIMEOUT = (20.0, 60.0)  # seconds to connect, and without a byte


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
        remove_leftovers(folder, alone=True)
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

    url = str(file.url)
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise DataError(f"{path.name}: URL {url!r}, wanted http:// or https://; download it by hand to {path}")
    if path.exists():
        with disk_error(path):
            if pooch.file_hash(str(path), alg="sha256") == file.sha256:
                return
        raise DataError(f"{path}: there, but its sha256 is not {file.sha256}; move it away to download it again")
    with whole_file(path) as temporary, closing(_Watch(file, path, temporary, on_progress)) as watch:
        ask = {"timeout": TIMEOUT, "headers": {"Accept-Encoding": "identity"}, "hooks": {"response": watch.answer}}
        try:
            pooch.HTTPDownloader(watch, CHUNK, **ask)(url, str(temporary), None)
        except OSError as error:
            if not hasattr(error, "request"):  # what requests raises has it; else it is the disk
                raise
            raise DataError(_network_error(error, file, path)) from error
        watch.update()
        if (found := pooch.file_hash(str(temporary), alg="sha256")) != file.sha256:
            raise DataError(
                f"{path}: downloaded with sha256 {found}, wanted {file.sha256}; it is removed: try again, or the file "
                f"at {url} is another one by now"
            )


class _Watch:
    """What comes in: a hook for the server's answer, and the progress bar as pooch wants one."""

    def __init__(self, file: ExpectedFile, path: Path, temporary: Path, on_progress: OnDownload | None) -> None:
        self.file, self.path, self.temporary, self.on_progress = file, path, temporary, on_progress
        self.total = 0  # pooch sets what the server tells, or 0
        self.response: Any = None

    def answer(self, response: Any, **_: object) -> None:
        """Look at the head of an answer before anything of it is written."""
        self.response = response
        if response.status_code != 200:
            return
        # Some servers call a .tar.gz an encoding; requests would decode it, and the checksum is of the file as it is.
        response.raw.headers.pop("Content-Encoding", None)
        length = response.headers.get("Content-Length", "")
        size, free = int(length) if length.isdigit() else self.file.bytes or 0, free_bytes(self.path.parent)
        if size <= free and self.file.bytes in (None, size):
            return
        if size > free:
            raise DataError(f"{self.path}: needs {size} bytes, the disk has {free}; free some space")
        raise DataError(
            f"{self.path.name}: {urlsplit(response.url).hostname} has a file of {size} bytes, wanted "
            f"{self.file.bytes}; it is another file by now: download by hand to {self.path}"
        )

    def update(self, _: int = 0) -> None:
        """Tell how far it is: pooch counts whole chunks, also where less came."""
        done, total = self.temporary.stat().st_size, self.total or self.file.bytes or 0
        if total and done > total:
            raise DataError(
                f"{self.path.name}: {self.file.url} sends more than {total} bytes; download it by hand to {self.path}"
            )
        if self.on_progress is not None:
            self.on_progress(self.path.name, done, total)

    def reset(self) -> None:
        """Nothing: the file tells."""

    def close(self) -> None:
        """Hang up, which pooch leaves to chance where something is wrong."""
        if self.response is not None:
            self.response.close()


def _network_error(error: Any, file: ExpectedFile, path: Path) -> str:
    host, answer, reason = urlsplit(str(file.url)).hostname, error.response, _reason(error)
    if answer is not None:
        return (
            f"{path.name}: {host} answered {answer.status_code} {answer.reason} for {file.url}; "
            f"download by hand to {path}"
        )
    return f"{path.name}: cannot be had from {host} ({reason}); run it again, or download by hand: {file.url} to {path}"


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
