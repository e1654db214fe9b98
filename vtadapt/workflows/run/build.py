"""From settings to what a run needs: its tasks and its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch

from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import ConfigError, UsageError, near_matches
from vtadapt.models.adapted import AdaptedModel, AdapterConfig
from vtadapt.models.backbone import SwinBackbone, load_backbone
from vtadapt.models.peers import build_peer
from vtadapt.models.peers.base import Peer, PeerConfig
from vtadapt.models.probe import LinearProbe
from vtadapt.tasks import Task
from vtadapt.tasks.meaning import difference
from vtadapt.workflows.run.settings import TrainSettings

Model = AdaptedModel | LinearProbe | Peer

ADAPTERS_ONLY = ("embedding_dim", "reduction", "adapted_blocks", "decoder_sharing", "train_blocks")

NETWORKS = {"consistency": "mtl-cnn", "tawt": "mtl-cnn"}  # methods that train another one's network in their own way


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
    for name in names:
        if name not in known:
            sets, hint = "+".join(r.name for r in recipes), near_matches(name, known)
            raise UsageError(f"unknown task {name!r} for {sets!r}; it has {', '.join(known)}.{hint}")
    return {name: _shared_task(name, recipes) for name in names}


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


def build_model(settings: TrainSettings, tasks: Mapping[str, Task]) -> Model:
    """The model that the settings describe; initial values are drawn from the seed.

    Raises:
        ConfigError: a setting that the method does not know, or a backbone that it cannot use.
    """
    channels = {name: task.channels for name, task in tasks.items()}
    method = settings.method
    if method not in ("adapters", "linear"):
        return _build_peer(settings, channels)
    if settings.decoder == "aspp":
        raise ConfigError(f"decoder 'aspp' is not for method {method!r}; wanted light or swin")
    backbone = load_swin(settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        if method == "linear":
            return LinearProbe(backbone, channels)
        config = AdapterConfig(
            embedding_dim=settings.embedding_dim,
            reduction=settings.reduction,
            decoder=settings.decoder or "light",
            decoder_width=settings.decoder_width,
            decoder_sharing=settings.decoder_sharing,
            train_blocks=settings.train_blocks,
        )
        return AdaptedModel(backbone, channels, config)


def load_swin(settings: TrainSettings) -> SwinBackbone:
    """The backbone of adapters and of the probe, as it is before training.

    Raises:
        ConfigError: it is no Swin, or has fewer blocks than ``adapted_blocks``.
    """
    backbone = load_backbone(settings.encoder, settings.weights, seed=settings.seed)
    if not isinstance(backbone, SwinBackbone):
        raise ConfigError(
            f"method {settings.method!r} wants a Swin of timm or swin_pico; found the CNN {settings.encoder!r}"
        )
    if settings.adapted_blocks is not None:
        backbone.adapt_last(settings.adapted_blocks)
    return backbone


def _build_peer(settings: TrainSettings, channels: Mapping[str, int]) -> Peer:
    for key in ADAPTERS_ONLY:
        if getattr(settings, key) != type(settings).model_fields[key].default:
            raise ConfigError(f"setting {key!r} is for method 'adapters', not for {settings.method!r}; leave it out")
    backbone = load_backbone(settings.encoder, settings.weights, seed=settings.seed)
    config = PeerConfig(decoder=settings.decoder, decoder_width=settings.decoder_width, reference=settings.reference)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return build_peer(NETWORKS.get(settings.method, settings.method), backbone, channels, config)


def digest(model: Model) -> str:
    """SHA-256 of the weights of a model's backbone, see :meth:`SwinBackbone.digest`."""
    return str(cast(Any, model.backbone).digest())
