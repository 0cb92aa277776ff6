"""Tables of latencies, with a timer that counts operations: then predictions can be exact."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from latency_tables import counting
from torch import Tensor
from typer.testing import CliRunner

from nas import SearchSpace, Supernet, cli
from nas.errors import LatencyError, RunError
from nas.latency import building, checking
from nas.latency.building import measured_table
from nas.latency.checking import predicted_and_timed
from nas.latency.design import TIMES, Signatures, designed
from nas.latency.table import LatencyTable
from nas.latency.timed_steps import probes, timed_steps
from nas.latency.timing import WARM_UP, Forward, StepTime, by_processor, by_wall, clock_of, in_turns, take_turns
from nas.supernets import build

VIT = """
model: vit_tiny_patch16_224
model_args: {img_size: 16, patch_size: 8, embed_dim: 32, depth: 3, num_heads: 4, num_classes: 3}
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


@pytest.fixture(scope="module")
def swin_table() -> LatencyTable:
    return measured_table(supernet(SWIN), (3, 32, 32), timer=counting)


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


def test_few_subnets_hold_every_step_at_every_size_of_it() -> None:
    """Three blocks of 18 combinations each, alike in all: in 12 sub-networks or a few more each occurs twice."""
    net = supernet(VIT)
    steps, known = timed_steps(net), Signatures(net, torch.zeros(1, 3, 16, 16))
    chosen = designed(steps, net.space, known)
    assert len(chosen) <= 18
    held = Counter(signature for one in chosen for signature in known.of(one).values())
    for step in steps:
        for _, architecture in probes(step, net.space):
            assert held[known.of(architecture)[step.reads]] >= TIMES
    table = measured_table(net, (3, 16, 16), timer=counting)
    assert table.conditions.measured == len(chosen) + 12


def test_more_than_fits_is_timed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    net, sizes = supernet(SWIN), []

    def timer(forwards: Sequence[Forward]) -> list[list[StepTime]]:
        sizes.append(len(forwards))
        return counting(forwards)

    whole = measured_table(net, (3, 32, 32), timer=timer)
    assert sizes == [whole.conditions.measured]
    monkeypatch.setattr(building, "AT_ONCE", 1)
    assert measured_table(net, (3, 32, 32), timer=timer) == whole
    assert sizes[1:] == [1] * whole.conditions.measured


@pytest.mark.parametrize(("most", "outside"), [(128, False), (64, True)])
def test_the_whole_model_is_known_also_where_the_space_is_without_it(most: int, outside: bool) -> None:
    net = supernet(VIT.replace("to: 128", f"to: {most}"))
    table = measured_table(net, (3, 16, 16), timer=counting)
    ((flops,),) = counting([Forward(torch.zeros(1, 3, 16, 16), (net.model.eval(),))])
    assert table.base == pytest.approx(1e6 * flops.milliseconds, rel=1e-3)
    (largest,) = table.additive(net.space)(net.space.as_table(net.space.largest))
    assert (largest < 0.9 * table.base) if outside else (largest == table.base)


def test_a_table_is_a_file_that_others_can_read(swin_table: LatencyTable, tmp_path: Path) -> None:
    net, table = supernet(SWIN), swin_table
    table.write(tmp_path / "table.json")
    again = LatencyTable.read(tmp_path / "table.json")
    assert again == table
    rows = net.space.sample_table(np.random.default_rng(0), 50)
    assert (again.milliseconds(net.space, rows) == table.milliseconds(net.space, rows)).all()
    with pytest.raises(LatencyError, match="the space is of vit_tiny_patch16_224 with 7: another model"):
        table.additive(SearchSpace.from_yaml(VIT))
    with pytest.raises(LatencyError, match="another choices, sizes or arguments"):
        table.additive(SearchSpace.from_yaml(SWIN.replace("num_classes: 3", "num_classes: 4")))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: {}, "no table of latencies: format"),
        (lambda content: content | {"constant": "x"}, "no table of latencies: constant"),
        (lambda content: content | {"unheard": 1}, "no table of latencies: unheard"),
        (lambda content: content | {"lengths": {}}, "values for 0"),
        (lambda content: content | {"format": 2}, "a table of version 2, allowed: 1; measure it with nas bench"),
        (lambda content: content | {"base": 10**400}, "no table of latencies: base"),
    ],
)
def test_a_file_that_is_none_is_refused(swin_table: LatencyTable, damage, said: str, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    swin_table.write(path)
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(LatencyError, match=said):
        LatencyTable.read(path)
    with pytest.raises(LatencyError, match="cannot be read"):
        LatencyTable.read(tmp_path / "nowhere.json")


def test_a_busy_machine_is_refused() -> None:
    def busy(forwards: Sequence[Forward]) -> list[list[StepTime]]:
        return [[StepTime(1.0, 0.4)] * len(forward.steps) for forward in forwards]

    with pytest.raises(LatencyError, match="timed again, takes 40 % more or less; allowed: 5 %"):
        measured_table(supernet(SWIN), (3, 32, 32), timer=busy)


def test_a_model_without_steps_is_refused_where_too_much_decides_it() -> None:
    text = VIT.replace("num_classes: 3", "detector: {head: yolos, classes: 2, queries: 3}").replace(
        "depth: 3", "depth: 8"
    )
    with pytest.raises(LatencyError, match=r"17 choices decide one step of its forward, which would be timed 131,072"):
        measured_table(supernet(text), (3, 16, 16), timer=counting)


def test_passes_take_turns_and_each_of_their_steps_is_timed() -> None:
    order: list[str] = []

    def step(name: str) -> Callable[[Tensor], Tensor]:
        def run(x: Tensor) -> Tensor:
            order.append(name)
            return x + 1

        return run

    passes = [Forward(torch.zeros(1), (step("a"), step("b"))), Forward(torch.zeros(1), (step("c"),))]
    times = in_turns(passes, range(3), clock_of(torch.device("cpu")))
    assert "".join(order) == "abc" * WARM_UP + "abc" + "cab" + "abc"
    assert [[len(steps) for steps in rounds] for rounds in times] == [[2, 2, 2], [1, 1, 1]]
    assert [[len(steps) for steps in take_turns(passes, 0)] for _ in "x"] == [[2, 1]]


def test_what_another_process_takes_is_not_counted() -> None:
    """A pass that waits takes long by the wall's clock, and nothing by the processor's."""
    waiting = Forward(torch.zeros(1), (lambda x: time.sleep(0.02),))
    assert by_processor(waiting)[0] < 0.01 < by_wall(waiting)[0]


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
