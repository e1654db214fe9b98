"""Weights as their publishers wrote them, brought to timm's keys; what classifiers and pretraining added is left out.

timm has a ``checkpoint_filter_fn`` beside every family of encoders, which knows the layouts of that family's
publishers: DINOv2 and DINOv3 of facebookresearch, Swin and SwinV2 of Microsoft (a patch merging at the end of a stage,
where timm has it at the start of the next), EVA02 of BAAI, DeiT3, the Perception Encoder. Here is what they do not do:
the wrappings of checkpoints, and being told what does not fit instead of having it resampled or left out.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

WRAPPINGS = ("model", "state_dict", "teacher", "model_ema", "module")
"""Entries of a checkpoint that hold the state dict itself."""

PREFIXES = ("module.", "_orig_mod.", "backbone.")
"""What DistributedDataParallel, torch.compile and training code put before every key."""

PRETRAINING = ("mask_token", "dino_head.", "ibot_head.", "dino_loss.", "ibot_patch_loss.", "lm_head.", "projectors.")
"""What stands beside the encoder for its pretraining alone."""

CLASSIFIERS = ("head.", "head_dist.", "fc.", "classifier.", "pre_logits.")
COMPUTED = ("attn_mask", "relative_position_index", "relative_coords_table")
"""Buffers of older checkpoints that timm computes by itself."""

_CHUNKED = re.compile(r"^blocks\.\d+\.(\d+)\.")


class WrongLayoutError(ValueError):
    """Weights that cannot be those of the network; the message is a fact about one key: found, wanted."""


def unwrap(content: Any) -> dict[str, Tensor] | None:
    """The state dict in what a file of weights holds, less the prefixes of training; None where there is none."""
    for _ in range(len(WRAPPINGS)):
        inner = next((content[key] for key in WRAPPINGS if _holds(content, key)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping) or not content:
        return None
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()):
        return None
    state = dict(content)
    for _ in PREFIXES:  # they stand in any order
        for prefix in PREFIXES:
            state = _without(prefix, state)
    return state


def _holds(content: Any, key: str) -> bool:
    return isinstance(content, Mapping) and isinstance(content.get(key), Mapping)


def _without(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take ``prefix`` off where all keys have it, but those of what only the pretraining uses."""
    encoder = [key for key in state if not key.startswith(PRETRAINING)]
    if not encoder or not all(key.startswith(prefix) for key in encoder):
        return state
    return {key.removeprefix(prefix): value for key, value in state.items()}


def to_timm(state: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """Bring a publisher's state dict to the keys of ``net``, a network of timm; its own keys pass as they are.

    Position embeddings of another grid of tokens, and the position biases of other windows, are resampled as timm does.
    Nothing else is: a patch of another size is refused.

    Returns:
        What is left to be loaded. Keys that ``net`` does not have are among it: whoever loads must refuse them.

    Raises:
        WrongLayoutError: the weights are of another patch, of another library's layout, or have biases where ``net``
            has none.
    """
    own = net.state_dict()
    # Chunks are of DINOv2's transformers; an EfficientNet has stages of blocks by the same names.
    state = {key if key in own else _CHUNKED.sub(r"blocks.\1.", key): value for key, value in state.items()}
    _check_layout(state)
    _check_patch(state, own)
    state = _without_zero_biases(state, own)
    converted = _filtered(state, net)
    converted = {key: value for key, value in converted.items() if not _left_out(key, own)}
    return {key: _plain(value) for key, value in _final_norm(converted, own).items()}


def _check_layout(state: Mapping[str, Tensor]) -> None:
    for key in state:
        if key.startswith(("encoder.layer.", "embeddings.", "dinov2.", "vit.encoder.", "layer.0.")):
            raise WrongLayoutError(
                f"{key} is a key of the transformers library; wanted the file of timm (such as model.safetensors of "
                "hf-hub:timm/NAME) or of the encoder's publisher"
            )


def _check_patch(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Refuse the patch embedding of another patch size, which timm would resample without a word."""
    wanted = own.get("patch_embed.proj.weight")
    for key in ("patch_embed.proj.weight", "visual.conv1.weight", "conv1.weight"):
        if wanted is not None and key in state and state[key].ndim == wanted.ndim and state[key].shape != wanted.shape:
            raise WrongLayoutError(f"{key}: found shape {tuple(state[key].shape)}, wanted shape {tuple(wanted.shape)}")


def _without_zero_biases(state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out DINOv3's biases of q, k and v for those of timm's networks that have none, if they are zero.

    ``bias_mask`` is 0 for k, whose bias is not used; that of q and v of the published base and larger networks is zero.
    """
    kept = dict(state)
    for key in [k for k in state if k.endswith("attn.qkv.bias")]:
        block = key.removesuffix("qkv.bias")
        if "storage_tokens" not in state or key in own or f"{block}q_bias" in own:
            continue
        q, _, v = kept.pop(key).chunk(3)
        if torch.any(q) or torch.any(v):
            raise WrongLayoutError(f"{key}: found values that are not 0, wanted none; add _qkvb to the backbone's name")
    return kept


def _filtered(state: dict[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """What timm's filter of the network's family makes of the weights; unchanged where there is none or it gives up."""
    convert: Callable[..., dict[str, Tensor]] | None
    convert = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return state
    # DeiT3 is a plain ViT of timm whose publisher names LayerScale otherwise.
    adapts = "adapt_layer_scale" in inspect.signature(convert).parameters
    options = {"adapt_layer_scale": True} if adapts else {}
    try:
        # It prints, and its interpolation warns about memory layouts; it takes keys out of what it is given.
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return dict(convert(dict(state), net, **options))
    except (AssertionError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
        return state  # it walked into blocks that this network lacks: told by key when the weights are loaded


def _left_out(key: str, own: Mapping[str, Tensor]) -> bool:
    if key in own:
        return False
    pooled = key.startswith("attn_pool.")  # the publisher's way to one vector for a whole image
    return pooled or key.startswith((*CLASSIFIERS, *PRETRAINING)) or key.endswith(COMPUTED)


def _final_norm(state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the last norm, which timm calls ``fc_norm`` where it comes after pooling; files have either name."""
    for found, wanted in (("norm.", "fc_norm."), ("fc_norm.", "norm.")):
        theirs, ours = ({k for k in keys if k.startswith((found, wanted))} for keys in (state, own))
        if theirs and all(k.startswith(found) for k in theirs) and ours and all(k.startswith(wanted) for k in ours):
            return {wanted + k.removeprefix(found) if k in theirs else k: v for k, v in state.items()}
    return state


def _plain(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
