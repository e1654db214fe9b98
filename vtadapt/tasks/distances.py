"""Distances from the camera in metres: when a quantity is one, how logits become one, and losses that need one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vtadapt.tasks.losses import berhu

if TYPE_CHECKING:
    from torch import Tensor

METRES = frozenset({"m", "metre", "metres", "meter", "meters"})
OTHER_LENGTHS = {
    **dict.fromkeys(("mm", "millimetre", "millimetres", "millimeter", "millimeters"), 0.001),
    **dict.fromkeys(("cm", "centimetre", "centimetres", "centimeter", "centimeters"), 0.01),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), 1000.0),
    **dict.fromkeys(("ft", "foot", "feet"), 0.3048),
    **dict.fromkeys(("in", "inch", "inches"), 0.0254),
}
"""Other units of length -> one of it in metres."""
TYPICAL = 3.0
"""Metres: what a fresh head predicts, about the mean depth of an indoor scene."""
LEAST = 0.01
"""Metres: the smallest distance that a prediction can take, so that inverse distance and logarithm stay finite."""
PLAUSIBLE = (0.05, 200.0)  # metres: a median outside is in other units
SILOG_LAMBDA = 0.5


def from_logits(logits: Tensor, typical: float) -> Tensor:
    """Return typical x softplus(logit) / log 2 + 1 cm.

    Positive, ``typical`` for the zero logits of a fresh head, and linear for large ones, so that its gradient neither
    dies nor explodes.
    """
    import torch.nn.functional as F  # noqa: N812

    return typical / math.log(2.0) * F.softplus(logits) + LEAST


def to_logits(distance: Tensor, typical: float) -> Tensor:
    """Return the logits of distances, those of at most 1 cm being a hair more."""
    value = (distance - LEAST).clamp_min(1e-6) * math.log(2.0) / typical
    return value + (-(-value).expm1()).log()  # the inverse of softplus


def nearness(distance: Tensor) -> Tensor:
    """Return 1 / distance, at most 100 per metre."""
    return 1 / distance.clamp_min(LEAST)


def for_domains(distance: Tensor, logarithm: bool) -> Tensor:
    """Return what a discriminator of domains sees of distances: their inverse, or log(1 + distance / 1 m).

    The inverse is near 0 for all that is far; of the logarithm half of the range is beyond a few metres.
    """
    return distance.clamp_min(0).log1p() if logarithm else nearness(distance)


def berhu_inverse(prediction: Tensor, target: Tensor) -> Tensor:
    """``berhu`` of 1/p against 1/g: near surfaces weigh more; both are at least 1 cm."""
    return berhu(nearness(prediction), nearness(target))


def silog(prediction: Tensor, target: Tensor) -> Tensor:
    """Scale-invariant log error (Eigen et al. 2014, eq. 4): mean d^2 - 0.5 (mean d)^2 with d = log p - log g.

    Our reading: the means run over all valid pixels of the batch, not per image.
    """
    d = prediction.clamp_min(LEAST).log() - target.clamp_min(LEAST).log()
    return d.square().mean() - SILOG_LAMBDA * d.mean().square()
