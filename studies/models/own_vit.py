"""A small vision transformer, as somebody might write it for themselves: no class of timm's, and not a word of axes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Every place looks at every other one; keys and queries are normed, and values gated."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_queries_and_keys = nn.Linear(width, 2 * width, bias=False)
        self.to_values = nn.Linear(width, width)
        self.gate = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """`x` and the result: images x places x width."""
        images, places, _ = x.shape
        shape = (images, places, self.heads, -1)
        queries, keys = (half.reshape(shape).transpose(1, 2) for half in self.to_queries_and_keys(x).chunk(2, dim=-1))
        values = self.to_values(x).reshape(shape).transpose(1, 2)
        scores = functional.normalize(queries, dim=-1) @ functional.normalize(keys, dim=-1).transpose(-2, -1)
        mixed = (10 * scores).softmax(dim=-1) @ values
        return self.out(mixed.transpose(1, 2).reshape(images, places, -1) * torch.sigmoid(self.gate(x)))


class Block(nn.Module):
    """Attention and a network on each place, beside each other."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        """`x` and the result: images x places x width."""
        normed = self.norm(x)
        return x + self.attention(normed) + self.mlp(normed)


class OwnViT(nn.Module):
    """Patches, blocks, the mean of all places, and a linear layer."""

    def __init__(self, side: int, channels: int, classes: int, patch: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, width, patch, patch)
        self.positions = nn.Parameter(0.02 * torch.randn(1, (side // patch) ** 2, width))
        self.blocks = nn.ModuleList([Block(width, heads, 4 * width) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images (images x channels x side x side)."""
        x = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x).mean(dim=1))
        return logits


def small(img_size: int = 8, in_chans: int = 1, num_classes: int = 10) -> OwnViT:
    """What a study names: a study hands over what follows from its data, as far as the function takes it."""
    return OwnViT(img_size, in_chans, num_classes, patch=2, width=48, depth=4, heads=4)
