"""Zip and tar files, good ones and bad ones, and what unpacking the bad ones must do."""

from __future__ import annotations

import io
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest

from vtadapt.data.source.archives import Limits, unpack
from vtadapt.errors import DataError

KINDS = {"zip": "", "tar": "w:", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}


def write_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on duplicate names
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w:", *more: tarfile.TarInfo) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(content), 1_234_567_890, 0o4777
            archive.addfile(info, io.BytesIO(content))
        for info in more:
            archive.addfile(info)
    return path


def write(path: Path, files: dict[str, bytes], kind: str) -> Path:
    return write_zip(path, files) if kind == "zip" else write_tar(path, files, KINDS[kind])


def special(name: str, kind: bytes, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(archive: Path, match: str, limits: Limits | None = None) -> str:
    """Unpacking fails with one line that names the archive, and writes nothing anywhere around the target."""
    base = archive.parent
    before = tree(base)
    with pytest.raises(DataError, match=match) as caught:
        unpack(archive, base / "deep" / "target", limits=limits)
    assert tree(base) == before and not (base / "deep" / "target").exists()
    assert str(archive) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)
