"""``vtadapt visualize-attention``: where an adapted block looks, by itself and for each task, over a photograph."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vtadapt.data.atomic import disk_error
from vtadapt.errors import ConfigError, UsageError, near_matches
from vtadapt.models.adapted import AdaptedModel
from vtadapt.models.attention_maps import AttentionMaps, Head, rollout
from vtadapt.models.backbone import SwinBackbone, load_backbone
from vtadapt.models.capture import find_block, regular_attention, task_attention
from vtadapt.viz.attention import TokenMap, attention_panel
from vtadapt.viz.panels import save_png
from vtadapt.workflows.predict import (
    find_images,
    network_input,
    parse_run_size,
    read_image,
    unique_stems,
    write_arrays,
)
from vtadapt.workflows.session import Loaded, load_run

RECEIVED, QUERY, ROLLOUT = MODES = ("received", "query", "rollout-windows")
UNIFORM = "times uniform attention"


@dataclass(frozen=True)
class AttentionOptions:
    """What of the attention is shown.

    Attributes:
        tasks: names; None for all of the run.
        block: number of the adapted block: 0 is the first, -1 the last.
        head: "mean" over heads, or the number of one.
        query: "X,Y" in pixels of the photograph, or "auto"; None for none.
        mode: "received", "query" or "rollout-windows"; None = query where a query is given, else received.
        alpha: share of the colours over the photograph, 0..1.
        size: size that the network runs at, as in ``vtadapt predict``.
    """

    tasks: Sequence[str] | None = None
    block: int = -1
    head: str = "mean"
    query: str | None = None
    mode: str | None = None
    alpha: float = 0.6
    size: str = "auto"


@dataclass(frozen=True)
class _Plan:
    """The options, checked against the run."""

    tasks: tuple[str, ...]
    block: int
    block_name: str
    head: Head
    heads: int
    mode: str
    query: tuple[int, int] | str | None
    alpha: float
    size: str


def visualize_attention(
    images: Sequence[Path], run: Path, out: Path, options: AttentionOptions | None = None
) -> list[dict[str, Any]]:
    """Write one panel and the raw maps for each photograph.

    NAME_attention.png: image | regular self-attention of the block | one task-adapted map per task, and below each
    task less the regular one. NAME_attention.npz: "regular" and "taa_TASK" (rows, columns) float32, one number per
    token that sees the image; "pixels_per_token" (height, width) in pixels of the photograph; with a query also "query"
    (x, y) and the tokens within its reach, "reach_regular" and "reach_taa".

    Args:
        images: files, or folders of which all photographs are taken.
        run: a finished run with adapters.
        out: folder of the panels; made if needed.
        options: what is shown.

    Returns:
        For each photograph {"image", "panel", "raw", "size", "run_size", "tokens", "block", "head", "mode", "query",
        "query_from", "on_padding"}; "on_padding" is the share of the attention that fell on padding, map by map.

    Raises:
        UsageError: an option that does not fit the run or the photograph.
        ConfigError: the run has no adapters, or does not load.
        DataError: no photograph found, or one that cannot be read.
    """
    options = options or AttentionOptions()
    parse_run_size(options.size, (1, 1), (1, 1))  # what is typed wrong is told before any work
    mode, query, head = _check(options)
    files = list(find_images(images))
    loaded = load_run(run)
    model = loaded.model
    if not isinstance(model, AdaptedModel):
        raise ConfigError(
            f"run {run} is a linear probe, which has no adapters to look at; name one of --method adapters"
        )
    name, heads = find_block(model, options.block, head)
    tasks = _find_tasks(options.tasks, loaded)
    plan = _Plan(tasks, options.block, name, head, heads, mode, query, options.alpha, options.size)
    backbone = _frozen_backbone(loaded)
    with disk_error(out):
        out.mkdir(parents=True, exist_ok=True)
    results = []
    for stem, file in zip(unique_stems(files), files, strict=True):
        entry, page, arrays = _show(file, loaded, backbone, plan)
        path, raw = out / f"{stem}_attention.png", out / f"{stem}_attention.npz"
        save_png(path, page)
        write_arrays(raw, arrays)
        print(f"{file} -> {path}", file=sys.stderr)
        results.append({"image": str(file), "panel": str(path), "raw": str(raw), **entry})
    return results


def _check(options: AttentionOptions) -> tuple[str, tuple[int, int] | str | None, Head]:
    """Mode, query and head as typed."""
    mode = options.mode or (RECEIVED if options.query is None else QUERY)
    if mode not in MODES:
        raise UsageError(f"unknown mode {mode!r}; wanted {', '.join(MODES)}.{near_matches(mode, MODES)}")
    if mode == RECEIVED and options.query is not None:
        raise UsageError(
            f"--mode {RECEIVED} is over all queries; leave --query out, or use --mode {QUERY} or {ROLLOUT}"
        )
    if not 0 <= options.alpha <= 1:
        raise UsageError(f"alpha {options.alpha:g}; wanted 0 (photograph only) to 1 (colours only)")
    if options.head == "mean":
        head: Head = "mean"
    elif options.head.isascii() and options.head.isdigit():
        head = int(options.head)
    else:
        raise UsageError(f"head {options.head!r}; wanted mean or a number from 0")
    query: tuple[int, int] | str | None = options.query or ("auto" if mode == QUERY else None)
    if query not in (None, "auto"):
        try:
            x, y = (int(part) for part in str(query).split(","))
        except ValueError as error:
            raise UsageError(f"query {query!r}; wanted X,Y in pixels of the image such as 320,240, or auto") from error
        query = (x, y)
    return mode, query, head


def _find_tasks(wanted: Sequence[str] | None, loaded: Loaded) -> tuple[str, ...]:
    names = tuple(loaded.tasks) if wanted is None else tuple(dict.fromkeys(wanted))
    for name in names:
        if name not in loaded.tasks:
            known = ", ".join(loaded.tasks)
            close = near_matches(name, loaded.tasks)
            raise UsageError(f"unknown task {name!r} for run {loaded.path.name!r}; it has {known}.{close}")
    if not names:
        raise UsageError(f"no task given; wanted some of {', '.join(loaded.tasks)} in --tasks")
    return names


def _frozen_backbone(loaded: Loaded) -> SwinBackbone:
    """The backbone as it was before training, which only some runs have changed."""
    settings = loaded.settings
    if settings.train_blocks == "adapters":
        return loaded.model.backbone
    return load_backbone(settings.backbone, settings.weights, seed=settings.seed).eval()


def _show(
    file: Path, loaded: Loaded, backbone: SwinBackbone, plan: _Plan
) -> tuple[dict[str, Any], np.ndarray, dict[str, Any]]:
    """Report, page and raw maps of one photograph."""
    assert isinstance(loaded.model, AdaptedModel)
    rgb = read_image(file)
    h, w = rgb.shape[:2]
    if isinstance(plan.query, tuple) and not (0 <= plan.query[0] < w and 0 <= plan.query[1] < h):
        raise UsageError(
            f"query {plan.query[0]},{plan.query[1]} is outside {file.name}, which is {w} x {h}; "
            f"wanted X from 0 to {w - 1} and Y from 0 to {h - 1}"
        )
    image = network_input(rgb, plan.size, loaded.size)
    through = plan.mode == ROLLOUT
    regular = regular_attention(backbone, image, plan.block, head=plan.head, from_stage=through)
    _, found = task_attention(loaded.model, image, plan.block, tasks=plan.tasks, head=plan.head, from_stage=through)
    run_h, run_w = image.shape[-2:]
    cell = regular[-1].stride * h / run_h, regular[-1].stride * w / run_w
    pixel, how = _query_pixel(plan, regular[-1], cell, (h, w))
    token = None if pixel is None else _token(pixel, cell, regular[-1].shown)
    if how:
        print(f"{file.name}: {how}", file=sys.stderr)
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


def _query_pixel(
    plan: _Plan, regular: AttentionMaps, cell: tuple[float, float], size: tuple[int, int]
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


def _title(file: Path, loaded: Loaded, plan: _Plan) -> str:
    heads = f"mean of {plan.heads} heads" if plan.head == "mean" else f"head {plan.head} of {plan.heads}"
    what = {RECEIVED: "attention received", QUERY: "where one pixel looks", ROLLOUT: "attention rollout"}[plan.mode]
    return f"{file.name}: {what}, {plan.block_name} of {loaded.settings.backbone}, {heads}"


def _words(loaded: Loaded, plan: _Plan, entry: dict[str, Any], blocks: int) -> tuple[str, str]:
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
