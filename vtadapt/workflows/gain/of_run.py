"""``vtadapt affinity --scarce TASK=N``: which labels would help a task of a run if few of it were labelled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vtadapt.errors import UsageError
from vtadapt.workflows.gain.options import GainOptions
from vtadapt.workflows.gain.run import affinity_gain
from vtadapt.workflows.run import files
from vtadapt.workflows.run.folder import output_folder
from vtadapt.workflows.run.settings import load

STEPS = 200  # of each source's training
VAL_IMAGES = 128


def parse_scarce(texts: Sequence[str]) -> dict[str, int]:
    """Read ``TASK=N`` of each.

    Raises:
        UsageError: another form, a number below 1, or a task twice.
    """
    out: dict[str, int] = {}
    for text in texts:
        task, sign, number = text.partition("=")
        task = task.strip()
        if not sign or not task or not number.strip().isdecimal() or int(number) < 1 or task in out:
            raise UsageError(f"--scarce {text!r}; wanted TASK=N, such as depth=16, each task once")
        out[task] = int(number)
    return out


def scarce_in_run(
    run: Path, texts: Sequence[str], data_dir: Path | None, quiet: bool, runs: Path
) -> list[dict[str, Any]]:
    """The predicted order of the sources of each task that ``texts`` name, on the data and encoder of a run.

    Args:
        run: its folder.
        texts: each ``TASK=N``.
        data_dir: folder of the packs; None for the run's.
        quiet: no progress.
        runs: folder of the runs; results go to ``affinity/scarce-TASK-N``, see :func:`.run.folder.output_folder`.

    Returns:
        What :func:`vtadapt.workflows.gain.run.affinity_gain` returns, for each of them.
    """
    wanted = parse_scarce(texts)
    own = load(run / files.SETTINGS)
    kept = {key: getattr(own, key) for key in ("data", "tasks", "size", "weights", "accelerator", "batch_size")}
    settings = type(own)(
        **kept, backbone=own.encoder, data_dir=data_dir or own.data_dir, steps=STEPS, val_images=VAL_IMAGES
    )
    out = []
    for task, count in wanted.items():
        folder = output_folder(run, runs) / "affinity" / f"scarce-{task}-{count}"
        options = GainOptions(count, max(GainOptions.images, count + 1), seeds=(0,))
        out.append(affinity_gain(settings, options, [task], "none", quiet, folder))
    return out
