"""What a recipe of the folder reader may say: where pictures and labels are, and how they are divided."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from vtadapt.data.readers.annotations.formats.table import FORMATS
from vtadapt.data.readers.base import ReaderOptions, Strict
from vtadapt.data.readers.files.names import with_small_suffix
from vtadapt.data.readers.files.patterns import check_pattern, without_wildcards
from vtadapt.data.readers.folder.label_files import LabelFiles
from vtadapt.data.recipe.strict import Seed


class Splitting(Strict):
    """How pictures are divided.

    ``lists`` (a pattern with ``{split}``), ``fractions`` with a ``seed``, or ``annotations``: the task whose files, one
    for each split, name the pictures of it.
    """

    lists: str | None = None
    annotations: str | None = None
    fractions: dict[str, Annotated[float, Field(gt=0, le=1)]] | None = None
    seed: Seed = 0

    @field_validator("lists")
    @classmethod
    def _known_placeholders(cls, value: str | None) -> str | None:
        return None if value is None else without_wildcards(check_pattern(value, ("split",)))

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.lists, self.fractions, self.annotations)) != 1:
            raise ValueError("give either 'lists' or 'fractions' (or 'annotations: TASK')")
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
    picture may be in several splits, as in "train" and "trainval". ``split_names``: what stands for ``{split}`` where
    folders and files are named otherwise, such as ``{val: valid}``.
    """

    image: str
    exclude: tuple[str, ...] = ()
    labels: dict[str, LabelFiles] = Field(default_factory=dict)
    split: Splitting | None = None
    exif: Literal["turn", "ignore"] | None = None
    splits_share: bool = False
    split_names: dict[str, str] = Field(default_factory=dict)

    def named(self, split: str) -> str:
        """What stands for a split in names of folders and files."""
        return self.split_names.get(split, split)

    @field_validator("image")
    @classmethod
    def _known_placeholders(cls, value: str) -> str:
        return check_pattern(value, ("split",))

    @model_validator(mode="after")
    def _split_known(self) -> Self:
        if ("{split}" in self.image) == (self.split is not None):
            raise ValueError("put {split} into 'image' or give 'split' (not both)")
        if self.split is not None and (task := self.split.annotations) is not None:
            how = self.labels.get(task)
            if how is None or how.format is None or not FORMATS[how.format].many or "{split}" not in how.files:
                raise ValueError(
                    f"split.annotations: wanted a task whose 'files' hold the annotations of many pictures and have a "
                    f"{{split}} in their name, found {task!r}"
                )
        return self


def is_excluded(path: PurePath, exclude: Iterable[str]) -> bool:
    """Whether a path below the source, or its name, matches one of ``exclude``, the suffix in either case."""
    texts = {text for whole in (path.as_posix(), path.name) for text in (whole, with_small_suffix(whole))}
    return any(fnmatchcase(text, pattern) for pattern in exclude for text in texts)
