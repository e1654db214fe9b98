"""What one batch says about task affinities: cosines of gradients, and the effect of a step (look-ahead).

Everything is handed functions and tensors; no model is known here. Entry [s, t]: source s, target t.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Conditioned:
    """One batch of B images, run with one target's conditioning.

    Attributes:
        features: what gradients are taken by: for each place (the first adapted block, ...) a tensor (B, ...) of the
            graph, in which row i belongs to image i alone.
        losses: source -> (B,) the loss of each image through this target's features and the source's head; NaN where
            the image has no label of the source. The loss of an image must not depend on the others of the batch.
        own: (B,) the loss of the target itself; None where it is in ``losses``.
    """

    features: Sequence[Tensor]
    losses: Mapping[str, Tensor]
    own: Tensor | None = None


Run = Callable[[str], Conditioned]
"""Target's name -> the batch, run with its conditioning."""


def image_gradients(losses: Tensor, features: Sequence[Tensor]) -> list[Tensor | None]:
    """Gradient of each image's loss by its own features.

    Args:
        losses: (B,), NaN where there is none.
        features: see :class:`Conditioned`.

    Returns:
        One tensor (B, P) per place, rows NaN where the loss is; None where the loss does not depend on the place.
    """
    seen = losses.isfinite()
    if not seen.any():
        return [torch.full((len(f), f[0].numel()), torch.nan, device=f.device) for f in features]
    # Images do not meet in the network, so the gradient of the sum holds the gradient of each.
    gradients = torch.autograd.grad(losses[seen].sum(), list(features), retain_graph=True, allow_unused=True)
    return [None if g is None else g.flatten(1).masked_fill(~seen[:, None], torch.nan) for g in gradients]


def cosine(u: Tensor | None, v: Tensor | None, like: Tensor) -> Tensor:
    """(B,) cosines of rows; NaN where a row is missing, 0 or not finite. ``like`` gives B and device."""
    if u is None or v is None:
        return torch.full((len(like),), torch.nan, device=like.device)
    if u is v:  # a gradient with itself, without rounding
        return torch.where(u.isfinite().all(1) & u.any(1), 1.0, torch.nan).to(u.dtype)
    # Rows are scaled to their largest entry first: squares of tiny gradients would vanish in float32.
    u, v = (x / x.abs().amax(1, keepdim=True) for x in (u, v))
    return ((u * v).sum(1) / (u.norm(dim=1) * v.norm(dim=1))).clamp(-1, 1)  # rounding may exceed 1


def troa(run: Run, tasks: Sequence[str], targets: Sequence[str] | None = None) -> Tensor:
    """Cosine of what two tasks want of the encoded features of an image, under the target's conditioning.

    u[s|t] = grad_f L_s and v[t] = grad_f L_t, both through z_t (our reading of the paper's task representations: f are
    the encoded features that enter the adapted blocks, as the arrow on the slides suggests);
    C_i[s, t] = <u[s|t], v[t]> / (|u[s|t]| |v[t]|) for image i. Asymmetric, as z_t is the target's; invariant to the
    scale of the losses. No more than three gradients are in memory, whatever T.

    Args:
        run: the batch by target.
        tasks: the sources.
        targets: those of them whose columns are wanted; None for all.

    Returns:
        (places, B, T, T), or as many columns as there are targets; NaN where the image lacks a label of s or t.
    """
    columns = []
    for target in tasks if targets is None else targets:
        batch = run(target)
        target_loss = batch.losses[target] if batch.own is None else batch.own
        # Kept for the whole column: all sources are compared with the same v[t].
        v = image_gradients(target_loss, batch.features)
        rows = []
        for source in tasks:
            same = source == target and batch.own is None
            u = v if same else image_gradients(batch.losses[source], batch.features)
            rows.append(torch.stack([cosine(a, b, f) for a, b, f in zip(u, v, batch.features, strict=True)]))
        columns.append(torch.stack(rows, dim=-1))  # (places, B, S)
    return torch.stack(columns, dim=-1).detach()


def plain_cosine(run: Run, tasks: Sequence[str]) -> Tensor:
    """The control: the cosine of plain per-task gradients, grad_f L_s through z_s against grad_f L_t through z_t.

    Symmetric by definition (f is the same tensor for all tasks only at the first place).

    Returns:
        (places, B, T, T), NaN where the image lacks a label of s or t.
    """
    gradients: dict[str, list[Tensor | None]] = {}
    like: Sequence[Tensor] = ()
    for task in tasks:  # one graph at a time
        batch = run(task)
        gradients[task] = image_gradients(batch.losses[task], batch.features)
        # Detached, or the graph of this task would live on beside the next one's.
        like = [f.detach() for f in batch.features]
    rows = [
        torch.stack(
            [
                torch.stack([cosine(a, b, f) for a, b, f in zip(gradients[s], gradients[t], like, strict=True)])
                for t in tasks
            ],
            dim=-1,
        )
        for s in tasks
    ]
    return torch.stack(rows, dim=-2).detach()


def lookahead(
    losses: Callable[[], Mapping[str, Tensor]], parameters: Sequence[Tensor], tasks: Sequence[str], lr: float
) -> Tensor:
    """Relative fall of the target's loss after one gradient step of the source alone (TAG, Fifty et al. 2021, eq. 1).

    Z[s, t] = 1 - L_t(theta - lr grad_theta L_s) / L_t(theta), on the same batch. The parameters are put back exactly.

    Args:
        losses: runs the batch; task -> loss (), NaN where the batch has no label of the task.
        parameters: theta, shared by all tasks.
        tasks: names, the order of the axes.
        lr: step size.

    Returns:
        (T, T), NaN where the batch lacks labels of s or t.
    """
    # With its graph: the gradients of all sources are taken from this one run.
    before = losses()
    start = {task: float(before[task].detach()) for task in tasks}
    # The parameters are put back from copies: adding lr * gradient again would leave a rounding error.
    kept = [p.detach().clone() for p in parameters]
    out = torch.full((len(tasks), len(tasks)), torch.nan, dtype=torch.float64)
    for row, source in enumerate(tasks):
        if not torch.isfinite(before[source].detach()):
            continue
        gradients = torch.autograd.grad(before[source], list(parameters), retain_graph=True, allow_unused=True)
        try:
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    if gradient is not None:
                        # .data: the graph of ``before`` serves the next source too, with the values it was built on
                        parameter.data = parameter.data - lr * gradient
                after = losses()
        finally:
            for parameter, value in zip(parameters, kept, strict=True):
                parameter.data = value
        for column, target in enumerate(tasks):
            # A loss of 0, or NaN, has no relative fall.
            if start[target] > 0:
                out[row, column] = 1 - float(after[target]) / start[target]
    return out
