"""How many pictures a TIFF holds, by the chain of its directories."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from vtadapt.errors import DataError

REDUCED = 254  # the tag whose lowest bit says that a picture is a smaller copy of another


def count_pages(data: bytes, path: Path) -> int:
    """How many pictures a TIFF holds, smaller copies of others not counted; the first must be none.

    Libraries follow the chain of directories without an end where it leads into a circle (TIFF 6.0, section 2).

    Raises:
        DataError: it does, or leads out of the file.
    """
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    big = data[2:4] in (b"+\0", b"\0+")  # BigTIFF
    wide, entry, head = (8, 20, 8) if big else (4, 12, 2)

    def number(place: int, length: int) -> int:
        if place + length > len(data):
            raise DataError(f"{path}: broken picture (TIFF cut short after {len(data)} bytes)")
        return int.from_bytes(data[place : place + length], order)

    place, seen, whole = number(8 if big else 4, wide), set[int](), 0
    while place:
        if place in seen:
            raise DataError(f"{path}: broken picture (TIFF whose directories form a circle)")
        seen.add(place)
        count = number(place, head)
        end = place + head + count * entry
        number(end, wide)  # before it goes through entries that are not there
        entries = (place + head + i * entry for i in range(count))
        reduced = any(number(e, 2) == REDUCED and number(e + entry - wide, 4) & 1 for e in entries)
        if reduced and len(seen) == 1:
            raise DataError(
                f"{path}: TIFF whose first picture is a smaller copy of another, wanted the whole one first"
            )
        whole += not reduced
        place = number(end, wide)
    return whole
