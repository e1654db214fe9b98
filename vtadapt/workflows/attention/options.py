"""What of the attention is shown: the options of ``vtadapt visualize-attention``, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vtadapt.errors import UsageError, near_matches
from vtadapt.models.attention_maps import Head
from vtadapt.workflows.run.load import Loaded

RECEIVED, QUERY, ROLLOUT = MODES = ("received", "query", "rollout-windows")


@dataclass(frozen=True)
class AttentionOptions:
    """What of the attention is shown.

    Attributes:
        tasks: names; None for all of the run.
        block: number of the adapted block: 0 is the first, -1 the last; None: the last with the finest map.
        head: "mean" over heads, or the number of one.
        query: "X,Y" in pixels of the photograph, or "auto"; None for none.
        mode: "received", "query" or "rollout-windows"; None = query where a query is given, else received.
        alpha: share of the colours over the photograph, 0..1.
        size: size that the network runs at, as in ``vtadapt predict``; None: one that gives a map of 24 tokens on its
            short side, see :func:`vtadapt.workflows.attention.choice.chosen_size`.
        weights: where those of the run's backbone are, see :func:`vtadapt.workflows.run.load.load_run`.
    """

    tasks: Sequence[str] | None = None
    block: int | None = None
    head: str = "mean"
    query: str | None = None
    mode: str | None = None
    alpha: float = 0.6
    size: str | None = None
    weights: str | None = None


@dataclass(frozen=True)
class Plan:
    """The options, checked against the run."""

    tasks: tuple[str, ...]
    block: int
    block_name: str
    head: Head
    heads: int
    mode: str
    query: tuple[int, int] | str | None
    alpha: float
    size: str | None
    block_given: bool


Asked = tuple[str, tuple[int, int] | str | None, Head]
"""Mode, query and head."""


def check(options: AttentionOptions) -> Asked:
    """Mode, query and head as typed.

    Raises:
        UsageError: one that is none, or that does not go with another.
    """
    asked = options.query is not None
    mode = options.mode if options.mode is not None else (QUERY if asked else RECEIVED)
    if mode not in MODES:
        raise UsageError(f"unknown mode {mode!r}; wanted {', '.join(MODES)}.{near_matches(mode, MODES)}")
    if mode == RECEIVED and asked:
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
    query: tuple[int, int] | str | None = options.query if asked or mode != QUERY else "auto"
    if query not in (None, "auto"):
        try:
            x, y = (int(part) for part in str(query).split(","))
        except ValueError as error:
            raise UsageError(f"query {query!r}; wanted X,Y in pixels of the image such as 320,240, or auto") from error
        query = (x, y)
    return mode, query, head


def find_tasks(wanted: Sequence[str] | None, loaded: Loaded) -> tuple[str, ...]:
    """The tasks of a run that are wanted, each once; None for all.

    Raises:
        UsageError: one that the run does not have, or none at all.
    """
    names = tuple(loaded.tasks) if wanted is None else tuple(dict.fromkeys(wanted))
    for name in names:
        if name not in loaded.tasks:
            known = ", ".join(loaded.tasks)
            close = near_matches(name, loaded.tasks)
            raise UsageError(f"unknown task {name!r} for run {loaded.path.name!r}; it has {known}.{close}")
    if not names:
        raise UsageError(f"no task given; wanted some of {', '.join(loaded.tasks)} in --tasks")
    return names
