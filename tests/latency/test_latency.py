"""Tables of latencies, with a timer that counts operations: then predictions can be exact."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from latency_tables import Counting
from torch import Tensor
from typer.testing import CliRunner

from nas import SearchSpace, Supernet, cli
from nas.errors import ConfigError, LatencyError, RunError
from nas.latency import passes
from nas.latency.building import WHOLE, measured_table
from nas.latency.checking import Prediction, accuracy
from nas.latency.correcting import corrected, guessed
from nas.latency.design import TIMES, Signatures, at_levels, designed, evenly
from nas.latency.passes import MODELS, Passes, noise_of
from nas.latency.probes import probes
from nas.latency.table import Accuracy, LatencyTable
from nas.latency.timing import (
    ROUNDS,
    WARM_UP,
    Forward,
    StepTime,
    by_processor,
    by_wall,
    in_turns,
    take_turns,
    timed,
    warmed,
)
from nas.supernets import build
from nas.supernets.chosen_steps import chosen_steps

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
    return measured_table(supernet(SWIN), (3, 32, 32), Counting()).table


def supernet(text: str) -> Supernet:
    space = SearchSpace.from_yaml(text)
    torch.manual_seed(0)
    return Supernet(build(space.model, space.model_args), space)


@pytest.mark.parametrize(
    ("text", "image", "in_steps"),
    [(VIT, (3, 16, 16), False), (TOKENS, (3, 16, 16), True), (SWIN, (3, 32, 32), True), (SWIN, (3, 32, 32), False)],
)
def test_a_sum_of_parts_is_the_whole_and_what_lies_between_is_interpolated(
    text: str, image: tuple[int, ...], in_steps: bool
) -> None:
    """Operations are products of sizes, which interpolation along each of them meets; of all 16 sizes of a hidden layer
    six are timed, or fewer. Devices that time no steps are told what steps take by whole passes.
    """
    measured = measured_table(supernet(text), image, Counting(in_steps=in_steps), check=12)
    assert measured.prediction is not None
    shown = measured.prediction
    np.testing.assert_allclose(shown.predicted, shown.timed, rtol=1e-3)
    assert shown.error < 1e-3
    assert shown.tau > 0.95
    assert measured.even is not None
    assert measured.even.error < 1e-3
    assert shown.ceiling == pytest.approx(1)
    assert measured.table.conditions.measured < 110 + WHOLE + 24


def test_few_subnets_hold_every_step_at_every_size_of_it() -> None:
    """Three blocks of 18 combinations each, alike in all: in 12 sub-networks or a few more each occurs twice."""
    net = supernet(VIT)
    steps, known = chosen_steps(net), Signatures(net, torch.zeros(1, 3, 16, 16))
    chosen = designed(steps, net.space, known)
    assert len(chosen) <= 18
    held = Counter(signature for one in chosen for signature in known.of(one).values())
    for step in steps:
        for _, architecture in probes(step, net.space):
            assert held[known.of(architecture)[step.reads]] >= TIMES
    every = {signature for one in chosen for signature in known.of(one).values()}
    for one in at_levels(steps, net.space, 30, seed=3):
        assert every >= set(known.of(one).values())


def test_more_than_fits_is_timed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    net, device = supernet(SWIN), Counting()
    one, two = net.space.smallest, net.space.largest
    at_once = Passes(net, device, torch.zeros(1, 3, 32, 32)).timed([one], [one, two, two])
    sizes = []

    def time(self: Counting, passes: Sequence[Forward], seconds: float) -> list[list[StepTime]]:
        sizes.append([forward.name for forward in passes])
        return own(self, passes)

    own = Counting.time
    monkeypatch.setattr(Counting, "time", time)
    monkeypatch.setattr(passes, "AT_ONCE", 1)
    assert Passes(net, device, torch.zeros(1, 3, 32, 32)).timed([one], [one, two, two]) == at_once
    assert sorted(sizes) == sorted([[one.digest], [one.digest], [two.digest], [two.digest], *[["model"]] * MODELS])
    assert at_once.whole[1] == at_once.model


@pytest.mark.parametrize(("most", "outside"), [(128, False), (64, True)])
def test_the_whole_model_is_known_also_where_the_space_is_without_it(most: int, outside: bool) -> None:
    net = supernet(VIT.replace("to: 128", f"to: {most}"))
    table = measured_table(net, (3, 16, 16), Counting()).table
    ((flops,),) = Counting().time([Forward(torch.zeros(1, 3, 16, 16), (net.model.eval(),))])
    assert table.base == pytest.approx(1e6 * flops.milliseconds, rel=1e-3)
    (largest,) = table.additive(net.space)(net.space.as_table(net.space.largest))
    assert (largest < 0.9 * table.base) if outside else (largest == table.base)


@pytest.mark.parametrize("guess", ["right", "wrong"])
def test_whole_passes_correct_what_steps_take_by_themselves(guess: str) -> None:
    """Two kinds of steps of three sizes; in a pass those of the second kind take half as long again, which guesses of
    single steps do not know. Whole passes are measured with 0.5 % of noise, and new ones predicted without.
    """
    rng = np.random.default_rng(0)
    kinds = [frozenset(f"{kind}{size}" for size in (1, 2, 3)) for kind in "ab"]
    true = {s: (2 + int(s[1])) * (1.5 if s[0] == "b" else 1.0) for kind in kinds for s in sorted(kind)}
    guesses = {s: 2.0 + int(s[1]) * (1.0 if guess == "right" else rng.normal(1, 0.4)) for s in true}
    wholes = [Counter(f"{kind}{rng.integers(1, 4)}" for kind in "aaaabbbb") for _ in range(80)]
    times = np.array([sum(true[s] * n for s, n in of.items()) for of in wholes])
    found = corrected(guesses, kinds * 4, wholes[:40], times[:40] * rng.normal(1, 0.005, 40))
    by_guess, after = (np.array([sum(t[s] * n for s, n in of.items()) for of in wholes[40:]]) for t in (guesses, found))
    by_guess *= times[40:].mean() / by_guess.mean()
    assert np.abs(by_guess / times[40:] - 1).mean() > 0.01
    assert np.abs(after / times[40:] - 1).mean() < 0.004


def test_work_is_timed_at_the_rates_of_whole_passes() -> None:
    work = {"a": (1e9, 10.0, 1.0), "b": (1e6, 1e5, 1.0)}
    wholes = [Counter(a=n, b=m) for n, m in product((1, 2, 5), repeat=2)]
    times = np.array([of["a"] * 7.0 + of["b"] * 2.0 for of in wholes])
    assert guessed(work, wholes, times) == {"a": pytest.approx(7), "b": pytest.approx(2)}


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
        (lambda content: content | {"format": 1}, "a table of version 1, allowed: 3; measure it with nas bench"),
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
    assert noise_of([StepTime(1.0, noise, -0.05) for noise in (0.01, 0.02, 0.3)]) == 0.02
    with pytest.raises(LatencyError, match="timed again, takes 40 % more or less; allowed: 5 %"):
        noise_of([StepTime(1.0, 0.4)])
    with pytest.raises(LatencyError, match="20 % longer in the second half of the measurement; allowed: 10 %"):
        noise_of([StepTime(1.0, 0.01, 0.2)])


def test_what_times_say_of_noise_and_drift() -> None:
    rng, still = np.random.default_rng(0), np.ones(400)
    assert timed(still) == StepTime(1000.0, 0.0, 0.0)
    assert 0 < timed(still + np.abs(rng.normal(0, 0.1, 400))).noise < 0.02
    assert timed(np.where(np.arange(400) < 200, 1.0, 1.3)).drift == pytest.approx(0.3)


def test_noise_is_a_ceiling_of_tau() -> None:
    """Against the formula for normal values: tau is 2 / pi times the arc sine of the correlation."""
    rng = np.random.default_rng(0)
    true = rng.normal(100, 5, 2000)
    noisy = true + rng.normal(0, 2, 2000)
    shown = Prediction(true, noisy, 2 / noisy)
    assert shown.ceiling == pytest.approx(2 / np.pi * np.arcsin(5 / np.hypot(5, 2)), abs=0.01)
    assert shown.ceiling == pytest.approx(shown.tau, abs=0.02)


def test_a_table_states_the_error_of_where_it_is_greater() -> None:
    """Also where random sub-networks hardly ever lie."""
    times = np.linspace(1.0, 2.0, 11)
    random, even = Prediction(times, times, 0 * times), Prediction(0.9 * times, times, 0 * times + 0.01)
    assert (even.bias, even[3:5].bias) == pytest.approx((-0.1, -0.1))
    assert accuracy(random, even) == Accuracy(22, pytest.approx(0.1), pytest.approx(0.1), 1.0, 0.01)


def test_a_check_reaches_the_ends_of_a_space() -> None:
    net = supernet(SWIN)
    drawn = evenly(net, 40, np.random.default_rng(0))
    least, most = net.cost.macs([net.space.smallest, net.space.largest])
    shares = (np.sort(net.cost.macs(drawn)) - least) / (most - least)
    assert len(drawn) >= 30
    assert shares[3] < 0.2
    assert shares[-4] > 0.8
    uniform = (net.cost.macs([net.space.sample(np.random.default_rng(s)) for s in range(40)]) - least) / (most - least)
    assert shares.std() > 1.3 * uniform.std()


def test_a_model_without_steps_is_refused_where_too_much_decides_it() -> None:
    text = VIT.replace("num_classes: 3", "detector: {head: yolos, classes: 2, queries: 3}").replace(
        "depth: 3", "depth: 8"
    )
    with pytest.raises(LatencyError, match=r"17 choices decide one step of its forward, which would be timed 131,072"):
        measured_table(supernet(text), (3, 16, 16), Counting())


def test_passes_take_turns_and_each_of_their_steps_is_timed() -> None:
    order: list[str] = []

    def step(name: str) -> Callable[[Tensor], Tensor]:
        def run(x: Tensor) -> Tensor:
            order.append(name)
            return x + 1

        return run

    passes = [Forward(torch.zeros(1), (step("a"), step("b"))), Forward(torch.zeros(1), (step("c"),))]
    times = in_turns(passes, range(9), by_processor)
    turns = "".join(order).removeprefix("abc" * WARM_UP)
    assert {turns[start : start + 3] for start in range(0, len(turns), 3)} == {"abc", "cab"}
    assert [[len(steps) for steps in rounds] for rounds in times] == [[2] * 9, [1] * 9]
    assert [len(steps) for steps in take_turns(passes, by_wall, 0)] == [2, 1]


def test_small_models_run_until_they_are_warm() -> None:
    """And those that take long run once before they are timed."""

    def passes(seconds: float) -> float:
        runs: list[float] = []
        step = lambda x: (runs.append(seconds), time.sleep(seconds))  # noqa: E731
        take_turns([Forward(torch.zeros(1), (step,))], warmed(by_wall), 0)
        return (len(runs) - WARM_UP) / ROUNDS[0] - 1

    assert passes(0.0) > 10
    assert passes(0.006) == 1


def test_what_another_process_takes_is_not_counted() -> None:
    """A pass that waits takes long by the wall's clock, and nothing by the processor's."""
    waiting = Forward(torch.zeros(1), (lambda x: time.sleep(0.02),))
    assert by_processor(waiting)[0] < 0.01 < by_wall(waiting)[0]


def test_nas_bench_knows_spaces_and_studies_by_their_names(
    tmp_path: Path, plug_in: Callable[[str, str, type], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in("nas.latency.devices", "counting", Counting)
    monkeypatch.chdir(tmp_path)
    for name, model in (("vit_digits", "vit_tiny_patch16_224"), ("digits", "vit_tiny_patch16_224")):
        said = CliRunner().invoke(cli.app, ["bench", name, "--check", "2", "--device", "counting"])
        assert said.exit_code == 0, said.output
        assert f"{model} on counting" in said.output
    with pytest.raises(ConfigError, match=r"no such file; allowed: a path, or a name .* did you mean 'vit_digits'"):
        CliRunner().invoke(cli.app, ["bench", "vit_digit", "--device", "counting"], catch_exceptions=False)


def test_nas_bench_says_how_far_it_can_be_trusted(
    tmp_path: Path, plug_in: Callable[[str, str, type], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, own = set(), Counting.time

    def time(self: Counting, passes: Sequence[Forward], seconds: float = 0) -> list[list[StepTime]]:
        given.add(seconds)
        return own(self, passes)

    monkeypatch.setattr(Counting, "time", time)
    plug_in("nas.latency.devices", "counting", Counting)
    space, table = tmp_path / "space.yaml", tmp_path / "table.json"
    space.write_text(SWIN)
    command = ["bench", str(space), "--to", str(table), "--check", "4", "--batch", "2", "--device", "counting"]
    command += ["--seconds", "7"]
    said = CliRunner().invoke(cli.app, command)
    assert said.exit_code == 0, said.output
    words = " ".join(said.output.split())
    for kind in ("4 random", "4 evenly spread"):
        assert re.search(rf"timed, {kind} sub-networks \([0-9.]+ ms to [0-9.]+ ms\): median error 0\.0 %", words)
    read = LatencyTable.read(table)
    assert read.conditions.batch == 2
    assert given == {7}
    assert str(read.conditions) == "counting, one that counts, in_steps True"
    with pytest.raises(RunError, match="exists; choose another file"):
        CliRunner().invoke(cli.app, command, catch_exceptions=False)
