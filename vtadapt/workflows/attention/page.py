"""One photograph of ``vtadapt visualize-attention``: the maps of a block over it, as a page and as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor

from vtadapt.models.adapted import AdaptedModel
from vtadapt.models.attention_maps import AttentionMaps, rollout
from vtadapt.models.backbones.base import Backbone
from vtadapt.models.capture import regular_attention, task_attention
from vtadapt.viz.attention import TokenMap, attention_panel
from vtadapt.workflows.attention.choice import chosen_size
from vtadapt.workflows.attention.options import QUERY, RECEIVED, ROLLOUT, Plan
from vtadapt.workflows.run.load import Loaded
from vtadapt.workflows.sizing.decoded import enough_memory, network_input
from vtadapt.workflows.sizing.size import parse_run_size
from vtadapt.workflows.terminal.text import say

UNIFORM = "times uniform attention"


def show(
    file: Path, rgb: np.ndarray, loaded: Loaded, backbone: Backbone, plan: Plan
) -> tuple[dict[str, Any], np.ndarray, dict[str, Any]]:
    """What is told of the photograph ``rgb``, (H, W, 3) uint8; its page, likewise; and its maps by name.

    ``backbone`` is the run's as it was before training; ``file`` is named in the title.
    """
    model = cast(AdaptedModel, loaded.model)
    h, w = rgb.shape[:2]
    run_h, run_w = parse_run_size(plan.size or "auto", (h, w), loaded.size)
    if plan.size is None:
        run_h, run_w = chosen_size(model.backbone, plan.block, (h, w), (run_h, run_w))
    through = plan.mode == ROLLOUT
    with enough_memory((run_h, run_w)):
        image = network_input(rgb, (run_h, run_w))
        regular = regular_attention(backbone, image, plan.block, head=plan.head, from_stage=through)
        _, found = task_attention(model, image, plan.block, tasks=plan.tasks, head=plan.head, from_stage=through)
    cell = regular[-1].stride * h / run_h, regular[-1].stride * w / run_w
    pixel, how = _query_pixel(plan, regular[-1], cell, (h, w))
    token = None if pixel is None else _token(pixel, cell, regular[-1].shown)
    if chosen := _chosen(plan, (run_h, run_w), regular[-1].shown):
        say(f"{file.name}: {chosen}")
    if how:
        say(f"{file.name}: {how}")
    maps = {"regular": regular, **{f"taa_{name}": each for name, each in found.items()}}
    pictures = {name: _picture(each, plan.mode, token, cell) for name, each in maps.items()}
    entry = {
        "size": [h, w],
        "run_size": [run_h, run_w],
        "tokens": list(regular[-1].shown),
        "block": plan.block_name,
        "head": plan.head,
        "mode": plan.mode,
        "query": None if pixel is None else list(pixel),
        "query_from": how or None,
        "on_padding": {name: _on_padding(each.values, token) for name, each in pictures.items()},
    }
    page = attention_panel(
        rgb,
        pictures["regular"],
        {name: pictures[f"taa_{name}"] for name in plan.tasks},
        title=_title(file, loaded, plan),
        words=_words(loaded, plan, entry, len(regular)),
        alpha=plan.alpha,
        query=pixel,
    )
    return entry, page, _arrays(pictures, cell, pixel)


def _chosen(plan: Plan, size: tuple[int, int], tokens: tuple[int, int]) -> str:
    """Which block and size were taken where they were not named."""
    found = [] if plan.block_given else [f"--block {plan.block} ({plan.block_name})"]
    found += [f"--size {size[0]}x{size[1]}"] if plan.size is None else []
    return f"took {' and '.join(found)}, a map of {tokens[0]} x {tokens[1]} tokens" if found else ""


def _query_pixel(
    plan: Plan, regular: AttentionMaps, cell: tuple[float, float], size: tuple[int, int]
) -> tuple[tuple[int, int] | None, str]:
    """The pixel (x, y) that is asked about, and how it was chosen if nobody named it."""
    if not isinstance(plan.query, str):
        return plan.query, ""
    y, x, entropy = regular.most_focused()
    pixel = (min(int((x + 0.5) * cell[1]), size[1] - 1), min(int((y + 0.5) * cell[0]), size[0] - 1))
    return pixel, (
        f"--query auto took {pixel[0]},{pixel[1]}: of the tokens that see most others, the one whose regular "
        f"self-attention is the most focused (entropy {entropy:.2f} of the uniform one's)"
    )


def _token(pixel: tuple[int, int], cell: tuple[float, float], shown: tuple[int, int]) -> tuple[int, int]:
    """The token (y, x) that a pixel (x, y) lies in."""
    y, x = int((pixel[1] + 0.5) / cell[0]), int((pixel[0] + 0.5) / cell[1])
    return min(y, shown[0] - 1), min(x, shown[1] - 1)


def _picture(
    maps: Sequence[AttentionMaps], mode: str, token: tuple[int, int] | None, cell: tuple[float, float]
) -> TokenMap:
    """The map of a mode, what of it a query can reach, and the block's windows."""
    last = maps[-1]
    reach: Tensor | None = None
    if mode == ROLLOUT:
        values, reached = rollout(maps, token)
        reach = None if token is None else reached
    elif token is None:
        values = last.received()
    else:
        values, reach = last.query(*token), last.reach(*token)
    return TokenMap(values.numpy(), cell, None if reach is None else reach.numpy(), last.regions().numpy())


