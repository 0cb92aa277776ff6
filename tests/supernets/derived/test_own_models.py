"""Models of a user's own: what is derived of them is proven, whatever way they are written."""

from __future__ import annotations

import pytest
import torch
from own_models import Dictionary, Grouped, Parallel, SequenceFirst
from torch import nn

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
    proofs = {proof.kind: proof for proof in check(model(), IMAGE, at_once=True)}
    assert KINDS[model] <= proofs.keys()
    assert all(proof.good for proof in proofs.values()), proofs
    assert ({"depth", "rank"} <= proofs.keys()) == (model is not SequenceFirst)


def test_an_extracted_graph_refuses_what_a_class_would_answer() -> None:
    twin = Captured(Parallel(), IMAGE)
    text = "{model: own, choices: {depth: {depth: [1, 2]}}}"
    supernet = Supernet(twin, SearchSpace.from_yaml(text, outline=outline_of(twin, "own"))).eval()
    extracted = supernet.extract(supernet.space.smallest)
    for ask in ("forward_intermediates", "forward_features"):
        with pytest.raises(AssertionError, match="captured graph, which has no modules to ask"):
            getattr(extracted, ask)(torch.zeros(1, *IMAGE))
    with pytest.raises(AssertionError, match="captured for one size of images"):
        extracted.set_input_size((16, 16))
