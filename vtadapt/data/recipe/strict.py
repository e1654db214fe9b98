"""What the schemas of recipes and readers' options share: strictness, and their errors in one line."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from vtadapt.errors import clipped, near_matches, quoted

Seed = Annotated[int, Field(ge=0, lt=2**64)]
"""What a generator of random numbers starts from."""

Stored = Annotated[int, Field(ge=-(2**63), lt=2**64)]
"""A whole number that a file can hold."""

Pixels = Annotated[int, Field(ge=8, le=65500)]
"""Of one side of a picture; JPEG has no larger ones."""


class Strict(BaseModel):
    """Frozen, and an unknown key is an error: a typing slip never changes a result in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _one_key_per_number(given: Any) -> Any:
    """Refuse keys such as ``1`` and ``"01"``, which are one number: the last would win in silence."""
    known: dict[int, Any] = {}
    for key in given if isinstance(given, dict) else ():
        try:
            number = int(key)
        except (TypeError, ValueError, OverflowError):  # pydantic says what is wrong with it
            continue
        fraction = isinstance(key, float) and key != number
        if not fraction and known.setdefault(number, key) != key:
            both = f"keys {quoted(known[number])} and {quoted(key)}"
            raise ValueError(f"{both} are the same number; keep one of them")
    return given


NumberKeys = BeforeValidator(_one_key_per_number)
"""Of mappings from numbers, such as the ids of label files."""


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problem that pydantic found, in one line: the key, what was wanted, near matches."""
    first = error.errors()[0]
    where = clipped(".".join(str(part) for part in first["loc"]), 200)
    if first["type"] == "extra_forbidden":
        known = _fields_at(model, first["loc"][:-1])
        return f"unknown key {where!r}.{near_matches(str(first['loc'][-1]), known)} Known: {', '.join(known)}"
    if first["type"] == "missing":
        return f"key {where!r} is missing"
    message = first["msg"].removeprefix("Value error, ")
    found = "" if isinstance(first["input"], dict | BaseModel) else f", found {quoted(first['input'])}"
    message = message[:1].lower() + message[1:] if first["type"] != "value_error" else message
    return " ".join(f"{where + ': ' if where else ''}{message}{found}".split())


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Field names of the model found by following ``location`` (dict keys and list positions change nothing)."""
    for part in location:
        if part in model.model_fields:
            inner = _inner_model(model.model_fields[str(part)].annotation)
            model = inner or model
    return list(model.model_fields)


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """The pydantic model inside an annotation such as ``dict[str, RecipeTask]`` or ``Derive | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(_inner_model, get_args(annotation)) if m), None)
