"""A run whose attention is to be shown: checked against the options, with its backbone as it was before training."""

from __future__ import annotations

from typing import NamedTuple, cast

from vtadapt.errors import ConfigError
from vtadapt.models.adapted import AdaptedModel
from vtadapt.models.backbones.base import Backbone
from vtadapt.models.capture import find_block
from vtadapt.workflows.attention.choice import chosen_block
from vtadapt.workflows.attention.options import Asked, AttentionOptions, Plan, find_tasks
from vtadapt.workflows.run.build import load_encoder
from vtadapt.workflows.run.load import Loaded
from vtadapt.workflows.run.methods import listed, those


class Ready(NamedTuple):
    """A run, its backbone as it was before training, and what of their attention is shown."""

    loaded: Loaded
    backbone: Backbone
    plan: Plan


def make_ready(loaded: Loaded, options: AttentionOptions, asked: Asked) -> Ready:
    """The run with what is needed to look into it.

    Args:
        loaded: the run.
        options: what is shown.
        asked: of these, what :func:`vtadapt.workflows.attention.options.check` says.

    Raises:
        UsageError: an option that does not fit the run.
        ConfigError: the run has no adapters, or its backbone does not load.
    """
    mode, query, head = asked
    model = _adapted(loaded)
    block = chosen_block(model) if options.block is None else options.block
    name, heads = find_block(model, block, head)
    tasks = find_tasks(options.tasks, loaded)
    given = options.block is not None
    plan = Plan(tasks, block, name, head, heads, mode, query, options.alpha, options.size, given)
    return Ready(loaded, _frozen_backbone(loaded), plan)


def _adapted(loaded: Loaded) -> AdaptedModel:
    """The network of a run whose attention can be shown."""
    if not loaded.model.has_attention:
        known, method = listed(those(lambda m: m.attention)), loaded.settings.method
        raise ConfigError(
            f"run {loaded.path} is of method {method!r}, which has no adapters to look at; name one of --method {known}"
        )
    return cast(AdaptedModel, loaded.model)


def _frozen_backbone(loaded: Loaded) -> Backbone:
    """The backbone as it was before training, which only some runs have changed."""
    if loaded.settings.train_blocks == "adapters":
        return cast(Backbone, loaded.model.backbone)
    return cast(Backbone, load_encoder(loaded.settings)).eval()
