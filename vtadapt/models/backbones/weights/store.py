"""Where files of weights were last seen, by the digest of the encoder they make: a run finds its backbone again.

One small JSON file per encoder, named by the digest, with the places of its files; the files themselves stay where they
are. The folder is ``$VTADAPT_CACHE_DIR/weights``, by default in the user's folder for caches.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vtadapt.atomic import write_json
from vtadapt.errors import DataError, UsageError
from vtadapt.strict_json import read_checked

VARIABLE = "VTADAPT_CACHE_DIR"
MOST = 100
"""Encoders that are remembered; beyond that the one that was used longest ago is forgotten."""

PLACES = 8
"""Files that are remembered of one encoder."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Place:
    """A file of weights as it was seen.

    Attributes:
        path: absolute.
        bytes: its size.
        mtime_ns: when it was last changed; with the same size and time it is taken to be the same.
        sha256: of the file.
    """

    path: str
    bytes: int
    mtime_ns: int
    sha256: str

    def unchanged(self) -> bool:
        """True where the file is there, with the size and the time it had."""
        found = _stat(Path(self.path))
        return found is not None and (found.st_size, found.st_mtime_ns) == (self.bytes, self.mtime_ns)

    def holds(self) -> bool:
        """True where the file is there with the content it had; it is read where its time is another."""
        found = _stat(Path(self.path))
        if found is None or found.st_size != self.bytes:
            return False
        return found.st_mtime_ns == self.mtime_ns or _sha256(Path(self.path)) == self.sha256


@dataclass(frozen=True)
class Entry:
    """An encoder and its files, the last seen first.

    Attributes:
        digest: SHA-256 over names and values of its weights, as runs keep it.
        backbone: its name.
        places: its files.
    """

    digest: str
    backbone: str
    places: tuple[Place, ...]


def caches() -> Path:
    """The folder of all that is kept between runs: ``$VTADAPT_CACHE_DIR``, by default in the user's for caches."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    import pooch

    return Path(pooch.os_cache("vtadapt"))


def folder() -> Path:
    """The folder of the store; it may be missing."""
    return caches() / "weights"


def entries() -> list[Entry]:
    """What is remembered, the last used first; files that are none of the store's are passed over."""
    found = [(path.stat().st_mtime_ns, entry) for path in _files() if (entry := _read(path)) is not None]
    return [entry for _, entry in sorted(found, key=lambda each: (-each[0], each[1].digest))]


def remember(path: Path, digest: str, backbone: str) -> Place:
    """Note that the file ``path`` makes the encoder ``backbone`` with this digest.

    Where the folder cannot be written nothing is noted: what is remembered is a help, and no run waits for it.

    Returns:
        The file as it is now.

    Raises:
        OSError: it cannot be read.
    """
    seen, record = look(path), folder() / f"{digest}.json"
    known = _read(record)
    places = known.places if known else ()
    with contextlib.suppress(DataError, OSError):
        if places[:1] == (seen,):
            os.utime(record)  # used again
            return seen
        entry = Entry(digest, backbone, (seen, *(place for place in places if place.path != seen.path))[:PLACES])
        write_json(record, {"format": 1, **asdict(entry)}, checked=True)
        for old in entries()[MOST:]:
            (folder() / f"{old.digest}.json").unlink(missing_ok=True)
    return seen


def find(digest: str) -> Path | None:
    """A file that makes the encoder with this digest, where one is still what it was."""
    entry = _read(folder() / f"{digest}.json")
    found = () if entry is None else entry.places
    return next((Path(place.path) for place in found if place.holds()), None)


def look(path: Path) -> Place:
    """A file as it is now; what is remembered of it spares reading it again.

    Raises:
        OSError: it cannot be read.
    """
    where = Path(os.path.abspath(path))
    for entry in entries():
        for place in entry.places:
            if place.path == str(where) and place.unchanged():
                return place
    stat = where.stat()
    return Place(str(where), stat.st_size, stat.st_mtime_ns, _sha256(where))


def forget(which: str) -> list[Entry]:
    """Forget encoders; their files stay.

    Args:
        which: "all"; "gone", those of which no file is left; the beginning of a digest, or a backbone's name.

    Returns:
        Those that were forgotten.

    Raises:
        UsageError: none is meant.
    """
    known = entries()
    if which == "gone":
        chosen = [entry for entry in known if not any(place.holds() for place in entry.places)]
    else:
        chosen = [e for e in known if which in ("all", e.backbone) or (len(which) >= 6 and e.digest.startswith(which))]
        if not chosen and which != "all":
            raise UsageError(
                f"nothing to forget by {which!r}; wanted all, gone, a backbone's name or six or more digits of a "
                "digest that vtadapt backbones --store lists"
            )
    for entry in chosen:
        (folder() / f"{entry.digest}.json").unlink(missing_ok=True)
    return chosen


def _files() -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from (path for path in folder().iterdir() if path.suffix == ".json" and _DIGEST.fullmatch(path.stem))


def _read(path: Path) -> Entry | None:
    """An entry; None where it is missing or broken, as by a disk that was full."""
    try:
        content: dict[str, Any] = read_checked(path)
        places = tuple(
            Place(str(p["path"]), int(p["bytes"]), int(p["mtime_ns"]), str(p["sha256"])) for p in content["places"]
        )
        return Entry(str(content["digest"]), str(content["backbone"]), places)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
