"""A direction per pixel: a vector of length 1, with +x right, +y down, +z away from the camera.

On disk float16 (H, W, 3), targets float32; (0, 0, 0) where it is missing. The direction is that of logits + (0, 0, -1):
the zero logits of a fresh head face the camera. Normalising zeros would have no direction and an unbounded gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from vtadapt.digits import percent
from vtadapt.errors import DataError
from vtadapt.tasks.colour.draw import Picture
from vtadapt.tasks.colour.void import hide
from vtadapt.tasks.kinds.base import Key, Kind, Range
from vtadapt.tasks.label_check import LabelCheck
from vtadapt.tasks.labels import Storage
from vtadapt.tasks.losses import l1
from vtadapt.tasks.metrics.meter import Meter
from vtadapt.tasks.nearest import nearest
from vtadapt.tasks.spec import AnyTask, Camera, Declared

if TYPE_CHECKING:
    from torch import Tensor

MISSING = 0.0  # of every component
UNIT_TOLERANCE = 0.02
FACING = (0.0, 0.0, -1.0)
SHORTEST = 1e-4  # what shorter vectors are divided by, so that the gradient is bounded
AWAY, AWAY_FLIPPED = 0.05, 0.5  # share of vectors that no camera could see: suspicious, and flipped for sure


def cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 - <p, g> of unit vectors."""
    return (1 - (prediction * target).sum(1)).mean()


