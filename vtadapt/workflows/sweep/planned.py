"""Every variant of a sweep, checked as its trials will be, before anything is rendered or trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vtadapt.workflows.run.data.data_sets import RunData
from vtadapt.workflows.sweep.trials import Variant
from vtadapt.workflows.train.plan import plan_run


def plan_variants(variants: Sequence[Variant]) -> tuple[list[Variant], RunData]:
    """The variants with the names and paths that their settings stand for, and the data of the first.

    Each one's network is built and let go again, so that no trial finds out later that it cannot be.

    Raises:
        UsageError, ConfigError, DataError: what ``vtadapt train`` would say of one of them.
    """
    plans = [plan_run(variant.settings)[:2] for variant in variants]  # no network is kept
    planned = [replace(variant, settings=plan[0]) for variant, plan in zip(variants, plans, strict=True)]
    return planned, plans[0][1]
