"""What must hold for every family of models: inherit `FamilySuite`, and pytest runs it on all that are found."""

from __future__ import annotations

import copy
from collections.abc import Hashable
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas import quantities
from nas.axes import AxisTable, Dim
from nas.searchspaces import Architecture, SearchSpace
from nas.searchspaces.axis_names import MLP, bits_of, dimension, index, is_position, rank_of
from nas.supernets import Supernet, load, save
from nas.supernets.derived.derivation import Derivation
from nas.supernets.derived.ties import untied
from nas.supernets.families import families
from nas.supernets.gates import gate_refusal
from nas.supernets.timm_models import outline_of

MODELS = "nas.supernets.models"
"""Where classes of models lie that timm lacks."""
ARCHITECTURES = 12
"""Random architectures tried on every example of a family."""
FEW = 3
"""Those tried on its further examples."""

ORDERED = frozenset({"heads", "head_dim", "mlp", "embed"})
"""Kinds of axes whose units may be in any order."""

VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "widths": {
        "heads": {"size": [0.25, 0.5, 1.0]},
        "head_dim": {"size": [0.34, 0.67, 1.0]},
        "mlp": {"size": [0.1, 0.5, 1.0]},
        "depth": {"depth": [1, 2, 3]},
        "embed": {"size": [0.5, 0.75, 1.0]},
        "tokens": {"keep": [0.3, 0.6, 1.0]},
    },
    "queries": {"queries": {"keep": [0.3, 0.6, 1.0]}, "heads": {"size": [0.5, 1.0]}, "mlp": {"size": [0.5, 1.0]}},
    "queries, dropped": {
        "queries": {"keep": [0.1, 0.4, 0.7, 1.0], "drop": True},
        "rank": {"rank": [0.1, 0.5, 1.0], "of": ["qkv", "fc1"]},
        "bits": {"bits": [8, 32], "of": ["qkv"]},
        "head_dim": {"size": [0.5, 1.0]},
    },
    "alpha": {"alpha": {"divide": ["heads", "mlp"], "by": [1, 2]}},
    "inputs": {"inputs": {"size": [0.5, 1.0], "of": ["qkv_in", "fc1_in", "fc2_in"]}, "heads": {"size": [0.5, 1.0]}},
    "all inputs": {
        "proj_in": {"size": [0.3, 1.0]},
        "fc1_in": {"size": [0.5, 1.0]},
        "head_in": {"size": [0.5, 1.0]},
        "merging_in": {"size": [0.5, 1.0]},
        "mlp": {"size": [0.5, 1.0]},
    },
    "ranks": {
        "rank": {"rank": [0.1, 0.5, 1.0], "of": ["qkv", "proj", "fc1", "fc2"]},
        "bits": {"bits": [8, 32], "of": ["proj", "fc1", "fc2"]},
        "mlp": {"size": [0.5, 1.0]},
        "head_dim": {"size": [0.5, 1.0]},
    },
}
"""Choices tried on every example, as far as it has their axes."""
MIXED: dict[str, dict[str, dict[str, Any]]] = {
    "mixed": {
        **VARIANTS["widths"],
        **{matrix: {"rank": [0.1, 0.5, 1.0], "of": [matrix]} for matrix in ("qkv", "proj", "fc1", "fc2")},
        **{bits_of(matrix): {"bits": [8, 32], "of": [matrix]} for matrix in ("qkv", "proj", "fc1", "fc2")},
    },
    "mixed inputs": {
        **{axis: {"size": [0.5, 1.0]} for axis in ("qkv_in", "fc1_in", "fc2_in", "head_in", "heads")},
        "proj": {"rank": [0.1, 0.5, 1.0], "of": ["proj"]},
    },
}
"""Choices tried on further examples: as many at once as go together."""


_REUSED: dict[tuple[str, str, str], Supernet] = {}


