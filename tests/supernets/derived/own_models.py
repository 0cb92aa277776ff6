"""Vision transformers as users write them, each odd in ways of its own; images are 1 x 8 x 8."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH, HEADS, HEAD_DIM, HIDDEN, CLASSES = 16, 4, 4, 24, 5


class RmsNorm(nn.Module):
    """By hand: no class of torch's says that it is a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.gain


class Gated(nn.Module):
    """Gates and what they multiply from one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.w12, self.w3 = nn.Linear(WIDTH, 2 * HIDDEN, bias=False), nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, -1)
        y: Tensor = self.w3(functional.silu(gate) * value)
        return y


class GroupedQueries(nn.Module):
    """Two keys and values for four heads, each repeated."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.kv, self.o = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 4 * HEAD_DIM), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q = self.q(x).reshape(b, n, HEADS, HEAD_DIM).transpose(1, 2)
        k, v = self.kv(x).reshape(b, n, 2, 2, HEAD_DIM).permute(2, 0, 3, 1, 4)
        k, v = k.repeat_interleave(2, dim=1), v.repeat_interleave(2, dim=1)
        y: Tensor = self.o(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c))
        return y


class OneKey(nn.Module):
    """One key and value for all heads, broadcast."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.o = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.k, self.v = nn.Linear(WIDTH, HEAD_DIM), nn.Linear(WIDTH, HEAD_DIM)

    def forward(self, x: Tensor) -> Tensor:
        q = self.q(x).view(*x.shape[:2], HEADS, HEAD_DIM).transpose(1, 2)
        weights = (q * HEAD_DIM**-0.5 @ self.k(x).unsqueeze(1).mT).softmax(-1)
        y: Tensor = self.o((weights @ self.v(x).unsqueeze(1)).transpose(1, 2).flatten(2))
        return y


class Residual(nn.Module):
    """Attention and a feed-forward network, each behind its norm."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.norm1, self.norm2, self.attention, self.mlp = RmsNorm(), RmsNorm(), attention, Gated()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


class Grouped(nn.Module):
    """A stem of convolutions; keys that several heads share; a learned query pools."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, WIDTH, 3, 2, 1))
        self.pos = nn.Parameter(torch.randn(1, 16, WIDTH))
        self.blocks = nn.Sequential(Residual(GroupedQueries()), Residual(OneKey()))
        self.query, self.head = nn.Parameter(torch.randn(WIDTH)), nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x = self.blocks(self.stem(images).flatten(2).mT + self.pos)
        weights = (x @ self.query).softmax(-1)
        logits: Tensor = self.head((weights.unsqueeze(-1) * x).sum(1))
        return logits


class SequenceFirst(nn.Module):
    """Tokens x images x channels throughout; lists of layers instead of blocks; a token that comes late."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.pos = nn.Linear(4, WIDTH), nn.Parameter(torch.randn(16, 1, WIDTH))
        self.attention = nn.ModuleList(nn.MultiheadAttention(WIDTH, HEADS) for _ in range(2))
        self.norm = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.up = nn.ModuleList(nn.Linear(WIDTH, HIDDEN) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(HIDDEN, WIDTH) for _ in range(2))
        self.token, self.head = nn.Parameter(torch.zeros(1, 1, WIDTH)), nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        b, c, h, w = images.shape
        x = images.reshape(b, c, h // 2, 2, w // 2, 2).permute(2, 4, 0, 1, 3, 5).reshape(h * w // 4, b, 4 * c)
        x = self.embed(x) + self.pos
        for number, attention in enumerate(self.attention):
            if number:
                x = torch.cat((self.token.repeat(1, b, 1), x))
            y = self.norm[number](x)
            x = x + attention(y, y, y, need_weights=False)[0]
            x = x + self.down[number](functional.relu(self.up[number](x)))
        logits: Tensor = self.head(x[0])
        return logits


class Einsum(nn.Module):
    """Weights of heads x channels x head dimensions; cosine attention; a gate for each head."""

    def __init__(self) -> None:
        super().__init__()
        self.wq, self.wk, self.wv = (nn.Parameter(torch.randn(HEADS, WIDTH, HEAD_DIM)) for _ in range(3))
        self.wo, self.tau = nn.Parameter(torch.randn(HEADS, HEAD_DIM, WIDTH)), nn.Parameter(torch.ones(HEADS, 1, 1))
        self.gate, self.norm = nn.Linear(WIDTH, HEADS), nn.LayerNorm(WIDTH, elementwise_affine=False)
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        q, k, v = (torch.einsum("bnc,hcd->bhnd", y, weight) for weight in (self.wq, self.wk, self.wv))
        q, k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
        weights = (torch.einsum("bhnd,bhmd->bhnm", q, k) * self.tau.exp()).softmax(-1)
        gates = torch.sigmoid(self.gate(y)).permute(0, 2, 1).unsqueeze(-1)
        x = x + torch.einsum("bhnd,hdc->bnc", (weights @ v) * gates, self.wo)
        z: Tensor = x + self.down(torch.tanh(self.up(x)))
        return z


class Dictionary(nn.Module):
    """A dictionary of blocks, one of which is used twice; logits in a dictionary too."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, shared = nn.Conv2d(1, WIDTH, 2, 2), Einsum()
        self.shared = shared
        self.blocks = nn.ModuleDict({"first": shared, "second": Einsum()})
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = self.patches(images).flatten(2).permute(0, 2, 1)
        for block in (*self.blocks.values(), self.shared):
            x = block(x)
        return {"logits": self.head(x.amax(1)), "tokens": x}


class Fused(nn.Module):
    """One layer writes queries, keys, values and hidden units; the weights of two softmaxes are subtracted."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.joint = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH + HIDDEN)
        self.proj, self.down = nn.Linear(WIDTH, WIDTH), nn.Linear(HIDDEN, WIDTH)
        self.share = nn.Parameter(torch.tensor(0.2))

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        *heads, hidden = torch.split(self.joint(self.norm(x)), [c, c, c, HIDDEN], dim=-1)
        q, k, v = (part.reshape(b, n, HEADS, HEAD_DIM).permute(0, 2, 1, 3) for part in heads)
        first, second = (
            (a @ b.mT / math.sqrt(HEAD_DIM)).softmax(-1) for a, b in zip(q.chunk(2, -1), k.chunk(2, -1), strict=True)
        )
        mixed = ((first - self.share * second) @ v).permute(0, 2, 1, 3).reshape(b, n, c)
        y: Tensor = x + self.proj(mixed) + self.down(functional.gelu(hidden))
        return y


class Parallel(nn.Module):
    """Attention and feed-forward network side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, WIDTH, 2, 2)
        self.blocks = nn.ModuleList(Fused() for _ in range(2))
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(images).flatten(2).mT
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(x.mean(1))
        return logits
