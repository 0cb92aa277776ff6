"""Models of a user's own: what is derived of them is proven, whatever way they are written."""

from __future__ import annotations

import pytest
import torch
from own_models import HEAD_DIM, HEADS, HIDDEN, WIDTH, Dictionary, Grouped, Parallel, SequenceFirst
from torch import nn

from nas.errors import ModelError
from nas.importance import per_unit
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet
from nas.supernets.derived.captured import Captured
from nas.supernets.derived.checking import check
from nas.supernets.timm_models import outline_of

IMAGE = (1, 8, 8)
KINDS: dict[type[nn.Module], set[str]] = {
    Grouped: {"embed", "stem_0", "attention_heads", "attention_heads_2", "heads", "head_dim", "value_dim", "mlp"},
    SequenceFirst: {"pos", "attention_heads", "attention_heads_2", "attention_head_dim", "up_0", "up_1"},
    Dictionary: {"embed", "heads", "head_dim", "value_dim", "mlp"},
    Parallel: {"embed", "heads", "head_dim", "value_dim", "mlp"},
}


@pytest.mark.parametrize("model", KINDS)
def test_all_proofs_hold(model: type[nn.Module]) -> None:
    torch.manual_seed(0)
    proofs = {proof.kind: proof for proof in check(model(), IMAGE, at_once=True)}
    assert KINDS[model] <= proofs.keys()
    assert all(proof.good for proof in proofs.values()), proofs
    assert ({"depth", "rank"} <= proofs.keys()) == (model is not SequenceFirst)


def supernet_of(model: nn.Module, choices: str) -> Supernet:
    twin = Captured(model, IMAGE)
    space = SearchSpace.from_yaml(f"{{model: own, choices: {choices}}}", outline=outline_of(twin, "own"))
    return Supernet(twin, space).eval()


def test_what_one_layer_writes_one_behind_the_other() -> None:
    """Its parts are put in order, scored, gated and cut each by itself."""
    choices = "{heads: {size: [2, 4]}, mlp: {size: [8, 24]}, value_dim: {size: [3, 4]}}"
    supernet = supernet_of(Parallel(), choices)
    images = torch.randn(2, *IMAGE, generator=torch.Generator().manual_seed(0))
    weight = supernet.model.get_parameter("blocks.0.joint.weight")
    assert supernet.table.entries["blocks.0.joint.weight"].dims[0] == (
        "heads.0 2 head_dim.0 + heads.0 2 head_dim.0 + heads.0 value_dim.0 + mlp.0",
    )
    ones = {name: torch.ones_like(parameter) for name, parameter in supernet.model.named_parameters()}
    scores = per_unit(supernet, {"blocks.0.joint.weight": ones["blocks.0.joint.weight"]})
    assert {axis: units.tolist() for axis, units in scores.items()} == {
        "heads.0": [3 * HEAD_DIM * WIDTH] * HEADS, "value_dim.0": [HEADS * WIDTH] * HEAD_DIM, "mlp.0": [WIDTH] * HIDDEN,
    }  # fmt: skip
    with torch.no_grad():
        before, last = supernet.model(images), weight[-1].clone()
        supernet.reorder({"heads.0": torch.tensor([1.0, 4, 2, 3]), "mlp.0": torch.arange(24.0)})
        assert torch.equal(weight[-HIDDEN], last)
        torch.testing.assert_close(supernet.model(images), before)
        gates = {"heads.0": torch.tensor([1.0, 1, 0, 0]), "mlp.0": (torch.arange(24) < 8).float()}
        sliced = supernet._carve(dict(supernet.model.named_parameters()), {"heads.0": 2, "mlp.0": 8})(images)
        for where in ("consumed", "produced"):
            torch.testing.assert_close(supernet.relaxed(images, gates, where), sliced)
    with pytest.raises(ModelError, match="a part of what one layer writes"):
        supernet.relaxed(images, {"heads.0 value_dim.0": torch.ones(16)}, "produced")


def test_an_extracted_graph_refuses_what_a_class_would_answer() -> None:
    supernet = supernet_of(Parallel(), "{depth: {depth: [1, 2]}}")
    extracted = supernet.extract(supernet.space.smallest)
    for ask in ("forward_intermediates", "forward_features"):
        with pytest.raises(AssertionError, match="captured graph, which has no modules to ask"):
            getattr(extracted, ask)(torch.zeros(1, *IMAGE))
    with pytest.raises(AssertionError, match="captured for one size of images"):
        extracted.set_input_size((16, 16))
