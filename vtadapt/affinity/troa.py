"""TROA: the running affinity matrix A and the loss weights W, from cosines of task gradients.

Orientation everywhere: entry [s, t] is how much source task s helps target task t; rows are sources, columns targets.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

MARK = 2.0
"""A cell whose mean is within this many standard errors of 0 is not told apart from noise."""

STATE = ("weight", "weight2", "total", "square", "weights", "updates")


class Moments:
    """Weighted mean, standard deviation and standard error of T x T cells, each cell with its own count.

    An observation that was followed by n updates of its cell weighs ``decay`` ** n. With decay 1 these are the plain
    mean, deviation and error; sums over ranks are sums of these tensors, so the number of ranks does not matter.
    """

    def __init__(self, tasks: int, decay: float = 1.0) -> None:
        """Start empty."""
        self.decay = decay
        self.weight, self.weight2, self.total, self.square = (
            torch.zeros(tasks, tasks, dtype=torch.float64) for _ in range(4)
        )

    def add(self, count: Tensor, total: Tensor, square: Tensor) -> None:
        """Take in a batch of observations; cells without one are left as they are.

        Args:
            count: (T, T) number of observations of each cell.
            total: (T, T) their sum.
            square: (T, T) the sum of their squares.
        """
        seen = count > 0
        keep = torch.ones_like(self.weight).masked_fill(seen, self.decay)
        self.weight = self.weight * keep + count
        self.weight2 = self.weight2 * keep.square() + count
        self.total = self.total * keep + torch.where(seen, total, 0.0)
        self.square = self.square * keep + torch.where(seen, square, 0.0)

    @property
    def effective(self) -> Tensor:
        """(T, T) number of equally weighted observations that would give the same error: (sum w)^2 / sum w^2."""
        return self.weight.square() / self.weight2.clamp_min(1e-300)

    @property
    def mean(self) -> Tensor:
        """(T, T), NaN where nothing was observed."""
        return self.total / self.weight

    @property
    def sd(self) -> Tensor:
        """(T, T) standard deviation over observations, NaN below two of them."""
        n = self.effective
        # Rounding can make a variance of 0 slightly negative; n / (n - 1) is Bessel's correction for weighted
        # observations.
        variance = (self.square / self.weight - self.mean.square()).clamp_min(0) * n / (n - 1)
        # Decayed counts are floats: one observation must not pass for slightly more than one.
        return torch.where(n > 1 + 1e-9, variance.sqrt(), torch.nan)

    @property
    def error(self) -> Tensor:
        """(T, T) standard error of the mean, NaN below two observations."""
        return self.sd / self.effective.sqrt()


def sums(cosines: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Count, sum and sum of squares of (B, T, T) observations; NaN is no observation. Each (T, T) float64."""
    # Float64, as sums over thousands of updates go into a difference of squares.
    values = cosines.double()
    seen = values.isfinite()
    values = torch.where(seen, values, 0.0)
    return seen.sum(0).double(), values.sum(0), values.square().sum(0)


def affinity(mean: Tensor, error: Tensor) -> Tensor:
    """A from the averaged cosines C and their standard errors: max(C, 0) shrunk by C^2 / (C^2 + error^2).

    The clamp comes after averaging: clamped before, noise about 0 would average to something positive. The shrinkage
    (that of an empirical Bayes estimate with prior variance C^2) leaves a cell of ten errors at 99 % and halves one of
    one error. Cells without an observation are 0; one observation has no error and counts as noise, but for the
    diagonal, which is a gradient with itself.

    Args:
        mean: (T, T), NaN where nothing was observed.
        error: (T, T), NaN where it is not known.

    Returns:
        (T, T) in 0..1.
    """
    # A negative cosine says that the source harms: it gets no part, as A is a weight and not a sign.
    c = mean.nan_to_num(0.0).clamp_min(0)
    noise = error.square().nan_to_num(torch.inf)
    # The cosine of a gradient with itself is 1 for certain, however few images were seen.
    noise.fill_diagonal_(0.0)
    return c * c.square() / (c.square() + noise).clamp_min(torch.finfo(c.dtype).tiny)


