"""T2T-ViT (Yuan et al. 2021, arXiv 2101.11986), which timm lacks: a plain vision transformer on tokens that two small
transformers made of overlapping patches.

The backbone is timm's own class with timm's own blocks (LayerNorm with eps 1e-5, as published); new is what makes the
tokens. Attention in it is the
performer's (arXiv 2009.14794): linear in the number of tokens, by positive random features. Ours differs from the
published code in that the normaliser is summed element by element, which is no matrix product.

Legend: B images, N tokens, C channels of a token.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, final

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

WIDTH = 64
"""Channels inside the two performers."""
FEATURES = WIDTH // 2
"""Random features of a query or key."""
SPLITS = ((7, 4, 2), (3, 2, 1), (3, 2, 1))
"""Kernel, stride and padding of the three soft splits."""
STRIDE = 16
"""Pixels between final tokens."""


@final
class Performer(nn.Module):
    """One-headed transformer layer of linear attention, from `dim` to WIDTH channels; values skip the attention."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.kqv = nn.Linear(dim, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))
        self.w = nn.Parameter(_orthogonal_rows() * math.sqrt(FEATURES), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """B x N x dim -> B x N x WIDTH."""
        key, query, value = self.kqv(self.norm1(x)).chunk(3, dim=-1)
        key, query = self._features(key), self._features(query)
        mixed = query @ (key.transpose(1, 2) @ value)
        normaliser = (query * key.sum(1, keepdim=True)).sum(-1, keepdim=True)
        out = value + self.proj(mixed / (normaliser + 1e-8))
        result: Tensor = out + self.mlp(self.norm2(out))
        return result

    def _features(self, x: Tensor) -> Tensor:
        """Positive random features, whose products are softmax kernels in expectation: B x N x FEATURES."""
        half = x.square().sum(-1, keepdim=True) / 2
        return torch.exp(x @ self.w.T - half) / math.sqrt(FEATURES)


@final
class TokensToToken(nn.Module):
    """Three overlapping splits of an image, with a performer after each of the first two."""

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        patch_size: int = STRIDE,
        in_chans: int = 3,
        embed_dim: int = 768,
        **_: Any,  # what timm hands to its own layer of patches
    ) -> None:
        super().__init__()
        self.in_chans = in_chans
        self.set_input_size(img_size)
        self.patch_size = (patch_size, patch_size)
        self.splits = nn.ModuleList([nn.Unfold(kernel, stride=s, padding=p) for kernel, s, p in SPLITS])
        self.attention1 = Performer(in_chans * SPLITS[0][0] ** 2)
        self.attention2 = Performer(WIDTH * SPLITS[1][0] ** 2)
        self.project = nn.Linear(WIDTH * SPLITS[2][0] ** 2, embed_dim)

    def set_input_size(
        self, img_size: int | tuple[int, int] | None = None, patch_size: int | tuple[int, int] | None = None
    ) -> None:
        """Takes images of another size; None keeps the present one. `grids` are the sides of image and token grids."""
        if patch_size not in (None, STRIDE, (STRIDE, STRIDE)):
            raise ValueError(f"patch_size={patch_size}: the tokens of T2T-ViT are always {STRIDE} pixels apart")
        if img_size is None:
            return
        sides = {img_size} if isinstance(img_size, int) else set(img_size)
        if len(sides) > 1:
            raise ValueError(f"img_size={img_size}: T2T-ViT takes square images")
        self.img_size = (min(sides),) * 2
        self.grids = list(sides)
        for kernel, stride, padding in SPLITS:
            self.grids.append((self.grids[-1] + 2 * padding - kernel) // stride + 1)
        self.grid_size, self.num_patches = (self.grids[-1],) * 2, self.grids[-1] ** 2

    def dynamic_feat_size(self, img_size: tuple[int, int]) -> tuple[int, int]:  # noqa: ARG002  (timm's interface)
        """Rows and columns of tokens; the image has the size that the model was made for."""
        return self.grid_size

    def feat_ratio(self, as_scalar: bool = True) -> int | tuple[int, int]:
        """Pixels between tokens: see timm's `PatchEmbed`."""
        return STRIDE if as_scalar else (STRIDE, STRIDE)

    def forward(self, images: Tensor) -> Tensor:
        """B x in_chans x img_size x img_size -> B x num_patches x embed_dim."""
        first, second, third = self.splits
        tokens = self.attention1(first(images).transpose(1, 2))
        tokens = self.attention2(second(self._as_image(tokens, 1)).transpose(1, 2))
        projected: Tensor = self.project(third(self._as_image(tokens, 2)).transpose(1, 2))
        return projected

    def _as_image(self, tokens: Tensor, split: int) -> Tensor:
        side = self.grids[split]
        return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)


