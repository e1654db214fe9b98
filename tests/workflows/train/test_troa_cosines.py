"""A batch's cosines on real models: brute force in float64, symmetries, precision, and no trace left behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.workflows.conftest import KINDS, double, missing_of, random_batch, small_model
from vtadapt.affinity.troa import Troa, sums
from vtadapt.models.adapted import AdaptedModel
from vtadapt.tasks import Task
from vtadapt.workflows.train.troa import batch_cosines


def reference_gradients(
    model: AdaptedModel, tasks: dict[str, Task], image: Tensor, target: str, source: str, label: Tensor
) -> list[Tensor]:
    """The gradient of one image's loss of ``source`` by what enters each adapted block, through ``target``.

    Block by block, from the parts: a forward pass of its own for each place, in which that block's input is a leaf
    and what comes before it (the skip that the block reads, too) is a constant.
    """
    column = model.affinity[:, model.tasks.index(target)]
    z = (column[:, None] * model.embedding.weight).sum(0, keepdim=True) / column.sum()
    trunk = model.backbone.trunk(image)
    blocks: list[tuple[int, Any, Any]] = []
    for index, (stage, adapters) in enumerate(zip(model.backbone.adapted_stages, model.adapters.blocks, strict=True)):
        blocks += [(index, block, adapter) for block, adapter in zip(stage.blocks, adapters, strict=True)]
    gradients = []
    for place in range(len(blocks)):
        x, skip, stage, features = trunk.tokens[:, None], None, 0, []
        leaf = None
        for number, (index, block, adapter) in enumerate(blocks):
            if index != stage:
                features.append(handed_on(model, stage, x, z))
                x = model.backbone.adapted_stages[index].downsample(x[:, 0])[:, None]
                skip = model.adapters.skip_merge[index - 1](skip[:, 0])[:, None]
                stage = index
            if number == place:
                x = leaf = x.detach().clone().requires_grad_()
                skip = None if skip is None else skip.detach()
            x, skip = adapter(block, x, skip, z, trunk.grids[index])
        shared = len(model.decoders) == 1
        decoder = model.decoders[0 if shared else model.tasks.index(source)]
        decoded = decoder([*features, handed_on(model, stage, x, z)], trunk.skips)
        logits = model.heads(decoded, [source], trunk.image, trunk.size)[source]
        assert leaf is not None
        gradients.append(torch.autograd.grad(tasks[source].loss_fn(logits, label).value, leaf)[0].flatten())
    return gradients


def handed_on(model: AdaptedModel, stage: int, x: Tensor, z: Tensor) -> Tensor:
    """What the decoder reads of a stage whose last block gave ``x``."""
    return model.adapters.norms_out[stage](x, z) if len(model.adapters.norms_out) else x


@pytest.mark.parametrize(("sharing", "order"), [("shared", "residual"), ("per_task", "residual"), ("shared", "slides")])
def test_cosines_of_a_batch_are_those_of_brute_force(sharing: str, order: str) -> None:
    model = small_model(KINDS, decoder_sharing=sharing, adapter=order).double().eval()
    batch = double(random_batch(KINDS))
    absent = {("depth", 0), ("edges", 0), ("semseg", 2)}
    for name, image in absent:
        batch["targets"][name][image] = missing_of(KINDS[name])
    batch["targets"]["normals"][1, :, :20] = 0  # in part
    found = batch_cosines(model, KINDS, batch, blocks=True)
    assert found.shape == (3, 3, 4, 4)  # blocks, images, sources, targets
    assert found.dtype == torch.float64
    for image in range(3):
        for column, target in enumerate(KINDS):
            u = {
                source: reference_gradients(
                    model, KINDS, batch["image"][image : image + 1], target, source, y[image : image + 1]
                )
                for source, y in batch["targets"].items()
                if (source, image) not in absent
            }
            for row, source in enumerate(KINDS):
                here = found[:, image, row, column]
                if source not in u or target not in u:
                    assert bool(here.isnan().all()), (source, target, image)
                    continue
                for place in range(3):
                    a, b = u[source][place], u[target][place]
                    assert abs(float(here[place] - a @ b / (a.norm() * b.norm()))) < 1e-10, (source, target, image)
    off = ~torch.eye(4, dtype=torch.bool)
    assert float(found[0, 1][off].abs().max()) < 0.999
    assert float((found[0, 1] - found[0, 1].mT).abs().max()) > 0.01, "conditioning makes a difference"


def test_the_control_is_symmetric_and_by_each_tasks_own_conditioning() -> None:
    model, batch = small_model(KINDS).double().eval(), double(random_batch(KINDS))
    found = batch_cosines(model, KINDS, batch, measure="cosine")[0]
    assert torch.allclose(found, found.mT, rtol=0, atol=1e-12)
    u = {
        name: reference_gradients(model, KINDS, batch["image"][:1], name, name, batch["targets"][name][:1])[0]
        for name in KINDS
    }
    for row, s in enumerate(KINDS):
        for column, t in enumerate(KINDS):
            assert abs(float(found[0, row, column] - u[s] @ u[t] / (u[s].norm() * u[t].norm()))) < 1e-10


def test_permuted_reads_the_sources_labels_of_the_next_image() -> None:
    model, batch = small_model(KINDS).double().eval(), double(random_batch(KINDS))
    found = batch_cosines(model, KINDS, batch, measure="permuted")[0]
    y = batch["targets"]
    args = (model, KINDS, batch["image"][:1], "depth")
    v = reference_gradients(*args, "depth", y["depth"][:1])[0]
    for row, source in enumerate(KINDS):
        u = reference_gradients(*args, source, y[source][-1:])[0]
        assert abs(float(found[0, row, 1] - u @ v / (u.norm() * v.norm()))) < 1e-10


def test_an_image_does_not_depend_on_the_others_of_its_batch() -> None:
    model, batch = small_model(KINDS).double().eval(), double(random_batch(KINDS))
    alone = {"image": batch["image"][1:2], "targets": {n: y[1:2] for n, y in batch["targets"].items()}}
    found, wanted = batch_cosines(model, KINDS, batch)[:, 1:2], batch_cosines(model, KINDS, alone)
    assert torch.allclose(found, wanted, rtol=0, atol=1e-12)


def test_permuting_the_tasks_of_a_model_permutes_both_axes() -> None:
    order = ["edges", "semseg", "normals", "depth"]
    index = [list(KINDS).index(name) for name in order]
    model, other = small_model(KINDS).double(), small_model({n: KINDS[n] for n in order}, seed=1).double()
    state = model.state_dict()
    state["embedding.weight"] = state["embedding.weight"][index]
    state["affinity"] = state["affinity"][index][:, index]
    other.load_state_dict(state)
    batch = double(random_batch(KINDS))
    found = batch_cosines(other, {n: KINDS[n] for n in order}, batch)
    wanted = batch_cosines(model, KINDS, batch)[..., index, :][..., index]
    assert torch.allclose(found, wanted, rtol=0, atol=1e-10)


def test_the_mode_is_restored_when_measuring_fails() -> None:
    model, batch = small_model(KINDS).train(), random_batch(KINDS)
    del batch["targets"]["depth"]
    with pytest.raises(KeyError):
        batch_cosines(model, KINDS, batch)
    assert model.training
    assert all(not m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("measure", ["troa", "cosine"])
def test_cosines_are_float32_whatever_the_precision(half: torch.dtype, measure: str) -> None:
    model, batch = small_model(KINDS), random_batch(KINDS)
    wanted = batch_cosines(model, KINDS, batch, measure=measure)
    with torch.autocast("cpu", dtype=half):
        found = batch_cosines(model, KINDS, batch, measure=measure)
        assert model(batch["image"])["depth"].dtype == half, "autocast goes on afterwards"
    assert found.dtype == torch.float32
    assert torch.equal(found, wanted)
    with torch.no_grad():
        assert torch.equal(batch_cosines(model, KINDS, batch, measure=measure), wanted)


def test_ranks_do_not_matter() -> None:
    """What two ranks add up is what one measures on the whole batch."""
    model, batch = small_model(KINDS).double(), double(random_batch(KINDS, images=4))
    batch["targets"]["depth"][1] = 0
    parts = [
        {"image": batch["image"][i::2], "targets": {n: y[i::2] for n, y in batch["targets"].items()}} for i in range(2)
    ]
    whole = sums(batch_cosines(model, KINDS, batch)[0])
    halves = [sums(batch_cosines(model, KINDS, part)[0]) for part in parts]
    one, two = Troa(4), Troa(4)
    one.update(*whole)
    two.update(*(a + b for a, b in zip(*halves, strict=True)))
    assert torch.allclose(one.affinity, two.affinity, rtol=0, atol=1e-10)
    assert torch.allclose(one.weights, two.weights, rtol=0, atol=1e-10)
