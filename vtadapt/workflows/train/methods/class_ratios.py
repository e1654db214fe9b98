"""How much more often each class is seen on a target without labels than on the source, from predictions alone."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vtadapt.tasks.class_ids import VOID

MEMORY = 0.98  # of the running means, a step: about the last 50 count
LEAST_STEPS = 25  # before which nothing is said: the first batches are no estimate
MOST_PIXELS = 32768  # of an image
RIDGE = 0.05  # r of ClassRatios
DOUBT = 4 / 3  # the least ratio that counts
HIGHEST = 5.0  # weight of a class


class ClassRatios:
    """Running estimate of w_k = share of class k on the target / share on the source, under a shift of shares.

    With C[i, k] the share of source pixels that are k and predicted as i, and q[i] the share of target pixels predicted
    as i, a target that differs in the classes' shares alone has q = C w (black box shift estimation: Lipton et al.,
    ICML 2018). Predictions are soft: probabilities, not the likeliest class. w is the solution of

        min over w >= 0 of  sum_i (sum_k C[i, k] w_k - q_i)^2 / c_i + r sum_k p_k (w_k - 1)^2

    with c_i and p_k the sums of C's rows and columns and r = 0.05, which keeps w near 1 where little is known
    (regularised as in Azizzadenesheli et al., ICLR 2019).

    But a target looks different, too, and that changes what is predicted. So, our reading, a class has weight w (at
    most 5) where that is 4/3 or more, and 1 elsewhere: a little more may be the looks, and a class that is predicted
    less often is rarer on the target or not recognised there; the second asks for the opposite of a lower weight.

    Pixels of the target that are of none of the classes are predicted as some of them and raise their ratios: nothing
    tells them apart without labels.
    """

    def __init__(self, classes: int) -> None:
        """Know nothing yet.

        Args:
            classes: K.
        """
        self.joint = torch.zeros(classes, classes, dtype=torch.float64)
        """Running sum of C, predicted by labelled."""
        self.predicted = torch.zeros(classes, dtype=torch.float64)
        """Running sum of q."""
        self.known = torch.zeros((), dtype=torch.float64)
        """Sum of the weights of both; 1 in the long run."""

    @staticmethod
    def shares(source: Tensor, labels: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """C (K, K) and q (K,) of one step.

        Args:
            source: logits (B, K, H, W).
            labels: of the source (B, H, W), 255 where there is none.
            target: logits (B', K, H', W').

        Returns:
            Both, on the logits' device; float64 on a CPU, elsewhere float32, which not every device goes beyond. C is
            zero where no pixel has a label.
        """
        source, labels, target = _thinned(source.detach()), _thinned(labels), _thinned(target.detach())
        kind = torch.float64 if source.device.type == "cpu" else torch.float32
        valid = labels != VOID
        pixels = source.float().softmax(1).movedim(1, -1)[valid].to(kind)
        joint = pixels.T @ F.one_hot(labels[valid], source.shape[1]).to(kind) / max(len(pixels), 1)
        return joint, target.float().softmax(1).to(kind).mean((0, 2, 3))

    def observe(self, joint: Tensor, predicted: Tensor) -> None:
        """Take in what :meth:`shares` gave; a step without a label, or with a NaN, changes nothing."""
        if not (joint.any() and joint.isfinite().all() and predicted.isfinite().all()):
            return
        for kept, found in ((self.joint, joint.cpu()), (self.predicted, predicted.cpu()), (self.known, torch.ones(()))):
            kept.mul_(MEMORY).add_(found.double(), alpha=1 - MEMORY)

    def ratios(self) -> Tensor | None:
        """Estimate of w, (K,) float64; None while too little is known."""
        known = float(self.known)
        if known < 1 - MEMORY**LEAST_STEPS - 1e-9:
            return None
        return torch.from_numpy(solve(self.joint.numpy() / known, self.predicted.numpy() / known))

    def weights(self) -> Tensor | None:
        """Weight of each class (K,) float32, 1 to 5; None while too little is known."""
        found = self.ratios()
        return None if found is None else found.where(found >= DOUBT, 1.0).clamp(max=HIGHEST).float()

    def state(self) -> dict[str, Tensor]:
        """All that resuming needs."""
        return {"joint": self.joint, "predicted": self.predicted, "known": self.known}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Undo :meth:`state`."""
        self.joint, self.predicted, self.known = (state[k].clone() for k in ("joint", "predicted", "known"))


def _thinned(maps: Tensor) -> Tensor:
    """Every n-th row and column of (..., H, W), so that at most 32 768 pixels of an image count: enough for shares."""
    step = math.ceil(math.sqrt(maps.shape[-2] * maps.shape[-1] / MOST_PIXELS))
    return maps[..., ::step, ::step]


def solve(joint: np.ndarray, predicted: np.ndarray, ridge: float = RIDGE) -> np.ndarray:
    """The minimiser of :class:`ClassRatios`, without its bounds.

    Args:
        joint: C (K, K), predicted by labelled.
        predicted: q (K,).
        ridge: r.

    Returns:
        w (K,) float64, >= 0; 1 for a class without a pixel on the source.
    """
    from scipy.optimize import nnls  # here, since it takes long to import and few runs are adapted

    rows, columns = joint.sum(1), joint.sum(0)
    scale = 1 / np.sqrt(np.maximum(rows, 1e-6))
    anchor = np.sqrt(ridge * np.maximum(columns, 1e-9))
    matrix = np.vstack([joint * scale[:, None], np.diag(anchor)])
    found, _ = nnls(matrix, np.concatenate([predicted * scale, anchor]))
    return np.where(columns > 0, found, 1.0)
