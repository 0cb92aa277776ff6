"""Counts that the papers print, or that follow from their own numbers, out of the closed-form cost."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from paper_rows import SIDT_ROWS

from benchmarks.ffn_shares import shares
from nas.searchspaces import SearchSpace
from nas.supernets import Cost, build
from nas.supernets.families import family_of

DEIT = {"Ti": "deit_tiny_patch16_224", "S": "deit_small_patch16_224", "B": "deit_base_patch16_224"}
SWIN = {size: f"swin_{name}_patch4_window7_224" for size, name in (("T", "tiny"), ("S", "small"), ("B", "base"))}


def cost_of(model: str, chosen: tuple[str, ...] = (), **args: Any) -> Cost:
    """Of axes that select from packed ones, those that are given sizes must be `chosen`."""
    with torch.device("meta"):
        built = build(model, args)
    space = SearchSpace.from_yaml(f"model: {model}\nchoices: {{mlp: {{size: [0.5, 1.0]}}}}\n", model_args=args)
    return Cost(family_of(built).table(built, chosen), space)


def units(cost: Cost, family: str) -> dict[str, int]:
    axes: dict[str, int] = dict(cost.frame.axes)
    return {axis: size for axis, size in axes.items() if axis.partition(".")[0] == family}


def fraction(cost: Cost, keep: float, *families: str) -> dict[str, int]:
    return {axis: math.floor(keep * size + 1e-9) for name in families for axis, size in units(cost, name).items()}


def millions_and_billions(cost: Cost, sizes: dict[str, Any]) -> tuple[float, float]:
    return cost.of_sizes("params", sizes) / 1e6, cost.of_sizes("macs", sizes) / 1e9


@pytest.mark.parametrize(
    ("model", "params", "macs"),
    [
        (DEIT["Ti"], 5.717, 1.254),
        (DEIT["S"], 22.051, 4.599),
        (DEIT["B"], 86.568, 17.564),
        (SWIN["T"], 28.288, 4.491),
        (SWIN["S"], 49.606, 8.741),
        (SWIN["B"], 87.768, 15.431),
        ("t2t_vit_14", 21.546, 4.783),
    ],
)
def test_base_models(model: str, params: float, macs: float) -> None:
    assert millions_and_billions(cost_of(model), {}) == (pytest.approx(params, abs=5e-4), pytest.approx(macs, abs=5e-4))


@pytest.mark.parametrize(("size", "params", "macs"), [("Ti", 3.87, 0.890), ("S", 14.67, 3.147)])
def test_mcf_keeps_60_percent_of_ffn_inputs_and_hidden_units(size: str, params: float, macs: float) -> None:
    cost = cost_of(DEIT[size])
    counts = millions_and_billions(cost, fraction(cost, 0.6, "mlp", "fc1_in"))
    assert counts == (pytest.approx(params, abs=5e-3), pytest.approx(macs, abs=5e-4))


def test_mcf_before_uniform_inputs() -> None:
    """W1 keeps 60 % of its inputs and all outputs, W2 60 % of its inputs."""
    cost = cost_of(DEIT["S"])
    counts = millions_and_billions(cost, fraction(cost, 0.6, "fc1_in", "fc2_in"))
    assert counts == (pytest.approx(16.38, abs=5e-3), pytest.approx(3.48, abs=5e-3))


def test_mcf_swin_base() -> None:
    cost = cost_of(SWIN["B"])
    counts = millions_and_billions(cost, fraction(cost, 0.69, "mlp", "fc1_in"))
    # The figure of 11.32 also counts the norms, as Swin's own counter does (0.007 G on Swin-B: 15.438 for our 15.431).
    assert counts == (pytest.approx(64.46, abs=5e-3), pytest.approx(11.32 - 0.007, abs=5e-3))


@pytest.mark.parametrize(("early", "last", "params", "macs"), SIDT_ROWS)
def test_sidt_stage_fractions(early: float, last: float, params: float, macs: float) -> None:
    """Head dimensions and hidden units, real-valued as in the paper's averages."""
    cost = cost_of(SWIN["T"], num_classes=100)
    sizes = {
        axis: size * (1 - (last if axis.split(".")[1] == "3" else early))
        for axis, size in {**units(cost, "head_dim"), **units(cost, "mlp")}.items()
    }
    assert millions_and_billions(cost, sizes) == (pytest.approx(params, abs=0.02), pytest.approx(macs, abs=0.02))


