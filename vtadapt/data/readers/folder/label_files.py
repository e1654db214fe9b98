"""What a recipe of the folder reader may say of the label files of one task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from vtadapt.data.readers.annotations.formats.base import Format
from vtadapt.data.readers.annotations.formats.table import FORMATS
from vtadapt.data.readers.annotations.shapes import Overlap
from vtadapt.data.readers.base import Strict
from vtadapt.data.readers.files.patterns import check_pattern, without_wildcards
from vtadapt.data.readers.raw.raster import Reading
from vtadapt.data.recipe.label_sets import Colour
from vtadapt.data.recipe.strict import NumberKeys
from vtadapt.errors import near_matches

BEYOND = 2**64  # the first whole number that no type of files holds
OF_ANNOTATIONS = ("names", "ignore", "unlabelled", "overlap", "line_width", "point_size", "boxes")
OF_COLOURS = ("colours", "void_colours", "tolerance")
OF_RASTERS = (
    *("variable", "read", "void", "factor", "missing", "flip", "threshold", "scale"),
    *OF_COLOURS,
)


class LabelFiles(Strict):
    """Where the labels of one task are, and how their numbers are to be read.

    ``files``: pattern with ``{path}``, ``{stem}``, ``{name}`` (with its suffix) or ``{split}``. ``variable``: which
    array of ``.npz`` or ``.mat`` files. ``read``: "stored" (indices of a palette, samples as they are) or "grey" (what
    is seen), for files of which both could be meant; "colours": classes are told by the task's ``colours``, and
    ``void_colours`` are none. ``void``: ids that mean "no class". ``ids``: class name (or null) of each id, where they
    are not 0, 1, 2, ...; ids it does not name are an error. ``factor``: metres (or other units) of one unit of the
    files. ``missing``: values of the files that mean no label. ``flip``: axes of normals that point the other way in
    the files. ``threshold``: boundaries are where the file's value is above it. ``scale``: the value of a whole
    boundary, whose strength is 1; without either of both the values of the set must tell.

    Of label pictures in colours: ``colours`` are those of the files by class (null: void), where they are not the
    task's; ``tolerance``: how far each channel of a pixel may lie from the nearest of them.

    Of annotations: ``format`` is that of the tool that wrote them. ``names``: label there -> class, null for void;
    labels named like a class need no entry. ``ignore``: labels that are not drawn. ``unlabelled``: the class of pixels
    without any shape; null, the default: void. ``overlap``: which of two overlapping shapes a pixel belongs to.
    ``line_width`` and ``point_size`` (a radius): how lines and points are drawn, in pixels. ``boxes``: boxes are drawn
    where objects have no outline.

    ``others``: what becomes of labels and colours that are none of these: "void"; of annotations "unlabelled", as if
    they were not there; of colours "nearest", the class of the nearest colour. Without it they are errors.
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
    colours: dict[str | None, tuple[Colour, ...]] = Field(default_factory=dict)
    tolerance: int = Field(0, ge=0, le=255)
    others: Literal["void", "unlabelled", "nearest"] | None = None
    format: str | None = None
    names: dict[str, str | None] = Field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    unlabelled: str | None = None
    overlap: Overlap | None = None
    line_width: float = Field(10.0, gt=0, allow_inf_nan=False)
    point_size: float = Field(5.0, gt=0, allow_inf_nan=False)
    boxes: bool = False

    @field_validator("files")
    @classmethod
    def _known_placeholders(cls, value: str) -> str:
        return without_wildcards(check_pattern(value, ("path", "stem", "name", "split")))

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str | None) -> str | None:
        if value is not None and value not in FORMATS:
            raise ValueError(f"wanted one of {', '.join(FORMATS)}.{near_matches(value, FORMATS)}".rstrip("."))
        return value

    @field_validator("colours", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        single = {
            name: isinstance(of, list | tuple) and bool(of) and isinstance(of[0], int) for name, of in value.items()
        }
        return {name: [of] if single[name] else of for name, of in value.items()}

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
        given = self.model_fields_set
        if self.format is None and (odd := [key for key in OF_ANNOTATIONS if key in given]):
            raise ValueError(f"{odd[0]!r} goes with the 'format' of annotations: {', '.join(FORMATS)}")
        if self.format is not None:
            self._check_annotations(FORMATS[self.format])
        if self.threshold is not None and self.scale is not None:
            raise ValueError("give either 'threshold' or 'scale', not both")
        if both := [number for number in self.void if (self.ids or {}).get(number) is not None]:
            raise ValueError(f"{both[0]} is in 'ids' and in 'void'; keep one of them")
        if self.format is None:
            self._check_colours()
        return self

    @property
    def coloured(self) -> bool:
        """Whether classes are told by the colours of label pictures."""
        return self.read == "colours" or bool(self.colours)

    def _check_annotations(self, form: Format) -> None:
        given = self.model_fields_set
        if odd := [key for key in OF_RASTERS if key in given]:
            raise ValueError(f"{odd[0]!r} says nothing of annotations ('format: {self.format}')")
        if self.ids is not None and not form.numbered:
            raise ValueError(f"'ids' says nothing of 'format: {self.format}', whose labels are names: write 'names'")
        if self.others == "nearest":
            raise ValueError("'others: nearest' is for colours; wanted 'void' or 'unlabelled'")
        own = any(f"{{{name}}}" in self.files for name in ("path", "stem", "name"))
        if form.many and own:
            raise ValueError(f"a file of 'format: {self.format}' holds many pictures; of placeholders {{split}} alone")
        if not form.many and not own:
            raise ValueError(f"a file of 'format: {self.format}' is of one picture; name it by {{path}} or {{stem}}")
        if both := [name for name in self.ignore if name in self.names]:
            raise ValueError(f"{both[0]!r} is in 'names' and in 'ignore'; keep one of them")

    def _check_colours(self) -> None:
        if self.colours and self.read not in (None, "colours"):
            raise ValueError(f"'colours' and 'read: {self.read}' exclude each other")
        if not self.coloured and (odd := [key for key in OF_COLOURS if key in self.model_fields_set]):
            raise ValueError(f"{odd[0]!r} goes with 'colours' or 'read: colours'")
        if self.others is not None and not self.coloured:
            raise ValueError("'others' goes with 'colours', or with the 'format' of annotations")
        if self.others == "unlabelled":
            raise ValueError("'others: unlabelled' is for annotations; wanted 'void' or 'nearest'")
        if self.coloured and (self.void or self.ids):
            raise ValueError("colours are no ids; leave 'ids' and 'void' out ('void_colours' names colours)")
