"""Which settings a run reads: what is given and has no effect is an error, not a surprise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from vtadapt.errors import ConfigError
from vtadapt.workflows.run.methods import METHODS, Method, listed
from vtadapt.workflows.run.settings.fields import AffinitySettings, TrainSettings
from vtadapt.workflows.run.settings.transfer_groups import SelfTrainingSettings

OF_ALIGNMENT = (
    *("adversarial_weight", "adversarial_warmup", "class_ratios"),
    *("discriminator_distance", "discriminator_lr", "discriminator_width"),
)
"""Settings of the discriminators of domains."""
OF_TARGETS = ("strategy", "match_camera", *OF_ALIGNMENT, *SelfTrainingSettings.model_fields)
"""Settings of the adaptation to a target."""

OF_SOME_METHODS: Mapping[str, Callable[[Method], bool]] = {
    "decoder": lambda m: bool(m.decoders),
    **dict.fromkeys(("decoder_width", "head"), lambda m: any(decoder != "swin" for decoder in m.decoders)),
    "cache_features": lambda m: not m.trains_backbone,
    "backbone_lr_scale": lambda m: m.trains_backbone or "train_blocks" in m.own,
    **dict.fromkeys(("shared_lr_scale", "own_first", "held"), lambda m: m.shares),
    **dict.fromkeys(AffinitySettings.model_fields, lambda m: m.affinity),
    **dict.fromkeys(("target", *OF_TARGETS), lambda m: m.adapts),
}
"""Setting -> whether a method reads it; besides these a record's ``own``, and the rest is read by all."""

INDISPENSABLE = ("held", "target")
"""Settings that change what is learned from: a method that cannot follow them must not be trained without."""


class Condition(NamedTuple):
    """When a setting is read by those methods that read it at all."""

    words: str
    holds: Callable[[TrainSettings], bool]
    remedy: str = ""
    """What to do where it shall be read."""


def _learned(settings: TrainSettings) -> bool:
    return settings.affinity == "troa" or settings.troa_weights


def _starts(settings: TrainSettings) -> bool:
    return settings.start is not None


def _adapts(settings: TrainSettings) -> bool:
    return settings.target is not None


def _aligns(settings: TrainSettings) -> bool:
    return settings.aligns


def _self_trains(settings: TrainSettings) -> bool:
    return settings.self_trains


def _trains_backbone(settings: TrainSettings) -> bool:
    return METHODS[settings.method].trains_backbone or settings.train_blocks != "adapters"


def _frozen(settings: TrainSettings) -> bool:
    return not _trains_backbone(settings)


def _narrow(settings: TrainSettings) -> bool:
    return (settings.decoder or METHODS[settings.method].decoders[0]) != "swin"


CONDITIONS: Mapping[str, Condition] = {
    **dict.fromkeys(("decoder_width", "head"), Condition("by the light and aspp decoders", _narrow)),
    "cache_features": Condition("where the backbone stays as it is", _frozen, "set train_blocks=adapters"),
    "backbone_lr_scale": Condition("where the backbone is trained", _trains_backbone, "set train_blocks"),
    **dict.fromkeys(
        ("troa_every", "troa_momentum", "troa_eta"),
        Condition("with affinity=troa or troa_weights=true", _learned),
    ),
    **dict.fromkeys(
        ("held", "rehearse"), Condition("by a run that starts from another", _starts, "name that with --set start=RUN")
    ),
    "class_weights": Condition("without a target", lambda s: s.target is None, "see class_ratios"),
    **dict.fromkeys(OF_TARGETS, Condition("with a target", _adapts, "name one with --set target=DATA")),
    **dict.fromkeys(
        OF_ALIGNMENT,
        Condition("with a target and strategy=adversarial or both", _aligns, "name one with --set target=DATA"),
    ),
    **dict.fromkeys(
        SelfTrainingSettings.model_fields,
        Condition("with a target and strategy=self-training or both", _self_trains, "set these"),
    ),
}


def reads(method: str, key: str) -> bool:
    """Whether a method reads a setting, whatever the others are."""
    if any(key in each.own for each in METHODS.values()):
        return key in METHODS[method].own
    return key not in OF_SOME_METHODS or OF_SOME_METHODS[key](METHODS[method])


def readers(key: str) -> list[str]:
    """The methods that read a setting."""
    return [name for name in METHODS if reads(name, key)]


def is_read(key: str, settings: TrainSettings) -> bool:
    """Whether a run with these settings reads one of them."""
    return reads(settings.method, key) and (key not in CONDITIONS or CONDITIONS[key].holds(settings))


def check_read(given: Mapping[str, str], runs: Sequence[TrainSettings]) -> None:
    """Refuse settings that no run reads, or that one of them would have to.

    Args:
        given: setting -> where it was given, for the message; "" for a flag.
        runs: what they were given for.

    Raises:
        ConfigError: names the setting, the methods that read it and what to do.
    """
    for key, where in given.items():
        deaf = [run for run in runs if not is_read(key, run)]
        if deaf and (len(deaf) == len(runs) or key in INDISPENSABLE):
            raise ConfigError((f"{where}: " if where else "") + _why(key, deaf))


def check_method(settings: TrainSettings, changed: Iterable[str]) -> None:
    """Refuse settings made in Python that differ from their defaults and that their method does not read.

    Conditions are let pass: such settings are often copies in which one value is changed.

    Args:
        settings: of a run.
        changed: those of them that differ from their defaults.

    Raises:
        ConfigError: see :func:`check_read`.
    """
    strange = [key for key in changed if not reads(settings.method, key)]
    check_read(dict.fromkeys(strange, ""), [settings])


def _why(key: str, deaf: Sequence[TrainSettings]) -> str:
    if methods := [name for name in dict.fromkeys(run.method for run in deaf) if not reads(name, key)]:
        known = readers(key)
        by = f"method{'s' if len(known) > 1 else ''} {listed([repr(name) for name in known], 'and')}"
        return (
            f"setting {key!r} is read by {by}, not by {listed([repr(name) for name in methods])}; leave it out, or "
            f"change the method"
        )
    condition = CONDITIONS[key]
    remedy = f"leave it out{', or ' if condition.remedy else ''}{condition.remedy}"
    return f"setting {key!r} is read only {condition.words}; {remedy}"


def for_method(keys: Iterable[str], method: str) -> set[str]:
    """Those of the settings that are handed to a method in a comparison: what it reads, and what it must."""
    return {key for key in keys if reads(method, key) or key in INDISPENSABLE}
