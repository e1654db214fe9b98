"""Tables on the terminal: metrics, parameters, manifests."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from vtadapt.errors import printable


def plain(content: Any) -> Any:
    """``content`` with control characters in all its texts as escapes, for the terminal."""
    if isinstance(content, str):
        return printable(content)
    if isinstance(content, Mapping):
        return {plain(key): plain(value) for key, value in content.items()}
    return [plain(value) for value in content] if isinstance(content, list | tuple) else content


def print_json(content: Any) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False))


def print_tables(tables: Iterable[Table]) -> None:
    """Print tables on stdout."""
    console = Console(file=sys.stdout)
    for table in tables:
        console.print(table)


def show_results(results: Mapping[str, Any], as_json: bool) -> None:
    """Print what training or evaluation returned."""
    if as_json:
        print_json(results)
        return
    print_tables(metric_tables(results["metrics"]))
    print(f"run: {results['run']}")


def show_pictures(results: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Print where the pictures of each input were written; inputs that were left out have none."""
    if as_json:
        print_json(results)
        return
    for entry in results:
        if "panel" in entry:
            print(entry["panel"])


def metric_tables(metrics: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[Table]:
    """One table per data set: task, metric, value; per-class values on one line each."""
    tables = []
    for data, by_task in metrics.items():
        table = Table(title=data, title_justify="left")
        table.add_column("task")
        table.add_column("metric")
        table.add_column("value", justify="right")
        for task, values in by_task.items():
            for index, (key, value) in enumerate(values.items()):
                table.add_row(task if index == 0 else "", key, f"{value:.4f}", end_section=index == len(values) - 1)
        tables.append(table)
    return tables


def info_tables(info: Mapping[str, Any]) -> list[Table]:
    """The parameter ledger, and a table of totals."""
    ledger = Table(title=str(info.get("run", info.get("data"))), title_justify="left")
    for column in ("component", "what", "parameters", "trained"):
        ledger.add_column(column, justify="right" if column == "parameters" else "left")
    for row in info["components"]:
        ledger.add_row(row["component"], row["what"], f"{row['parameters']:,}", "yes" if row["trained"] else "frozen")
    height, width = info["size"]
    totals = Table(show_header=False)
    totals.add_row("parameters", f"{info['parameters']['total']:,}")
    totals.add_row("trained", f"{info['parameters']['trained']:,}")
    totals.add_row(
        f"forward, one image of {height}x{width}, {len(info['tasks'])} tasks", f"{info['forward_gflops']:.3f} GFLOP"
    )
    for name, count in info["bytes"].items():
        totals.add_row(f"memory: {name}", f"{count / 2**20:.1f} MiB")
    return [ledger, totals]
