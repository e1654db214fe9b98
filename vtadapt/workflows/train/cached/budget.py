"""How much cached features may take, on disk and in memory, and what goes where there is too little room."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vtadapt.atomic import disk_error, make_folder, write_json
from vtadapt.digits import amount
from vtadapt.errors import ConfigError, DataError
from vtadapt.models.backbones.weights.store import caches
from vtadapt.workflows.train.cached.form import Form
from vtadapt.workflows.train.cached.locks import turn, unused
from vtadapt.workflows.train.cached.slots import Slots, file_size

VARIABLE = "VTADAPT_CACHE_LIMIT"
"""Variable with the limit in GiB. No setting of a run: it belongs to the machine, as the folder does."""

GIB, MIB = 2**30, 2**20
ON_DISK = 20 * GIB  # unless the variable says otherwise
SUFFIX = ".features"
GROUPS = Path("/sys/fs/cgroup")
OF_THIS_PROCESS = Path("/proc/self/cgroup")
ADVICE = f"give a lower --augment-views or --size, raise {VARIABLE} (GiB), or leave --cache-features out"


def folder() -> Path:
    """Where cached features are kept; it may be removed whenever no run uses it."""
    return caches() / "features"


def limit(kind: str) -> int:
    """Bytes that cached features may take, all together: 20 GiB on disk, in memory half of what is free.

    Args:
        kind: "disk" or "memory".

    Raises:
        ConfigError: the variable is no number above 0.
    """
    if text := os.environ.get(VARIABLE):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise ConfigError(f"{VARIABLE}={text}: wanted a number of GiB above 0")
        return int(value * GIB)
    return ON_DISK if kind == "disk" else free_memory() // 2


def free_memory() -> int:
    """Bytes of memory that this process can still have, its container's limit included; all, where nothing says."""
    return min(_free_of_the_machine(), _free_of_the_group())


def _free_of_the_group() -> int:
    """What is left of the limits of the process's control groups (version 2), its own and those it lies in.

    A container sees its own as the outermost one; a job of SLURM lies some levels deep.
    """
    least = 2**63
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = OF_THIS_PROCESS.read_text(encoding="ascii").splitlines()
        own = next(line.removeprefix("0::/") for line in lines if line.startswith("0::/"))
        for group in (GROUPS / own, *(GROUPS / own).parents):
            if group != GROUPS and GROUPS not in group.parents:
                break
            with contextlib.suppress(OSError, ValueError):  # "max" is no limit
                left = int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
                least = min(least, max(0, left))
    return least


def _free_of_the_machine() -> int:
    with contextlib.suppress(OSError, StopIteration, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        return 8 * GIB


def size_words(size: int) -> str:
    """Bytes for people: "0.21 MiB", "1.3 GiB"."""
    return f"{amount(size / GIB, 2)} GiB" if size >= 0.1 * GIB else f"{amount(size / MIB, 2)} MiB"


def check_need(need: int, words: str, kind: str, copies: int = 1) -> None:
    """Refuse a run whose features are more than the limit.

    Args:
        need: bytes of all its features.
        words: of what they are.
        kind: "disk" or "memory".
        copies: processes of this machine that keep all of them.

    Raises:
        ConfigError: they do not fit.
    """
    if need * copies > (most := limit(kind)):
        each = f" in each of {copies} processes" if copies > 1 else ""
        half = "" if VARIABLE in os.environ or kind == "disk" else ", half of what is free"
        raise ConfigError(
            f"cached features need {size_words(need)} of {kind}{each} ({words}); the limit is {size_words(most)}{half}"
            f": {ADVICE}"
        )


def open_slots(key: str, about: Mapping[str, Any], form: Form, count: int) -> Slots:
    """The file of a key on disk, with room for ``count`` entries; others that nobody uses go for it, the oldest first.

    A file counts with its whole size from the beginning, also where it is a hole still: what was promised to a run is
    not given away.

    Args:
        key: see :func:`vtadapt.workflows.train.cached.key.key_of`.
        about: what the key stands for, written beside it for people.
        form: of an entry.
        count: of entries.

    Raises:
        ConfigError: what other runs use leaves too little of the limit.
        DataError: the disk is too full, or refuses.
    """
    place = folder()
    path = place / f"{key}{SUFFIX}"
    with disk_error(path):
        make_folder(place)
        with turn(place / "lock"):
            known = path.stat() if path.exists() else None
            if known and known.st_size > limit("disk"):  # made under a higher limit
                with unused(path) as idle:
                    if idle:
                        path.unlink()
                        known = None
            need = max(file_size(form, count), known.st_size if known else 0)
            new = need - (_allocated(known) if known else 0)
            _make_room(place, path, need, new)
            slots = Slots(path, key, form, count)
            os.utime(path)  # used last
    if not (record := path.with_suffix(".json")).is_file():
        write_json(record, dict(about))
    return slots


def _make_room(place: Path, own: Path, need: int, new: int) -> None:
    """Remove files until ``own`` may have ``need`` bytes, ``new`` of which are not on the disk yet."""
    most = limit("disk")
    found = [(path.stat(), path) for path in place.glob(f"*{SUFFIX}") if path != own]
    others = sum(stat.st_size for stat, _ in found)
    for stat, path in sorted(found, key=lambda each: each[0].st_mtime_ns):
        if others + need <= most and new <= shutil.disk_usage(place).free:
            return
        with unused(path) as idle:
            if idle:
                path.unlink()
                path.with_suffix(".json").unlink(missing_ok=True)
                others -= stat.st_size
    if others + need > most:
        used = f"of the limit of {size_words(most)} other runs use {size_words(others)}: wait for them, or"
        raise ConfigError(
            f"cached features need {size_words(need)} of disk; "
            + (used if others else f"the limit is {size_words(most)}:")
            + f" {ADVICE}"
        )
    if new > (free := shutil.disk_usage(place).free):
        raise DataError(
            f"cached features need {size_words(new)} in {place}, where {size_words(free)} are free: {ADVICE}"
        )


def _allocated(stat: os.stat_result) -> int:
    return int(getattr(stat, "st_blocks", 0)) * 512
