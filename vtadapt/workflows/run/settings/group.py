"""What every group of settings is made of."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


def number(value: Any) -> Any:
    """1e3 is text to YAML 1.1, and a number to everybody else; of floats pydantic knows that itself."""
    with suppress(ValueError):
        return float(value) if isinstance(value, str) else value
    return value


class Group(BaseModel):
    """Settings that belong together; the docstring's first line is what ``vtadapt settings`` says of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _exponents(cls, value: Any, info: ValidationInfo) -> Any:
        wanted = cls.model_fields[str(info.field_name)].annotation
        return number(value) if int in (wanted, *get_args(wanted)) else value
