"""Memory of sub-networks: known to the byte, held against what torch's allocator gave out; as a limit of a study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from studies_fakes import TINY

from nas import Limit, SearchSpace, Supernet
from nas.errors import ConfigError, FootprintError, LimitError
from nas.footprint.live_bytes import LiveBytes
from nas.footprint.measured import held_bytes, peak_of_pass
from nas.footprint.memory import memory_of
from nas.studies.study import Study
from nas.supernets import Cost, build
from nas.supernets.of_space import cost_of, image_of

BATCH = 3
VIT = """
model: vit_tiny_patch16_224
model_args: {img_size: 16, patch_size: 4, in_chans: 3, embed_dim: 24, depth: 3, num_heads: 3, num_classes: 4}
choices:
  depth: {depth: [2, 3]}
  heads: {size: [1, 3]}
  mlp: {size: [12, 48, 96]}
"""
TOKENS = VIT.replace("depth: {depth: [2, 3]}", "tokens: {keep: [0.5, 1.0], order: never-grows}")
SWIN = """
model: swin_tiny_patch4_window7_224
model_args: {img_size: 16, window_size: 2, embed_dim: 16, depths: [1, 2], num_heads: [2, 4], num_classes: 3}
choices:
  heads: {size: [1, 2]}
  mlp: {size: [16, 64]}
"""
RANKS = VIT.replace("heads: {size: [1, 3]}", "rank: {rank: [0.25, 1.0], of: [fc1]}")
SPACES = {"vit": VIT, "tokens": TOKENS, "swin": SWIN, "ranks": RANKS}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_what_is_alive_is_counted_from_its_making_to_its_end() -> None:
    given = torch.zeros(10)
    with LiveBytes([given]) as live:
        first = given + 1
        second = first * 2
        view = second[:3]
        del first
        third = given.view(2, 5) + view.sum()
        assert live.now == 2 * 40
        del second
        assert live.now == 80, "the view holds it"
        del view, third
    assert (live.now, live.peak) == (0, 84)


@pytest.mark.parametrize("name", SPACES)
def test_it_is_what_the_allocator_gives_out_to_the_byte(name: str) -> None:
    """Weights, buffers and images beside it; on the extracted models of random sub-networks."""
    space = SearchSpace.from_yaml(SPACES[name])
    memory = memory_of(space, BATCH)
    supernet = Supernet(build(space.model, space.model_args), space).eval()
    images, rng = torch.randn(BATCH, *image_of(space)), np.random.default_rng(1)
    for architecture in [space.smallest, space.largest, *(space.sample(rng) for _ in range(8))]:
        model = supernet.extract(architecture).eval()
        really = held_bytes(model) + images.nbytes + peak_of_pass(model, images)
        assert int(memory.additive(space.as_table(architecture))[0]) == really
    base = supernet.model
    assert memory.base == held_bytes(base) + images.nbytes + peak_of_pass(base, images)


def test_it_is_remembered_and_grows_with_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    space = SearchSpace.from_yaml(VIT)
    one, eight = memory_of(space, 1), memory_of(space, 8)
    rows = space.sample_table(np.random.default_rng(0), 50)
    weights = 4 * cost_of(space).params(rows)
    grown = (eight.additive(rows) - weights) / (one.additive(rows) - weights)
    assert ((grown > 7) & (grown <= 8)).all()
    monkeypatch.setattr("nas.footprint.memory.Tracer", None)
    assert (memory_of(space, 8).additive(rows) == eight.additive(rows)).all()


def bounded(text: str) -> Cost:
    space = SearchSpace.from_yaml(text)
    return cost_of(space).beside({"memory": memory_of(space, 64)})


def test_a_limit_of_it_is_kept_exactly_though_it_is_a_maximum() -> None:
    cost = bounded(VIT)
    every = cost.of("memory", cost.space.sample_table(np.random.default_rng(1), 4000))
    moments = cost.additive("memory").greatest(cost.space.sample_table(np.random.default_rng(1), 4000))
    assert len(np.unique(moments)) > 3, "activations count here, not weights alone"
    limit = Limit(cost, memory="80%", macs="90%")
    assert limit.lattice.exact
    drawn = cost.space.sample_table(np.random.default_rng(0), 300, limit)
    assert cost.of("memory", drawn).max() <= 0.8 * cost.base("memory")
    fits = (every <= 0.8 * cost.base("memory")).mean()
    assert Limit(cost, memory="80%").share == pytest.approx(fits, abs=0.03)
    text = limit.describe()
    assert text.startswith("memory <= ")
    assert "MB" in text
    with pytest.raises(LimitError, match="no architecture has memory <= 1 kB; reachable: "):
        Limit(cost, memory="1 kB")


def test_its_mean_is_at_least_that_of_the_greatest_mean_and_exact_where_nothing_is_open() -> None:
    cost = bounded(VIT)
    (row,) = cost.space.as_table(cost.space.largest)
    certain = [torch.eye(n, dtype=torch.float64)[i] for n, i in zip(cost.space.n_values, row, strict=True)]
    assert float(cost.expected("memory", certain)) == cost.of("memory", cost.space.largest)[0]
    even = [torch.full((n,), 1 / n, dtype=torch.float64, requires_grad=True) for n in cost.space.n_values]
    mean = cost.expected("memory", even)
    mean.backward()
    rows = np.indices(cost.space.n_values).reshape(len(even), -1).T
    assert float(mean.detach()) <= cost.additive("memory")(rows).mean()
    assert all(weights.grad is not None for weights in even)
    sizes = cost.space.sizes(cost.space.smallest)
    assert cost.of_sizes("memory", sizes) == cost.of("memory", cost.space.smallest)[0]


def test_too_many_choices_at_once_are_refused() -> None:
    many = "model: vit_tiny_patch16_224\nchoices: {mlp: {size: {from: 64, to: 768, step: 1}}}"
    with pytest.raises(FootprintError, match="decide one step of its forward, in 705 ways; allowed: 512"):
        memory_of(SearchSpace.from_yaml(many), 1)


BRIEF = ["base.epochs=1", "supernet.epochs=1", "retrain.epochs=0", "strategy.trials=6"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["memory={batch: 0}"], "found 0; allowed: "),
        (["limit={memory: 3 ms}"], "found '3 ms'; allowed: a number, also with B, kB, MB, GB, KiB, MiB or GiB"),
        (["limit={memory: 1 kB}"], "no architecture has memory <= 1 kB"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(changes: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Study.from_yaml(TINY, overrides=[*BRIEF, *changes])
    assert said in " ".join(str(refused.value).split())
    assert len(refused.value.faults) == 1
