"""Tables of latencies, with a timer that counts operations: then predictions can be exact."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from nas import SearchSpace, Supernet, cli
from nas.errors import LatencyError, RunError
from nas.latency import building, checking
from nas.latency.building import measured_table
from nas.latency.checking import predicted_and_timed
from nas.latency.table import LatencyTable
from nas.latency.timing import Timed, TimedCall, take_turns
from nas.supernets import build

VIT = """
model: vit_tiny_patch16_224
model_args: {img_size: 16, patch_size: 4, embed_dim: 32, depth: 3, num_heads: 4, num_classes: 3}
choices:
  heads: {size: [1, 2, 4]}
  mlp: {size: {from: 8, to: 128, step: 8}}
  depth: {depth: [1, 3]}
"""
TOKENS = VIT.replace("  depth: {depth: [1, 3]}", "  tokens: {keep: [0.25, 0.5, 1.0]}")
SWIN = """
model: swin_tiny_patch4_window7_224
model_args: {img_size: 32, embed_dim: 16, depths: [1, 2], num_heads: [2, 4], window_size: 4, num_classes: 3}
choices: {heads: {size: [0.5, 1.0]}, mlp: {size: [0.25, 0.5, 1.0]}}
"""


def counting(calls: Sequence[TimedCall]) -> list[Timed]:
    """A microsecond for a thousand operations, and a little for each call."""
    times = []
    for call in calls:
        with torch.inference_mode(False), torch.no_grad(), FlopCounterMode(display=False) as counter:
            call()
        times.append(Timed(1e-6 * counter.get_total_flops(), 0.0))
    return times


def supernet(text: str) -> Supernet:
    space = SearchSpace.from_yaml(text)
    torch.manual_seed(0)
    return Supernet(build(space.model, space.model_args), space)


@pytest.mark.parametrize(("text", "image"), [(VIT, (3, 16, 16)), (TOKENS, (3, 16, 16)), (SWIN, (3, 32, 32))])
def test_a_sum_of_parts_is_the_whole_and_what_lies_between_is_interpolated(text: str, image: tuple[int, ...]) -> None:
    """Operations are products of sizes, which interpolation along each of them meets; of all 16 sizes of a hidden layer
    six are timed, or fewer.
    """
    net = supernet(text)
    table = measured_table(net, image, timer=counting)
    shown = predicted_and_timed(table, net, 12, timer=counting)
    np.testing.assert_allclose(shown.predicted, shown.timed, rtol=1e-3)
    assert shown.error < 1e-3
    assert shown.tau > 0.95
    assert table.conditions.measured < 110


def test_equal_parts_are_timed_once() -> None:
    """Of three blocks as many as of one, a stem, a head, and whole sub-networks."""
    table = measured_table(supernet(VIT), (3, 16, 16), timer=counting)
    assert table.conditions.measured == 3 * 6 + 2 + 12


def test_a_table_is_a_file_that_others_can_read(tmp_path: Path) -> None:
    net = supernet(SWIN)
    table = measured_table(net, (3, 32, 32), timer=counting)
    table.write(tmp_path / "table.json")
    again = LatencyTable.read(tmp_path / "table.json")
    assert again == table
    rows = net.space.sample_table(np.random.default_rng(0), 50)
    assert (again.milliseconds(net.space, rows) == table.milliseconds(net.space, rows)).all()
    with pytest.raises(LatencyError, match="the space is of vit_tiny_patch16_224 with 7"):
        table.additive(SearchSpace.from_yaml(VIT))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: {}, "no table of latencies: model"),
        (lambda content: content | {"constant": "x"}, "no table of latencies: constant"),
        (lambda content: content | {"unheard": 1}, "no table of latencies: unheard"),
        (lambda content: content | {"lengths": {}}, "values for 0"),
    ],
)
def test_a_file_that_is_none_is_refused(damage, said: str, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    measured_table(supernet(SWIN), (3, 32, 32), timer=counting).write(path)
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(LatencyError, match=said):
        LatencyTable.read(path)
    with pytest.raises(LatencyError, match="cannot be read"):
        LatencyTable.read(tmp_path / "nowhere.json")


def test_a_busy_machine_is_refused() -> None:
    def busy(calls: Sequence[TimedCall]) -> list[Timed]:
        return [Timed(1.0, 0.4)] * len(calls)

    with pytest.raises(LatencyError, match="takes 40 % longer or shorter"):
        measured_table(supernet(SWIN), (3, 32, 32), timer=busy)


def test_a_model_without_steps_is_refused_where_too_much_decides_it() -> None:
    text = VIT.replace("num_classes: 3", "detector: {head: yolos, classes: 2, queries: 3}").replace(
        "depth: 3", "depth: 8"
    )
    with pytest.raises(LatencyError, match=r"17 choices decide one step of its forward, which would be timed 131,072"):
        measured_table(supernet(text), (3, 16, 16), timer=counting)


def test_calls_take_turns() -> None:
    order: list[str] = []
    timed = take_turns([lambda: order.append("a"), lambda: order.append("b")], rounds=3)
    assert order == ["a", "b"] * 3 + ["a", "b", "b", "a", "a", "b"]
    assert all(one.milliseconds > 0 and one.spread >= 0 for one in timed)


def test_nas_bench_says_how_far_it_can_be_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (building, checking):
        monkeypatch.setattr(module, "take_turns", counting)
    space, table = tmp_path / "space.yaml", tmp_path / "table.json"
    space.write_text(SWIN)
    command = ["bench", str(space), "--to", str(table), "--check", "4", "--batch", "2", "--device", "cpu"]
    said = CliRunner().invoke(cli.app, command)
    assert said.exit_code == 0, said.output
    assert "predicted against timed, 4 random sub-networks: median error 0.0 %" in " ".join(said.output.split())
    assert LatencyTable.read(table).conditions.batch == 2
    with pytest.raises(RunError, match="exists; choose another file"):
        CliRunner().invoke(cli.app, command, catch_exceptions=False)
