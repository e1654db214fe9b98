"""A folder of LabelMe's files, three commands, and a PNG of class ids."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tests.data.formats import annotations as made


def test_from_a_folder_to_class_ids(project, cli):
    folder = project / "photos"
    folder.mkdir()
    for i in range(8):
        things = [made.rectangle("wall", 5, 4, 50, 30), made.rectangle("plant", 20, 10, 40, 25)]
        colours = np.random.default_rng(i).integers(0, 60, (made.HEIGHT, made.WIDTH, 3)).astype(np.uint8)
        for thing, colour in zip(things, ((200, 50, 50), (50, 200, 50)), strict=True):
            colours[thing.mask] = colour
        Image.fromarray(colours).save(folder / f"im{i}.jpg")
        made.write_json(folder / f"im{i}.json", made.labelme(things, f"im{i}.jpg"))
    said = cli("recipe", "photos")
    assert said.code == 0, said.err
    assert "vtadapt prepare-data photos.yaml" in said.out
    again = cli("recipe", "photos")
    assert (again.code, "--force" in again.err) == (2, True)
    trained = cli("train", "photos.yaml", "--set", "steps=2")
    assert trained.code == 0, trained.err
    predicted = cli("predict", "photos/im0.jpg", "--format", "ids", "--out", "ids")
    assert predicted.code == 0, predicted.err
    ids = np.asarray(Image.open(next((project / "ids").glob("*.png"))))
    assert ids.shape == (made.HEIGHT, made.WIDTH)
    assert set(np.unique(ids)) <= {0, 1, 2}
    prepared = cli("prepare-data", "photos.yaml")
    assert prepared.code == 0, prepared.err
    assert "labelled" in prepared.out
    assert "background" in prepared.out
    assert "pixels without any annotation are class 'background'" in prepared.out
    assert "kept" in prepared.err