@pytest.mark.parametrize(("size", "macs"), [("Ti", 0.699), ("S", 2.578), ("B", 9.880)])
def test_patch_slimming_drop(size: str, macs: float) -> None:
    """A block computes the tokens it keeps; its keys and values are the tokens that the block before kept."""
    keep = [197, 187, 173, 158, 141, 123, 105, 85, 65, 44, 23, 1]
    sizes = {f"queries.{i}": kept for i, kept in enumerate(keep)}
    sizes |= {f"tokens.{i}": kept for i, kept in enumerate([197, *keep[:-1]])}
    assert cost_of(DEIT[size]).of_sizes("macs", sizes) / 1e9 == pytest.approx(macs, abs=5e-4)


@pytest.mark.parametrize(("size", "macs"), [("Ti", 0.701), ("S", 2.578), ("B", 9.856)])
def test_patch_slimming_carry(size: str, macs: float) -> None:
    """Pruned tokens still serve as keys and values."""
    keep = [197, 173, 153, 135, 117, 99, 82, 65, 49, 33, 17, 1]
    sizes = {f"queries.{i}": kept for i, kept in enumerate(keep)}
    assert cost_of(DEIT[size]).of_sizes("macs", sizes) / 1e9 == pytest.approx(macs, abs=5e-4)


def test_dan_swin_base() -> None:
    """Heads and hidden units divided by 4, 4, 2, 4 in the four stages."""
    cost = cost_of(SWIN["B"])
    divide = {"0": 4, "1": 4, "2": 2, "3": 4}
    sizes = {
        axis: size // divide[axis.split(".")[1]]
        for axis, size in {**units(cost, "heads"), **units(cost, "mlp")}.items()
    }
    # 39.01 M leaves the biases of qkv (15,936) out; counted on the extracted model it is 39.025 M.
    biases = 15_936 / 1e6
    assert millions_and_billions(cost, sizes) == (
        pytest.approx(39.01 + biases, abs=5e-3),
        pytest.approx(6.92, abs=5e-3),
    )


@pytest.mark.parametrize(
    ("reading", "params", "macs"),
    [
        ("heads mlp", 24.84, 4.10),  # R2
        # R3 was expected at 22.00 M / 3.86 G; this is our count, 22,008,758 and 3,872,187,392.
        ("heads mlp merging_in head_in", 22.009, 3.872),
    ],
)
def test_adjoined_networks_of_alpha_4(reading: str, params: float, macs: float) -> None:
    """AN-Small-4 on Swin-B by its readings; the thesis prints 21.32 M / 2.76 G, which none of them gives."""
    cost = cost_of(SWIN["B"], ("merging_in.1", "merging_in.2", "merging_in.3") if "merging_in" in reading else ())
    counts = millions_and_billions(cost, fraction(cost, 1 / 4, *reading.split()))
    assert counts == (pytest.approx(params, abs=5e-3), pytest.approx(macs, abs=5e-3))


def test_dan_t2t() -> None:
    """Seven blocks whole, seven with half of their heads and hidden units.

    The thesis prints 16.5 M / 3.36 G, which no such mixture gives; its own ratio of 1.33 means 3.61 G.
    """
    cost = cost_of("t2t_vit_14")
    halved = {axis: size // 2 for name in ("heads", "mlp") for axis, size in units(cost, name).items()
              if int(axis.partition(".")[2]) >= 7}  # fmt: skip
    assert millions_and_billions(cost, halved) == (pytest.approx(16.38, abs=5e-3), pytest.approx(3.66, abs=5e-3))


def test_patch_slimming_t2t() -> None:
    """The `drop` family of schedules meets the paper's 40.4 % off our 4.783 G at g = 1.33."""
    cost = cost_of("t2t_vit_14")
    keep = [max(1, round(197 * (1 - (block / 13) ** 1.33))) for block in range(14)]
    sizes = {f"queries.{i}": kept for i, kept in enumerate(keep)}
    sizes |= {f"tokens.{i}": kept for i, kept in enumerate([197, *keep[:-1]])}
    assert cost.of_sizes("macs", sizes) / 1e9 == pytest.approx(2.85, abs=0.02)


@pytest.mark.parametrize(("size", "macs", "params"), [("deit_base_patch16_224", 11.15, 56.6), (SWIN["B"], 9.83, 56.0)])
def test_shares_of_feed_forward_networks(size: str, macs: float, params: float) -> None:
    """Table 1 of MCF; of Swin-B our count is 0.4 % above the printed one."""
    rows = {row["part"]: row for row in shares(size)}
    assert rows["feed_forward"]["macs"] / 1e9 == pytest.approx(macs, rel=4e-3)
    assert rows["feed_forward"]["params"] / 1e6 == pytest.approx(params, rel=2e-3)
    cost = cost_of(size)
    for quantity in ("macs", "params"):
        assert sum(row[quantity] for row in rows.values()) == cost.base(quantity)
