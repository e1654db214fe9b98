"""One photograph of ``vtadapt visualize-attention``: the maps of a block over it, as a page and as numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vtadapt.viz.attention import TokenMap, attention_panel
from vtadapt.workflows.attention.look import REGULAR, look
from vtadapt.workflows.attention.options import QUERY, RECEIVED, ROLLOUT, Plan
from vtadapt.workflows.attention.ready import Ready
from vtadapt.workflows.terminal.text import say

UNIFORM = "times uniform attention"


def show(file: Path, rgb: np.ndarray, ready: Ready) -> tuple[dict[str, Any], np.ndarray, dict[str, Any]]:
    """What is told of the photograph ``rgb``, (H, W, 3) uint8; its page, likewise; and its maps by name.

    ``file`` is named in the title.
    """
    plan, looked = ready.plan, look(rgb, ready)
    pixel, how = looked.query_pixel(plan.query)
    if chosen := _chosen(plan, looked.run_size, looked.tokens):
        say(f"{file.name}: {chosen}")
    if how:
        say(f"{file.name}: {how}")
    pictures = looked.pictures(plan.mode, pixel)
    token = None if pixel is None else looked.token(pixel)
    entry = {
        "size": [*looked.size],
        "run_size": [*looked.run_size],
        "tokens": [*looked.tokens],
        "block": plan.block_name,
        "head": plan.head,
        "mode": plan.mode,
        "query": None if pixel is None else list(pixel),
        "query_from": how or None,
        "on_padding": {name: _on_padding(each.values, token) for name, each in pictures.items()},
    }
    page = attention_panel(
        rgb,
        pictures[REGULAR],
        {name: pictures[f"taa_{name}"] for name in plan.tasks},
        title=_title(file, ready),
        words=_words(ready, entry, len(looked.maps[REGULAR])),
        alpha=plan.alpha,
        query=pixel,
    )
    return entry, page, _arrays(pictures, looked.cell, pixel)


def _chosen(plan: Plan, size: tuple[int, int], tokens: tuple[int, int]) -> str:
    """Which block and size were taken where they were not named."""
    found = [] if plan.block_given else [f"--block {plan.block} ({plan.block_name})"]
    found += [f"--size {size[0]}x{size[1]}"] if plan.size is None else []
    return f"took {' and '.join(found)}, a map of {tokens[0]} x {tokens[1]} tokens" if found else ""


def _on_padding(values: np.ndarray, token: tuple[int, int] | None) -> float:
    """Share of the attention that did not reach the image."""
    whole = 1.0 if token is not None else values.size
    return round(max(0.0, 1 - float(values.sum()) / whole), 4)


def _title(file: Path, ready: Ready) -> str:
    plan = ready.plan
    heads = f"mean of {plan.heads} heads" if plan.head == "mean" else f"head {plan.head} of {plan.heads}"
    what = {RECEIVED: "attention received", QUERY: "where one pixel looks", ROLLOUT: "attention rollout"}[plan.mode]
    return f"{file.name}: {what}, {plan.block_name} of {ready.loaded.settings.encoder}, {heads}"


def _words(ready: Ready, entry: dict[str, Any], blocks: int) -> tuple[str, str]:
    """What the numbers are, for the colour bar; and the small print."""
    loaded, plan = ready.loaded, ready.plan
    rows, columns = entry["tokens"]
    height, width = entry["run_size"]
    small = [f"Run {loaded.path.name} at {height} x {width}: {rows} x {columns} tokens."]
    if plan.mode == ROLLOUT:
        small.append(f"Product of 0.5 A + 0.5 I over {blocks} adapted blocks of the stage, within their windows.")
    share = entry["on_padding"][REGULAR]
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
        arrays["reach_regular"] = pictures[REGULAR].reach
        arrays["reach_taa"] = next(each.reach for name, each in pictures.items() if name != REGULAR)
    return arrays
