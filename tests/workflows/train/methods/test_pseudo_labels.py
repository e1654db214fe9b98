"""What a teacher's labels are, by hand: cutoffs, weights, agreement, what is pasted, rare classes, the running mean."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from tests.workflows.conftest import KINDS, small_model
from vtadapt.tasks import make_task
from vtadapt.tasks.class_ids import VOID
from vtadapt.workflows.run.loaders import RunSampler
from vtadapt.workflows.train.methods.self_training.mixing import half_of_the_classes, strong
from vtadapt.workflows.train.methods.self_training.pseudo import Rules, cutoffs, hidden, pseudo_labels
from vtadapt.workflows.train.methods.self_training.rare_classes import RareClassSampler, class_chances
from vtadapt.workflows.train.methods.self_training.teacher import MeanTeacher

RULES = Rules(threshold=0.9, share=0.5, agreement=0.1)


def test_the_teacher_is_the_plain_mean_first_and_then_a_running_one() -> None:
    model = small_model({"depth": KINDS["depth"]})
    teacher = MeanTeacher(model, 0.75, torch.device("cpu"))
    name, parameter = next((n, p) for n, p in model.named_parameters() if p.requires_grad)
    assert set(teacher.weights) == {n for n, p in model.named_parameters() if p.requires_grad}
    wanted = None
    for step in range(7):
        parameter.data.fill_(float(step + 1))
        teacher.update(step)
        m = min(0.75, step / (step + 1))
        wanted = step + 1.0 if wanted is None else m * wanted + (1 - m) * (step + 1)
        assert torch.allclose(teacher.weights[name], torch.full_like(parameter, wanted))
        if step == 3:
            assert wanted == pytest.approx(2.5), "the mean of 1, 2, 3, 4"


def test_the_network_predicts_with_the_teachers_weights_and_is_left_as_it_was() -> None:
    tasks = {"depth": KINDS["depth"], "semseg": KINDS["semseg"]}
    model, other = small_model(tasks), small_model(tasks, seed=1)
    teacher = MeanTeacher(model, 0.9, torch.device("cpu"))
    teacher.load({n: p.detach() for n, p in other.named_parameters() if p.requires_grad})
    for name, p in other.named_parameters():  # the trunk is the network's own
        if not p.requires_grad:
            p.data.copy_(dict(model.named_parameters())[name])
    other.affinity.copy_(model.affinity)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.train()
    image = torch.rand(2, 3, 32, 40)
    found = teacher.predict(image, list(tasks))
    wanted = other.eval()(image, list(tasks))
    assert all(torch.allclose(found[name], wanted[name], atol=1e-6) for name in tasks)
    assert not any(y.requires_grad for y in found.values())
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_teacher_of_another_network_is_refused() -> None:
    teacher = MeanTeacher(small_model({"depth": KINDS["depth"]}), 0.9, torch.device("cpu"))
    weights = {n: v.clone() for n, v in teacher.weights.items()}
    name = next(iter(weights))
    with pytest.raises(ValueError, match=f"another network: {name} is of another size"):
        teacher.load({**weights, name: torch.zeros(1)})
    with pytest.raises(ValueError, match="another network: strange"):
        teacher.load({**weights, "strange": torch.zeros(1)})


def test_cutoffs_are_the_threshold_or_that_of_the_most_confident_half() -> None:
    confidence = torch.tensor([[[0.99, 0.95, 0.92, 0.5, 0.8, 0.6, 0.4, 0.3]]])
    labels = torch.tensor([[[0, 0, 0, 0, 1, 1, 1, 1]]])
    assert cutoffs(confidence, labels, 3, RULES).tolist() == pytest.approx([0.9, 0.6, 0.9])
    assert cutoffs(confidence, labels, 3, RULES._replace(share=0.0)).tolist() == pytest.approx([0.9] * 3)
    assert cutoffs(confidence, labels, 3, RULES._replace(share=1.0)).tolist() == pytest.approx([0.5, 0.3, 0.9])


def test_labels_and_weight_of_classes_by_hand() -> None:
    task = KINDS["semseg"]
    p = torch.tensor([[0.97, 0.01, 0.01, 0.01], [0.5, 0.3, 0.1, 0.1], [0.05, 0.92, 0.02, 0.01], [0.4, 0.2, 0.2, 0.2]])
    logits = p.log().T[None, :, None]  # (1, 4, 1, 4)
    found = pseudo_labels(task, logits, logits.flip(-1), RULES._replace(share=0.0))
    assert found.target.tolist() == [[[0, VOID, 1, VOID]]]
    assert float(found.weight) == 0.5, "two of four pixels reach 0.9"
    balanced = pseudo_labels(task, logits, None, RULES._replace(share=2 / 3))
    assert balanced.target.tolist() == [[[0, 0, 1, VOID]]], "two of the three of class 0"
    assert float(balanced.weight) == 0.5
    # Views that contradict one another: the mean of 0.97 and 0.01 is not sure.
    other = pseudo_labels(task, logits[..., [0]], logits[..., [2]], RULES._replace(share=0.0))
    assert other.target.tolist() == [[[VOID]]]
    assert float(other.weight) == 0


def test_distances_are_taken_where_the_mirror_image_says_the_same() -> None:
    task = KINDS["depth"]
    here, there = torch.tensor([[[[2.0, 4.0, 10.0]]]]), torch.tensor([[[[2.1, 5.0, 9.5]]]])
    logits, mirrored = (task.from_blended(x) for x in (here, there.flip(-1)))
    found = pseudo_labels(task, logits, mirrored, RULES)
    assert found.target[0, 0, 0].tolist() == pytest.approx([2.05, 0.0, 9.75], abs=1e-4)
    assert float(found.weight) == pytest.approx(2 / 3)


def test_directions_are_mirrored_with_their_image() -> None:
    task = KINDS["normals"]
    angle = math.radians(30)
    unit = torch.tensor([math.sin(angle), 0.0, -math.cos(angle)]).view(1, 3, 1, 1)
    mirrored = unit * torch.tensor([-1.0, 1.0, 1.0]).view(1, 3, 1, 1)
    found = pseudo_labels(task, task.from_blended(unit), task.from_blended(mirrored), RULES)
    assert torch.allclose(found.target, unit, atol=1e-5)
    assert float(found.weight) == 1
    wrong = pseudo_labels(task, task.from_blended(unit), task.from_blended(unit), RULES)
    assert not task.valid(wrong.target).any()
    assert float(wrong.weight) == 0


def test_probabilities_of_boundaries_are_compared_as_they_are() -> None:
    task = KINDS["edges"]
    here, there = torch.tensor([[[[0.02, 0.9, 0.5]]]]), torch.tensor([[[[0.001, 0.85, 0.7]]]])
    found = pseudo_labels(task, task.from_blended(here), task.from_blended(there.flip(-1)), RULES)
    assert found.target[0, 0, 0].tolist() == pytest.approx([0.0105, 0.875, -1.0], abs=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_hidden_pixels_are_missing_and_the_others_stay(name: str) -> None:
    from tests.workflows.conftest import labels_of

    task = KINDS[name]
    target = labels_of(task, 2, (6, 8), torch.Generator().manual_seed(0))
    where = torch.zeros(2, 6, 8, dtype=torch.bool)
    where[:, :3] = True
    found = hidden(task, target, where)
    assert found.dtype == target.dtype
    assert torch.equal(task.valid(found), task.valid(target) & ~where)
    assert torch.equal(found[..., 3:, :], target[..., 3:, :])


def test_half_of_the_classes_of_a_picture_is_pasted_whole() -> None:
    labels = torch.randint(5, (4, 12, 16), generator=torch.Generator().manual_seed(0))
    labels[0, :4] = VOID
    labels[3] = VOID
    masks = half_of_the_classes(labels, (1, 2))
    for label, mask in zip(labels[:3], masks[:3], strict=True):
        assert len(label[mask].unique()) == 3, "half of five, rounded up"
        assert not set(label[mask].tolist()) & {*label[~mask].tolist(), VOID}
    assert not masks[3].any(), "nothing is labelled"
    assert torch.equal(masks, half_of_the_classes(labels, (1, 2)))
    drawn = {tuple(half_of_the_classes(labels, (1, s)).flatten(1).sum(1).tolist()) for s in range(5)}
    assert len(drawn) > 1


def test_strong_views_are_drawn_from_their_key_alone() -> None:
    images = torch.rand(3, 3, 16, 20, generator=torch.Generator().manual_seed(0))
    state = torch.get_rng_state()
    one, other = strong(images, 0.5, (0, 1)), strong(images, 0.5, (0, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, strong(images, 0.5, (0, 1)))
    assert not torch.equal(one, other)
    assert not torch.equal(one, images)
    assert 0 <= float(one.min()) <= float(one.max()) <= 1
    assert torch.equal(strong(images, 0.0, (0, 1)), images)


def test_rare_classes_are_drawn_by_their_shares() -> None:
    pixels = torch.tensor([700.0, 300.0, 0.0])
    found = class_chances(pixels, 0.2)
    ratio = math.exp((0.7 - 0.3) / 0.2)
    assert found.tolist() == pytest.approx([1 / (1 + ratio), ratio / (1 + ratio), 0.0])
    assert class_chances(pixels, 1e-3).tolist() == pytest.approx([0.0, 1.0, 0.0])
    assert class_chances(pixels, 1e3).tolist() == pytest.approx([0.5, 0.5, 0.0], abs=1e-3)
    assert class_chances(torch.zeros(3), 0.1).tolist() == [0, 0, 0]


def sampler(pixels: torch.Tensor, temperature: float = 0.05, rank: int = 0, world: int = 1) -> RareClassSampler:
    return RareClassSampler(pixels, temperature, RunSampler([len(pixels)], 4, 3, rank, world))


def test_pictures_with_the_rare_class_come_more_often_and_any_batch_can_be_the_first() -> None:
    pixels = torch.zeros(40, 2, dtype=torch.float64)
    pixels[:, 0] = 1000
    pixels[:2, 1] = 100  # the rare class is in two of the forty
    order = list(sampler(pixels))
    assert len(order) == 40
    assert sum(index < 2 for index in order) > 30
    late = sampler(pixels)
    late.set(0, 6)
    assert list(late) == order[24:]
    late.set(1)
    assert list(late) != order
    halves = [list(sampler(pixels, rank=rank, world=2)) for rank in (0, 1)]
    assert [len(half) for half in halves] == [20, 20]
    assert halves[0] != halves[1]
    assert len(set(sampler(torch.zeros(40, 2, dtype=torch.float64)))) > 5, "without a label all pictures are alike"


def test_a_class_of_few_pixels_everywhere_is_drawn_all_the_same() -> None:
    pixels = torch.tensor([[5000.0, 0.0], [5000.0, 1.0], [5000.0, 0.0], [5000.0, 0.0]], dtype=torch.float64)
    assert set(sampler(pixels)) == {1}


@pytest.mark.parametrize(("name", "options", "wanted"), [("depth", {}, 0.5), ("height", {"typical": 4.0}, 0.25)])
def test_how_far_numbers_are_apart(name: str, options: dict[str, Any], wanted: float) -> None:
    task = make_task(name, "regression", units="m" if name == "depth" else "", **options)
    here, there = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 1.0)
    assert float(task.behaviour.apart(task, here, there)) == pytest.approx(wanted)
