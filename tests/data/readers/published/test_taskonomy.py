"""None"""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.taskonomy import NEW, OLD, SIZE, write_taskonomy
from tests.data.readers.published.small_taskonomy import FILES, NATIVE, expected, reader
from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.prepare import prepare
from vtadapt.data.readers.published.taskonomy import published
from vtadapt.data.readers.table import make_reader
from vtadapt.data.recipe.recipe import Intrinsics, load_recipe
from vtadapt.errors import ConfigError, DataError


@pytest.mark.parametrize("names", [NEW, OLD], ids=["new", "old"])
@pytest.mark.parametrize("tree", ["building", "domain", "omnidata"])
def test_the_pack_holds_what_the_files_say(tmp_path: Path, tree: str, names: dict[str, tuple[str, str]]) -> None:
    root = tmp_path / "Taskonomy ü"
    truth = write_taskonomy(root, ["Allensville", "collierville"], tree, names)
    prepare(load_recipe("taskonomy"), root, tmp_path / "packs", NATIVE)
    for split, building in (("train", "Allensville"), ("val", "collierville")):
        pack = open_pack(tmp_path / "packs", "taskonomy", split)
        assert pack.names == [f"{building}/point_{v}" for v in ("0_view_0", "2_view_1", "10_view_0")]
        for i, name in enumerate(pack.names):
            sample, known = pack.read(i), expected(truth[name])
            np.testing.assert_array_equal(sample.pop("image"), truth[name]["rgb"])
            assert set(sample) == set(known)
            for task, label in sample.items():
                tolerance = 1e-3 if label.dtype == np.float16 else 1e-6
                np.testing.assert_allclose(label, known[task], rtol=0, atol=tolerance, err_msg=task)
            np.testing.assert_array_equal(sample["semseg"], known["semseg"])
            np.testing.assert_array_equal(sample["depth"], known["depth"].astype(np.float32))  # 1/512 m is exact


def test_a_wall_in_front_faces_the_camera(tmp_path: Path) -> None:
    write_taskonomy(tmp_path, ["allensville"], domains=["rgb", "normal"], views=[(0, 0)])
    path = tmp_path / "normal" / "allensville" / "point_0_view_0_domain_normal.png"
    blue = np.full((*SIZE, 3), (127, 128, 0), np.uint8)  # a surface facing the camera has blue < 127
    blue[0] = (127, 127, 127)  # no direction at all
    Image.fromarray(blue).save(path)
    normals = reader().load(reader().find(tmp_path, "train")[0])["normals"]
    np.testing.assert_allclose(normals[1:], np.broadcast_to([0, 0, -1], (19, 20, 3)), atol=0.006)
    assert (normals[0] == 0).all()


def test_the_folder_of_one_building_needs_its_split(tmp_path: Path) -> None:
    truth = write_taskonomy(tmp_path / "sample-model", ["sample-model"], "single", OLD)
    with pytest.raises(DataError, match=r"building 'sample-model' is in no published split \(1 such\); give its split"):
        reader().find(tmp_path / "sample-model", "train")
    items = reader(assign={"Sample-Model": "train"}).find(tmp_path / "sample-model", "train")
    assert [i.name for i in items] == list(truth)
    sample = reader(assign={"Sample-Model": "train"}).load(items[1])
    np.testing.assert_array_equal(sample["semseg"], expected(truth[items[1].name])["semseg"])
    assert [i.name for i in reader(assign={"sample-model": "val"}).find(tmp_path, "val")] == list(truth)  # from above


def test_labels_that_were_not_downloaded_are_absent(tmp_path: Path) -> None:
    write_taskonomy(tmp_path, ["allensville", "beechwood"], domains=["rgb", "zbuffer", "semantic"])
    lost = tmp_path / "depth_zbuffer" / "beechwood" / "point_2_view_1_domain_depth_zbuffer.png"
    lost.unlink()
    stray = tmp_path / "segment_semantic" / "beechwood" / "point_0_view_0_domain_segmentsemantic.png"
    stray.rename(stray.with_name("point_0_view_0_domain_rgb.png"))  # of another domain: no label of this one
    (tmp_path / "rgb" / "beechwood" / "point_10_view_0_domain_rgb.png").unlink()
    items = reader(["depth", "semseg"]).find(tmp_path, "train")
    assert [i.name for i in items[3:]] == ["beechwood/point_0_view_0", "beechwood/point_2_view_1"]
    assert [dict(i.absent) for i in items] == [{}, {}, {}, {"semseg": stray}, {"depth": lost}]
    everything = reader().find(tmp_path, "train")[0]
    assert set(everything.absent) == set(FILES) - {"depth", "semseg"}
    assert everything.absent["normals"] == tmp_path / "normal/allensville/point_0_view_0_domain_normal.png"
    assert all(p.is_file() for i in items for p in i.paths.values())
    assert set(reader(["depth"]).find(tmp_path, "train")[0].paths) == {"image", "depth"}


def test_the_mask_is_for_what_was_rendered_from_the_mesh(tmp_path: Path) -> None:
    truth = write_taskonomy(tmp_path, ["allensville"], views=[(0, 0)])["allensville/point_0_view_0"]
    hole = truth["mask"] == 0
    assert hole.any()
    item = reader().find(tmp_path, "train")[0]
    usual, unmasked = reader().load(item), reader(mask=[]).load(reader(mask=[]).find(tmp_path, "train")[0])
    assert (usual["depth"][hole] == 0).all()
    assert np.isnan(usual["keypoints3d"][hole]).all()
    assert not np.isnan(usual["keypoints2d"]).any()
    np.testing.assert_allclose(unmasked["depth"], expected(truth, masked=False)["depth"])
    assert (reader(mask=["semseg"]).load(item)["semseg"][hole] == 255).all()
    assert "mask" not in reader(["semseg"]).find(tmp_path, "train")[0].paths
    with pytest.raises(ConfigError, match="mask"):
        reader(mask=["nothing"])


