"""From settings to what a run needs: its tasks and its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import torch

from vtadapt.errors import ConfigError, UsageError, near_matches
from vtadapt.models.backbones.base import Backbone, Encoder
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import Task
from vtadapt.tasks.meaning import difference
from vtadapt.workflows.run.methods import METHODS, listed
from vtadapt.workflows.run.settings import TrainSettings

if TYPE_CHECKING:
    from vtadapt.data.recipe.recipe import Recipe


def build_tasks(recipes: Sequence[Recipe], wanted: Sequence[str] | None) -> dict[str, Task]:
    """The tasks of a run, in the order of ``wanted`` or of the recipes.

    Args:
        recipes: of the data sets that are trained on together.
        wanted: names; None for all that any of the recipes declares.

    Raises:
        UsageError: a task that no data set declares (with near matches).
        ConfigError: a wanted task that two of them declare differently, or no task at all.
    """
    known = list(dict.fromkeys(name for recipe in recipes for name in recipe.tasks))
    names = known if wanted is None else list(dict.fromkeys(wanted))
    if not names:
        raise ConfigError("no task given; wanted at least one in --tasks")
    tasks = {name: _shared_task(name, recipes) for name in names if name in known}
    for name in names:
        if name not in known:
            sets, hint = "+".join(r.name for r in recipes), near_matches(name, known)
            raise UsageError(f"unknown task {name!r} for {sets!r}; it has {', '.join(known)}.{hint}")
    return tasks


def _shared_task(name: str, recipes: Sequence[Recipe]) -> Task:
    """The task that all those of the recipes declare which have it, as the first of them trains it."""
    first, *others = (recipe for recipe in recipes if name in recipe.tasks)
    task = first.tasks[name].task(name)
    for recipe in others:
        if found := difference(task, recipe.tasks[name].task(name)):
            raise ConfigError(
                f"task {name!r} of {recipe.name!r} is not the {name!r} of {first.name!r} ({found.what} differ); "
                "train them apart, or leave it out with --tasks"
            )
    return task


def build_model(settings: TrainSettings, tasks: Mapping[str, Task]) -> MultitaskModel:
    """The network of the method that the settings name; initial values are drawn from the seed.

    Settings that have the name of a field of the network's ``Config`` go there; None leaves the field's own default.

    Raises:
        ConfigError: a decoder that the method does not have, or a backbone that it cannot use.
    """
    method = METHODS[settings.method]
    if settings.decoder is not None and settings.decoder not in method.decoders:
        has = f"wanted {listed([*method.decoders])}" if method.decoders else "it has none to choose"
        raise ConfigError(f"decoder {settings.decoder!r} is not for method {settings.method!r}; {has}")
    network: Any = method.network()
    backbone = load_encoder(settings)
    given = {f.name: getattr(settings, f.name, None) for f in fields(network.Config)}
    config = network.Config(**{key: value for key, value in given.items() if value is not None})
    channels = {name: task.channels for name, task in tasks.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model: MultitaskModel = network(backbone, channels, config)
    return model


def load_encoder(settings: TrainSettings) -> Encoder:
    """The backbone as it is before training.

    Raises:
        ConfigError: the method needs another kind, or it has fewer blocks than ``adapted_blocks``.
    """
    method = METHODS[settings.method]
    backbone = load_backbone(settings.encoder, settings.weights, seed=settings.seed)
    if method.needs == "transformer" and not isinstance(backbone, Backbone):
        raise ConfigError(
            f"method {settings.method!r} wants a Swin, SwinV2 or plain ViT of timm, or swin_pico; found "
            f"{settings.encoder!r}, a {type(backbone.net).__name__}"
        )
    if "adapted_blocks" in method.own and settings.adapted_blocks is not None and isinstance(backbone, Backbone):
        backbone.adapt_last(settings.adapted_blocks)
    return backbone
