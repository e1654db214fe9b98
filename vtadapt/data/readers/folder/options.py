"""What a recipe of the folder reader may say: where pictures and labels are, and what their numbers mean."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from vtadapt.data.readers.base import ReaderOptions, Strict
from vtadapt.data.readers.files.names import with_small_suffix
from vtadapt.data.readers.files.patterns import check_pattern, without_wildcards
from vtadapt.data.readers.raw.raster import Reading
from vtadapt.data.recipe.label_sets import Colour
from vtadapt.data.recipe.strict import NumberKeys

BEYOND = 2**64  # the first whole number that no type of files holds


class LabelFiles(Strict):
    """Where the labels of one task are, and how their numbers are to be read.

    ``files``: pattern with ``{path}``, ``{stem}`` or ``{split}``. ``variable``: which array of ``.npz`` or ``.mat``
    files. ``read``: "stored" (indices of a palette, samples as they are) or "grey" (what is seen), for files of which
    both could be meant; "colours": classes are told by the task's ``colours``, and ``void_colours`` are none. ``void``:
    ids that mean "no class". ``ids``: class name (or null) of each id, where they are
    not 0, 1, 2, ...; ids it does not name are an error. ``factor``: metres (or other units) of one unit of the files.
    ``missing``: values of the files that mean no label. ``flip``: axes of normals that point the other way in the
    files. ``threshold``: boundaries are where the file's value is above it. ``scale``: the value of a whole boundary,
    whose strength is 1; without either of both the values of the set must tell.
    """

    files: str
    variable: str | None = None
    read: Reading | Literal["colours"] | None = None
    void: tuple[int, ...] = ()
    void_colours: tuple[Colour, ...] = ()
    ids: Annotated[dict[int, str | None] | None, NumberKeys] = Field(None, min_length=1)
    factor: float = Field(1.0, gt=0, allow_inf_nan=False)
    missing: tuple[int | float, ...] = ()
    flip: tuple[Annotated[str, Field(pattern="^[xyz]$")], ...] = ()
    threshold: float | None = Field(None, allow_inf_nan=False)
    scale: float | None = Field(None, gt=0, allow_inf_nan=False)

    @field_validator("files")
    @classmethod
    def _known_placeholders(cls, value: str) -> str:
        return without_wildcards(check_pattern(value, ("path", "stem", "split")))

    @field_validator("void", "ids", "factor", "missing", "threshold", "scale", mode="before")
    @classmethod
    def _numbers_of_files(cls, value: Any, info: ValidationInfo) -> Any:
        # Python counts True as 1, and YAML reads "yes" as True. What is iterated over of 'ids' are its numbers.
        for number in value if isinstance(value, list | tuple | dict) else (value,):
            if isinstance(number, bool):
                raise ValueError(f"{str(number).lower()} is no number; write 1 or 0 where that is meant")
            # Ids are compared as Python's own numbers, which have no limit.
            if isinstance(number, int) and abs(number) >= BEYOND and info.field_name not in ("void", "ids"):
                raise ValueError("a number that no file holds, wanted one below 2^64 (floats are written as 1.0e+30)")
        return value

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if self.threshold is not None and self.scale is not None:
            raise ValueError("give either 'threshold' or 'scale', not both")
        if both := [number for number in self.void if (self.ids or {}).get(number) is not None]:
            raise ValueError(f"{both[0]} is in 'ids' and in 'void'; keep one of them")
        if self.void_colours and self.read != "colours":
            raise ValueError("'void_colours' goes with 'read: colours'")
        if self.read == "colours" and (self.void or self.ids):
            raise ValueError("'read: colours' reads no ids; leave 'ids' and 'void' out ('void_colours' names colours)")
        return self


class Splitting(Strict):
    """How pictures are divided: ``lists`` (a pattern with ``{split}``) or ``fractions`` with a ``seed``."""

    lists: str | None = None
    fractions: dict[str, Annotated[float, Field(gt=0, le=1)]] | None = None
    seed: int = 0

    @field_validator("lists")
    @classmethod
    def _known_placeholders(cls, value: str | None) -> str | None:
        return None if value is None else without_wildcards(check_pattern(value, ("split",)))

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.lists is None) == (self.fractions is None):
            raise ValueError("give either 'lists' or 'fractions'")
        if self.lists is not None and "{split}" not in self.lists:
            raise ValueError("'lists' needs a {split} in its pattern")
        if self.fractions is not None and sum(self.fractions.values()) > 1 + 1e-9:
            raise ValueError("the fractions add up to more than 1")
        return self


class FolderOptions(ReaderOptions):
    """``image``: pattern of the pictures below the source; ``labels``: by task; ``split``: not with ``{split}``.

    ``exclude``: patterns of names, or of paths below the source, that are no pictures. ``exif``: pictures with an EXIF
    orientation are turned upright; "turn" says that labels are drawn on the upright picture, "ignore" that both are
    used as stored. Without it a label is refused where its size does not tell which is the case. ``splits_share``: a
    picture may be in several splits, as in "train" and "trainval".
    """

    image: str
    exclude: tuple[str, ...] = ()
    labels: dict[str, LabelFiles] = Field(default_factory=dict)
    split: Splitting | None = None
    exif: Literal["turn", "ignore"] | None = None
    splits_share: bool = False

    @field_validator("image")
    @classmethod
    def _known_placeholders(cls, value: str) -> str:
        return check_pattern(value, ("split",))

    @model_validator(mode="after")
    def _split_known(self) -> Self:
        if ("{split}" in self.image) == (self.split is not None):
            raise ValueError("put {split} into 'image' or give 'split' (not both)")
        return self


def is_excluded(path: PurePath, exclude: Iterable[str]) -> bool:
    """Whether a path below the source, or its name, matches one of ``exclude``, the suffix in either case."""
    texts = {text for whole in (path.as_posix(), path.name) for text in (whole, with_small_suffix(whole))}
    return any(fnmatchcase(text, pattern) for pattern in exclude for text in texts)
