"""What sizes cost that are no multiples of 8: with devices whose times are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pytest
import torch
from latency_tables import Counting
from torch import nn
from typer.testing import CliRunner
from typing_extensions import override

from nas import SearchSpace, Supernet, cli
from nas.latency.multiples import prices
from nas.latency.timing import Forward, StepTime
from nas.supernets import build

TEXT = """
model: vit_tiny_patch16_224
model_args: {img_size: 16, patch_size: 8, embed_dim: 32, depth: 2, num_heads: 4, num_classes: 3, mlp_ratio: 4}
choices:
  heads: {size: [1, 3, 4]}
  mlp: {size: [10, 64, 100, 128]}
  head_dim: {size: [4, 8]}
"""


@final
@dataclass(frozen=True, kw_only=True)
class InTiles(Counting):
    """Hidden units are computed in whole tiles of 16, and each takes a microsecond."""

    @override
    def time(self, passes: Sequence[Forward], seconds: float = 0) -> list[list[StepTime]]:
        return [[StepTime(1e-3 * _hidden(one.steps[0]), 0.0)] for one in passes]


def _hidden(model: object) -> int:
    assert isinstance(model, nn.Module)
    layers = (m for name, m in model.named_modules() if name.endswith("fc1") and isinstance(m, nn.Linear))
    return sum(-(-layer.out_features // 16) * 16 for layer in layers)


def supernet(text: str = TEXT) -> Supernet:
    torch.manual_seed(0)
    space = SearchSpace.from_yaml(text)
    return Supernet(build(space.model, space.model_args), space)


def test_where_every_unit_takes_as_long_no_size_costs_more() -> None:
    """Heads are no such axis, and one of 8 units has no room for a tile and the next."""
    (price,) = prices(supernet(), (3, 16, 16), Counting())
    assert (price.dimension, price.ends, price.units, price.blocks) == ("mlp", (64, 128), 128, 2)
    assert price.excess.keys() == {1, 8, 16, 32}
    assert all(abs(share) < 1e-3 for share in price.excess.values())


def test_whole_tiles_make_sizes_between_them_dearer() -> None:
    """65 units take what 80 take: 80 / 65 of their share. Multiples of 16 lie on the line."""
    (price,) = prices(supernet(), (3, 16, 16), InTiles())
    between = [(size, -(-size // 16) * 16) for size in (65, 67, 68, 69, 71, 76, 84, 93, 123)]
    assert price.excess[16] == price.excess[32] == pytest.approx(0)
    assert price.excess[1] == pytest.approx(sum(tile / size - 1 for size, tile in between) / len(between))
    assert price.excess[8] == pytest.approx((80 / 72 + 96 / 88 + 112 / 104) / 3 - 1)


def test_sizes_that_are_all_multiples_are_not_timed() -> None:
    """The whole axis is none of a choice's faults."""
    even = TEXT.replace("[10, 64, 100, 128]", "[0.1, 0.5, 0.8, 1.0], multiple_of: 8")
    assert prices(supernet(even), (3, 16, 16), Counting()) == []


def test_nas_bench_says_it(tmp_path: Path, plug_in: Callable[[str, str, type], None]) -> None:
    plug_in("nas.latency.devices", "in_tiles", InTiles)
    space = tmp_path / "space.yaml"
    space.write_text(TEXT.replace("  heads: {size: [1, 3, 4]}\n", "").replace("  head_dim: {size: [4, 8]}\n", ""))
    said = CliRunner().invoke(
        cli.app, ["bench", str(space), "--check", "2", "--device", "{use: in_tiles, in_steps: false}"]
    )
    words = " ".join(said.output.split())
    assert said.exit_code == 0, said.output
    assert "mlp has sizes that are no multiples of 8 (multiple_of: 8 leaves them out)" in words
    assert "multiples of 32 +0.0 %, multiples of 16 +0.0 %, multiples of 8 +9.3 %, others +12.8 %" in words
