"""Derived axes: equal to the tables by hand, right by the permutation of units, and refused in one sentence."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from itertools import groupby
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from derived_models import small
from torch import Tensor, nn

from nas import cli
from nas.searchspaces.axis_names import dimension
from nas.supernets.derived.derivation import Derivation
from nas.supernets.derived.deriving import derive
from nas.supernets.derived.permutation import CLOSE, difference
from nas.supernets.derived.ties import untied
from nas.supernets.families import family_of
from nas.testing.families import randomise
from nas.testing.wrong_axes import idle, noticed, wrong_axes

KINDS = {
    "eva02_tiny_patch14_224": {"embed", "heads", "head_dim", "mlp"},
    "convnext_atto": {"embed", "mlp"},
    "swinv2_tiny_window8_256": {"embed", "heads", "head_dim", "mlp", "attn_cpb_mlp_0"},
}


def kinds(derivation: Derivation) -> dict[str, list[str]]:
    axes: dict[str, list[str]] = defaultdict(list)
    for axis in derivation.axes:
        axes[dimension(axis)].append(axis)
    return axes


@pytest.mark.parametrize("name", ["eva02_tiny_patch14_224", "convnext_atto", "swinv2_tiny_window8_256", "levit_128s"])
def test_units_may_be_in_any_order(name: str) -> None:
    """The oracle, for each kind of axes; and what is found is what the model has."""
    model, image = small(name)
    derivation = derive(model, image)
    assert KINDS.get(name, set()) in (set(), set(kinds(derivation)))
    images = torch.randn(2, *image, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    for kind, axes in kinds(derivation).items():
        assert difference(model, images, derivation, axes) < CLOSE, kind
    assert not untied(model, images, derivation, derivation.axes)


@pytest.mark.parametrize("name", ["eva02_tiny_patch14_224", "swinv2_tiny_window8_256"])
def test_wrong_axes_are_noticed(name: str) -> None:
    """The oracles can fail: parameters left out of a group, or in another one, neighbours taken for one axis, one axis
    taken for two, and two that have nothing to do with each other taken for one.
    """
    model, image = small(name)
    derivation = derive(model, image)
    images = torch.randn(2, *image, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    none = idle(model, images)
    tries = [wrong for wrong in wrong_axes(derivation) if wrong.parameter not in none]
    missed = [wrong for wrong in tries if not noticed(wrong, model, images)]
    assert len(tries) > 40
    assert {wrong.kind for wrong in tries} >= {"left out", "merged", "divided", "together"}
    assert not missed, [wrong.what for wrong in missed]


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_the_table_is_the_one_by_hand(name: str) -> None:
    """By the names of heads, head dimensions and hidden units; stage widths of a Swin are elastic only here."""
    model, image = small(name)
    by_hand, derived = family_of(model).table(model), derive(model, image)
    named = {"heads", "head_dim", "mlp"}

    def spelled(dim: tuple[str, ...], full: Any) -> tuple[Any, ...]:
        """With the sizes of other axes, neighbours multiplied."""
        atoms = [atom if dimension(atom) in named else full(atom) for atom in dim]
        groups = groupby(atoms, lambda atom: isinstance(atom, int))
        return tuple(part for number, group in groups for part in ([prod(group)] if number else group))

    frame = by_hand.frame
    parents = {axis: tuple(parent.split()) for axis, parent in frame.within.items()}
    for parameter, entry in by_hand.entries.items():
        dims = [tuple(inner for atom in dim for inner in parents.get(atom, (atom,))) for dim in entry.dims]
        expected = [spelled(dim, frame.full) for dim in dims]
        found = [
            spelled(dim, lambda atom: int(atom) if atom.isdecimal() else derived.axes[atom])
            for dim in derived.parameters[parameter]
        ]
        assert found == expected, parameter
    assert set(derived.skippable) == set(derived.blocks) == set(frame.blocks)


class OwnBlock(nn.Module):
    """A block as somebody writes it: three layers for queries, keys and values, sizes taken from the input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 20), nn.Linear(20, width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        y = self.norm(x)
        q, k, v = (f(y).view(b, n, self.heads, -1).transpose(1, 2) for f in (self.to_q, self.to_k, self.to_v))
        y = (q @ k.transpose(-2, -1) / 2).softmax(-1) @ v
        x = x + self.out(y.transpose(1, 2).reshape(b, n, c))
        return x + self.down(torch.relu(self.up(x)))


class OwnModel(nn.Module):
    """A user's own transformer, in a file of theirs."""

    def __init__(self, width: int = 12, heads: int = 3) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.layers = nn.ModuleList([OwnBlock(width, heads) for _ in range(2)])
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        for layer in self.layers:
            x = layer(x)
        logits: Tensor = self.head(x.mean(1))
        return logits


def test_a_users_own_model() -> None:
    model = randomise(OwnModel()).double()
    derivation = derive(model, (3, 32, 32))
    assert derivation.axes == {
        "embed": 12, "heads.0": 3, "head_dim.0": 4, "value_dim.0": 4, "mlp.0": 20,
        "heads.1": 3, "head_dim.1": 4, "value_dim.1": 4, "mlp.1": 20,
    }  # fmt: skip
    assert derivation.parameters["layers.1.to_v.weight"] == (("heads.1", "value_dim.1"), ("embed",))
    assert derivation.skippable == ("0", "1")
    images = torch.randn(2, 3, 32, 32, dtype=torch.double)
    assert difference(model, images, derivation, derivation.axes) < CLOSE


def test_what_a_softmax_runs_over_stays() -> None:
    model, image = small("vit_tiny_patch16_224")
    assert any("pos_embed" in place for places in derive(model, image).fixed.values() for place in places)


THEIRS = """
import torch
from torch import nn


def small(width=12):
    return nn.Sequential(nn.Conv2d(3, width, 4, 4), nn.Flatten(2), Mean(), nn.Linear(width, 5))


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(-1)
"""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a file of models, which they are in."""
    (tmp_path / "theirs.py").write_text(THEIRS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_axes_of_a_function_are_printed_and_written(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a process of its own; the function's module is found where the user is."""
    arguments = ["axes", "theirs:small", "--model-args", "width=8", "--image-size", "32", "--json", "axes.json"]
    assert cli.main(arguments) == 0
    written: Mapping[str, Any] = json.loads((theirs / "axes.json").read_text())
    assert written["axes"] == {"layer_0": 8}
    assert written["through"] == {"layer_0": ["0.weight", "0.bias", "3.weight"]}
    printed = capsys.readouterr().out
    assert "layer_0  8  0.weight, 0.bias, 3.weight" in printed
    assert "the output: 3.weight dimension 0 and 1 more" in printed