def test_partitions_and_buildings(tmp_path: Path) -> None:
    # in tiny; medium; full; fullplus only (train each), and a val building of tiny
    mine = ["allensville", "adairsville", "adrian", "ackermanville", "darden"]
    write_taskonomy(tmp_path, mine, domains=["rgb"], views=[(0, 0)])

    def found(split: str = "train", **options: object) -> list[str]:
        return [i.name.split("/")[0] for i in reader([], **options).find(tmp_path, split)]

    assert found() == sorted(mine[:4])
    assert found(partition="tiny") == ["allensville"]
    assert found(partition="medium") == ["adairsville", "allensville"]
    assert found(partition="full") == ["adairsville", "adrian", "allensville"]
    assert (found("val"), found("test")) == (["darden"], [])
    assert found(buildings=["ADRIAN", "darden"]) == ["adrian"]
    assert found("val", assign={"adrian": "val"}) == ["adrian", "darden"]
    assert found("train", partition="tiny", assign={"adrian": "train"}) == ["adrian", "allensville"]
    with pytest.raises(DataError, match="no building 'adrain' .options.buildings.. Did you mean 'adrian'"):
        found(buildings=["adrain"])
    with pytest.raises(DataError, match="building 'adrian' .* is not in partition 'tiny' but in 'full'"):
        found(buildings=["adrian"], partition="tiny")
    with pytest.raises(DataError, match="no pictures for split 'val' in 5 buildings .*such as "):
        found("val", buildings=["adrian"])
    with pytest.raises(ConfigError, match="options.assign: 'trian' is none of its splits"):
        found(assign={"adrian": "trian"})
    with pytest.raises(ConfigError, match="partition"):
        found(partition="huge")


def test_the_published_splits_are_whole() -> None:
    table = published()
    sizes = {
        s: np.cumsum([len(parts[p]) for p in ("tiny", "medium", "full", "fullplus")]) for s, parts in table.items()
    }
    assert {s: c.tolist() for s, c in sizes.items()} == {
        "train": [25, 99, 346, 383],
        "val": [5, 20, 67, 75],
        "test": [5, 19, 69, 79],
    }
    everything = [b for parts in table.values() for names in parts.values() for b in names]
    assert len(everything) == len(set(everything)) == 537
    assert all(b == b.lower() for b in everything)


def test_the_table_agrees_with_the_facts(shared_data: Path) -> None:
    path = shared_data.parent / "facts" / "taskonomy_splits.json"
    if not path.is_file():
        pytest.skip(f"no {path.name} beside the sample sets")
    for partition, splits in json.loads(path.read_text())["splits"].items():
        order = ("tiny", "medium", "full", "fullplus")
        for split, wanted in splits.items():
            parts = order[: order.index(partition) + 1]
            assert sorted(b for p in parts for b in published()[split][p]) == sorted(wanted)


def test_a_view_has_its_own_camera(tmp_path: Path) -> None:
    truth = write_taskonomy(tmp_path, ["allensville"])
    recipe = load_recipe("taskonomy")
    derived = recipe.tasks["normals"].model_validate(
        {"kind": "unit_vector", "derived": True, "derive": {"method": "plane_fit", "source": "depth"}}
    )
    usual = Intrinsics(fx=500, fy=500, cx=255.5, cy=255.5, width=512, height=512)
    mine = recipe.model_copy(update={"tasks": {**recipe.tasks, "mine": derived}, "intrinsics": usual})
    asked = pickle.loads(pickle.dumps(make_reader(mine, tasks=["mine"])))
    items = asked.find(tmp_path, "train")
    for item in items:
        camera = asked.camera(item, (512, 512))
        assert camera is not None
        # the ray through the picture's left edge makes half the field of view with the axis
        half = np.arctan((camera.cx + 0.5) / camera.fx)
        assert 2 * half == pytest.approx(float(truth[item.name]["info"]))
        assert (camera.cx, camera.cy, camera.fx) == (255.5, 255.5, camera.fy)
    assert reader().camera(reader().find(tmp_path, "train")[0], (512, 512)) is None  # nothing there needs it
    items[0].paths["camera"].write_text("{}")
    with pytest.raises(DataError, match="fixatedpose.json: wanted JSON with field_of_view_rads"):
        asked.camera(items[0], (512, 512))
    items[0].paths["camera"].write_text('{"field_of_view_rads": 60}')
    with pytest.raises(DataError, match="field_of_view_rads 60, wanted"):
        asked.camera(items[0], (512, 512))


def test_many_files_are_found_with_few_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"point_{p}_view_0_domain_" for p in range(2000)]
    for domain in ("rgb", "depth_zbuffer", "normal"):
        folder = tmp_path / domain / "allensville"
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{name}{domain}.png").touch()
    calls = 0

    def counted(*args: object, **keywords: object) -> os.stat_result:
        nonlocal calls
        calls += 1
        return stat(*args, **keywords)

    stat = os.stat
    monkeypatch.setattr(os, "stat", counted)
    items = reader(["depth", "normals"]).find(tmp_path, "train")
    assert len(items) == 2000
    assert all(set(i.paths) == {"image", "depth", "normals"} for i in items)
    assert calls < 50
