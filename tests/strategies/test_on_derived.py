"""Strategies that need a supernet, on a model whose axes are derived: depth and ranks as on tables by hand."""

from __future__ import annotations

import pytest
import torch

from nas.errors import StrategyError
from nas.search import Strategy
from nas.strategies.dan import SHORT, Dan
from nas.strategies.knapsack import Knapsack
from nas.supernets import anatomy
from nas.testing import relaxed

MODEL = (
    "model: timm/vit_tiny_patch16_224, model_args: {img_size: 16, patch_size: 8, embed_dim: 16, depth: 3, "
    "num_heads: 4, num_classes: 3}"
)
SPACES = {
    "depth": f"{{{MODEL}, choices: {{depth: {{depth: [1, 2, 3]}}, mlp: {{size: [8, 16, 64]}}}}}}",
    "ranks": f"{{{MODEL}, choices: {{rank: {{rank: [0.2, 0.4, 1.0], of: [qkv, proj, fc1, fc2], per: block}}}}}}",
}


@pytest.fixture(autouse=True)
def derived_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anatomy, "_bounded", anatomy._found)  # no process of its own: this model ends
    for name, text in SPACES.items():
        monkeypatch.setitem(relaxed.SPACES, name, text)
        monkeypatch.setitem(relaxed.LIMITS, name, {"macs": "60%"})  # type: ignore[misc]


@pytest.mark.parametrize(
    ("kind", "strategy"),
    [
        ("depth", Dan(training=SHORT, target="limit")),
        ("ranks", Knapsack(importance="directions")),
    ],
)
def test_a_search(kind: str, strategy: Strategy) -> None:
    """Within the limit, and what it adopts is what is extracted, to the last bit."""
    bench = relaxed.Bench(kind)
    (trial,) = bench.run(strategy)
    assert bench.problem.allows(trial.architecture)
    sizes = bench.problem.space.sizes(trial.architecture)
    assert any(size < bench.supernet.table.frame.axes[axis] for axis, size in sizes.items())
    images = next(bench.data.validation.batches(8)).inputs
    supernet = bench.adopted.eval()
    with torch.no_grad():
        extracted = supernet.extract(trial.architecture)
        assert torch.equal(supernet(images, trial.architecture), extracted(images))


@pytest.mark.parametrize(
    ("kind", "importance"), [("depth", {"use": "ffn_votes"}), ("ranks", {"use": "directions", "method": "aware_svd"})]
)
def test_what_looks_into_layers_is_refused(kind: str, importance: dict[str, str]) -> None:
    """A graph has none."""
    with pytest.raises(StrategyError, match="runs as a captured graph"):
        relaxed.Bench(kind).run(Knapsack(importance=importance))
