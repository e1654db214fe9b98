"""Where the files of a data set come from."""

from __future__ import annotations

from pydantic import Field

from vtadapt.data.recipe.strict import Strict


class ExpectedFile(Strict):
    """A file or folder that a person downloads, by hand where ``url`` or ``sha256`` is not known.

    Attributes:
        path: name as it is published.
        bytes: size, where it is known.
        url: where it can be had; ``--download`` fetches it if ``sha256`` is known, too.
        sha256: of the whole file.
        tasks: those whose labels it holds; empty: needed by all.
        about: one sentence, such as which account it needs.
    """

    path: str
    bytes: int | None = Field(None, gt=0)
    url: str | None = None
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    tasks: tuple[str, ...] = ()
    about: str = ""


class Source(Strict):
    """Where the files come from and how they must lie."""

    synthetic: bool = Field(False, description="rendered on the spot: needs no --source")
    folder: str = Field(
        "", description="where the files of a set of your own lie, from the recipe's folder: prepare-data's --source"
    )
    hint: str = Field("", description="one sentence: what to download and where to put it")
    homepage: str = ""
    layout: str = ""
    files: tuple[ExpectedFile, ...] = ()
