"""What readers of synthetic sets share: every sample is rendered from its seed, so there is nothing to download."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from vtadapt.data.readers.base import Arrays, Item, Reader, ReaderOptions
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.recipe.strict import Pixels
from vtadapt.errors import ConfigError

MOST = 10**6  # samples of a split: a list of them is made before the first is rendered


class RenderedOptions(ReaderOptions):
    """``samples`` and ``first_seed`` of each split; ``size``: (height, width) where the command asks for none."""

    samples: dict[str, Annotated[int, Field(ge=0, le=MOST)]]
    first_seed: dict[str, Annotated[int, Field(ge=0, lt=2**32)]]
    size: tuple[Pixels, Pixels] = (128, 128)


class Rendered(Reader):
    """Rendered samples; the same seed gives the same bytes."""

    Options: ClassVar[type[ReaderOptions]] = RenderedOptions
    prefix: ClassVar[str]  # of the samples' names

    def __init__(self, recipe: Recipe, size: tuple[int, int] | None = None, tasks: Sequence[str] | None = None) -> None:
        super().__init__(recipe, size, tasks)
        if set(self.options.samples) != set(recipe.splits) or set(self.options.first_seed) != set(recipe.splits):
            raise ConfigError(f"recipe {recipe.name!r}: 'samples' and 'first_seed' must name {list(recipe.splits)}")
        ranges = sorted((self.options.first_seed[s], self.options.samples[s], s) for s in recipe.splits)
        for (start, count, split), (following, _, other) in zip(ranges, ranges[1:], strict=False):
            if start + count > following:
                raise ConfigError(f"recipe {recipe.name!r}: the seeds of {split!r} and {other!r} overlap")

    def find(self, source: Path | None, split: str) -> list[Item]:
        """One item per seed; ``source`` is not used."""
        del source
        first = self.options.first_seed[split]
        return [Item(f"{self.prefix}-{s:08d}", seed=s) for s in range(first, first + self.options.samples[split])]

    def tasks_of(self, item: Item) -> set[str]:
        """All: everything is rendered."""
        del item
        return set(self.wanted)

    def load(self, item: Item) -> Arrays:
        """Render one sample at the size asked for."""
        assert item.seed is not None
        sample = self.render(item.seed, self.size or self.options.size)
        return {key: sample[key] for key in ("image", *self.wanted) if key in sample}

    @abstractmethod
    def render(self, seed: int, size: tuple[int, int]) -> Arrays:
        """Image and all labels of a seed."""
