"""L1 gates on spaces of which only some axes can have a gate."""

from __future__ import annotations

import pytest

from nas.importance.l1_gates import L1Gates
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet, build
from nas.supernets.slicing import Where
from nas.testing.families import randomise
from nas.testing.relaxed import noise_data
from nas.training import Recipe, Runtime
from nas.training.workplace import Workplace

MODEL = "vit_tiny_patch16_224"
ARGS = {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 4, "num_classes": 3}


@pytest.mark.parametrize(
    ("where", "choices"),
    [
        ("produced", "mlp: {size: [32, 64]}, depth: {depth: [1, 2]}"),
        ("consumed", "mlp: {size: [32, 64]}, depth: {depth: [1, 2]}"),
        ("consumed", "mlp: {size: [32, 64]}, head_dim: {size: [2, 4]}"),
        ("produced", "mlp: {size: [32, 64]}, fc1_in: {size: [8, 16]}"),
    ],
)
def test_what_has_no_gate_has_no_score(where: Where, choices: str) -> None:
    """Blocks, head dimensions as inputs, and inputs as outputs keep their order; the rest is scored."""
    space = SearchSpace.from_yaml(f"{{model: {MODEL}, choices: {{{choices}}}}}", model_args=ARGS)
    supernet = Supernet(randomise(build(MODEL, ARGS)), space)
    work = Workplace(noise_data(), 0, Runtime(progress=False))
    scored = L1Gates(training=Recipe(epochs=1, batch=24, warmup=0), where=where).apply(supernet, work)
    assert set(scored.scores) == {"mlp.0", "mlp.1"}
    for scores in scored.scores.values():
        assert scores.shape == (64,)
        assert bool((scores >= 0).all())
        assert bool((scores.diff() <= 0).all())
