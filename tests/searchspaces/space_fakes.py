"""Outlines of DeiT and Swin made by hand, costs in closed form, and brute force, for the tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.errors import LimitError
from nas.searchspaces import Additive, Factor, Outline, SearchSpace

DEIT = {"tiny": (192, 3), "small": (384, 6), "base": (768, 12)}
SWIN = {"tiny": (96, (2, 2, 6, 2)), "small": (96, (2, 2, 18, 2)), "base": (128, (2, 2, 18, 2))}


def deit(size: str = "tiny", blocks: int = 12, tokens: int = 197) -> Outline:
    width, heads = DEIT[size]
    axes = {"embed": width}
    for b in range(blocks):
        axes |= {f"depth.{b}": 1, f"heads.{b}": heads, f"head_dim.{b}": 64, f"mlp.{b}": 4 * width}
        axes |= {f"tokens.{b}": tokens, f"fc1_in.{b}": width}
    return Outline(
        f"deit_{size}_patch16_224",
        axes,
        protected={f"tokens.{b}": 1 for b in range(blocks)},
        within={f"fc1_in.{b}": "embed" for b in range(blocks)},
        elastic=frozenset({"embed", "depth", "heads", "mlp", "tokens", "fc1_in"}),
    )


def swin(size: str = "tiny") -> Outline:
    width, depths = SWIN[size]
    axes: dict[str, int] = {}
    for s, depth in enumerate(depths):
        axes[f"embed.{s}"] = width << s
        for b in range(depth):
            axes |= {f"depth.{s}.{b}": 1, f"heads.{s}.{b}": (width << s) // 32, f"mlp.{s}.{b}": 4 * width << s}
    return Outline(f"swin_{size}_patch4_window7_224", axes, elastic=frozenset({"depth", "heads", "mlp"}))


def small(blocks: int = 3) -> Outline:
    """Few enough blocks to list every architecture."""
    axes = {"embed": 8}
    for b in range(blocks):
        axes |= {f"depth.{b}": 1, f"heads.{b}": 3, f"mlp.{b}": 12, f"tokens.{b}": 9}
    return Outline("small_vit", axes, protected={f"tokens.{b}": 1 for b in range(blocks)})


def text(model: str, **choices: str) -> str:
    """YAML of a space: `text("small_vit", heads="{size: [1, 2]}")`."""
    return "\n".join([f"model: {model}", "choices:", *(f"  {name}: {body}" for name, body in choices.items())]) + "\n"


def space_of(outline: Outline, **choices: str) -> SearchSpace:
    return SearchSpace.from_yaml(text(outline.model, **choices), outline=outline)


def rows(space: SearchSpace) -> np.ndarray:
    """Every architecture of a small space, as a table."""
    table = np.indices(space.n_values).reshape(len(space), -1).T
    return table[(space.canonical(table) == table).all(axis=1)]


@dataclass(frozen=True)
class FakeCost:
    """Every block that depth leaves on costs tokens x width x (what its heads and its hidden units cost)."""

    space: SearchSpace
    width: int = 16

    def base(self, metric: str) -> int:
        return int(self.additive(metric)(self.space.to_table([self.space.largest]))[0])

    def reciprocal(self, metric: str) -> tuple[str, float]:
        raise LimitError(f"no {metric}")

    def additive(self, metric: str) -> Additive:
        axes = self.space.outline.axes
        owner = {axis: c for c, choice in enumerate(self.space.values()) for axis in choice.axes}
        blocks = [axis.partition(".")[2] for axis in axes if axis.startswith("heads.")]
        return Additive(1000, tuple(self._block(metric, block, axes, owner) for block in blocks))

    def _block(self, metric: str, block: str, axes, owner) -> Factor:
        names = [f"{dimension}.{block}" for dimension in ("heads", "mlp", "tokens", "depth")]
        scope = tuple(dict.fromkeys(owner[name] for name in names if name in owner))
        choices = list(self.space.values())
        table = np.zeros([len(choices[c].values) for c in scope], np.int64)
        for place in np.ndindex(*table.shape):
            sizes = dict(axes)
            for c, value in zip(scope, place, strict=True):
                sizes |= choices[c].sizes[value]
            heads, mlp, tokens, depth = (sizes.get(name, 1) for name in names)
            tokens = tokens if metric == "macs" else 1
            table[place] = depth * tokens * self.width * (4 * heads * 64 + 2 * mlp)
        return Factor(scope, table)
