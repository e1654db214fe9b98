from __future__ import annotations

import functools
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.data.conftest import SPECS, TASKS
from vtadapt.data.pack.pack import PackReader, PackWriter
from vtadapt.data.training import dataset as dataset_module
from vtadapt.data.training.dataset import BalancedSampler, MixedDataset, PackDataset, collate
from vtadapt.data.training.transforms import eval_transform, train_transform
from vtadapt.errors import ConfigError, DataError
from vtadapt.tasks import Task, make_task


def same(a: dict, b: dict) -> bool:
    """Whether two samples are equal, NaN included."""
    pairs = [(a["image"], b["image"]), *((a["targets"][t], b["targets"][t]) for t in a["targets"])]
    return a["name"] == b["name"] and all(torch.equal(x.nan_to_num(-9), y.nan_to_num(-9)) for x, y in pairs)


def wholly_missing(target: torch.Tensor, spec: Task) -> bool:
    value = spec.behaviour.missing_target(spec, (1, 1)).flatten()[0]
    return bool(target.isnan().all()) if value.isnan() else bool((target == value).all())


def test_samples_have_the_types_and_values_of_the_contract(pack: PackReader) -> None:
    sample = PackDataset(pack, SPECS)[0]
    stored = pack.read(0)
    assert sample["image"].dtype == torch.float32
    np.testing.assert_allclose(sample["image"].numpy(), stored["image"].transpose(2, 0, 1) / 255, atol=1e-6)
    targets = sample["targets"]
    assert list(targets) == list(SPECS)
    assert {type(t) for t in (*targets.values(), sample["image"])} == {torch.Tensor}
    assert (targets["semseg"].dtype, targets["semseg"].shape) == (torch.int64, (20, 18))
    np.testing.assert_array_equal(targets["semseg"], stored["semseg"])
    np.testing.assert_array_equal(targets["depth"][0], stored["depth"])
    length = targets["normals"].norm(dim=0)
    assert ((length == 0) | ((length - 1).abs() < 1e-6)).all()
    np.testing.assert_array_equal(targets["edges"][0], np.where(stored["edges"] == 255, -1.0, stored["edges"]))
    np.testing.assert_array_equal(targets["curvature"].permute(1, 2, 0), stored["curvature"])


def test_absent_labels_are_wholly_missing(pack: PackReader) -> None:
    specs = SPECS | {"saliency": make_task("saliency", "boundary")}
    for transform in (None, train_transform((10, 12)), eval_transform((10, 12))):
        dataset = PackDataset(pack, specs, transform)
        without_depth, without_any = dataset[1], dataset[2]
        assert wholly_missing(without_depth["targets"]["depth"], specs["depth"])
        assert not wholly_missing(without_depth["targets"]["edges"], specs["edges"])
        for task, spec in specs.items():
            assert wholly_missing(without_any["targets"][task], spec)
            assert without_any["targets"][task].shape[-2:] == without_any["image"].shape[-2:]


@dataclass
class Remembered:
    """All but the second sample is known."""

    size: tuple[int, int] = (12, 10)
    wants_image: bool = False
    number: int = 3

    def find(self, index: int, view: int) -> tuple[torch.Tensor, ...] | None:
        return None if index == 1 else (torch.tensor(index), torch.tensor(view))


@pytest.mark.parametrize("cache", [False, True])
def test_targets_are_the_same_where_the_image_is_not_read(pack: PackReader, cache: bool) -> None:
    plain = PackDataset(pack, SPECS, train_transform((12, 10)), views=2)
    dataset = PackDataset(pack, SPECS, train_transform((12, 10)), views=2, cache=cache)
    dataset.known = Remembered()
    for epoch in range(3):
        plain.set_epoch(epoch)
        dataset.set_epoch(epoch)
        for index in range(len(pack)):
            found, wanted = dataset[index], plain[index]
            assert found["place"] == (3, index, epoch % 2)
            assert (found["image"] is None) == (found["known"] is not None) == (index != 1)
            assert same({**found, "image": wanted["image"]}, wanted)
    dataset.known = Remembered(wants_image=True)
    sample = dataset[0]
    assert sample["known"] is not None
    assert same(sample, plain[0])
    batch = collate([dataset[0], dataset[1]])
    assert [len(batch[key]) for key in ("image", "known", "place", "name")] == [2] * 4
    assert batch["targets"]["depth"].shape == (2, 1, 12, 10)


def test_augmentation_depends_on_seed_epoch_and_index_only(pack: PackReader) -> None:
    dataset = PackDataset(pack, SPECS, train_transform((12, 12)), seed=3)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = [dataset[i] for i in range(len(dataset))]
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(7)
    assert all(same(dataset[i], first[i]) for i in reversed(range(len(dataset))))
    dataset.set_epoch(1)
    assert not same(dataset[0], first[0])
    dataset.set_epoch(0)
    assert same(dataset[0], first[0])
    assert not same(PackDataset(pack, SPECS, train_transform((12, 12)), seed=4)[0], first[0])
    assert same(pickle.loads(pickle.dumps(dataset))[3], first[3])


@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_give_the_same_and_see_the_new_epoch(pack: PackReader, context: str) -> None:
    dataset = PackDataset(pack, SPECS, train_transform((12, 12)))
    dataset[0]  # the handle is open when the workers start
    loader = DataLoader(
        dataset, 2, num_workers=1, collate_fn=collate, multiprocessing_context=context, persistent_workers=True
    )
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        images = torch.cat([batch["image"] for batch in loader])
        assert torch.equal(images, torch.stack([dataset[i]["image"] for i in range(6)]))


