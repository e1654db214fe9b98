"""``vtadapt adapt``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtadapt.commands.groups import Common, Trained
from vtadapt.commands.options import Seeds, Weights
from vtadapt.workflows.run.methods import listed, those


def adapt(
    source: Annotated[str, typer.Argument(help="Data set whose labels are learned.")],
    target: Annotated[str, typer.Argument(help="Data set that is known by its images alone.")],
    method: Annotated[
        str, typer.Option(help=f"{listed(those(lambda m: m.adapts))}, several separated by commas, or all.")
    ] = "adapters",
    strategy: Annotated[
        str | None,
        typer.Option(
            help="adversarial (discriminators of the predictions), self-training (labels of a mean teacher) or both "
            "[default: adversarial]."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps of every run [default: 1000].")] = None,
    seeds: Seeds = "1",
    oracle: Annotated[
        bool, typer.Option(help="Also train on the target's labels, to see what they would give.")
    ] = True,
    weights: Weights = None,
    trained: Trained = Trained(),
    images: Annotated[int, typer.Option(min=0, help="Of the picture.")] = 2,
    out: Annotated[Path | None, typer.Option(help="Folder [default: RUN_DIR/adapt-SOURCE-TARGET].")] = None,
    common: Common = Common(),
) -> None:
    """Adapt to a data set without labels: source-only, adapted and oracle in one table, adapt.json and a panel.

    The target's labels are read for the final measurement alone. Finished runs are kept: the same command goes on
    where it was interrupted.
    """
    from vtadapt.workflows.adapt.adapt import AdaptOptions
    from vtadapt.workflows.adapt.adapt import adapt as work
    from vtadapt.workflows.adapt.tables import adaptation_tables, notes
    from vtadapt.workflows.sweep.show import show_sweep

    said = dict.fromkeys(("data", "target"), "the data sets are the two arguments, SOURCE TARGET")
    said["method"] = "what is adapted is named with --method"
    typed = {"data": source, "target": target, "strategy": strategy, "steps": steps, "weights": weights}
    found = trained.settings(common, typed, said)
    options = AdaptOptions(method, seeds, trained.jobs, found.own, out, oracle, images, found.checked)
    result = work(found.common, options, quiet=common.silent)
    show_sweep(result, common.json_, "adapt", adaptation_tables, notes)
