"""Every file in searchspaces/ is loaded on an outline of its model, and none is overlooked."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from space_fakes import FakeCost, deit, swin

from nas.documents.document import read
from nas.searchspaces import Limit, Outline, SearchSpace

FOLDER = Path(__file__).parents[2] / "searchspaces"
FILES = sorted(FOLDER.glob("*.yaml"))


def digits() -> Outline:
    axes = {"embed": 64}
    for b in range(4):
        axes |= {f"depth.{b}": 1, f"heads.{b}": 4, f"mlp.{b}": 256, f"tokens.{b}": 17}
    return Outline("vit_tiny_patch16_224", axes, protected={f"tokens.{b}": 1 for b in range(4)})


OUTLINES = {outline.model: outline for size in ("tiny", "small", "base") for outline in (deit(size), swin(size))}
OUTLINES |= {"vit_tiny_patch16_224": digits(), "t2t_vit_14": replace(deit("small"), model="t2t_vit_14")}
EXPECTED = {"vit_digits"} | {
    name.format(size)
    for name in ("deit_{}", "swin_{}", "swin_{}_alpha")
    for size in ("tiny", "small", "base")
}  # fmt: skip


def widths(outline: Outline) -> dict[str, int]:
    """Axes that the fakes leave out: head dimensions, queries, inputs of layers, ranks and bits of matrices."""
    blocks = [axis.partition(".")[2] for axis in outline.axes if axis.startswith("mlp.")]
    inputs = {f"{name}.{b}": 192 for name in ("qkv_in", "proj_in", "fc1_in") for b in blocks}
    matrices = [(name, b) for name in ("qkv", "proj", "fc1", "fc2") for b in blocks]
    ranks = {f"{name}_rank.{b}": 64 for name, b in matrices} | {f"{name}_bits.{b}": 32 for name, b in matrices}
    tokens = {f"queries.{b}": outline.axes[f"tokens.{b}"] for b in blocks if f"tokens.{b}" in outline.axes}
    return {f"head_dim.{b}": 32 for b in blocks} | inputs | ranks | tokens


def test_all_spaces_that_the_readme_promises_are_there():
    assert {file.stem for file in FILES} >= EXPECTED


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_ready_made_space_loads_counts_and_draws_within_half_the_cost(file):
    first = file.read_text(encoding="utf-8").splitlines()[:2]
    assert all(line.startswith("# ") for line in first), "a file begins by saying what it is"
    outline = OUTLINES[str(read(file).get(("model",)))]
    protected = {**outline.protected, **{a.replace("tokens", "queries"): n for a, n in outline.protected.items()}}
    outline = replace(outline, axes={**outline.axes, **widths(outline)}, protected=protected, elastic=frozenset())
    space = SearchSpace.from_yaml(file, outline=outline)
    assert space.size > 1_000
    whole = {axis: outline.axes[axis] for choice in space.values() for axis in choice.axes}
    assert space.sizes(space.largest) == whole, "the largest architecture is the model itself"
    limit = Limit(FakeCost(space), macs="75%" if "rank" in file.read_text() else "60%")  # the fakes know no ranks
    assert limit.allows(space.sample_table(np.random.default_rng(0), 50, limit)).all()


def test_alpha_spaces_say_what_does_not_divide():
    space = SearchSpace.from_yaml(FOLDER / "swin_tiny_alpha.yaml", outline=swin())
    assert any("alpha.0.0: dropped 2, 4, 8" in note for note in space.notes)