def marked(mean: Tensor, error: Tensor, *, diagonal: bool = True) -> Tensor:
    """(T, T) bool: True where a cell is not told apart from noise, |C| < 2 errors, or was never measured.

    Args:
        mean: (T, T), NaN where nothing was observed.
        error: (T, T).
        diagonal: the diagonal is a gradient with itself, which no noise can change; False where it is measured too.
    """
    # Written so that NaN, which compares as false, counts as noise.
    noise = ~(mean.abs() >= MARK * error) | (mean == 0)
    if diagonal:
        noise[torch.eye(len(mean), dtype=torch.bool)] = mean.diagonal().isnan()
    return noise


def mirror_step(weights: Tensor, cosines: Tensor, eta: float, floor: float = 1e-4) -> Tensor:
    """One step of mirror descent: W[s, t] <- W[s, t] exp(eta C[s, t]) / Z_t, at least ``floor``.

    (TAWT, Chen et al. 2022, with the cosine in place of the inner product.) Pairs that were not observed keep their
    weight; the others share what they had among themselves, so that columns go on summing to 1.

    Args:
        weights: W (T, T), columns sum to 1.
        cosines: C (T, T) of this step, NaN where the pair was not observed.
        eta: step size.
        floor: smallest weight, before the columns are normalised again.
    """
    seen = cosines.isfinite()
    grown = torch.where(seen, weights * torch.exp(eta * cosines.nan_to_num(0.0)), 0.0)
    share = torch.where(seen, weights, 0.0).sum(0)
    # Only what the observed pairs hold is divided anew: a task without labels in a batch must not lose weight by that.
    divided = grown * share / grown.sum(0).clamp_min(1e-300)
    # Nor may the floor move it: after normalising, a weight lies a little below it.
    scaled = torch.where(seen, divided.clamp_min(floor), weights)
    return scaled / scaled.sum(0)


class Troa:
    """The state of TROA in a training run: decayed moments of the cosines, and W.

    A and W are never back-propagated. The order of the axes is that of the tasks given to the measure.
    """

    def __init__(self, tasks: int, momentum: float = 0.9, eta: float = 0.1) -> None:
        """Start with W = 1/T and nothing observed.

        Args:
            tasks: T.
            momentum: m, the weight that the past keeps at each update.
            eta: step size of W.
        """
        self.eta, self.updates = eta, 0
        self.moments = Moments(tasks, momentum)
        self.weights = torch.full((tasks, tasks), 1 / tasks, dtype=torch.float64)

    def update(self, count: Tensor, total: Tensor, square: Tensor) -> None:
        """Take in the sums of one update's images (see :func:`sums`), already added up over ranks."""
        self.moments.add(count, total, square)
        # 0 / 0 is NaN, which mirror_step takes for a pair that was not observed.
        self.weights = mirror_step(self.weights, total / count, self.eta)
        self.updates += 1

    @property
    def affinity(self) -> Tensor:
        """A (T, T) float64 in 0..1."""
        return affinity(self.moments.mean, self.moments.error)

    @property
    def task_weights(self) -> Tensor:
        """(T,) factors of the losses: T w_s with w_s = mean over t of W[s, t]; their mean is 1."""
        # Scaled to a mean of 1, else the learning rate would change with the number of tasks.
        return self.weights.mean(1) * len(self.weights)

    def state(self) -> dict[str, Tensor]:
        """All that resuming needs, as tensors."""
        own = {name: getattr(self.moments, name) for name in STATE[:4]}
        return {**own, "weights": self.weights, "updates": torch.tensor(self.updates)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Undo :meth:`state`."""
        for name in STATE[:4]:
            setattr(self.moments, name, state[name].clone())
        self.weights, self.updates = state["weights"].clone(), int(state["updates"])
