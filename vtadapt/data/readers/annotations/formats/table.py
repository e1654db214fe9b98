"""The list of formats, by the name that recipes use."""

from __future__ import annotations

from vtadapt.data.readers.annotations.formats.base import Format
from vtadapt.data.readers.annotations.formats.coco import Coco
from vtadapt.data.readers.annotations.formats.coco_panoptic import CocoPanoptic
from vtadapt.data.readers.annotations.formats.cvat import Cvat
from vtadapt.data.readers.annotations.formats.label_studio import LabelStudio
from vtadapt.data.readers.annotations.formats.labelme import LabelMe
from vtadapt.data.readers.annotations.formats.supervisely import Supervisely
from vtadapt.data.readers.annotations.formats.yolo import Yolo

FORMATS: dict[str, Format] = {
    "coco": Coco(),
    "coco_panoptic": CocoPanoptic(),
    "cvat": Cvat(),
    "label_studio": LabelStudio(),
    "labelme": LabelMe(),
    "supervisely": Supervisely(),
    "yolo": Yolo(),
}