def angular(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean angle in radians, 2 atan2(|p - g|, |p + g|), which unlike arccos keeps its precision near 0.

    The lengths are sqrt(x + 1e-12), so that the gradient is finite (and 0) where p equals g.
    """
    apart = ((prediction - target).square().sum(1) + 1e-12).sqrt()
    along = ((prediction + target).square().sum(1) + 1e-12).sqrt()
    return (2 * apart.atan2(along)).mean()


def facing_away(normals: NDArray[Any], camera: Camera) -> NDArray[np.bool_]:
    """(H, W) mask of vectors that no camera there could see: the angle to the ray is under 84 degrees (n . ray > 0.1).

    A floor has z > 0 where the camera looks up, so z alone does not tell.
    """
    height, width = normals.shape[:2]
    x = ((np.arange(width) - camera.cx) / camera.fx).astype(np.float32)[None, :]
    y = ((np.arange(height) - camera.cy) / camera.fy).astype(np.float32)[:, None]
    along = normals[..., 0] * x + normals[..., 1] * y + normals[..., 2]
    return np.asarray(along > 0.1 * np.sqrt(1 + x * x + y * y))


class UnitVectorMeter(Meter):
    """Angles in degrees between prediction and target, all valid pixels pooled.

    The angle is 2 atan2(|p - g|, |p + g|). ``angle_mean/pixel``; ``angle_median/pixel``, from a histogram with bins of
    0.01 degrees (hence to +-0.01); ``within11.25/pixel``, ``within22.5/pixel``, ``within30/pixel``: shares below.
    """

    LIMITS = (11.25, 22.5, 30.0)
    BINS_PER_DEGREE = 100

    @override
    def _zeros(self) -> dict[str, Tensor]:
        import torch

        return {
            "sum": torch.zeros(1, dtype=torch.float64),
            "within": torch.zeros(len(self.LIMITS), dtype=torch.int64),
            "histogram": torch.zeros(180 * self.BINS_PER_DEGREE, dtype=torch.int64),
        }

    @override
    def _add(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        import torch
        import torch.nn.functional as F  # noqa: N812

        p = prediction.movedim(1, -1)[valid].double()  # (N, 3)
        g = F.normalize(target.movedim(1, -1)[valid].double(), dim=1)
        p = F.normalize(p, dim=1)
        angle = torch.rad2deg(2 * (p - g).norm(dim=1).atan2((p + g).norm(dim=1)))
        bins = (angle * self.BINS_PER_DEGREE).long().clamp(max=180 * self.BINS_PER_DEGREE - 1)
        self._state["sum"] += angle.sum()
        self._state["within"] += torch.stack([(angle < limit).sum() for limit in self.LIMITS])
        self._state["histogram"] += bins.bincount(minlength=180 * self.BINS_PER_DEGREE)

    @override
    def _values(self) -> dict[str, float]:
        import torch

        pixels = self.counts()["pixels"]
        cumulative = self._state["histogram"].cumsum(0)
        middle = int(torch.searchsorted(cumulative, (pixels + 1) // 2))
        values = {
            "angle_mean/pixel": float(self._state["sum"]) / pixels,
            "angle_median/pixel": (middle + 0.5) / self.BINS_PER_DEGREE,
        }
        shares = zip(self.LIMITS, self._state["within"].tolist(), strict=True)
        return values | {f"within{limit:g}/pixel": count / pixels for limit, count in shares}


class VectorsCheck(LabelCheck):
    """Unit vectors: length, and whether they face the camera."""

    wants = "not finite or not of length 1"

    def __post_init__(self) -> None:
        self.behind = self.away = self.vectors = 0
        self.sums = np.zeros(3)

    @override
    def forbidden(self, array: NDArray[Any]) -> NDArray[np.bool_]:
        with np.errstate(invalid="ignore", over="ignore"):
            length = np.sqrt(np.einsum("hwc,hwc->hw", array, array, dtype=np.float32))
        off = ~(np.abs(length - 1) <= UNIT_TOLERANCE)  # also where it is not a number
        return np.asarray(off & (length != 0))

    @override
    def _count(self, name: str, array: NDArray[Any], mask: NDArray[np.bool_], camera: Camera) -> None:
        del name  # the mean of all components would mean nothing
        vectors = array if mask.all() else np.where(mask[..., None], array, np.float32(0))
        self.sums += [vectors[..., axis].sum(dtype=np.float64) for axis in range(3)]
        self.vectors += int(mask.sum())
        self.behind += int(np.count_nonzero(vectors[..., 2] > 0))
        self.away += int(np.count_nonzero(facing_away(vectors, camera)))

    @override
    def report(self) -> dict[str, Any]:
        """Also the mean of each axis, the share of vectors with z > 0, and of those that no camera could see."""
        if not self.vectors:
            return super().report()
        return super().report() | {
            "mean_xyz": [round(float(s), 4) for s in self.sums / self.vectors],
            "z_positive_share": self.behind / self.vectors,
            "away_share": self.away / self.vectors,
        }

    @override
    def findings(self) -> tuple[list[str], list[str]]:
        """Also vectors that face away from the camera."""
        problems, warnings = super().findings()
        share = self.away / max(self.vectors, 1)
        text = f"{self.name}: {percent(share)} of the vectors face away from the camera"
        if share > AWAY_FLIPPED:
            problems.append(f"{text}: axis z looks flipped (a surface that is seen has z < 0)")
        elif share > AWAY:
            warnings.append(f"{text}, wanted about 0: is an axis flipped?")
        return problems, warnings


class UnitVector(Kind):
    """See the module's page."""

    losses = {"cosine": cosine, "l1": l1, "angular": angular}
    default_loss = "cosine"
    metrics = {
        "angle_mean": False,
        "angle_median": False,
        "within11.25": True,
        "within22.5": True,
        "within30": True,
    }
    default_headline = "angle_mean/pixel"
    meter = UnitVectorMeter
    label_check = VectorsCheck
    file_form = "vectors"
    weight = 5.0
    channels = 3
    directions = True

    @override
    def storage(self, task: Declared, dtype: np.dtype[Any] | None = None) -> Storage:
        return Storage("float16", MISSING)

    @override
    def known(self, task: Declared, array: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray((array != MISSING).any(axis=-1))

    @override
    def check_label(self, task: Declared, array: NDArray[Any], where: str) -> NDArray[Any]:
        array = np.nan_to_num(array.astype(np.float32), nan=MISSING, posinf=MISSING, neginf=MISSING)
        length = np.sqrt(np.einsum("hwc,hwc->hw", array, array))
        wrong = (length > 0) & (np.abs(length - 1) > UNIT_TOLERANCE)
        if wrong.any():
            raise DataError(f"{where}: vectors of length {float(length[wrong][0]):.3f}, wanted 1, or 0 where missing")
        return array

    @override
    def to_target(self, task: AnyTask, array: NDArray[Any]) -> Tensor:
        data = super().to_target(task, array)
        # float16 is off unit length by up to 1e-3.
        return data.div_(data.square().sum(0, keepdim=True).sqrt_().clamp_(min=1e-6))

    @override
    def resize(self, target: Tensor, size: Sequence[int]) -> Tensor:
        """Nearest, then to unit length again; zeros stay zeros."""
        near = nearest(target, size)
        return near / near.square().sum(dim=-3, keepdim=True).sqrt().clamp(min=1e-6)

    @override
    def mirror(self, target: Tensor, axis: int) -> Tensor:
        """Also the component along the axis changes its sign; a zero stays +0."""
        result = super().mirror(target, axis)
        component = {-1: 0, -2: 1}[axis]
        result[component] = 0.0 - result[component]
        return result

    @override
    def valid(self, task: AnyTask, target: Tensor) -> Tensor:
        return target.isfinite().all(1) & (target != MISSING).any(1)

    @override
    def for_loss(self, task: AnyTask, logits: Tensor) -> Tensor:
        x = logits + logits.new_tensor(FACING).view(1, 3, 1, 1)
        # F.normalize, written out: torch's norm over a dimension that is not the last takes ten times as long.
        return x / x.square().sum(1, keepdim=True).clamp_min(SHORTEST**2).sqrt()

    @override
    def from_blended(self, task: AnyTask, mean: Tensor) -> Tensor:
        """What decodes to the direction of the mean vector."""
        return mean - mean.new_tensor(FACING).view(1, 3, 1, 1)

    @override
    def target_for_loss(self, target: Tensor) -> Tensor:
        import torch.nn.functional as F  # noqa: N812

        return F.normalize(target, dim=1)

    @override
    def constant(self, task: AnyTask, mean: Tensor) -> Tensor:
        """The direction of the mean vector."""
        return mean / mean.norm().clamp_min(1e-6) - mean.new_tensor(FACING)

    @override
    def value_range(self, task: AnyTask, x: NDArray[Any]) -> Range | None:
        return None

    @override
    def colour(self, task: AnyTask, x: NDArray[Any], value_range: Range | None) -> Picture:
        """((x, -y, -z) + 1) / 2 x 255.

        The field draws x right, y up, z to the viewer, so that a surface that faces the camera is (128, 128, 255),
        bluish.
        """
        _, valid = self.plane(task, x)
        vectors = np.where(valid, x, 1.0)
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=0, keepdims=True), 1e-12)
        shown = unit * np.array([1, -1, -1])[:, None, None]
        for step, number in ((np.add, 1), (np.divide, 2), (np.multiply, 255)):
            step(shown, number, out=shown)  # in place: of a large photograph each copy is 0.3 GB
        picture = np.rint(np.clip(shown, 0, 255, out=shown), out=shown).astype(np.uint8).transpose(1, 2, 0)
        return hide(np.ascontiguousarray(picture), ~valid)

    @override
    def key(self, task: AnyTask, samples: Sequence[NDArray[Any]], limits: Range | None) -> Key:
        return Key(directions=True)


KIND = UnitVector()
