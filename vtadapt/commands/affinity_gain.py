"""``vtadapt affinity-gain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtadapt.commands.groups import Common, Trained
from vtadapt.commands.options import Seeds, Weights


def affinity_gain(
    data: Annotated[str, typer.Argument(help="Data set.")],
    scarce: Annotated[int, typer.Option(min=2, help="Images whose labels of the target are known.")] = 16,
    targets: Annotated[str | None, typer.Option(help="Tasks asked about, by commas; default: all.")] = None,
    measure: Annotated[
        str,
        typer.Option(
            help="none: predict; top: measure the two best of each target; pairs: every pair; all: and all at once."
        ),
    ] = "none",
    by: Annotated[
        str, typer.Option(help="Predictor: features, labels (no training), troa, lookahead, permuted (control).")
    ] = "features",
    seeds: Seeds = "4",
    steps: Annotated[int, typer.Option(min=1, help="Of each training.")] = 200,
    images: Annotated[int, typer.Option(min=2, help="Training images of each task, of those with its label.")] = 480,
    views: Annotated[int, typer.Option(min=1, help="Augmented pictures of each image.")] = 2,
    backbone: Annotated[str | None, typer.Option(help="Encoder; default: the bundled one.")] = None,
    weights: Weights = None,
    trained: Trained = Trained(),
    out: Annotated[Path | None, typer.Option(help="Folder [default: RUN_DIR/gain-DATA].")] = None,
    common: Common = Common(),
) -> None:
    """Say which other labels help a task of which few are labelled, and measure how much.

    Finished trainings are kept: the same command goes on where it was interrupted.
    """
    from vtadapt.errors import UsageError
    from vtadapt.workflows.gain.options import GainOptions
    from vtadapt.workflows.gain.run import affinity_gain as work
    from vtadapt.workflows.gain.tables import show_gain
    from vtadapt.workflows.sweep.start import parse_seeds

    said = {"method": "it is the adapters'", "steps": "given by --steps"}
    typed = {"data": data, "backbone": backbone, "weights": weights, "steps": steps, "val_images": 128}
    every = trained.settings(common, typed, said)
    if every.own:
        raise UsageError("--set METHOD:KEY=VALUE; wanted KEY=VALUE: all trainings are of one method")
    settings = every.common
    options = GainOptions(scarce, images, views, tuple(parse_seeds(seeds)), trained.jobs, by)
    asked = None if targets is None else [name.strip() for name in targets.split(",") if name.strip()]
    show_gain(work(settings, options, asked, measure, common.silent, out), common.json_)
