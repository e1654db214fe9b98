"""Settings on the terminal: a table for each group, or all there is to know of one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from vtadapt.workflows.run.methods import METHODS, listed
from vtadapt.workflows.run.settings.fields import GROUPS
from vtadapt.workflows.run.settings.listing import Entry
from vtadapt.workflows.run.settings.parse import value_text
from vtadapt.workflows.terminal.tables import Table

SOURCES = {"method": "the method's default", "file": "--config"}


def setting_tables(entries: Sequence[Entry]) -> list[Table]:
    """One table per group; value and source are columns where something is given."""
    told = any(entry.source not in ("default", "method", "") for entry in entries)
    tables = []
    for name, group in groupby(entries, key=lambda entry: entry.group):
        about = (GROUPS[name].__doc__ or "").splitlines()[0]
        table = Table(f"{name}: {about}", expand=True)
        for column in ("setting", *(("value", "from") if told else ()), "default"):
            table.add_column(column)
        table.add_column("meaning", ratio=1)
        for entry in group:
            given = [_plain(entry.value), _source(entry)] if told else []
            table.add_row(entry.key, *given, _default(entry), _meaning(entry))
        tables.append(table)
    return tables


def setting_lines(entry: Entry) -> list[str]:
    """All there is to know of one setting, one fact a line."""
    facts = {
        "meaning": entry.meaning,
        "group": entry.group,
        "values": ", ".join(entry.choices),
        "default": _default(entry),
        "value": "" if entry.source == "" else f"{_plain(entry.value)} ({_source(entry)})",
        "read": "; ".join(part for part in (_readers(entry) or "by every method", entry.condition) if part),
        "typed": f"--set {entry.key}=VALUE, or the variable {entry.variable}",
    }
    return [entry.key, *(f"  {name:<8} {fact}" for name, fact in facts.items() if fact)]


def _meaning(entry: Entry) -> str:
    notes = [f"read {note}" for note in (_readers(entry), entry.condition and f"only {entry.condition}") if note]
    return entry.meaning + (f" ({'; '.join(notes)})" if notes else "")


def _readers(entry: Entry) -> str:
    others = [name for name in METHODS if name not in entry.read_by]
    if len(others) < len(entry.read_by):
        return f"by all methods but {listed(others, 'and')}" if others else ""
    return f"by {listed([*entry.read_by], 'and')}"


def _default(entry: Entry) -> str:
    return "must be given" if entry.required else _plain(entry.default)


def _source(entry: Entry) -> str:
    return entry.place or SOURCES.get(entry.source, entry.source)


def _plain(value: Any) -> str:
    return "-" if value is None else value_text(value)
