"""Rows that earlier calls left in the folder of a comparison: finished, of the same settings, not asked for now."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vtadapt.errors import ConfigError, VtadaptError
from vtadapt.workflows.compare.budget import Budget
from vtadapt.workflows.run import files
from vtadapt.workflows.run.settings import TrainSettings, load
from vtadapt.workflows.sweep.trials import Trial, Variant, disagreement, find_variants, make_trial

Own = Mapping[str, Mapping[str, Any]]
FOLDER = re.compile(r"(.+)-seed(\d+)")


@dataclass
class Kept:
    """What is there besides what was asked for.

    Attributes:
        variants: methods that were not asked for.
        trials: finished ones of them, and of the others with further seeds.
        left_out: name of a trial -> why it cannot stand in the same table.
    """

    variants: list[Variant] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def own_settings(file: Path) -> dict[str, dict[str, Any]]:
    """The settings of single methods that the comparison in ``file`` was made with; none where it says nothing."""
    try:
        found = files.read_json(file).get("own") if file.is_file() else None
    except ConfigError:  # it is about to be written anew
        found = None
    return {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}


def find_kept(
    folder: Path, base: TrainSettings, own: Own, budget: Budget, variants: Sequence[Variant], trials: Sequence[Trial]
) -> Kept:
    """Look for finished trials in ``folder`` that are not among ``trials``.

    Args:
        folder: of the comparison.
        base: settings of all.
        own: method (or METHOD:ENCODER) -> settings of it alone, of this call and of those before.
        budget: of every trial; one in seconds gives each method other steps.
        variants: asked for.
        trials: asked for.
    """
    kept = Kept()
    known = {variant.label: variant for variant in variants}
    asked = {trial.path for trial in trials}
    for path in sorted(folder.glob("*-seed*")):
        named = FOLDER.fullmatch(path.name)
        if named is None or path in asked or not (path / files.SETTINGS).is_file():
            continue
        label, seed = named[1].replace("@", ":"), int(named[2])
        try:
            variant = known.get(label) or _variant(label, base, own, budget)
            wanted = make_trial(variant, seed, folder)
            differs = disagreement(wanted, ignored=("steps", "epochs") if budget.kind == "seconds" else ())
        except VtadaptError as error:
            kept.left_out[f"{label} seed {seed}"] = " ".join(str(error).split())
            continue
        if differs is not None:
            key, there, here = differs
            kept.left_out[wanted.name] = f"made with {key} = {there!r}, the others with {here!r}"
        elif not wanted.done:
            kept.left_out[wanted.name] = "not finished"
        else:
            if label not in known:
                known[label] = variant
                kept.variants.append(variant)
            kept.trials.append(replace(wanted, settings=load(path / files.SETTINGS)))
    return kept


def _variant(label: str, base: TrainSettings, own: Own, budget: Budget) -> Variant:
    """The method as this call would have trained it."""
    names = {label, label.split(":")[0]}
    (variant,) = find_variants(label, base, {name: values for name, values in own.items() if name in names})
    if budget.kind == "seconds":
        return variant
    return replace(variant, settings=variant.settings.model_copy(update={"steps": int(budget.value), "epochs": None}))


def about_kept(kept: Kept, folder: Path) -> list[str]:
    """What stands in the table although it was not asked for, and what does not although it is there."""
    lines = []
    if kept.trials:
        names = ", ".join(trial.name for trial in kept.trials)
        lines.append(f"Kept from before, not asked for this time: {names}.")
    if kept.left_out:
        why = "; ".join(f"{name}: {reason}" for name, reason in kept.left_out.items())
        lines.append(f"In {os.fspath(folder)}, but not in this table: {why}.")
    return lines
