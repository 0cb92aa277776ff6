"""Proxies on small models: what each must say where the answer is known, and that all say something everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas import proxies
from nas.errors import StrategyError
from nas.proxies import Evidence
from nas.proxies._blocks import Flow, matrices
from nas.proxies._entropy import entropy
from nas.proxies._positive import flows
from nas.proxies.divergence import Divergence
from nas.proxies.jacobian_covariance import JacobianCovariance
from nas.proxies.trainability import _spectral_norm
from nas.searchspaces import Architecture, SearchSpace
from nas.supernets import Supernet
from nas.testing.relaxed import Bench

CHOICES = {
    "vit": "{depth: {depth: [1, 2]}, heads: {size: [1, 2, 4]}, mlp: {size: [0.25, 0.5, 1.0]}}",
    "thinned": "{tokens: {keep: [0.5, 1.0]}, rank: {rank: [0.25, 1.0], of: [fc1, proj]}}",
    "swin": "{heads: {size: [0.5, 1.0]}, mlp: {size: [0.25, 0.5, 1.0]}}",
}


def evidence(kind: str) -> tuple[Evidence, list[Architecture]]:
    bench = Bench("swin" if kind == "swin" else "vit")
    whole = bench.supernet.space
    text = f"{{model: {whole.model}, choices: {CHOICES[kind]}}}"
    supernet = Supernet(bench.supernet.model, SearchSpace.from_yaml(text, model_args=whole.model_args))
    architectures = [supernet.space.smallest, supernet.space.largest]
    truth = {architecture.digest: float(number) for number, architecture in enumerate(architectures)}
    return Evidence(supernet, bench.data, 0, truth), architectures


@pytest.mark.parametrize("kind", CHOICES)
def test_all_say_the_same_twice_and_change_nothing(kind: str) -> None:
    """All but progressivity and trainability are defined for everything: what these compare may be missing."""
    subject, architectures = evidence(kind)
    before = {name: value.clone() for name, value in subject.supernet.state_dict().items()}
    for name in proxies.names():
        proxy = proxies.find(name)
        once, again = (proxy.scores(subject, architectures) for _ in range(2))
        assert once.shape == (2,)
        assert np.array_equal(once, again, equal_nan=True), name
        assert np.isfinite(once).all() or (name, kind) in {("progressivity", "vit"), ("trainability", "thinned")}, name
    assert all(torch.equal(value, before[name]) for name, value in subject.supernet.state_dict().items())


def test_what_counts_units_likes_the_larger_one() -> None:
    subject, architectures = evidence("vit")
    for name in ("macs", "params", "synflow", "dss", "expressivity", "weight_entropy"):
        smallest, largest = proxies.find(name).scores(subject, architectures)
        assert smallest < largest, name


def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(StrategyError, match=r"no 'synflo' in nas.proxies; .* did you mean 'synflow'"):
        proxies.find("synflo")


def test_the_same_flows_through_every_layer() -> None:
    """Without biases, what comes out is the sum over the weights of any one layer (conservation of SynFlow)."""
    network = nn.Sequential(nn.Linear(3, 4, bias=False), nn.LayerNorm(4), nn.GELU(), nn.Linear(4, 2, bias=False))
    layers = [nn.Linear(3, 4, bias=False), nn.LayerNorm(4), nn.Linear(4, 2, bias=False)]
    linear = flows(nn.Sequential(*layers), (3,))
    first, last = (float((weight * gradient).sum()) for weight, gradient in (linear["0.weight"], linear["2.weight"]))
    by_hand = float((layers[2].weight.abs() @ layers[0].weight.abs()).detach().sum())
    assert first == pytest.approx(last) == pytest.approx(by_hand)
    assert "1.weight" not in linear, "norms pass on what they get"
    assert set(flows(network, (3,))) == {"0.weight", "3.weight"}


def test_entropy_is_the_logarithm_of_equal_shares() -> None:
    assert entropy(torch.ones(8)) == pytest.approx(math.log(8))
    assert entropy(torch.tensor([5.0, 0.0, 0.0])) == 0


def test_the_spectral_norm_of_a_linear_map_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    entering = torch.randn(200, 50, 3, generator=generator, requires_grad=True)
    matrix = torch.diag(torch.tensor([3.0, 1.0, 0.5]))
    assert _spectral_norm(Flow(entering, entering @ matrix), generator) == pytest.approx(3, abs=0.1)


def test_a_network_that_takes_all_images_alike_is_worse() -> None:
    """A linear network has the same gradient for all images, one that squares has another for each."""
    subject, _ = evidence("vit")
    batch = subject.batch.inputs.flatten(1)

    class Squares(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.square().flatten(1)

    linear = nn.Sequential(nn.Flatten(), nn.Linear(batch.shape[1], 3))
    score = JacobianCovariance().score
    assert score(Squares(), subject) > score(linear, subject)


def test_the_largest_diverges_from_itself_by_nothing() -> None:
    subject, architectures = evidence("vit")
    smallest, largest = Divergence().scores(subject, architectures)
    assert largest == pytest.approx(0, abs=1e-6)
    assert smallest < -1e-4


def test_matrices_of_a_subnet_are_of_its_blocks_alone() -> None:
    subject, (smallest, _) = evidence("vit")
    attention, feed_forward = matrices(subject.supernet, subject.untrained.extract(smallest))
    assert attention == ["blocks.0.attn.qkv.weight", "blocks.0.attn.proj.weight"]
    assert feed_forward == ["blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc2.weight"]


def test_scores_at_the_start_do_not_depend_on_trained_weights() -> None:
    subject, architectures = evidence("vit")
    before = proxies.find("gradient_norm").scores(subject, architectures)
    with torch.no_grad():
        for parameter in subject.supernet.model.parameters():
            parameter.mul_(2)
    after = proxies.find("gradient_norm").scores(subject, architectures)
    assert list(before) == list(after)
