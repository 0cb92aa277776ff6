"""Directions as an importance: sizes of ranks follow from energies, the supernet factors by the method."""

from __future__ import annotations

import pytest
import torch

from nas.errors import ModelError, StrategyError
from nas.importance.directions import OfDirections
from nas.searchspaces import Architecture, SearchSpace
from nas.supernets import Supernet, build
from nas.supernets.decompositions import METHODS, Factoring
from nas.testing.families import randomise
from nas.testing.relaxed import SPACES, Bench


def supernet() -> Supernet:
    text = SPACES["vit"]
    choices = "{rank: {rank: {from: 1, to: 16, step: 1}, of: [qkv, proj, fc1, fc2]}}}"
    space = SearchSpace.from_yaml(text[: text.index("choices:")] + f"choices: {choices}")
    return Supernet(randomise(build(space.model, space.model_args)), space)


@pytest.mark.parametrize("method", METHODS)
@torch.no_grad()
def test_each_method_is_exact_at_full_rank_and_the_same_extracted(method: str) -> None:
    net, bench = supernet(), Bench("vit")
    x = next(bench.data.train.batches(4)).inputs
    before = net(x, net.space.largest)
    scores = OfDirections(method=method, images=32).apply(net, bench.work).scores  # type: ignore[arg-type]
    assert net.factoring.method == method
    assert set(scores) == net.space.axes
    assert all(float(values.sum()) == pytest.approx(1, abs=1e-4) for values in scores.values())
    assert torch.equal(net(x, net.space.largest), before)
    for rank in (3, 7):
        small = Architecture(dict.fromkeys(net.space, rank))
        torch.testing.assert_close(net.extract(small)(x), net(x, small), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_aware_svd_beats_svd_on_the_outputs_of_a_layer() -> None:
    """One layer's output on the calibration images, factored both ways."""
    net, bench = supernet(), Bench("vit")
    entry = next(e for e in net.table.entries.values() if e.parameter == "blocks.0.mlp.fc1.weight")
    weight = net.model.get_parameter(entry.parameter)
    errors = {}
    for method in ("svd", "aware_svd"):
        OfDirections(method=method, images=48).apply(net, bench.work)  # type: ignore[arg-type]
        covariance = OfDirections().covariances(net, bench.work, [entry.parameter])[entry.parameter]
        outer, inner = net.directions(entry).factors(weight, 4)
        rest = weight - outer @ inner
        errors[method] = float((rest @ covariance * rest).sum())
    assert errors["aware_svd"] < errors["svd"]


def test_wrong_input() -> None:
    space = SearchSpace.from_yaml(SPACES["vit"])
    with pytest.raises(StrategyError, match="chooses heads, mlp, no rank; add a choice such as rank"):
        OfDirections().check(space)
    with pytest.raises(ModelError, match=r"no decomposition 'svdd'.*did you mean 'svd'"):
        Factoring("svdd")
