"""``vtadapt backbones``: the catalogue of encoders and the store of their files, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich import box

from vtadapt.models.backbones.catalogue import CONDITIONS, Figure, Known
from vtadapt.models.backbones.weights import store
from vtadapt.workflows.terminal.tables import Table


def catalogue_pages(encoders: Sequence[Known]) -> list[Table | str]:
    """One row per encoder, and what the columns mean."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)  # so that it fits 80 columns
    for column in ("backbone", "M", "patch", "licence", "free", "ADE20K", "NYUv2"):
        words = column in ("licence", "free")
        left = column == "backbone" or words
        table.add_column(column, justify="left" if left else "right", no_wrap=not words)  # names are typed: kept whole
    for each in encoders:
        figures = {figure.data: figure for figure in each.figures}
        table.add_row(
            each.name,
            f"{each.parameters / 1e6:.1f}",
            str(each.patch),
            each.licence,
            each.commercial,
            *(_short(figures.get(data)) for data in ("ADE20K", "NYU-Depth v2")),
        )
    return [
        table,
        "M: million parameters; free: for commercial use; ADE20K: mIoU in %, NYUv2: RMSE of depth in m, published, of "
        "small heads on the frozen encoder; protocols differ, so do not compare publishers",
        "vtadapt backbones NAME gives protocol and source",
        "bundled: swin_lite; others: --backbone NAME --weights timm (downloads), hf-hub:ORG/NAME (downloads) or FILE",
    ]


def _short(figure: Figure | None) -> str:
    return "" if figure is None else figure.text


def description(one: Known) -> list[Table | str]:
    """All that is known of one encoder, as lines."""
    lines = [
        f"{one.name}: {one.parameters / 1e6:.1f} M parameters, patch {one.patch}",
        f"weights trained on: {one.trained_on}",
        f"licence: {one.licence}, commercial use: {one.commercial}",
    ]
    if one.licence in CONDITIONS:
        lines.append(f"conditions: {CONDITIONS[one.licence]}")
    lines += [f"{f.data}: {f.metric} {f.text} ({f.protocol}; {f.source})" for f in one.figures]
    return [*lines, f"train with it: {one.line}"]


def store_pages(found: Sequence[store.Entry], forgotten: bool) -> list[Table | str]:
    """The entries of the store, or those that were struck from it."""
    said = f"{len(found)} forgotten; their files stay" if forgotten else f"{len(found)} known, in {store.folder()}"
    if not found:
        return [said]
    table = Table()
    for column in ("backbone", "digest", "MB", "file", ""):
        table.add_column(column, justify="right" if column == "MB" else "left")
    for entry in found:
        for index, place in enumerate(entry.places):
            names = (entry.backbone, entry.digest[:12]) if index == 0 else ("", "")
            table.add_row(*names, f"{place.bytes / 1e6:.1f}", place.path, "" if place.holds() else "gone or changed")
    return [table, said]


def entry_dict(entry: store.Entry) -> dict[str, Any]:
    """An entry as ``--json`` prints it: each place with whether the file is still there, unchanged."""
    return {**asdict(entry), "places": [{**asdict(place), "there": place.holds()} for place in entry.places]}
