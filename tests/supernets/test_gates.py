"""Gates fold into parameters: mixtures of nested sub-networks collapse into one pass."""

from __future__ import annotations

from functools import partial
from typing import Any, get_args

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from nas.errors import ModelError, StrategyError
from nas.importance.l1_gates import L1Gates
from nas.search.nested_gates import refuse_inexact
from nas.searchspaces import SearchSpace
from nas.searchspaces.axis_names import dimension
from nas.supernets import Supernet, build
from nas.supernets.families import family_of
from nas.supernets.gates import gate_refusal
from nas.supernets.of_space import table_of
from nas.supernets.slicing import Where
from nas.testing.families import images, make, randomise

VIT = ("vit_tiny_patch16_224", {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 4})
SWIN = ("swin_tiny_patch4_window7_224", {"img_size": 56, "embed_dim": 24, "depths": (2, 2), "num_heads": (2, 4)})


def nested(units: int, factors: list[int], weights: torch.Tensor) -> torch.Tensor:
    """The gate of a unit: the sum of the weights of the factors that keep it."""
    keeps = torch.stack([(torch.arange(units) < units // factor).float() for factor in factors])
    return weights @ keeps


@pytest.mark.parametrize(("model", "args"), [VIT, SWIN])
def test_one_pass_equals_the_written_out_mixture(model: str, args: dict[str, object]) -> None:
    """DAN, eq. 3.5: a block's attention and MLP outputs are weighted sums over the alpha choices."""
    supernet = make(model, args, "alpha")
    index, path = next(iter(supernet.table.frame.blocks.items()))
    weights, factors = torch.tensor([0.3, 0.7]), [1, 2]
    block = supernet.model.get_submodule(path)
    frame = supernet.table.frame
    gates = {f"{axis}.{index}": nested(frame.axes[f"{axis}.{index}"], factors, weights) for axis in ("heads", "mlp")}

    def outputs(module: torch.nn.Module, part: str) -> torch.Tensor:
        seen: list[torch.Tensor] = []
        module.get_submodule(f"{path}.{part}").register_forward_hook(lambda _m, _i, out: seen.append(out))
        module(images(args))
        return seen[0]

    with torch.no_grad():
        for part, axis in (("attn", f"heads.{index}"), ("mlp", f"mlp.{index}")):
            inside = {axis: gates[axis]}
            mixed = outputs(supernet.relaxed_model(inside), part)
            written_out = sum(
                weight
                * outputs(
                    supernet._carve(dict(supernet.model.named_parameters()), {axis: frame.axes[axis] // factor}), part
                )
                for weight, factor in zip(weights, factors, strict=True)
            )
            torch.testing.assert_close(mixed, written_out, rtol=1e-5, atol=1e-6)
    assert block.training is False


def test_a_norm_without_weights_is_seen() -> None:
    """No parameter says so, but it runs over the embedding all the same."""
    bare = partial(nn.LayerNorm, elementwise_affine=False)
    args: Any = {**VIT[1], "depth": 1, "num_classes": 3}
    for norm_layer in (bare, None):
        model = VisionTransformer(norm_layer=norm_layer, **args)
        table = family_of(model).table(model, ["embed"])
        assert "mixes its units" in gate_refusal("embed", table, "produced")
        assert not gate_refusal("mlp.0", table, "produced")
        assert table.normed == ({"embed"} if norm_layer else set())


def test_depth_gate_scales_what_a_block_adds() -> None:
    supernet = make(*VIT, "widths")
    x = images(VIT[1])
    with torch.no_grad():
        off = supernet.relaxed(x, {"depth.1": torch.zeros(1)})
        skipped = supernet._carve(dict(supernet.model.named_parameters()), {"depth.1": 0})(x)
    torch.testing.assert_close(off, skipped, rtol=1e-5, atol=1e-6)


def test_produced_gates_act_before_the_activation() -> None:
    """A negative gate before GELU is not a negative gate after it."""
    supernet = make(*VIT, "alpha")
    x = images(VIT[1])
    gate = {"mlp.0": torch.full((supernet.table.frame.axes["mlp.0"],), -1.0)}
    with torch.no_grad():
        before, after = supernet.relaxed(x, gate, "produced"), supernet.relaxed(x, gate, "consumed")
    assert (before - after).abs().max() > 1e-3


def test_signed_head_dim_gates_cancel_in_queries_and_keys() -> None:
    """SiDT's vector multiplies queries, keys and values: its sign matters in the values alone."""
    supernet = make(*VIT, "alpha")
    signs = torch.ones(supernet.table.frame.axes["head_dim.0"])
    signs[::2] = -1
    with torch.no_grad():
        weight = supernet.relaxed_model({"head_dim.0": signs}, "produced").get_parameter("blocks.0.attn.qkv.weight")
    base = supernet.model.get_parameter("blocks.0.attn.qkv.weight").detach()
    query, key, value = weight.chunk(3)
    base_query, base_key, base_value = base.chunk(3)
    torch.testing.assert_close(query.T @ key, base_query.T @ base_key)
    assert not torch.equal(value, base_value)


def test_gradients_reach_gates_and_weights() -> None:
    supernet = make(*VIT, "alpha")
    gate = torch.ones(supernet.table.frame.axes["mlp.0"], requires_grad=True)
    loss = supernet.relaxed(images(VIT[1]), {"mlp.0": gate}).square().sum()
    (loss + 1e-9 * supernet.cost.of_gates("macs", {"mlp.0": gate})).backward()
    assert gate.grad is not None
    assert gate.grad.abs().min() > 0


@pytest.mark.parametrize(
    ("gates", "where", "message"),
    [
        ({"nothing.0": 3}, "consumed", "no axis 'nothing.0'"),
        ({"mlp.0": 3}, "consumed", "needs 192 values, got 3"),
        ({"embed": 48}, "produced", "mixes its units"),
        ({"tokens.0": 17}, "consumed", "cannot be gated there"),
        ({"fc1_in.0": 48}, "produced", "cannot be gated there"),
        ({"head_dim.0": 12}, "consumed", "queries x keys read it too"),
    ],
)
def test_what_has_no_exact_gate_is_refused(gates: dict[str, int], where: str, message: str) -> None:
    supernet = make(*VIT, "alpha")
    with pytest.raises(ModelError, match=message):
        supernet.relaxed(images(VIT[1]), {a: torch.ones(n) for a, n in gates.items()}, where)  # type: ignore[arg-type]


def test_norms_over_units_forbid_gates() -> None:
    args = VIT[1] | {"qk_norm": True, "scale_mlp_norm": True}
    supernet: Supernet = make(VIT[0], args, "alpha")
    for axis, where in (("mlp.0", "consumed"), ("heads.0", "produced")):
        with pytest.raises(ModelError, match="mixes its units"):
            supernet.relaxed(images(args), {axis: torch.ones(supernet.table.frame.axes[axis])}, where)  # type: ignore[arg-type]


def test_what_may_be_gated_is_known_before_there_is_a_model() -> None:
    """From the outline of a model alone, with the answer that the supernet gives."""
    supernet = make(*VIT, "widths")
    outlined = table_of(supernet.space)
    for where in get_args(Where):
        for axis in supernet.table.frame.axes:
            assert gate_refusal(axis, outlined, where) == gate_refusal(axis, supernet.table, where)
    free = {axis for axis in supernet.space.axes if not gate_refusal(axis, outlined, "consumed")}
    assert {dimension(axis) for axis in free} == {"heads", "mlp", "depth"}
    assert not gate_refusal("head_dim.0", outlined, "produced")


def test_a_space_that_a_norm_forbids_to_gate_is_refused_before_anything_trains() -> None:
    args = {**VIT[1], "scale_mlp_norm": True}
    space = SearchSpace.from_yaml(f"{{model: {VIT[0]}, choices: {{mlp: {{size: [0.5, 1.0]}}}}}}", model_args=args)
    with pytest.raises(StrategyError, match=r"'mlp\.0' chooses mlp, whose values cannot be mixed in one pass"):
        refuse_inexact(space, table_of(space))
    with pytest.raises(StrategyError, match="l1_gates: the space chooses mlp, none of which has a gate"):
        L1Gates().check(space)


def test_a_gate_on_a_block_acts_behind_the_norms_of_its_branches() -> None:
    args = {"img_size": 32, "embed_dim": 12, "depths": (2,), "num_heads": (2,), "window_size": 4, "num_classes": 3}
    space = SearchSpace.from_yaml(
        "{model: swinv2_tiny_window8_256, choices: {depth: {depth: [1, 2]}}}", model_args=args
    )
    supernet = Supernet(randomise(build(space.model, args)), space)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        gated = supernet.relaxed(x, {"depth.0.1": torch.zeros(1)})
        torch.testing.assert_close(gated, supernet(x, space.smallest))
        assert not torch.allclose(gated, supernet(x, space.largest))