@final
class T2T(VisionTransformer):
    """timm's vision transformer on `TokensToToken`, with fixed sinusoids as position embedding.

    `qk_scale` is what the published code multiplies queries x keys by. Its default, and ours, is head_dim^-0.5; only
    where it builds a model with `pretrained=True` it takes embed_dim^-0.5, another function of the same weights: give
    that number here to compute as it does. timm's attention knows its own scale only, so the ratio of both is
    multiplied into the query weights, of new models and of published checkpoints.
    """

    def __init__(self, img_size: int | tuple[int, int] = 224, qk_scale: float | None = None, **kwargs: Any) -> None:
        super().__init__(
            img_size=img_size,
            patch_size=STRIDE,
            embed_layer=TokensToToken,
            qkv_bias=False,
            norm_layer=partial(nn.LayerNorm, eps=1e-5),
            **kwargs,
        )
        assert self.pos_embed is not None
        table = _sinusoids(self.pos_embed.shape[1], self.embed_dim).to(self.pos_embed)
        self.pos_embed = nn.Parameter(table, requires_grad=False)
        self.qk_scale = qk_scale
        if qk_scale is not None:
            self.load_state_dict(_scaled(self.state_dict(), self))


def checkpoint_filter_fn(state_dict: Mapping[str, Tensor], model: T2T) -> dict[str, Tensor]:
    """The published checkpoints' names and weights -> ours; what has our names stays, but for another image size."""
    bare = {name.removeprefix("module."): tensor for name, tensor in state_dict.items()}
    weights = {name.replace("tokens_to_token.", "patch_embed."): tensor for name, tensor in bare.items()}
    if weights.keys() != bare.keys():
        weights = _scaled(weights, model)
    positions = weights.get("pos_embed")
    if positions is not None and model.pos_embed is not None and positions.shape[1] != model.pos_embed.shape[1]:
        weights["pos_embed"] = resample_abs_pos_embed(positions, list(model.patch_embed.grid_size))
    return weights


def _scaled(weights: Mapping[str, Tensor], model: T2T) -> dict[str, Tensor]:
    """Weights whose queries carry the model's `qk_scale`."""
    scaled = dict(weights)
    if model.qk_scale is None:
        return scaled
    for name in scaled:
        if name.startswith("blocks.") and name.endswith(".attn.qkv.weight"):
            attention: Any = model.get_submodule(name.removesuffix(".qkv.weight"))
            query, key, value = scaled[name].chunk(3)
            scaled[name] = torch.cat([query * (model.qk_scale * attention.head_dim**0.5), key, value])
    return scaled


def _orthogonal_rows() -> Tensor:
    """FEATURES x WIDTH, rows orthonormal."""
    rows: Tensor = torch.linalg.qr(torch.randn(WIDTH, FEATURES)).Q.T
    return rows.contiguous()


def _sinusoids(positions: int, channels: int) -> Tensor:
    """1 x positions x channels: sines at even, cosines at odd channels, of wavelengths from 2 pi to 20,000 pi."""
    position = torch.arange(positions, dtype=torch.float32)[:, None]
    rate = 10_000 ** (-(torch.arange(channels) // 2 * 2) / channels)
    angle = position * rate
    return torch.where(torch.arange(channels) % 2 == 0, angle.sin(), angle.cos())[None]


def _register(name: str, embed_dim: int, depth: int, num_heads: int, mlp_ratio: float) -> None:
    """Make a size known to timm, which looks a model up by the name of the function that makes it."""
    sizes = {"embed_dim": embed_dim, "depth": depth, "num_heads": num_heads, "mlp_ratio": mlp_ratio}

    def make(pretrained: bool = False, **kwargs: Any) -> T2T:
        arguments = {**sizes, **kwargs}
        model: T2T = build_model_with_cfg(
            T2T,
            name,
            pretrained,
            pretrained_filter_fn=checkpoint_filter_fn,
            feature_cfg={"out_indices": 3, "feature_cls": "getter"},
            **arguments,
        )
        return model

    make.__name__ = name
    register_model(make)


SIZES = {
    "t2t_vit_7": (256, 7, 4, 2.0),  # 4.3 M parameters
    "t2t_vit_10": (256, 10, 4, 2.0),  # 5.9 M
    "t2t_vit_12": (256, 12, 4, 2.0),  # 6.9 M
    "t2t_vit_14": (384, 14, 6, 3.0),  # 21.5 M, 4.8 G MACs
    "t2t_vit_19": (448, 19, 7, 3.0),  # 39.2 M
    "t2t_vit_24": (512, 24, 8, 3.0),  # 64.1 M
}
"""Name -> width, blocks, heads, hidden units over the width."""

default_cfgs = generate_default_cfgs(
    {
        name: {
            "url": "",
            "num_classes": 1000,
            "input_size": (3, 224, 224),
            "pool_size": None,
            "crop_pct": 0.9,
            "interpolation": "bicubic",
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
            "first_conv": (),
            "classifier": "head",
            "fixed_input_size": True,
        }
        for name in SIZES
    }
)

for _name, _sizes in SIZES.items():
    _register(_name, *_sizes)
