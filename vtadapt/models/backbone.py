"""The backbone: a timm Swin behind one contract, its frozen trunk, and where its weights come from."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models.swin_transformer import SwinTransformer, SwinTransformerBlock, checkpoint_filter_fn
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.errors import ConfigError, near_matches
from vtadapt.models.adapter import AdaptedStage
from vtadapt.models.attention import fit_shift
from vtadapt.models.cnn import BUNDLED_CNN, CnnBackbone, is_resnet, load_cnn
from vtadapt.models.weights import IMAGENET_MEAN, IMAGENET_STD, digest_of, load_fitting, read_state

BUNDLED = "swin_pico"
# 18-block stages adapt their last 4 blocks (slides); other depths keep that share.
ADAPTED_SHARE = 4 / 18
COMPUTED = ("attn_mask", "relative_position_index")  # buffers of older checkpoints that timm computes by itself


@dataclass(frozen=True)
class TrunkFeatures:
    """What the trunk knows of a batch of images, computed once whatever the number of tasks.

    Attributes:
        tokens: (B, h, w, C) input of the first adapted block.
        skips: outputs of the stages before it, finest first, each (B, h_i, w_i, C_i).
        valid: (h, w) bool at the resolution of ``tokens``: False for tokens that only see padding; None without any.
        size: (H, W) of the images before padding.
        image: (B, 3, H', W') as the encoder reads them: normalised and padded.
    """

    tokens: Tensor
    skips: tuple[Tensor, ...]
    valid: Tensor | None
    size: tuple[int, int]
    image: Tensor


class SwinBackbone(nn.Module):
    """A timm Swin cut into a trunk (everything before the first adapted block) and adapted stages.

    Adapted are the last ceil(depth * 4 / 18) blocks of the last stage but one, and all blocks of the last stage; for an
    18-block stage 3 these are blocks 15 to 18 and the last stage (slides). :meth:`adapt_last` chooses another number.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, net: SwinTransformer, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Wrap ``net``, which must accept any image size (``strict_img_size=False``)."""
        super().__init__()
        self.name = name
        self.net = net
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        depth = len(self._stages[-2].blocks)
        self.first_adapted = depth - math.ceil(depth * ADAPTED_SHARE)

    def adapt_last(self, count: int) -> None:
        """Adapt the last ``count`` blocks of the last stage but one (and all of the last stage).

        Raises:
            ConfigError: the stage has fewer blocks, or ``count`` is not positive.
        """
        depth = len(self._stages[-2].blocks)
        if not 1 <= count <= depth:
            raise ConfigError(f"adapted_blocks = {count}; the last stage but one of {self.name!r} has 1 to {depth}")
        self.first_adapted = depth - count

    @property
    def _stages(self) -> Any:
        """The stages of timm; torch's types do not know that they hold blocks and a patch merging."""
        return self.net.layers

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each stage, finest first."""
        return tuple(info["num_chs"] for info in self.net.feature_info)

    @property
    def stride(self) -> int:
        """Pixels per token of the last stage; images are padded to a multiple of it."""
        return int(self.net.feature_info[-1]["reduction"])

    @property
    def window(self) -> int:
        """Window size w of the last stage, which sets the default size w^3 of the task embedding."""
        return int(self._stages[-1].blocks[0].window_size[0])

    @property
    def adapted_stages(self) -> tuple[AdaptedStage, ...]:
        """The adapted blocks, stage by stage."""
        before, last = self._stages[-2:]
        channels = self.channels
        return (
            AdaptedStage(tuple(before.blocks[self.first_adapted :]), None, channels[-2]),
            AdaptedStage(tuple(last.blocks), last.downsample, channels[-1]),
        )

    def adapted_parameters(self) -> list[nn.Parameter]:
        """Parameters of the adapted blocks and of the patch merging between them."""
        modules = [m for stage in self.adapted_stages for m in (*stage.blocks, stage.downsample) if m is not None]
        return [p for module in modules for p in module.parameters()]

    def trunk_parameters(self) -> list[nn.Parameter]:
        """Parameters of everything before the first adapted block."""
        modules = [self.net.patch_embed, *self._stages[:-2], self._stages[-2].downsample]
        modules += list(self._stages[-2].blocks[: self.first_adapted])
        return [p for module in modules for p in module.parameters()]

    def unused_parameters(self) -> list[nn.Parameter]:
        """Parameters that no adapted model reads (the final norm, a classification head)."""
        used = {id(p) for p in (*self.trunk_parameters(), *self.adapted_parameters())}
        return [p for p in self.parameters() if id(p) not in used]

    def prepare(self, image: Tensor) -> Tensor:
        """Normalise (B, 3, H, W) in 0..1 and pad it right and bottom, by its border, to a multiple of the stride."""
        h, w = image.shape[-2:]
        image = F.pad(image, (0, -w % self.stride, 0, -h % self.stride), mode="replicate")
        return (image - self.mean) / self.std

    def trunk(self, image: Tensor, *, grad: bool = False) -> TrunkFeatures:
        """Run everything before the first adapted block, without gradients unless ``grad``.

        Args:
            image: (B, 3, H, W) in 0..1, any size.
            grad: True only when the trunk itself is trained (``train_blocks = "all"``).
        """
        h, w = image.shape[-2:]
        with nullcontext() if grad else torch.no_grad():
            prepared = self.prepare(image)
            x, skips = self.net.patch_embed(prepared), []
            for stage in self._stages[:-2]:
                x = self._run(stage.blocks, stage.downsample(x))
                skips.append(x)
            stage = self._stages[-2]
            x = self._run(stage.blocks[: self.first_adapted], stage.downsample(x))
        return TrunkFeatures(x, tuple(skips), _valid_tokens(x, (h, w), self.stride // 2), (h, w), prepared)

    @staticmethod
    def _run(blocks: Iterable[SwinTransformerBlock], x: Tensor) -> Tensor:
        for block in blocks:
            fit_shift(block, (x.shape[1], x.shape[2]))
            x = block(x)
        return x

    def features(self, image: Tensor, *, grad: bool = False) -> list[Tensor]:
        """Outputs of all stages, (B, h_i, w_i, C_i), finest first.

        Args:
            image: (B, 3, H, W) in 0..1, any size.
            grad: True only where the encoder is trained; a probe on frozen features needs none.
        """
        with nullcontext() if grad else torch.no_grad():
            x, outputs = self.net.patch_embed(self.prepare(image)), []
            for stage in self._stages:
                x = self._run(stage.blocks, stage.downsample(x))
                outputs.append(x)
        return outputs

    def digest(self) -> str:
        """SHA-256 over the names and values of the weights; saved with a run and compared when it is loaded."""
        return digest_of(self.net)


def _valid_tokens(x: Tensor, size: tuple[int, int], stride: int) -> Tensor | None:
    """(h, w) bool: does the token see any pixel of the image? None if all do."""
    rows, columns = math.ceil(size[0] / stride), math.ceil(size[1] / stride)
    h, w = x.shape[1:3]
    if (rows, columns) == (h, w):
        return None
    valid = torch.zeros(h, w, dtype=torch.bool, device=x.device)
    valid[:rows, :columns] = True
    return valid


def load_backbone(name: str = BUNDLED, weights: str = "auto", *, seed: int = 0) -> SwinBackbone | CnnBackbone:
    """Build a backbone.

    Args:
        name: "swin_pico" or "resnet_pico" (bundled), or the name of any Swin or ResNet in timm; a ResNet becomes a
            :class:`CnnBackbone`, which the other systems read and adapters cannot.
        weights: "auto" (the bundled weights; other names must say where theirs come from), "random" (drawn
            from ``seed``), "timm" (timm's own pretrained weights: a download, or its cache), or a file: safetensors or
            a timm .pth, read without running code.
        seed: seed of random weights.

    Raises:
        ConfigError: unknown name, neither a Swin nor a ResNet, or weights that do not fit.
    """
    if name == BUNDLED:
        return _load_pico(weights, seed)
    if is_resnet(name):
        return load_cnn(name, weights, seed=seed)
    if name.split(".")[0] not in timm.list_models():  # a name may carry the tag of its weights after a point
        close = near_matches(name, [BUNDLED, BUNDLED_CNN, *timm.list_models("swin_*"), *timm.list_models("resnet*")])
        raise ConfigError(
            f"unknown backbone {name!r}; wanted {BUNDLED!r}, {BUNDLED_CNN!r} or the name of a Swin or ResNet in timm."
            f"{close}"
        )
    if weights == "auto":
        raise ConfigError(
            f"no weights for backbone {name!r}: only {BUNDLED!r} and {BUNDLED_CNN!r} are bundled; add --weights FILE, "
            "--weights timm (downloads) or --weights random"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            options: dict[str, Any] = {"strict_img_size": False, "drop_path_rate": 0.0, "num_classes": 0}
            options["weight_init"] = _init(weights)
            net = timm.create_model(name, pretrained=weights == "timm", **options)
        except TypeError as error:
            raise ConfigError(
                f"backbone {name!r} is not a Swin or ResNet of timm; wanted one such as swin_tiny_patch4_window7_224"
            ) from error
        except OSError as error:
            raise ConfigError(f"could not get timm's weights of {name!r} ({error}); use --weights FILE") from error
    if not isinstance(net, SwinTransformer):
        raise ConfigError(f"backbone {name!r} is a {type(net).__name__}; wanted a SwinTransformer of timm")
    if weights not in ("random", "timm"):
        load_weights(net, Path(weights))
    cfg: Any = net.default_cfg
    return SwinBackbone(name, net, tuple(cfg["mean"]), tuple(cfg["std"]))


def _init(weights: str) -> str:
    """What timm draws as initial values: nothing where they are about to be overwritten."""
    return "" if weights == "random" else "skip"


def build_pico(config: dict[str, Any], weights: str = "random") -> SwinTransformer:
    """Build the architecture of the bundled encoder from its ``config.json``; ``weights``: what it will hold."""
    options: dict[str, Any] = {
        "num_classes": 0,
        "strict_img_size": False,
        "drop_path_rate": 0.0,
        "weight_init": _init(weights),
    }
    return SwinTransformer(**options, **config["architecture"])


def pico_config() -> dict[str, Any]:
    """Read the bundled encoder's ``config.json``."""
    text = resources.files("vtadapt").joinpath("assets", BUNDLED, "config.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def _load_pico(weights: str, seed: int) -> SwinBackbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = build_pico(pico_config(), weights)
    if weights == "timm":
        raise ConfigError(f"timm has no weights for {BUNDLED!r}; use --weights auto (bundled), random or FILE")
    if weights == "auto":
        with resources.as_file(resources.files("vtadapt").joinpath("assets", BUNDLED, "model.safetensors")) as file:
            load_weights(net, Path(file))
    elif weights != "random":
        load_weights(net, Path(weights))
    return SwinBackbone(BUNDLED, net, IMAGENET_MEAN, IMAGENET_STD)


def load_weights(net: SwinTransformer, path: Path) -> None:
    """Load a checkpoint into ``net``; classification heads and timm's computed buffers are left out.

    Raises:
        ConfigError: weights are missing or have other shapes; the message names the first of them.
    """
    state = read_state(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # timm's interpolation of position biases warns about memory layout
            state = checkpoint_filter_fn(state, net)
    except (AttributeError, IndexError, KeyError, RuntimeError, ValueError):
        pass  # it walks into blocks that this backbone lacks: told below by key
    state = {k: v.float() for k, v in state.items() if not k.startswith("head.") and not k.endswith(COMPUTED)}
    load_fitting(net, state, path, optional=lambda key: key.startswith("head."))
