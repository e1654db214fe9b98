"""How a picture comes into a size of another aspect ratio: squeezed, cropped or padded; and what its camera becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vtadapt.data.recipe.camera import Intrinsics

Fit = Literal["squeeze", "crop", "pad"]
Size = tuple[int, int]


@dataclass(frozen=True)
class Frame:
    """The way of a picture into a size; all in pixels, heights before widths.

    Attributes:
        top: first row of the picture that is kept.
        left: first column of it.
        kept: (height, width) of what is kept.
        inner: what that is resized to.
        above: empty rows over it.
        before: empty columns to its left.
        size: of the result.
    """

    top: int
    left: int
    kept: Size
    inner: Size
    above: int
    before: int
    size: Size

    @classmethod
    def of(cls, fit: Fit, native: Size, size: Size) -> Frame:
        """The frame of a picture of ``native`` (height, width).

        ``squeeze`` resizes height and width apart; ``crop`` keeps the largest part in the middle that has the aspect
        ratio; ``pad`` keeps all, in the middle of an empty frame.
        """
        alike = same_aspect(native, size)
        kept = _within(native, size) if fit == "crop" and not alike else native
        inner = _within(size, native) if fit == "pad" and not alike else size
        top, left = (native[0] - kept[0]) // 2, (native[1] - kept[1]) // 2
        return cls(top, left, kept, inner, (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2, size)

    def camera(self, native: Intrinsics) -> Intrinsics:
        """The camera of the part that is kept, at its own resolution, from that of the whole picture."""
        height, width = self.kept
        moved = {"cx": native.cx - self.left, "cy": native.cy - self.top, "height": height, "width": width}
        return native.model_copy(update=moved)

    def camera_of_result(self, native: Intrinsics) -> Intrinsics:
        """The camera of the result."""
        inside = self.camera(native).resized(*self.inner)
        moved = {"cx": inside.cx + self.before, "cy": inside.cy + self.above}
        return inside.model_copy(update={**moved, "height": self.size[0], "width": self.size[1]})


def _within(outer: Size, aspect: Size) -> Size:
    """The largest (height, width) within ``outer`` of the aspect ratio of ``aspect``, to the pixel."""
    height, width = outer
    if width * aspect[0] > height * aspect[1]:
        return height, max(1, round(height * aspect[1] / aspect[0]))
    return max(1, round(width * aspect[0] / aspect[1])), width


def same_aspect(first: Size, second: Size) -> bool:
    """Whether two sizes (height, width) have one aspect ratio, within a pixel of the first."""
    return abs(first[0] * second[1] - first[1] * second[0]) <= max(second)


def change(native: Size, size: Size) -> float:
    """By what factor the aspect ratios differ, 1 where they do not (within a pixel): 2 for 100x100 into 50x100."""
    if same_aspect(native, size):
        return 1.0
    ratio = native[1] * size[0] / (native[0] * size[1])
    return max(ratio, 1 / ratio)


def pack_camera(camera: Intrinsics | None, fit: Fit, height: int, width: int) -> Intrinsics | None:
    """The recipe's camera for a picture of a pack, of ``height`` x ``width``; None where it has none."""
    if camera is None:
        return None
    return Frame.of(fit, (camera.height, camera.width), (height, width)).camera_of_result(camera)
