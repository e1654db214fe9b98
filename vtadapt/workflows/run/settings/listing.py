"""The settings as people look them up: meaning, default, and where each value came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from vtadapt.errors import UsageError, near_matches
from vtadapt.workflows.run.methods import METHODS, listed
from vtadapt.workflows.run.settings.fields import GROUPS, KEYS, TrainSettings, group_of
from vtadapt.workflows.run.settings.reading import CONDITIONS, check_read, readers, reads
from vtadapt.workflows.run.settings.resolve import ENV_PREFIX, Given, settings_of, to_check

UNNAMED = "DATA"  # stands for the one setting that has no default, where it is not given

BY_METHOD: Mapping[str, Callable[[TrainSettings], Any]] = {
    "backbone": lambda settings: settings.encoder,
    "decoder": lambda settings: next(iter(METHODS[settings.method].decoders), None),
    "lr": lambda settings: settings.peak_lr,
}
"""Settings that the method decides unless they are given -> what it makes of them."""


@dataclass(frozen=True)
class Entry:
    """A setting, looked up.

    Attributes:
        key: its name.
        group: the name of its group.
        meaning: what it does.
        choices: the values it can have, where those are few.
        default: its value unless it is given.
        value: what it is.
        source: where that came from: "default", "method", "file", "environment", "--set" or "flag".
        place: the file or the variable.
        read_by: the methods that read it.
        condition: when those read it; "" for always.
        required: whether it must be given.
    """

    key: str
    group: str
    meaning: str
    choices: tuple[str, ...]
    default: Any
    value: Any
    source: str
    place: str
    read_by: tuple[str, ...]
    condition: str
    required: bool

    @property
    def variable(self) -> str:
        """The environment variable that gives it."""
        return ENV_PREFIX + self.key.upper()

    def to_dict(self) -> dict[str, Any]:
        """What ``vtadapt settings --json`` has of it."""
        return {**asdict(self), "variable": self.variable}


def list_settings(given: Mapping[str, Given], name: str | None = None) -> list[Entry]:
    """The settings of a group, one setting, or all; where a method is given, those that it reads.

    Args:
        given: as :func:`vtadapt.workflows.run.settings.resolve.gather` found it; without data it may be.
        name: of a group or, where there is no such group, of a setting.

    Raises:
        UsageError: neither a group nor a setting, with near matches; or a group that the method does not read.
        ConfigError: a value that does not fit or is not read, as ``vtadapt train`` would say.
    """
    keys = _named(name)
    known = {"data": Given(UNNAMED, "flag"), **given}
    settings = settings_of(known)
    check_read(to_check(given, settings), [settings])
    shown = [key for key in keys if len(keys) == 1 or "method" not in given or reads(settings.method, key)]
    if not shown:
        others = [method for method in METHODS if any(reads(method, key) for key in keys)]
        raise UsageError(f"--method {settings.method} reads no setting of {name}; wanted {listed(others)}")
    content = settings.model_dump(mode="json")
    return [_entry(key, settings, content[key], given.get(key)) for key in shown]


def method_lines() -> list[str]:
    """The methods, one line each."""
    width = max(map(len, METHODS))
    return [f"{name:<{width}}  {method.what}" for name, method in METHODS.items()]


def _named(name: str | None) -> tuple[str, ...]:
    if name is None:
        return KEYS
    if name in GROUPS:
        return tuple(GROUPS[name].model_fields)
    if name in KEYS:
        return (name,)
    close = near_matches(name, [*GROUPS, *KEYS]) or f" Groups: {', '.join(GROUPS)}"
    if name in METHODS:
        close = f" It is a method: vtadapt settings --method {name}"
    raise UsageError(f"no setting and no group of settings is called {name!r}.{close}")


def _entry(key: str, settings: TrainSettings, value: Any, given: Given | None) -> Entry:
    field = TrainSettings.model_fields[key]
    default: Any = None
    if not field.is_required():
        plain = TrainSettings(data=UNNAMED, method=settings.method)
        default = plain.model_dump(mode="json")[key]
        if default is None and key in BY_METHOD:
            default = BY_METHOD[key](plain)
    source, place = ("default", "") if given is None else (given.source, given.place)
    if value is None and key in BY_METHOD:
        source, value = "method", BY_METHOD[key](settings)
    return Entry(
        key=key,
        group=group_of(key),
        meaning=str(field.description),
        choices=tuple(METHODS) if key == "method" else _choices(field.annotation),
        default=default,
        value=None if field.is_required() and given is None else value,
        source="" if field.is_required() and given is None else source,
        place=place,
        read_by=tuple(readers(key)),
        condition=CONDITIONS[key].words if key in CONDITIONS else "",
        required=field.is_required(),
    )


def _choices(annotation: Any) -> tuple[str, ...]:
    if annotation is bool:
        return ("true", "false")
    found = [value for part in (annotation, *get_args(annotation)) for value in get_args(part)]
    return tuple(dict.fromkeys(value for value in found if isinstance(value, str)))
