"""Data sets in which images have labels of some tasks: what is read of them, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from tests.workflows.gain.conftest import TASKS
from vtadapt.data.pack.pack import PackReader
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.errors import DataError
from vtadapt.workflows.gain.bench import Bench
from vtadapt.workflows.gain.cell import Cell, batches, measure, scarce_rows, train_cell
from vtadapt.workflows.gain.grid import open_bench
from vtadapt.workflows.gain.options import PREDICTORS, GainOptions
from vtadapt.workflows.gain.predictors.predict import predict
from vtadapt.workflows.run.data.data_sets import find_data

TRAIN, VAL = 12, 6  # images of "tiny"
IMAGES = 11  # of each task at most
PRESENT = {
    "depth": ({0, 3, 6, 9}, {1, 4}),  # of the training images, of the validation images
    "edges": ({1, 2, 4, 5, 7, 8}, set(range(VAL))),  # no image has both
    "semseg": (set(range(TRAIN)), set(range(VAL))),
}


@pytest.fixture
def present() -> Iterator[dict[str, tuple[set[int], set[int]]]]:
    """Which images have labels: as above, and to be changed."""
    changed = {task: (set(train), set(val)) for task, (train, val) in PRESENT.items()}
    own_present, own_read = PackReader.present, PackReader.read

    def there(reader: PackReader, task: str) -> Any:
        found = own_present(reader, task)
        return found & np.isin(np.arange(len(found)), list(changed[task][len(found) == VAL]))

    def read(reader: PackReader, index: int, tasks: Any = None, *, image: bool = True) -> Any:
        kept = [task for task in tasks if there(reader, task)[index]]
        return own_read(reader, index, kept, image=image)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PackReader, "present", there)
        patch.setattr(PackReader, "read", read)
        yield changed


@pytest.fixture
def tasks(settings: Any) -> Mapping[str, Any]:
    return build_tasks(find_data(settings).trained, TASKS)


@pytest.fixture
def partial(settings: Any, tasks: Any, present: Any, small: None) -> Bench:
    del small, present
    return open_bench(settings, tasks, GainOptions(scarce=3, images=IMAGES))


def test_each_task_has_its_own_images(partial: Bench) -> None:
    assert partial.images == IMAGES  # the last has a label of semseg alone, of which these are enough
    assert partial.labelled["depth"] == [0, 3, 6, 9]
    assert partial.labelled["edges"] == [1, 2, 4, 5, 7, 8]
    assert partial.labelled["semseg"] == list(range(IMAGES))
    assert [len(partial.judging[task]) for task in ("depth", "edges")] == [2, 4]  # val_images of the settings
    assert not (partial.train.targets["depth"][1] > 0).any()


def test_images_with_all_labels_are_the_same_for_all(bench: Bench) -> None:
    assert bench.labelled["depth"] == bench.labelled["edges"] == list(range(bench.images)) == list(range(10))
    assert bench.judging["depth"] == bench.judging["edges"] == list(range(4))


def test_the_target_sees_its_few_and_the_source_its_own(partial: Bench) -> None:
    alone, pair = (
        list(islice(batches(partial, Cell("depth", sources, 1, 3), 4, 30), 30)) for sources in ((), ("edges",))
    )
    known = set(scarce_rows(partial, "depth", 3, 1))
    assert len(known) == 3 and known < {0, 3, 6, 9}
    assert [few for few, _ in alone] == [few for few, _ in pair]
    assert {row % partial.images for few, _ in pair for row in few} == known
    assert {row % partial.images for _, rest in pair for row in rest} == {1, 2, 4, 5, 7, 8}


def test_an_image_without_a_label_teaches_nothing(partial: Bench, settings: Any) -> None:
    """A batch of images without the source's label trains as if the source were not there."""
    label = partial.train.targets["edges"].clone()
    none = replace(partial, train=replace(partial.train, targets={**partial.train.targets, "edges": label.fill_(-1)}))
    found = train_cell(none, settings, Cell("depth", ("edges",), 1, 3))
    assert not torch.equal(label, partial.train.targets["edges"])
    off = train_cell(partial, settings, Cell("depth", ("edges",), 1, 3), {"edges": 0.0})
    for a, b in zip(found.parameters(), off.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_target_is_measured_on_its_own_images_whoever_else_is_asked_about(
    partial: Bench, settings: Any, tasks: Any
) -> None:
    model = train_cell(partial, settings, Cell("depth", (), 1, 3))
    alone = open_bench(settings, tasks, GainOptions(scarce=3, images=IMAGES), ["depth"])
    assert len(alone.val) == 2 < len(partial.val)
    assert measure(alone, model, tasks["depth"]) == measure(partial, model, tasks["depth"])


@pytest.mark.parametrize("name", PREDICTORS)
def test_every_predictor_has_a_number_for_each_source(name: str, partial: Bench, settings: Any) -> None:
    found = predict(name, partial, settings, GainOptions(scarce=3, images=IMAGES), ["depth"], 0).scores["depth"]
    assert set(found) == {"semseg", "edges"} and all(map(math.isfinite, found.values()))
    if name == "labels":
        assert found["edges"] == 0  # no image has both: its labels say nothing


def test_too_few_labels_are_named(settings: Any, tasks: Any, present: Any, small: None) -> None:
    del small
    many = GainOptions(scarce=5, images=IMAGES)
    with pytest.raises(DataError, match=r"4 of 12 training images of 'tiny' have a label of depth; wanted 5 or more"):
        open_bench(settings, tasks, many)
    assert open_bench(settings, tasks, many, ["edges"]).labelled["depth"] == [0, 3, 6, 9]  # a source may have few
    with pytest.raises(DataError, match="12 of 12 training images .* have labels; wanted more than --scarce 12"):
        open_bench(settings, tasks, GainOptions(scarce=12), ["semseg"])
    present["depth"][1].clear()
    with pytest.raises(DataError, match=r"no validation image of 'tiny' has a label of depth; leave it out with --tar"):
        open_bench(settings, tasks, GainOptions(scarce=3, images=IMAGES))
    assert "depth" not in open_bench(settings, tasks, GainOptions(scarce=3, images=IMAGES), ["edges"]).judging
    present["depth"][0].clear()
    with pytest.raises(DataError, match=r"0 of 12 training images .* of depth; wanted 1 or more: .* with --tasks"):
        open_bench(settings, tasks, GainOptions(scarce=3, images=IMAGES), ["edges"])
