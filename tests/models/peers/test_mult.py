"""MulT: attention is found once, in the reference task's stream, and every task applies it to its own values."""

from __future__ import annotations

import pytest
import torch
from timm.models.swin_transformer import WindowAttention

from tests.models.peers.networks import build_peer
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.peers.base import PeerConfig
from vtadapt.models.peers.mult import BorrowedAttention, Mix, MulT, ReferenceAttention

CHANNELS = {"semseg": 5, "depth": 1, "normals": 3}


def make(reference: str | None = "depth") -> MulT:
    torch.manual_seed(0)
    model = build_peer("mult", load_backbone("swin_pico", "random"), CHANNELS, PeerConfig(reference=reference)).eval()
    assert isinstance(model, MulT)
    for parameter in model.decoders.parameters():  # position biases and norms start alike; nothing may hide behind that
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return model


def capture(model: MulT, image: torch.Tensor, tasks: list[str] | None = None) -> dict[str, list]:
    """Task -> (probabilities, values) of every block, in order, as they enter the product P v."""
    seen: dict[str, list] = {}
    handles = [
        module.register_forward_pre_hook(
            lambda _, inputs, task=task: seen.setdefault(task, []).append((inputs[0], inputs[1]))
        )
        for task in CHANNELS
        for module in model.decoders[task].modules()
        if isinstance(module, Mix)
    ]
    with torch.no_grad():
        model(image, tasks)
    for handle in handles:
        handle.remove()
    return seen


def test_all_tasks_values_are_mixed_by_the_same_probabilities():
    seen = capture(make(), torch.rand(2, 3, 96, 64))
    assert {task: len(blocks) for task, blocks in seen.items()} == dict.fromkeys(CHANNELS, 6)
    for level in range(6):
        weights, values = zip(*(seen[task][level] for task in CHANNELS), strict=True)
        assert torch.allclose(weights[0].sum(-1), torch.ones_like(weights[0][..., 0]), atol=1e-5)
        assert all(torch.equal(w, weights[0]) for w in weights)
        assert weights[0].std() > 1e-4  # not the uniform map, which all tasks would share by chance
        assert not torch.allclose(values[0], values[1], atol=1e-3)
        assert not torch.allclose(values[1], values[2], atol=1e-3)


def test_the_probabilities_are_timms_of_the_reference_stream():
    model = make()
    attention = next(m for m in model.decoders["depth"].modules() if isinstance(m, ReferenceAttention))
    plain = WindowAttention(attention.dim, attention.num_heads, window_size=attention.window_size).eval()
    plain.load_state_dict(attention.state_dict())
    plain.fused_attn = False
    softmax = []
    plain.attn_drop.register_forward_pre_hook(lambda _, inputs: softmax.append(inputs[0]))
    windows = torch.randn(6, attention.window_area, attention.dim)
    mask = torch.where(torch.rand(3, attention.window_area, attention.window_area) < 0.3, -100.0, 0.0)
    for masked in (None, mask):
        with torch.no_grad():
            assert torch.allclose(attention(windows, mask=masked), plain(windows, mask=masked), atol=1e-5)
        assert torch.allclose(attention.take(), softmax.pop(), atol=1e-6)


def test_borrowed_attention_by_hand():
    attention = BorrowedAttention(2, 1)
    for linear in (attention.value, attention.proj):
        linear.weight.data.copy_(torch.eye(2))
        linear.bias.data.zero_()
    attention.value.weight.data.mul_(2)
    attention.borrowed = torch.tensor([[[[0.25, 0.75], [1.0, 0.0]]]])
    out = attention(torch.tensor([[[1.0, 2.0], [3.0, -2.0]]]))
    assert torch.allclose(out, torch.tensor([[[5.0, -2.0], [2.0, 4.0]]]))


@pytest.mark.parametrize("reference", [None, "normals"])
def test_the_reference_is_a_setting_and_the_first_task_otherwise(reference):
    model = make(reference)
    owners = {t for t in CHANNELS for m in model.decoders[t].modules() if isinstance(m, ReferenceAttention)}
    assert owners == {reference or "semseg"}


def test_attention_hangs_on_the_reference_stream_alone():
    image = torch.rand(1, 3, 64, 64)
    model = make("depth")
    before, out = capture(model, image), model(image)
    for parameter in model.decoders["normals"].parameters():
        parameter.data.mul_(1.3)
    after = capture(model, image)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(before["normals"], after["normals"], strict=True))
    changed = model(image)
    assert [t for t in CHANNELS if not torch.equal(changed[t], out[t])] == ["normals"]

    attention = next(m for m in model.decoders["depth"].modules() if isinstance(m, ReferenceAttention))
    attention.qkv.weight.data[: attention.dim].mul_(-2)  # the queries
    assert not torch.allclose(capture(model, image)["normals"][0][0], after["normals"][0][0], atol=1e-4)


def test_other_tasks_train_the_shared_attention():
    model = make("depth")
    out = model(torch.rand(1, 3, 64, 64))
    (out["normals"] - torch.randn_like(out["normals"])).square().mean().backward()
    attention = [m for m in model.decoders["depth"].modules() if isinstance(m, ReferenceAttention)]
    for module in attention[:-1]:
        queries, keys, values = module.qkv.weight.grad.chunk(3)
        assert queries.abs().sum() > 0
        assert keys.abs().sum() > 0
        assert values is not None
    last = attention[-1].qkv.weight.grad.chunk(3)
    assert last[0].abs().sum() > 0
    assert last[2].abs().sum() == 0  # its values only serve its own task
    assert model.heads.heads["depth"].weight.grad is None


def test_the_reference_runs_even_where_it_is_not_asked_for():
    model, image = make("depth"), torch.rand(1, 3, 64, 64)
    seen = capture(model, image, ["normals"])
    assert {*seen} == {"depth", "normals"}
    with torch.no_grad():
        assert [*model(image, ["normals"])] == ["normals"]


def test_nothing_of_a_batch_is_kept():
    model = make()
    model(torch.rand(1, 3, 64, 64))
    for module in model.modules():
        assert getattr(module, "kept", None) is None
        assert getattr(module, "borrowed", None) is None
