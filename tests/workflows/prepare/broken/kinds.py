"""Kinds of broken input: files that are damaged, of another kind, or not there.

Each changes a good source and returns the path that the error must name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import scipy.io
from PIL import Image

from tests.data.formats.bsds500 import write_mat
from tests.data.formats.hypersim import write_h5
from tests.data.formats.pascal_context import write_parts
from tests.data.formats.synthia import png_bytes
from tests.workflows.prepare.broken.changes import (
    Spoil,
    array,
    as_folder,
    at,
    beside,
    cut,
    cut_end,
    dataset,
    empty_folder,
    flip,
    hollow,
    huge_npy,
    huge_png,
    label_895,
    latin_1,
    listed_file,
    lists_missing,
    other_building,
    other_columns,
    pickled,
    picture,
    remove_folder,
    same_name_elsewhere,
    text,
    two_suffixes,
    with_one,
    without,
    write,
    zipped,
)
from tests.workflows.prepare.broken.sources import FRAMES, MAT


@dataclass(frozen=True)
class Kind:
    """``spoil`` changes the source ``data`` and returns what must be named; ``says`` is looked for in the message."""

    name: str
    data: str
    spoil: Spoil
    says: str


PNG, JPG = "train/*.png", "images/train/*.jpg"
CUT = "broken picture.*--skip-broken leaves them out"
KINDS = [
    # damaged pictures
    Kind("PNG cut short", "camvid", at(PNG, cut), CUT),
    Kind("PNG without its last bytes", "camvid", at(PNG, cut_end), CUT),
    Kind("PNG with a flipped bit", "camvid", at(PNG, flip), CUT),
    Kind("label PNG with a flipped bit", "camvid", at("trainannot/*.png", flip), CUT),
    Kind("JPEG cut short", "bsds500", at(JPG, cut), CUT),
    Kind("JPEG cut short of another set", "vkitti2", at("Scene01/clone/frames/rgb/Camera_0/*.jpg", cut), CUT),
    Kind("empty file", "camvid", at(PNG, write(b"")), CUT),
    Kind("text as PNG", "camvid", at(PNG, text("503 Service Unavailable")), CUT),
    Kind("binary nonsense as PNG", "camvid", at(PNG, write(b"\x89PNG\r\n\x1a\n" + bytes(300))), CUT),
    Kind("picture too large", "camvid", at(PNG, huge_png), "picture too large"),
    Kind("16-bit picture too large", "synthia", at("GT/LABELS/*.png", huge_png), "picture too large"),
    Kind("16-bit PNG with a flipped bit", "synthia", at("Depth/Depth/*.png", flip), "wrong checksum in PNG chunk"),
    Kind("folder in place of a picture", "camvid", at("trainannot/*.png", as_folder), "no such file|is a folder"),
    # labels that are not what they should be
    Kind("id 255, void is 11", "camvid", at("trainannot/*.png", picture((24, 32), 255)), "label ids 255, wanted 0..10"),
    Kind("id 255, void is 0", "nyud_mt", at("segmentation/*.png", picture((25, 34), 255)), "label ids 255, wanted"),
    Kind("id 255, own recipe", "folder", at("labels/*/*.png", picture((12, 16), 255)), "label ids 255, wanted"),
    Kind("id out of range", "camvid", at("trainannot/*.png", picture((24, 32), 12)), "label ids 12"),
    Kind("16-bit ids", "camvid", at("trainannot/*.png", picture((24, 32), 300, np.uint16)), "label ids 300"),
    Kind(
        "instances as classes",
        "cityscapes",
        at("gtFine/train/*/*labelIds.png", picture((32, 64), 26001, np.uint16)),
        "label ids 26001, wanted 0..33",
    ),
    Kind(
        "colours as classes",
        "cityscapes",
        at("gtFine/train/*/*labelIds.png", picture((32, 64, 4))),
        "mode RGBA, wanted one channel",
    ),
    Kind("RGB for grey", "camvid", at("trainannot/*.png", picture((24, 32, 3))), "mode RGB, wanted one channel"),
    Kind("label of another size", "camvid", at("trainannot/*.png", picture((12, 32))), "label of 12x32 pixels.*24x32"),
    Kind("8-bit SYNTHIA labels", "synthia", at("GT/LABELS/*.png", picture((76, 128, 3))), "8-bit picture.*16-bit"),
    Kind(
        "SYNTHIA class 23",
        "synthia",
        at("GT/LABELS/*.png", write(png_bytes(np.full((76, 128, 3), 23)))),
        "class 23 in the red channel",
    ),
    Kind(
        "unknown colour",
        "vkitti2",
        at("Scene01/clone/frames/classSegmentation/Camera_0/*.png", picture((38, 126, 3), 7)),
        r"colour \(7, 7, 7\)",
    ),
    Kind(
        "classes saved as JPEG",
        "vkitti2",
        at("Scene01/clone/frames/classSegmentation/Camera_0/*.png", lambda p: Image.open(p).save(p, format="JPEG")),
        "JPEG, which changes the numbers of class colours",
    ),
    Kind("taskonomy class 40", "taskonomy", at("segment_semantic/*/*.png", picture((20, 20), 40)), "label ids 40"),
    Kind("label 895", "nyuv2", at(MAT, label_895), "sample 0003: label ids 895, wanted 0..894"),
    Kind(
        "semantic 99",
        "hypersim",
        at("ai_001*/images/*/*.semantic.hdf5", lambda p: write_h5(p, np.full((24, 32), 99, np.int16))),
        "label ids 99",
    ),
    Kind("labels not whole", "mtan_nyuv2", at("train/label/*.npy", with_one(2.5)), r"no whole numbers \(2.5\)"),
    Kind("labels NaN", "mtan_nyuv2", at("train/label/*.npy", with_one(np.nan)), "not finite"),
    Kind("labels infinite", "mtan_nyuv2", at("train/label/*.npy", with_one(np.inf)), "not finite"),
    Kind("labels beyond integers", "mtan_nyuv2", at("train/label/*.npy", with_one(1e300)), "label ids"),
    Kind(
        "labels infinite in MATLAB",
        "nyud_astmt",
        at("segmentation/*.mat", lambda p: scipy.io.savemat(p, {"segmentation": np.full((25, 34), np.inf)})),
        "not finite|label ids",
    ),
    # depth and normals
    Kind("8-bit depth", "sevenscenes", at("seq-01/*.depth.png", picture((480, 640))), "8-bit depth, wanted 16-bit"),
    Kind(
        "8-bit depth in centimetres",
        "vkitti2",
        at("Scene01/clone/frames/depth/Camera_0/*.png", picture((38, 126))),
        "8-bit depth, wanted the 16-bit PNG",
    ),
    Kind("8-bit disparity", "cityscapes", at("disparity/train/*/*.png", picture((32, 64))), "8-bit disparity"),
    Kind("8-bit taskonomy", "taskonomy", at("depth_zbuffer/*/*.png", picture((20, 20))), "8-bit picture, wanted 16"),
    Kind("negative depth", "mtan_nyuv2", at("train/depth/*.npy", with_one(-1)), "negative distance -1"),
    Kind(
        "negative distance",
        "hypersim",
        at("ai_001*/images/*/*.depth_meters.hdf5", lambda p: write_h5(p, np.full((24, 32), -2, np.float32))),
        "negative distance -2",
    ),
    Kind("depth of whole numbers", "nyud_mt", at("depth/*.npy", array(lambda a: a.astype(np.int32))), "holds int32"),
    Kind("array of one axis", "mtan_nyuv2", at("train/depth/*.npy", array(np.ravel)), "wanted numbers of shape"),
    Kind("array of four axes", "mtan_nyuv2", at("train/depth/*.npy", array(lambda a: a[None])), "wanted numbers of"),
    Kind("array of three channels", "nyud_mt", at("depth/*.npy", array(lambda a: a.repeat(3, -1))), "holds an array"),
    Kind("pickle", "mtan_nyuv2", at("train/depth/*.npy", pickled), "broken or unsafe .npy"),
    Kind("npz as npy", "mtan_nyuv2", at("train/depth/*.npy", zipped), "npy"),
    Kind("npy cut short", "mtan_nyuv2", at("train/depth/*.npy", cut), "broken or unsafe .npy"),
    Kind("npy that declares 8 TB", "mtan_nyuv2", at("train/depth/*.npy", huge_npy), "broken or unsafe .npy"),
    Kind("picture of 0..255", "mtan_nyuv2", at("train/image/*.npy", array(lambda a: a * 255)), "wanted a picture of"),
    Kind("picture of NaN", "mtan_nyuv2", at("train/image/*.npy", with_one(np.nan)), "wanted a picture of floats"),
    Kind("normals not unit", "mtan_nyuv2", at("train/normal/*.npy", array(lambda a: a * 127)), "length"),
    Kind("own normals not unit", "folder", at("normals/*/0.npy", array(lambda a: a * 127)), "length"),
    Kind("grey normals", "nyud_mt", at("normals/*.png", picture((25, 34))), "mode L, wanted RGB normals"),
    Kind(
        "own labels of three axes",
        "folder",
        at("normals/*/heat0.npy", array(lambda a: a[..., None].repeat(3, -1))),
        "shape",
    ),
    Kind(
        "camera without fx", "cityscapes", at("camera/train/*/*.json", without("intrinsic", "fx")), "wanted extrinsic"
    ),
    Kind("camera no JSON", "cityscapes", at("camera/train/*/*.json", text("fx: 1")), "broken camera file"),
    Kind("camera too deep", "cityscapes", at("camera/train/*/*.json", text("[" * 100_000)), "broken camera file"),
    Kind(
        "camera beyond floats",
        "cityscapes",
        at("camera/train/*/*.json", text('{"extrinsic": {"baseline": 1%s}}' % ("0" * 400))),
        "broken camera file",
    ),
    # HDF5 and MATLAB
    Kind("HDF5 cut in half", "nyuv2", at(MAT, cut), r"cut short after \d+ bytes"),
    Kind("axes turned", "nyuv2", at(MAT, hollow("depths", (1449, 480, 640), np.float32)), "turned round"),
    Kind("samples missing", "nyuv2", at(MAT, hollow("depths", (99, 640, 480), np.float32)), "99 samples"),
    Kind(
        "MATLAB v5 for v7.3", "nyuv2", at(MAT, lambda p: scipy.io.savemat(p, {"images": np.ones(4)})), "MATLAB v5 file"
    ),
    Kind("folder for the .mat", "nyuv2", at(MAT, as_folder), "wanted nyu_depth_v2_labeled.mat"),
    Kind("small HDF5 cut", "hypersim", at("ai_001*/images/*/*.semantic.hdf5", cut), "broken HDF5 file"),
    Kind("HDF5 of text", "hypersim", at("ai_001*/images/*/*.semantic.hdf5", text("x" * 99)), "broken HDF5 file"),
    Kind(
        "HDF5 with wrong shape",
        "hypersim",
        at("ai_001*/images/*/*.normal_cam.hdf5", dataset("dataset", np.ones((3, 24, 32), np.float16))),
        "numbers of shape",
    ),
    Kind(
        "HDF5 that leads elsewhere",
        "hypersim",
        at("ai_001*/images/*/*.semantic.hdf5", dataset("dataset", h5py.ExternalLink("/etc/passwd", "x"))),
        "'dataset' is an external link, which is not followed",
    ),
    Kind("MATLAB cut", "bsds500", at("groundTruth/train/*.mat", cut), "not a whole MATLAB v5 file"),
    Kind(
        "drawings of 2",
        "bsds500",
        at("groundTruth/train/*.mat", lambda p: write_mat(p, [np.full((24, 36), 2, np.uint8)])),
        "wanted 0 and 1",
    ),
    Kind(
        "MATLAB v7.3 for v5", "pascal_context", at("human_parts/*.mat", lambda p: write_h5(p, np.ones(3))), "MATLAB v5"
    ),
    Kind(
        "part unknown", "pascal_context", at("human_parts/*.mat", lambda p: write_parts(p, 1, ["wing"])), "part 'wing'"
    ),
    # what is found, and lists
    Kind("empty split", "camvid", at("train", empty_folder), "no .png or .jpg pictures"),
    Kind("split missing", "camvid", at("val", remove_folder), "no such folder; wanted one with pictures"),
    Kind(
        "label folder missing", "camvid", at("trainannot", remove_folder), "no such folder; wanted one with label maps"
    ),
    Kind("label missing", "camvid", at("trainannot/*.png", Path.unlink), "no such file; wanted a label map"),
    Kind("depth missing", "sevenscenes", at("seq-01/*.depth.png", Path.unlink), "no such file; wanted the colour and"),
    Kind("png and jpg", "camvid", beside(".jpg"), "two pictures are named 'train bücher 0'"),
    Kind("two suffixes", "folder", two_suffixes, "differs from .* only in its suffix"),
    Kind("ambiguous name in a list", "folder", same_name_elsewhere, "'0'.*more than one"),
    Kind("list names what is not there", "folder", at("train.txt", lists_missing), "'not there' is none of"),
    Kind("list missing", "folder", at("val.txt", Path.unlink), "no such list"),
    Kind("list empty", "nyud_mt", at("gt_sets/train.txt", text("\n\n")), "lists no picture"),
    Kind("list with a name twice", "nyud_mt", at("gt_sets/train.txt", text("0001\n0001\n")), "lists '0001' more than"),
    Kind("list not UTF-8", "nyud_mt", at("gt_sets/train.txt", latin_1), "cannot be read as UTF-8"),
    Kind(
        "picture of a list not there",
        "nyud_mt",
        listed_file("gt_sets/train.txt", "0001\n0009\n", "images/0009.png"),
        "no such file; wanted its picture",
    ),
    Kind(
        "list in one line",
        "nyud_mt",
        listed_file("gt_sets/train.txt", ", ".join(["0001"] * 90), "images"),
        "no such file",
    ),
    Kind("list of frames not UTF-8", "hypersim", at(FRAMES, latin_1), "broken list of frames"),
    Kind("list of frames of another kind", "hypersim", at(FRAMES, other_columns), "no column 'split_partition_name'"),
    Kind(
        "unknown building",
        "taskonomy",
        other_building,
        "'Bag End' is in no published split",
    ),
]
