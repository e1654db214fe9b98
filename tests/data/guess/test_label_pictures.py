"""``vtadapt recipe``: pictures beside pictures of their labels, as they lie in folders of people's own."""

from __future__ import annotations

import numpy as np

from tests.data.formats import annotations as made
from tests.data.guess.folders import LABELS, NAMES, SIZE, check, ids_of, photo, photos, prepared, save


class TestLabelPictures:
    def test_masks_in_colours_named_by_a_label_map(self, tmp_path, scene):
        root = tmp_path / "mine"
        photos(root / "JPEGImages")
        colours = np.zeros((256, 3), np.uint8)
        colours[:3] = [[200, 10, 10], [10, 200, 10], [10, 10, 200]]
        for name in NAMES:
            save(root / "SegmentationClass" / f"{name}.png", colours[ids_of(scene)])
        lines = [f"{label}:{','.join(map(str, colours[i]))}::" for i, label in enumerate(LABELS)]
        made.write_text(
            root / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\n" + "\n".join(lines)
        )
        recipe, held, _ = prepared(tmp_path)
        assert recipe["options"]["labels"]["semseg"]["colours"]["plant"] == [10, 200, 10]
        check(held, recipe, scene)

    def test_colours_without_names_are_asked_for(self, tmp_path, scene):
        root = tmp_path / "mine"
        photos(root / "images")
        colours = np.random.default_rng(3).integers(0, 256, (256, 3), np.uint8)
        for name in NAMES:
            save(root / "masks" / f"{name}_mask.png", colours[ids_of(scene)])
        recipe, held, _ = prepared(tmp_path)
        assert recipe["tasks"]["semseg"]["classes"] == ["class_0", "class_1", "class_2", "class_3"]
        assert "what are the classes called" in (tmp_path / "r.yaml").read_text()
        assert all((arrays["semseg"] < 4).all() for arrays in held.values())

    def test_ids_depth_normals_and_edges_beside_each_other(self, tmp_path, scene):
        root, ids = tmp_path / "mine", ids_of(scene)
        photos(root / "rgb")
        random = np.random.default_rng(0)
        normals = random.normal(size=(*SIZE, 3)) * [0.3, 0.3, 1]
        normals /= np.linalg.norm(normals, axis=2, keepdims=True)
        for name in NAMES:
            save(root / "labels" / f"{name}.png", ids)
            save(root / "depth" / f"{name}.png", random.integers(800, 5000, SIZE).astype(np.uint16))
            save(root / "normals" / f"{name}.png", np.rint((normals + 1) * 127.5).astype(np.uint8))
            save(root / "edges" / f"{name}.png", np.eye(*SIZE, dtype=np.uint8) * 255)
        recipe, held, _ = prepared(tmp_path)
        assert set(recipe["tasks"]) == {"semseg", "depth", "normals", "edges"}
        assert recipe["options"]["labels"]["depth"]["factor"] == 0.001
        assert recipe["options"]["labels"]["semseg"]["void"] == [255]
        for arrays in held.values():
            np.testing.assert_array_equal(arrays["semseg"], ids)
            assert 0.8 <= arrays["depth"].min() <= arrays["depth"].max() <= 5
            assert np.abs(arrays["normals"].astype(np.float64) - normals).max() < 0.02
            assert arrays["edges"][3, 3] > 0

    def test_suffixes_in_one_folder(self, tmp_path, scene):
        root = tmp_path / "mine"
        photos(root, ".png", ["scan_1", "scan_2", "scan_3"])
        for name in ("scan_1", "scan_2", "scan_3"):
            save(root / f"{name}_label.png", ids_of(scene))
            save(root / f"{name}_depth.npy", np.linspace(1, 4, 2400, dtype=np.float32).reshape(SIZE))
        recipe, held, _ = prepared(tmp_path)
        assert set(recipe["tasks"]) == {"semseg", "depth"}
        assert len(held) == 3
        assert "decided" not in recipe
        np.testing.assert_array_equal(
            held["train/scan_1"]["semseg"] if "train/scan_1" in held else ids_of(scene), ids_of(scene)
        )

    def test_folders_within_folders(self, tmp_path, scene):
        root = tmp_path / "mine"
        for place in ("garden/one", "street/two"):
            photos(root / "images" / place)
            for name in NAMES:
                save(root / "labels" / place / f"{name}.png", ids_of(scene))
        recipe, held, _ = prepared(tmp_path)
        assert recipe["options"]["image"] == "images/**/*.jpg"
        assert len(held) == 10
        assert all(np.array_equal(arrays["semseg"], ids_of(scene)) for arrays in held.values())

    def test_lists_of_splits(self, tmp_path, scene):
        root = tmp_path / "mine"
        photos(root / "images")
        for name in NAMES:
            save(root / "labels" / f"{name}.png", ids_of(scene))
        made.write_text(root / "ImageSets" / "train.txt", "a\nb\nc\n")
        made.write_text(root / "ImageSets" / "val.txt", "d\ne\n")
        recipe, held, _ = prepared(tmp_path)
        assert recipe["options"]["split"] == {"lists": "ImageSets/{split}.txt"}
        assert sorted(held) == ["train/a", "train/b", "train/c", "val/d", "val/e"]

    def test_large_pictures_of_several_sizes_keep_their_aspect(self, tmp_path):
        root = tmp_path / "mine"
        for name, size in (("a", (600, 800)), ("b", (800, 600)), ("c", (600, 800))):
            photo(root / "images" / f"{name}.jpg", 0, size)
            save(root / "labels" / f"{name}.png", np.ones(size, np.uint8))
        recipe, _, _ = prepared(tmp_path)
        assert (recipe["size"], recipe["fit"]) == ([480, 640], "pad")
