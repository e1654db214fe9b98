"""Small networks of timm, and their weights in the exact layouts that publishers use."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from timm.layers import LayerNorm
from timm.models.eva import Eva
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

State = dict[str, Tensor]
DIM, DEPTH, HEADS = 24, 2, 2
_VIT = {"embed_dim": DIM, "depth": DEPTH, "num_heads": HEADS, "num_classes": 0}


def spread(net: nn.Module, seed: int = 0) -> nn.Module:
    """Give every weight a value of its own, so that two that change places are seen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return net.eval()


def dinov2(registers: int = 0) -> nn.Module:
    """As timm's vit_small_patch14_dinov2, or its reg4."""
    own = {"reg_tokens": registers, "no_embed_class": registers > 0}
    return VisionTransformer(img_size=518, patch_size=14, init_values=1e-5, **_VIT, **own)


def as_dinov2(net: nn.Module) -> State:
    """facebookresearch/dinov2: dinov2_vits14_pretrain.pth, or dinov2_vits14_reg4_pretrain.pth."""
    state = {"mask_token": torch.randn(1, DIM), **net.state_dict()}
    if "reg_token" in state:
        of_class = torch.randn(1, 1, DIM)
        state["register_tokens"] = state.pop("reg_token")
        state["pos_embed"] = torch.cat([of_class, state["pos_embed"]], 1)
        state["cls_token"] = state["cls_token"] - of_class
    return state


def dinov3(*, biases: bool = False) -> nn.Module:
    """As timm's vit_small_patch16_dinov3, or its qkvb."""
    rotary = {"rope_type": "dinov3", "rope_temperature": 100, "rope_rotate_half": True, "use_rot_pos_emb": True}
    tokens = {"use_abs_pos_emb": False, "num_reg_tokens": 4, "use_fc_norm": False, "qkv_bias": biases}
    norm: Any = partial(LayerNorm, eps=1e-5)
    return Eva(patch_size=16, dynamic_img_size=True, init_values=1e-5, norm_layer=norm, **_VIT, **rotary, **tokens)


def as_dinov3(net: nn.Module) -> State:
    """facebookresearch/dinov3: dinov3_vits16_pretrain_lvd1689m-*.pth."""
    state: State = {"mask_token": torch.randn(1, DIM), "rope_embed.periods": torch.rand(DIM // HEADS // 4)}
    for key, value in net.state_dict().items():
        if key.endswith(("q_bias", "v_bias", "k_bias")):
            continue
        key = key.replace("reg_token", "storage_tokens")
        state[re.sub(r"gamma_(\d)", r"ls\1.gamma", key)] = value
    own = net.state_dict()
    for block in (f"blocks.{i}.attn." for i in range(DEPTH)):
        zero = torch.zeros(DIM)
        q, v = own.get(f"{block}q_bias", zero), own.get(f"{block}v_bias", zero)
        state[f"{block}qkv.bias"] = torch.cat([q, torch.randn(DIM), v])
        state[f"{block}qkv.bias_mask"] = torch.cat([zero + 1, zero, zero + 1])
    return state


def swin() -> nn.Module:
    """As timm's swin_tiny_patch4_window7_224, with a window of 4."""
    return _swin(SwinTransformer)


def swinv2() -> nn.Module:
    """As timm's swinv2_tiny_window8_256, with a window of 4."""
    return _swin(SwinTransformerV2)


def _swin(kind: Callable[..., nn.Module]) -> nn.Module:
    heads = {"depths": (1, 2), "num_heads": (2, 4), "embed_dim": DIM}
    return kind(img_size=64, patch_size=4, window_size=4, num_classes=0, strict_img_size=False, **heads)


def as_swin(net: nn.Module) -> dict[str, State]:
    """microsoft/Swin-Transformer: {"model": ...}, patch merging at the end of a stage, its buffers, a classifier."""
    state: State = {}
    for key, value in net.state_dict().items():
        state[re.sub(r"^layers\.1\.downsample", "layers.0.downsample", key)] = value
    for stage, block in ((0, 0), (1, 0), (1, 1)):
        place = f"layers.{stage}.blocks.{block}."
        state[f"{place}attn.relative_position_index"] = torch.randint(0, 49, (16, 16))
        if "layers.0.blocks.0.attn.logit_scale" in state:
            state[f"{place}attn.relative_coords_table"] = torch.randn(1, 7, 7, 2)
        if block == 1:
            state[f"{place}attn_mask"] = torch.randn(4, 16, 16)
    state |= {"head.weight": torch.randn(10, 2 * DIM), "head.bias": torch.randn(10)}
    return {"model": state}


def eva02() -> nn.Module:
    """As timm's eva02_base_patch14_224 : q, k and v of their own."""
    return Eva(
        img_size=56,
        patch_size=14,
        qkv_fused=False,
        swiglu_mlp=True,
        scale_mlp=True,
        use_rot_pos_emb=True,
        ref_feat_shape=(4, 4),
        **_VIT,
    )


def as_eva02(net: nn.Module) -> dict[str, State]:
    """baaivision/EVA, EVA-02/asuka: {"model": ...}, w1, w2 and w3, rotary tables, the head of masked modelling."""
    names = {"q_proj.bias": "q_bias", "v_proj.bias": "v_bias", "fc1_g": "w1", "fc1_x": "w2", "fc2": "w3"}
    names |= {"mlp.norm": "mlp.ffn_ln", "attn.norm": "attn.inner_attn_ln", "fc_norm": "norm"}
    state: State = {"mask_token": torch.randn(1, 1, DIM), "rope.freqs_cos": torch.rand(16, 12)}
    for key, value in net.state_dict().items():
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        state[key] = value
    for i in range(DEPTH):
        state[f"blocks.{i}.attn.rope.freqs_sin"] = torch.rand(16, 12)
    return {"model": {**state, "lm_head.weight": torch.randn(8, DIM), "lm_head.bias": torch.randn(8)}}


def deit3() -> nn.Module:
    """As timm's deit3_small_patch16_224."""
    return VisionTransformer(img_size=64, patch_size=16, init_values=1e-6, no_embed_class=True, **_VIT)


def as_deit3(net: nn.Module) -> dict[str, State]:
    """facebookresearch/deit: {"model": ...}, gamma_1 and gamma_2, a classifier."""
    state = {re.sub(r"ls(\d)\.gamma", r"gamma_\1", key): value for key, value in net.state_dict().items()}
    return {"model": {**state, "head.weight": torch.randn(10, DIM), "head.bias": torch.randn(10)}}


LAYOUTS: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], dict[str, Any]]]] = {
    "dinov2": (dinov2, as_dinov2),
    "dinov2-reg4": (partial(dinov2, 4), as_dinov2),
    "dinov3": (dinov3, as_dinov3),
    "dinov3-qkvb": (partial(dinov3, biases=True), as_dinov3),
    "swin": (swin, as_swin),
    "swinv2": (swinv2, as_swin),
    "eva02": (eva02, as_eva02),
    "deit3": (deit3, as_deit3),
}
"""Publisher -> a network of timm, and its weights as they are published."""
