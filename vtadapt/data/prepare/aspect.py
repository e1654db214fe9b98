"""How many pictures change their aspect ratio on the way into a pack, and what that does to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from PIL import Image

from vtadapt.data.readers.table import Item
from vtadapt.data.recipe.fit import Fit, Size, change
from vtadapt.digits import percent

LOOKED_AT = 2000  # pictures of a split whose headers a dry run reads, evenly spaced
TURNED = (5, 6, 7, 8)  # orientations in EXIF by which height and width change places
EXIF_ORIENTATION = 0x0112


def tally(changes: Iterable[float]) -> dict[str, Any] | None:
    """What a manifest says: how many pictures changed, and the largest factor; None where none did."""
    there = [each for each in changes if each > 1]
    return {"changed": len(there), "most": max(there)} if there else None


def joined(tallies: Iterable[dict[str, Any] | None]) -> dict[str, Any] | None:
    """That of several parts together."""
    there = [each for each in tallies if each]
    if not there:
        return None
    return {"changed": sum(each["changed"] for each in there), "most": max(each["most"] for each in there)}


def survey_aspect(items: Sequence[Item], size: Size | None) -> dict[str, Any] | None:
    """The same from the headers of a split's pictures, with "of": how many could be read."""
    if size is None or not items:
        return None
    count = min(len(items), LOOKED_AT)
    looked = [_size(items[i * len(items) // count]) for i in range(count)]
    natives = [native for native in looked if native is not None]
    found = tally(change(native, size) for native in natives)
    return None if found is None else {**found, "of": len(natives)}


def _size(item: Item) -> Size | None:
    """(height, width) of an item's picture, upright; None where it is no picture file."""
    path = item.paths.get("image")
    if path is None:
        return None
    try:
        with Image.open(path) as picture:
            turned = picture.getexif().get(EXIF_ORIENTATION) in TURNED
            height, width = picture.height, picture.width
        return (width, height) if turned else (height, width)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def aspect_line(split: str, found: dict[str, Any], total: int, fit: Fit, size: Sequence[int]) -> str:
    """One sentence on a split."""
    share = percent(1 - 1 / found["most"])
    done = {
        "squeeze": f"squeezed, at worst by {found['most']:.2f}; fit: crop or fit: pad in the recipe keeps it",
        "crop": f"cropped in the middle, at worst by {share}",
        "pad": f"padded with void, at worst {share} of the picture",
    }
    number = f"{found['changed']} of {found.get('of', total)} pictures"
    return f"{split}: {number} have another aspect ratio than {size[0]}x{size[1]}: {done[fit]}"
