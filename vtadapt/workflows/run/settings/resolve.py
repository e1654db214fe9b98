"""Where settings come from: typed > environment > file > default; what is unknown or not read is an error."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from vtadapt.atomic import write_text
from vtadapt.checked import DamagedError, check_yaml, yaml_text
from vtadapt.errors import ConfigError, UsageError, clipped, near_matches, quoted
from vtadapt.models.backbones.bundled import CNN, HYBRID, OLD_CNN, OLD_SWIN
from vtadapt.strict_yaml import StrictYamlError, read_yaml
from vtadapt.workflows.run.methods import DEFAULT, METHODS
from vtadapt.workflows.run.settings.fields import KEYS, TrainSettings
from vtadapt.workflows.run.settings.parse import parse_value
from vtadapt.workflows.run.settings.reading import check_read, reads

ENV_PREFIX = "VTADAPT_"

ARGUMENTS = ("data", "target")
"""Settings that are typed without an option before them, where a command has them."""

PAPERS_ADAPTATION = {"adversarial_warmup": 0.0, "class_ratios": False, "match_camera": False}
"""What turns off all that adapting does besides the paper's loss."""

BEFORE = {"adapter": "slides", "head": "subpixel"}
"""What networks were before there was a setting for it, where the default is another now."""

ENCODERS_BEFORE = {HYBRID: OLD_SWIN, CNN: OLD_CNN}
"""A method's encoder -> the one that a run meant which does not name its own: since these, every run does."""


class Given(NamedTuple):
    """A value that was given, and where."""

    value: Any
    source: Literal["flag", "--set", "environment", "file"]
    place: str = ""
    """The variable or the file, for messages."""


def gather(
    flags: Mapping[str, Any],
    file: Path | None,
    environ: Mapping[str, str] | None = None,
    assigned: Mapping[str, Any] | None = None,
) -> dict[str, Given]:
    """What was given: what was typed over environment over file.

    Args:
        flags: options and arguments that were typed, and nothing else; a value may be None.
        file: YAML file with any of the keys.
        environ: variables ``VTADAPT_<KEY>`` are read; values are YAML. None: those of this process.
        assigned: by ``--set``.

    Raises:
        ConfigError: an unreadable file.
        UsageError: a variable that is no YAML, or two values for one key, by an option and by ``--set``.
    """
    environ = os.environ if environ is None else environ
    given: dict[str, Given] = {}
    if file is not None:
        place = f"settings {os.fspath(file)!r}"
        given.update({str(key): Given(value, "file", place) for key, value in _read(file).items()})
    for key in KEYS:
        if (name := ENV_PREFIX + key.upper()) in environ:
            given[key] = Given(parse_value(environ[name], name), "environment", name)
    # Some options read their variable themselves: then nobody typed that.
    typed = {key: value for key, value in flags.items() if environ.get(ENV_PREFIX + key.upper()) != str(value)}
    check_agree(typed, assigned or {})
    given.update({key: Given(value, "flag") for key, value in typed.items()})
    given.update({key: Given(value, "--set") for key, value in (assigned or {}).items()})
    return given


def check_agree(flags: Mapping[str, Any], assigned: Mapping[str, Any]) -> None:
    """Refuse a setting that an option and ``--set`` give different values.

    Raises:
        UsageError: names both.
    """
    for key in sorted(flags.keys() & assigned.keys()):
        if _as_setting(key, flags[key]) != _as_setting(key, assigned[key]):
            option = f"the argument {key.upper()}" if key in ARGUMENTS else f"--{key.replace('_', '-')}"
            found = f"{quoted(str(flags[key]))} by {option} and {quoted(str(assigned[key]))} by --set {key}"
            raise UsageError(f"{key!r} is given twice: {found}; keep one of them")


def _as_setting(key: str, value: Any) -> Any:
    """A value as the settings hold it, so that "a,b" and [a, b] are the same; as it is where it does not fit."""
    try:
        return getattr(TrainSettings(**{"data": "", key: value}), key, value)
    except ValidationError:
        return value