def _cases() -> list[Any]:
    cases = []
    for family in families():
        name = type(family).__name__
        for number, (model, args) in enumerate(family.examples):
            cases += [pytest.param(model, args, kind, id=f"{name}-{number}-{kind}") for kind in VARIANTS]
        for model, args in family.further_examples:
            cases += [pytest.param(model, args, kind, id=f"{name}-{model}-{kind}") for kind in MIXED]
    return cases


def randomise(model: nn.Module) -> nn.Module:
    """Random weights, norms and biases: at their initial ones and zeros they hide mistakes. In evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            spread = 0.3 if parameter.dim() == 1 else 0.1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread + (parameter.dim() == 1))
    return model.eval()


def make(model: str, args: dict[str, Any], kind: str) -> Supernet:
    """A supernet of one example with the choices of one variant, as far as the model has their axes."""
    built = randomise(timm.create_model(model, **args))
    outline = outline_of(built, model)

    def possible(name: str, choice: dict[str, Any]) -> bool:
        axes = choice.get("of") or choice.get("divide") or [name]
        of = rank_of if "rank" in choice else bits_of if "bits" in choice else str
        return all(of(axis) in outline.elastic for axis in axes)

    text = [f"model: {model}", "choices:"]
    variant = {**VARIANTS, **MIXED}[kind]
    depth = ["  depth: {depth: [1, 2, 3]}"] if "depth" in variant else []
    if depth and "stage" in {outline.level(axis) for axis in outline.axes}:
        depth = ["  depth: {depth: [1, 2], per: stage}"] if min(args["depths"]) == 2 else []
    choices = {n: c for n, c in variant.items() if n != "depth" and possible(n, c)}
    text += [f"  {name}: {choice}".replace("'", "").replace("True", "true") for name, choice in choices.items()]
    space = SearchSpace.from_yaml("\n".join(text + depth) + "\n", model_args=args, outline=outline)
    return Supernet(built, space)


def reused(model: str, args: dict[str, Any], kind: str) -> Supernet:
    """The supernet that `make` gives, made once for all tests that change nothing of it."""
    key = model, repr(sorted(args.items())), kind
    if key not in _REUSED:
        _REUSED[key] = make(model, args, kind)
    return _REUSED[key]


def own(model: str, args: dict[str, Any], kind: str) -> Supernet:
    """One that a test may change: a copy of the one that is reused."""
    return copy.deepcopy(reused(model, args, kind))


def tried(kind: str, most: int = ARCHITECTURES) -> int:
    """How many architectures of a variant are tried."""
    return min(most, FEW) if kind in MIXED else most


def images(args: dict[str, Any], count: int = 2) -> torch.Tensor:
    """Random images of the size and channels that a model of these arguments takes."""
    shape = (count, args.get("in_chans", 3), args["img_size"], args["img_size"])
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def _as_derived(table: AxisTable) -> Derivation:
    """What a table says of its parameters, as if it had been derived."""

    def dim_of(dim: Dim) -> Dim:
        return tuple(part for atom in dim for part in table.frame.root(atom).split())

    entries = {**table.entries, **table.buffers}
    parameters = {name: tuple(map(dim_of, entry.dims)) for name, entry in entries.items()}
    return Derivation("", table.frame.axes, parameters, {}, {}, table.frame.blocks, ())


def some(space: SearchSpace, count: int = ARCHITECTURES) -> list[Architecture]:
    """The extremes of a space and random architectures between them."""
    rng = np.random.default_rng(0)
    return [space.largest, space.smallest, *(space.sample(rng) for _ in range(count - 2))]


def _alike(space: SearchSpace, count: int = 5) -> list[Architecture]:
    """A random architecture, and others that differ from it in one choice."""
    rng = np.random.default_rng(0)
    one = space.sample(rng)
    others = list(space.neighbours(one))
    return [one, *(others[at] for at in rng.permutation(len(others))[:count])]


@pytest.mark.parametrize(("model", "args", "kind"), _cases())
class FamilySuite:
    """Slicing, extraction, counting, reordering and gates agree, with random norms and biases."""

    def test_largest_is_the_original_model(self, model: str, args: dict[str, Any], kind: str) -> None:
        """The largest architecture computes what timm's model computes, to the last bit."""
        supernet = reused(model, args, kind)
        x = images(args)
        with torch.no_grad():
            assert torch.equal(supernet(x, supernet.space.largest), supernet.model(x))

    def test_extracted_is_the_sub_network(self, model: str, args: dict[str, Any], kind: str) -> None:
        """Zero difference between supernet(x, a) and extract(a)(x)."""
        supernet = reused(model, args, kind)
        x = images(args)
        with torch.no_grad():
            for architecture in some(supernet.space, tried(kind)):
                difference = (supernet(x, architecture) - supernet.extract(architecture)(x)).abs().max().item()
                assert difference == 0, f"{difference} on {architecture}"

    def test_steps_are_the_forward_and_equal_keys_the_same_activations(
        self, model: str, args: dict[str, Any], kind: str
    ) -> None:
        """All to the last bit; and no step writes into what it is given."""
        supernet = reused(model, args, kind)
        x = images(args)
        known: dict[tuple[Hashable, ...], torch.Tensor] = {}
        shared = 0
        with torch.inference_mode():
            for architecture in [supernet.space.smallest, *_alike(supernet.space)]:
                subnet = supernet.subnet(architecture)
                activations, prefix = x, tuple[Hashable, ...]()
                for key, step in supernet.steps(subnet, architecture):
                    prefix = (*prefix, key)
                    activations = step.run(activations)
                    shared += prefix in known
                    assert torch.equal(known.setdefault(prefix, activations), activations), f"{step.reads} differ"
                assert torch.equal(activations, subnet(x))
        assert shared

    def test_steps_say_what_they_read(self, model: str, args: dict[str, Any], kind: str) -> None:
        """Parameters that no step has read so far may be anything: they change no activations."""
        if kind not in (next(iter(VARIANTS)), next(iter(MIXED))):
            pytest.skip("the same for all choices")
        supernet = own(model, args, kind)
        subnet = supernet.subnet(supernet.space.largest)
        steps = [step for _, step in supernet.steps(subnet, supernet.space.largest)]
        for last in reversed(range(len(steps))):
            known = [path for step in steps[: last + 1] for path in step.reads]
            y = images(args)
            with torch.no_grad():
                for name, parameter in subnet.named_parameters():
                    if not any(not path or f"{name}.".startswith(f"{path}.") for path in known):
                        parameter.fill_(float("nan"))
                for step in steps[: last + 1]:
                    y = step.run(y)
            assert not y.isnan().any(), f"a step before those of {steps[last].reads} reads what it does not say"

    def test_what_the_family_says_of_the_model(self, model: str, args: dict[str, Any], kind: str) -> None:
        """Image size, grid, anchors, feed-forward layers, and what reads the last block: criteria and reports ask."""
        if kind not in (next(iter(VARIANTS)), next(iter(MIXED))):
            pytest.skip("the same for all choices")
        supernet = reused(model, args, kind)
        whole, family, frame = supernet.model, supernet.family, supernet.table.frame
        with torch.no_grad():
            whole(torch.zeros(1, args.get("in_chans", 3), *family.image_size(whole)))
        rows, columns = family.grid(whole)
        for axis, units in frame.axes.items():
            assert not is_position(axis) or units == family.readout(whole).prefix + rows * columns
        assert isinstance(whole.get_submodule(family.after_blocks), nn.Module)
        for path in frame.blocks.values():
            entries = [supernet.table.entries[f"{path}.{layer}.weight"] for layer in family.feed_forward(whole)]
            *writing, reading = (entry.dims for entry in entries)
            hidden = {frame.root(axis) for axis in reading[1]}
            assert all({axis for axis in dims[0] if not axis.isdecimal()} == hidden for dims in writing)

    def test_counts_are_those_of_the_extracted_model(self, model: str, args: dict[str, Any], kind: str) -> None:
        """Parameters are counted, MACs are half of what torch's FlopCounterMode sees, both to the last unit."""
        supernet = reused(model, args, kind)
        x = images(args, 1)
        architectures = some(supernet.space, tried(kind))
        macs, params = supernet.cost.macs(architectures), supernet.cost.params(architectures)
        for architecture, mac, param in zip(architectures, macs, params, strict=True):
            # A counter follows gradients where a parameter itself is passed to a layer, as a latent query is.
            extracted = supernet.extract(architecture).requires_grad_(False)
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                extracted(x)
            assert param == sum(p.numel() for p in extracted.parameters())
            assert 2 * mac == counter.get_total_flops(), f"on {architecture}"

    def test_blocks_add_up(self, model: str, args: dict[str, Any], kind: str) -> None:
        """Costs per block sum to the whole."""
        supernet = reused(model, args, kind)
        architectures = some(supernet.space, tried(kind))
        for quantity in quantities.counted():
            parts = supernet.cost.per_block(architectures, quantity.name)
            whole = supernet.cost.of(quantity.name, architectures)
            assert np.array_equal(np.sum(list(parts.values()), axis=0), whole)

    def test_reorder_keeps_the_function(self, model: str, args: dict[str, Any], kind: str) -> None:
        """Sorting units by random scores leaves the model's output as it is."""
        supernet = own(model, args, kind)
        x = images(args)
        generator = torch.Generator().manual_seed(2)
        within = (supernet.table.frame.within.get(axis, "").split() for axis in supernet.space.axes)
        packed = {part for parts in within if len(parts) > 1 for part in parts}
        names = ORDERED & set(supernet.space.outline.elastic)
        axes = [axis for axis in supernet.table.frame.axes if dimension(axis) in names and axis not in packed]
        with torch.no_grad():
            before = supernet(x, supernet.space.largest)
            supernet.reorder({a: torch.rand(supernet.table.frame.axes[a], generator=generator) for a in axes})
            after = supernet(x, supernet.space.largest)
        assert axes
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)

    def test_no_axis_is_two(self, model: str, args: dict[str, Any], kind: str) -> None:
        """One part of what an axis runs through leads to every other: orders alone cannot say that. The embedding may
        be two: a table lets what pools tokens have its width.
        """
        if kind not in ("widths", "mixed"):
            pytest.skip("the axes are those of other choices")
        supernet = reused(model, args, kind)
        axes = [axis for axis in supernet.table.frame.axes if dimension(axis) in ORDERED - {"embed"}]
        axes = [axis for axis in axes if supernet.orders(axis)]
        whole = copy.deepcopy(supernet.model).double()
        assert axes
        assert not untied(whole, images(args).double(), _as_derived(supernet.table), axes)

    def test_reorder_keeps_the_best_units(self, model: str, args: dict[str, Any], kind: str) -> None:
        """After sorting, the first hidden unit is the one with the greatest score."""
        supernet = own(model, args, kind)
        axis = next(axis for axis in supernet.table.frame.axes if dimension(axis) == MLP)
        path = supernet.table.frame.blocks[index(axis)]
        weight = supernet.model.get_parameter(f"{path}.{supernet.family.feed_forward(supernet.model)[0]}.weight")
        units = supernet.table.frame.axes[axis]
        scores = torch.arange(units, dtype=torch.float32)
        last = weight[units - 1].detach().clone()
        supernet.reorder({axis: scores})
        assert torch.equal(weight[0], last)

    def test_gates_of_one_change_nothing_and_of_zero_drop(self, model: str, args: dict[str, Any], kind: str) -> None:
        """Gates of 1 give the model; gates of 0 on hidden units give the sub-network without them."""
        supernet = reused(model, args, kind)
        frame = supernet.table.frame
        axes = {axis: units for axis, units in frame.axes.items() if dimension(axis) == MLP}
        if any(gate_refusal(axis, supernet.table, "consumed") for axis in axes):
            pytest.skip("a norm over hidden units: they have no gate")
        x = images(args)
        half = {axis: (torch.arange(units) < units // 2).float() for axis, units in axes.items()}
        with torch.no_grad():
            ones = supernet.relaxed(x, {axis: torch.ones(units) for axis, units in axes.items()})
            assert torch.equal(ones, supernet.model(x))
            sliced = supernet._carve(dict(supernet.model.named_parameters()), {a: u // 2 for a, u in axes.items()})(x)
            for where in ("consumed", "produced"):
                torch.testing.assert_close(supernet.relaxed(x, half, where), sliced, rtol=1e-4, atol=1e-4)
        assert supernet.cost.of_gates("macs", half) == supernet.cost.of_sizes(
            "macs", {a: u // 2 for a, u in axes.items()}
        )

    def test_extracted_holds_only_timm_and_torch(self, model: str, args: dict[str, Any], kind: str) -> None:
        """No class of ours in an extracted model, and its parameters are its own."""
        supernet = reused(model, args, kind)
        extracted = supernet.extract(supernet.space.smallest)
        modules = {type(module).__module__ for module in extracted.modules()}
        assert {path.split(".")[0] for path in modules if not path.startswith(MODELS)} <= {"timm", "torch"}
        shared = {p.data_ptr() for p in supernet.model.parameters()}
        assert all(p.is_leaf and p.data_ptr() not in shared for p in extracted.parameters())
        whole = dict(supernet.model.named_parameters())
        fixed = {name for name, parameter in extracted.named_parameters() if not parameter.requires_grad}
        assert fixed <= {name for name, parameter in whole.items() if not parameter.requires_grad}

    def test_saved_and_loaded(self, model: str, args: dict[str, Any], kind: str, tmp_path: Any) -> None:
        """A saved model comes back the same, to the last bit."""
        supernet = reused(model, args, kind)
        x = images(args)
        for number, architecture in enumerate(some(supernet.space, tried(kind, 3))):
            extracted = supernet.extract(architecture)
            save(tmp_path / str(number), extracted, supernet.blueprint(architecture))
            with torch.no_grad():
                assert torch.equal(load(tmp_path / str(number))(x), extracted(x))

    def test_gradients_reach_the_shared_weights(self, model: str, args: dict[str, Any], kind: str) -> None:
        """Training a sub-network moves the supernet's parameters, exactly those units that it holds."""
        supernet = own(model, args, kind)
        supernet(images(args), supernet.space.smallest).square().sum().backward()
        axis = next(axis for axis in supernet.table.frame.axes if dimension(axis) == MLP)
        kept = supernet.table.frame.size(axis, supernet.space.sizes(supernet.space.smallest))
        path = f"{supernet.table.frame.blocks[index(axis)]}.{supernet.family.feed_forward(supernet.model)[0]}"
        weight = supernet.model.get_parameter(f"{path}.weight")
        assert weight.grad is not None
        # Of hidden units, and of their gates where the same layer writes them.
        gradients = weight.grad.reshape(-1, supernet.table.frame.axes[axis], weight.shape[1])
        assert gradients[:, :kept].abs().sum() > 0
        assert gradients[:, kept:].abs().sum() == 0

    def test_state_dict_is_the_models(self, model: str, args: dict[str, Any], kind: str) -> None:
        """Checkpoints pass between the supernet and timm's model."""
        supernet = reused(model, args, kind)
        fresh = timm.create_model(model, **args)
        assert list(supernet.state_dict()) == list(fresh.state_dict())
        fresh.load_state_dict(supernet.state_dict())
