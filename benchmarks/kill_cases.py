"""The commands that benchmarks/kill.py kills."""

from __future__ import annotations

from dataclasses import dataclass, field

TINY = ["--set", "checkpoint_steps=3", "--set", "log_steps=1", "--set", "val_images=2", "--batch-size", "2"]


@dataclass(frozen=True)
class Case:
    """A command, how it is gone on with, and the packs that it needs.

    Attributes:
        begin: its words; "DATA", "OUT" and "RUN" stand for the folders of packs and results and a finished run.
        resumed: whether it goes on by ``train --resume``; else by the same command again.
        environ: variables, likewise.
        packs: prepared before.
        trained: whether it needs a finished run.
    """

    begin: list[str]
    resumed: bool = False
    environ: dict[str, str] = field(default_factory=dict)
    packs: tuple[str, ...] = ("rooms",)
    trained: bool = False


def train(*options: str) -> list[str]:
    """The words of a short training on rooms."""
    return ["train", "rooms", "--data-dir", "DATA", "--run-dir", "OUT", "--set", "steps=14", *TINY, *options]


STREETS = ("streets_sim", "streets_real")
SWEEP = ["--data-dir", "DATA", "--out", "OUT", *TINY]
CASES = {
    "adapters": Case(train(), resumed=True),
    "mtl-cnn": Case(train("--method", "mtl-cnn"), resumed=True),
    "cache": Case(
        train("--cache-features", "disk", "--augment-views", "2"),
        resumed=True,
        environ={"VTADAPT_CACHE_DIR": "OUT/cache"},
    ),
    "devices-2": Case(train("--devices", "2", "--accelerator", "cpu", "--batch-size", "1"), resumed=True),
    "compare": Case(
        [
            *["compare", "rooms", "--methods", "linear,adapters", "--seeds", "1", "--budget", "steps=8", "--jobs", "2"],
            *SWEEP,
        ]
    ),
    "adapt": Case(["adapt", *STREETS, "--seeds", "1", "--set", "steps=6", "--jobs", "2", *SWEEP], packs=STREETS),
    "zero-shot": Case(
        [*["zero-shot", "streets_real", "--task", "depth", "--from", "RUN", "--steps", "6", "--jobs", "2"], *SWEEP[:4]],
        packs=STREETS,
        trained=True,
    ),
    "prepare-data": Case(
        ["prepare-data", "rooms", "--size", "64x64", "--limit", "24", "--shard-size", "6", "--workers", "2"]
        + ["--data-dir", "OUT"],
        packs=(),
    ),
}