def _on_padding(values: np.ndarray, token: tuple[int, int] | None) -> float:
    """Share of the attention that did not reach the image."""
    whole = 1.0 if token is not None else values.size
    return round(max(0.0, 1 - float(values.sum()) / whole), 4)


def _title(file: Path, loaded: Loaded, plan: Plan) -> str:
    heads = f"mean of {plan.heads} heads" if plan.head == "mean" else f"head {plan.head} of {plan.heads}"
    what = {RECEIVED: "attention received", QUERY: "where one pixel looks", ROLLOUT: "attention rollout"}[plan.mode]
    return f"{file.name}: {what}, {plan.block_name} of {loaded.settings.encoder}, {heads}"


def _words(loaded: Loaded, plan: Plan, entry: dict[str, Any], blocks: int) -> tuple[str, str]:
    """What the numbers are, for the colour bar; and the small print."""
    rows, columns = entry["tokens"]
    height, width = entry["run_size"]
    small = [f"Run {loaded.path.name} at {height} x {width}: {rows} x {columns} tokens."]
    if plan.mode == ROLLOUT:
        small.append(f"Product of 0.5 A + 0.5 I over {blocks} adapted blocks of the stage, within their windows.")
    share = entry["on_padding"]["regular"]
    if share >= 0.005:
        small.append(
            f"{share:.0%} of the regular attention falls on padding, which the task-adapted one masks: "
            "part of the difference is due to that alone."
        )
    if loaded.settings.train_blocks != "adapters":
        small.append("Regular: the backbone before training, as this run has trained its blocks.")
    if entry["query"] is not None:
        small.append("Outlined: what the marked pixel's token can see.")
        return "share of the attention of the marked pixel's token", " ".join(small)
    return f"attention received, {UNIFORM}", " ".join(small)


def _arrays(pictures: dict[str, TokenMap], cell: tuple[float, float], pixel: tuple[int, int] | None) -> dict[str, Any]:
    arrays: dict[str, Any] = {name: each.values.astype(np.float32) for name, each in pictures.items()}
    arrays["pixels_per_token"] = np.array(cell)
    if pixel is not None:
        arrays["query"] = np.array(pixel)
        arrays["reach_regular"] = pictures["regular"].reach
        arrays["reach_taa"] = next(each.reach for name, each in pictures.items() if name != "regular")
    return arrays
