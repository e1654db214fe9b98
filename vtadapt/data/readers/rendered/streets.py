"""Synthetic streets in two looks; see ``vtadapt.synthetic.streets.streets``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vtadapt.data.readers.base import Arrays
from vtadapt.data.readers.rendered.base import Rendered, RenderedOptions


class StreetsOptions(RenderedOptions):
    """As of all rendered sets, and ``look``: as a game engine or as a dash camera would show the street."""

    look: Literal["sim", "real"]
    size: tuple[int, int] = Field((96, 192))


class Streets(Rendered):
    """Rendered streets; the same seed and look give the same bytes."""

    Options = StreetsOptions
    prefix = "street"

    def render(self, seed: int, size: tuple[int, int]) -> Arrays:
        """One street in the look of the options."""
        from vtadapt.synthetic.streets.streets import render_street

        return render_street(seed, self.options.look, size)