def settings_of(given: Mapping[str, Given]) -> TrainSettings:
    """The settings with these values, whether the run reads all of them or not.

    Raises:
        ConfigError: unknown key (with near matches), or a value that does not fit.
        UsageError: no data set is named.
    """
    if "data" not in given:
        raise UsageError("no data set given; type for example: vtadapt train rooms (known: vtadapt data-sets)")
    places = {key: entry.place for key, entry in given.items() if entry.place}
    return validate({key: entry.value for key, entry in given.items()}, "settings", places)


def to_check(given: Mapping[str, Given], settings: TrainSettings) -> dict[str, str]:
    """What must be read: setting -> where it was given.

    A file may name settings at their defaults, as a run's ``settings.yaml`` does with all.
    """
    return {key: each.place for key, each in given.items() if each.source != "file" or settings.changed(key)}


def resolve(
    flags: Mapping[str, Any],
    file: Path | None,
    environ: Mapping[str, str] | None = None,
    assigned: Mapping[str, Any] | None = None,
) -> TrainSettings:
    """The settings of a run; arguments and errors as :func:`gather` and :func:`settings_of`.

    Raises:
        ConfigError: also a value given that the run does not read.
    """
    given = gather(flags, file, environ, assigned)
    settings = settings_of(given)
    check_read(to_check(given, settings), [settings])
    return settings


def validate(values: Mapping[str, Any], where: str, places: Mapping[str, str] | None = None) -> TrainSettings:
    """Check values into settings; errors become one line that names the key.

    Args:
        values: by key.
        where: they come from, for messages.
        places: other places, of single keys.

    Raises:
        ConfigError: unknown key (with near matches), or a value that does not fit.
    """
    places = places or {}
    for key in map(str, values):
        if key not in TrainSettings.model_fields:
            close = near_matches(key, KEYS) or " they are listed by vtadapt settings"
            raise ConfigError(f"{places.get(key, where)}: unknown key {quoted(key)};{close}")
    try:
        return TrainSettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        place = places.get(str(first["loc"][0]) if first["loc"] else "", where)
        raise ConfigError(f"{place}: {clipped(key, 200)} = {quoted(first.get('input'))}: {reason}") from error


def save(path: Path, settings: TrainSettings) -> None:
    """Write the ``settings.yaml`` of a run, with a checksum (see :mod:`vtadapt.checked`).

    Raises:
        DataError: the disk refuses.
    """
    write_text(path, yaml_text(settings.to_yaml()))


def load(path: Path) -> TrainSettings:
    """Read the ``settings.yaml`` of a run; what it does not name is what was done before there was a setting for it.

    A run made before settings that it does not read were refused may have some: they had no effect, and have none.

    Raises:
        ConfigError: missing, broken or damaged.
    """
    found = _read(path)
    try:
        check_yaml(path.read_bytes())
    except (OSError, DamagedError) as error:
        raise ConfigError(f"settings {os.fspath(path)!r}: {error}") from error
    before = {"affinity": "identity", **(PAPERS_ADAPTATION if found.get("target") else {})}
    if isinstance(method := found.get("method", DEFAULT), str) and method in METHODS:
        before |= {key: value for key, value in BEFORE.items() if reads(method, key)}
        own, named = METHODS[method].encoder, found.get("backbone")
        found["backbone"] = ENCODERS_BEFORE.get(own) if not named else None if named == own else named
    return validate({**before, **found}, f"settings {os.fspath(path)!r}")


def _read(path: Path) -> dict[str, Any]:
    try:
        values = read_yaml(path)
    except (OSError, StrictYamlError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise ConfigError(f"cannot read settings {os.fspath(path)!r}: {reason}; wanted a YAML mapping") from error
    if values is not None and not isinstance(values, dict):
        raise ConfigError(f"settings {os.fspath(path)!r} hold a {type(values).__name__}; wanted a YAML mapping of keys")
    return values or {}
