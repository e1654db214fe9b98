"""A task that is added to a network: the others stay as they were to the bit, and what is its own is kept apart."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workflows.conftest import KINDS, small_backbone, small_model
from vtadapt.errors import ConfigError
from vtadapt.models.adding import grown, load_own_state, own_state, rests_on, set_apart, train_only
from vtadapt.models.frozen.dpt import DptConfig, DptModel
from vtadapt.models.frozen.lora import LoraConfig, LoraModel
from vtadapt.models.frozen.probe import LinearProbe
from vtadapt.models.multitask import MultitaskModel
from vtadapt.workflows.run import checkpoint

SHAPES = [(1, 3, 44, 60), (3, 3, 44, 60), (2, 3, 64, 96)]


def adapted(tasks: list[str], **config: Any) -> MultitaskModel:
    return small_model({name: KINDS[name] for name in tasks}, **config).eval()


def frozen(kind: Any, config: Any, tasks: list[str]) -> MultitaskModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model: MultitaskModel = kind(small_backbone(), {name: KINDS[name].channels for name in tasks}, config)
        for parameter in model.trained_parameters():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


MAKERS = {
    "shared decoder": adapted,
    "a decoder each": lambda tasks: adapted(tasks, decoder_sharing="per_task"),
    "swin decoder": lambda tasks: adapted(tasks, decoder="swin"),
    "looks at the image": lambda tasks: adapted(tasks, head="stem"),
    "lora": lambda tasks: frozen(LoraModel, LoraConfig(decoder_width=8, decoder_sharing="per_task"), tasks),
    "linear": lambda tasks: frozen(LinearProbe, None, tasks),
    "dpt": lambda tasks: frozen(DptModel, DptConfig(8), tasks),
}


def with_added(make: Any, base: MultitaskModel, more: list[str], known: dict[str, Any] | None = None) -> MultitaskModel:
    """The network with more tasks, on the base's weights; their own parts are new, their columns full."""
    model: MultitaskModel = make([*base.tasks, *more])
    set_apart(model, more)
    for name in more if model.has_affinity else ():
        model.affinity[:, model.tasks.index(name)] = 0.0  # type: ignore[index, operator]
        model.affinity[: model.tasks.index(name) + 1, model.tasks.index(name)] = 0.7  # type: ignore[index, operator]
    kept = {name: own_state(model, name) for name in more} | (known or {})
    checkpoint.load_into(model, grown(model, base.saved_state()), Path("model"))
    for name in more:
        load_own_state(model, name, kept[name], model.tasks[: model.tasks.index(name)])
    return model


@pytest.mark.parametrize("name", MAKERS)
@torch.no_grad()
def test_the_others_stay_as_they_were_to_the_bit(name: str) -> None:
    """With one task added, and with two: those before it, and the first one once the second is there."""
    make = MAKERS[name]
    base = make(["semseg", "depth"])
    first = with_added(make, base, ["normals"])
    stages = [base, first, with_added(make, base, ["normals", "edges"], {"normals": own_state(first, "normals")})]
    for shape in SHAPES:
        image = torch.rand(shape, generator=torch.Generator().manual_seed(len(shape)))
        for before, after in pairwise([stage(image) for stage in stages]):
            assert all(torch.equal(logits, after[task]) for task, logits in before.items())
        some = stages[2](image, ["edges", "depth", "normals"])
        assert [*some] == ["edges", "depth", "normals"]
        assert torch.equal(some["depth"], base(image, ["depth"])["depth"])


def test_what_is_trained_is_the_tasks_own_alone() -> None:
    model: Any = with_added(adapted, adapted(["semseg", "depth"]), ["normals"])
    others = model.embedding.weight[:2].detach().clone()
    train_only(model, "normals")
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert names == {"embedding.weight", "heads.heads.normals.weight", "heads.heads.normals.bias"}
    assert torch.equal(model.embedding.weight[2], others.mean(0))
    assert torch.equal(model.embedding.weight[:2], others)


def test_what_is_kept_is_put_in_again_beside_fewer_tasks() -> None:
    """Removed is what the later one does not read: then the later one goes on without it."""
    base = adapted(["semseg", "depth"])
    whole: Any = with_added(adapted, base, ["normals", "edges"])
    whole.affinity[2, 3] = 0.0
    kept, before = own_state(whole, "edges"), ["semseg", "depth", "normals"]
    assert rests_on(kept, before) == ["semseg", "depth"]
    fewer = with_added(adapted, base, ["edges"])
    load_own_state(fewer, "edges", kept, before)
    image = torch.rand(1, 3, 44, 60)
    with torch.no_grad():
        assert torch.allclose(fewer(image)["edges"], whole(image)["edges"], atol=1e-5)
    kept["column"][2] = 0.5
    with pytest.raises(ConfigError, match="added task 'edges' rests on 'normals', which is not there any more"):
        load_own_state(fewer, "edges", kept, before)


def test_what_is_of_another_network_is_told() -> None:
    one, other = adapted(["semseg", "depth"]), adapted(["semseg", "depth"], embedding_dim=12)
    with pytest.raises(ConfigError, match=r"row of the added task 'depth' has \(12,\), and the network wants \(8,\)"):
        load_own_state(one, "depth", own_state(other, "depth"), ["semseg"])


def test_weights_of_another_network_are_not_filled_up() -> None:
    model = with_added(adapted, adapted(["semseg", "depth"]), ["normals"])
    for name, shape in (("embedding.weight", (2, 7)), ("embedding.weight", (1, 8)), ("affinity", (3, 2))):
        broken = {**adapted(["semseg", "depth"]).saved_state(), name: torch.zeros(shape)}
        with pytest.raises(ConfigError, match=rf"another architecture: {name} found \({shape[0]}, {shape[1]}\)"):
            checkpoint.load_into(model, grown(model, broken), Path("model"))
