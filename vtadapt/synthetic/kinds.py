"""What a synthetic world is made of: its classes and the finer kinds of things that are built of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Catalogue:
    """Classes in their order, and the kinds of each class."""

    classes: tuple[str, ...]
    kinds_of: Mapping[str, tuple[str, ...]]

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """All kinds, class by class."""
        return tuple(kind for name in self.classes for kind in self.kinds_of[name])

    @cached_property
    def kind_class(self) -> tuple[int, ...]:
        """The class of each kind."""
        return tuple(i for i, name in enumerate(self.classes) for _ in self.kinds_of[name])

    @cached_property
    def kind_id(self) -> dict[str, int]:
        """The place of each kind in ``kinds``."""
        return {kind: i for i, kind in enumerate(self.kinds)}