def test_cache_changes_nothing(pack: PackReader) -> None:
    plain = PackDataset(pack, SPECS, train_transform((12, 12)))
    cached = PackDataset(pack, SPECS, train_transform((12, 12)), cache=True)
    for _ in range(2):
        assert all(same(plain[i], cached[i]) for i in range(len(plain)))


def test_cache_is_bounded(pack: PackReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set that is larger than it is read again, and gives the same."""
    sizes = [sum(array.nbytes for array in pack.read(index).values()) for index in range(len(pack))]
    monkeypatch.setattr(dataset_module, "CACHE_BYTES", sum(sizes[:3]))
    plain, cached = PackDataset(pack, SPECS), PackDataset(pack, SPECS, cache=True)
    read: list[int] = []
    once = pack.read
    for _ in range(2):
        assert all(same(plain[i], cached[i]) for i in range(len(plain)))
    monkeypatch.setattr(cached.reader, "read", lambda index, *_, **__: read.append(index) or once(index))
    assert all(cached[i] for i in range(len(pack)))
    assert read == list(range(3, len(pack)))


def test_collate_pads_with_missing(pack: PackReader) -> None:
    dataset = PackDataset(pack, SPECS)
    batch = collate([dataset[0], dataset[1]], SPECS)
    assert batch["image"].shape == (2, 3, 20, 24)
    assert batch["name"] == ["Straße 0", "Straße 1"]
    for task, spec in SPECS.items():
        target = batch["targets"][task]
        assert torch.equal(target[0, ..., :18].nan_to_num(-9), dataset[0]["targets"][task].nan_to_num(-9))
        assert wholly_missing(target[0, ..., 18:], spec)
        assert wholly_missing(target[1, ..., 16:, :], spec)
    assert collate([dataset[0], dataset[2]])["targets"]["semseg"].shape == (2, 20, 18)
    with pytest.raises(ValueError, match="give collate the tasks, or resize"):
        collate([dataset[0], dataset[1]])
    loader = DataLoader(dataset, 6, collate_fn=functools.partial(collate, tasks=SPECS))
    assert next(iter(loader))["image"].shape == (6, 3, 20, 24)


def test_label_ids_out_of_range_name_the_sample(tmp_path: Path) -> None:
    wide = {"semseg": TASKS["semseg"].model_copy(update={"classes": ("a", "b", "c", "d")})}
    with PackWriter(tmp_path / "x.h5", wide) as writer:
        writer.add("bad one", np.zeros((4, 4, 3), np.uint8), {"semseg": np.full((4, 4), 3, np.uint8)})
    dataset = PackDataset(PackReader(tmp_path / "x.h5", TASKS), {"semseg": SPECS["semseg"]})
    with pytest.raises(DataError, match=r"x.h5: sample 'bad one', semseg: label ids 3, wanted 0..2 or 255"):
        dataset[0]


def test_label_maps_rename_classes(pack: PackReader) -> None:
    mapped = PackDataset(pack, {"semseg": SPECS["semseg"]}, label_maps={"semseg": [7, 255, 1]})[0]["targets"]["semseg"]
    plain = PackDataset(pack, {"semseg": SPECS["semseg"]})[0]["targets"]["semseg"]
    for before, after in ((0, 7), (1, 255), (2, 1), (255, 255)):
        assert (mapped[plain == before] == after).all()


def test_a_task_of_another_kind_is_refused(pack: PackReader) -> None:
    with pytest.raises(ConfigError, match="task 'depth' is of kind 'regression' there, wanted 'boundary'"):
        PackDataset(pack, {"depth": make_task("depth", "boundary")})


def test_mixed_sets_lack_each_others_labels(pack: PackReader, tmp_path: Path) -> None:
    with PackWriter(tmp_path / "b.h5", {"semseg": TASKS["semseg"]}) as writer:
        for i in range(2):
            writer.add(f"b{i}", np.zeros((16, 16, 3), np.uint8), {"semseg": np.full((16, 16), i, np.uint8)})
    other = PackReader(tmp_path / "b.h5", {"semseg": TASKS["semseg"]})
    sets = [PackDataset(r, SPECS, train_transform((12, 12))) for r in (pack, other)]
    mixed = MixedDataset(sets)
    assert (len(mixed), mixed.lengths) == (8, [6, 2])
    assert [mixed[i]["name"] for i in (0, 5, 6, 7)] == ["Straße 0", "Straße 5", "b0", "b1"]
    assert wholly_missing(mixed[6]["targets"]["normals"], SPECS["normals"])
    before = mixed[6]["image"]
    mixed.set_epoch(4)
    assert int(sets[1]._epoch) == 4
    assert before.shape == mixed[6]["image"].shape
    with pytest.raises(IndexError):
        mixed[8]
    with pytest.raises(ValueError, match="same tasks"):
        MixedDataset([sets[0], PackDataset(other, {})])


def test_balanced_sampler_gives_every_set_the_same_share() -> None:
    sampler = BalancedSampler([10, 3], seed=1)
    order = list(sampler)
    assert len(order) == len(sampler) == 13
    pairs = np.array(order[:12]).reshape(6, 2)
    assert ((pairs < 10).sum(axis=1) == 1).all()
    small = [i for i in order if i >= 10]
    assert sorted(small[:3]) == sorted(small[3:6]) == [10, 11, 12]
    assert list(sampler) == order
    sampler.set_epoch(1)
    assert list(sampler) != order
    assert len(list(BalancedSampler([4, 4], samples=5))) == 5
    with pytest.raises(ValueError, match="needs a sample"):
        BalancedSampler([3, 0])
