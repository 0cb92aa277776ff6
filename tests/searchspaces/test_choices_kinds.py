"""What each kind of choice makes of its mapping; what all kinds share is in the suite."""

import subprocess
import sys
from pathlib import Path

import pytest
from space_fakes import deit, small, space_of, swin

from nas.errors import ConfigError
from nas.searchspaces import Outline
from nas.testing.choices import vit


def sizes(space, name):
    return [tuple(row.values()) for row in space[name].sizes]


def test_size_in_units_and_in_fractions_rounded_down():
    space = space_of(deit(), heads="{size: [3, 1]}", mlp="{size: [0.3, 0.001, 1.0], per: model}")
    assert space["heads.11"].values == (1, 3)
    assert sizes(space, "heads.0") == [(1,), (3,)]
    assert sizes(space, "mlp") == [(1,) * 12, (230,) * 12, (768,) * 12]
    assert list(space)[:2] == ["heads.0", "heads.1"]
    assert list(space)[-1] == "mlp"


def test_fractions_are_the_decimals_that_were_written():
    outline = Outline("m", {"mlp.0": 100, "tokens.0": 11}, protected={"tokens.0": 1})
    assert sizes(space_of(outline, mlp="{size: [0.29]}"), "mlp.0") == [(29,)]
    assert sizes(space_of(outline, tokens="{keep: [0.7]}"), "tokens.0") == [(8,)]


def test_ranges_include_both_ends():
    space = space_of(
        deit(), mlp="{size: {from: 192, to: 768, step: 192}}", heads="{size: {from: 0.1, to: 0.7, step: 0.3}}"
    )
    assert space["mlp.0"].values == (192, 384, 576, 768)
    assert space["heads.0"].values == (0.1, 0.7)
    assert [str(v) for v in space["heads.0"].values] == ["0.1", "0.7"]
    assert space.notes[0] == "heads.0: dropped 0.4, which means the same as 0.1 (heads.0 = 1)"


def test_one_choice_for_several_axes_per_stage():
    space = space_of(swin(), width="{size: [0.5, 1.0], of: [heads, mlp], per: stage}")
    assert list(space) == ["width.0", "width.1", "width.2", "width.3"]
    assert space["width.1"].sizes[0] == {"heads.1.0": 3, "heads.1.1": 3, "mlp.1.0": 384, "mlp.1.1": 384}


def test_divide_lists_the_greatest_factor_first_and_drops_what_does_not_divide():
    space = space_of(swin(), alpha="{divide: [heads, mlp], by: [1, 2, 4, 8]}")
    assert [space[f"alpha.{s}.0"].values for s in range(4)] == [(1,), (2, 1), (4, 2, 1), (8, 4, 2, 1)]
    assert space["alpha.2.5"].sizes[0] == {"heads.2.5": 3, "mlp.2.5": 384}
    assert space.notes[0] == "alpha.0.0: dropped 2, 4, 8, which do not divide heads.0.0 = 3, mlp.0.0 = 384"
    assert len(space.notes) == 2 + 2 + 6
    assert space.size == 2**2 * 3**6 * 4**2


def test_depth_keeps_the_first_blocks():
    space = space_of(small(), depth="{depth: [3, 1]}")
    assert space["depth"].values == (1, 3)
    assert sizes(space, "depth") == [(1, 0, 0), (1, 1, 1)]
    stages = space_of(swin(), depth="{depth: [0.5, 1.0]}")
    assert list(stages) == ["depth.0", "depth.1", "depth.2", "depth.3"]
    assert sizes(stages, "depth.2") == [(1, 1, 1, 0, 0, 0), (1,) * 6]


def test_keep_counts_protected_tokens_and_rounds_up():
    space = space_of(deit(), tokens="{keep: [0.5, 0.7, 0.85, 1.0], per: block, order: never-grows}")
    assert sizes(space, "tokens.0") == [(99,), (139,), (168,), (197,)]
    absolute = space_of(deit(), tokens="{keep: [1, 197, 100]}")
    assert absolute["tokens.3"].values == (1, 100, 197)


def test_rank_sets_the_ranks_of_matrices():
    axes = {f"{matrix}_rank.0": 24 for matrix in ("qkv", "proj", "fc1", "fc2")}
    space = space_of(Outline("m", axes), rank="{rank: [0.25, 1.0], of: [qkv, fc2]}", fc1="{rank: [3]}")
    assert space["rank.0"].sizes == ({"qkv_rank.0": 6, "fc2_rank.0": 6}, {"qkv_rank.0": 24, "fc2_rank.0": 24})
    assert space["fc1.0"].sizes == ({"fc1_rank.0": 3},)


def test_bits_set_those_of_all_matrices_of_a_block_or_of_some():
    axes = {f"{matrix}_bits.{b}": 32 for matrix in ("qkv", "fc1") for b in range(2)}
    space = space_of(Outline("m", axes), bits="{bits: [32, 8]}")
    assert list(space) == ["bits.0", "bits.1"]
    assert space["bits.1"].values == (8, 32)
    assert space["bits.1"].sizes == ({"qkv_bits.1": 8, "fc1_bits.1": 8}, {"qkv_bits.1": 32, "fc1_bits.1": 32})
    assert list(space_of(Outline("m", axes), fc1="{bits: [8, 32], per: model}")) == ["fc1"]
    assert space_of(Outline("m", axes), some="{bits: [8], of: [qkv]}")["some.0"].sizes == ({"qkv_bits.0": 8},)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"bits": "{bits: [8, 16]}"}, r"bits.bits.1: found 16; allowed: 8 or 32"),
        ({"bits": "{bits: [8, 8]}"}, r"bits.bits.1: found 8 again; allowed: each value once"),
        ({"bits": "{bits: []}"}, r"found an empty list; allowed: 8 or 32, or both"),
        ({"fc3": "{bits: [8]}"}, r"unknown matrix 'fc3'; allowed: one of qkv, proj, fc1, fc2; did you mean"),
        ({"fc1_bits": "{size: [16, 32]}"}, r"unknown axis 'fc1_bits'"),
        ({"fc1_bits": "{keep: [0.5, 1.0]}"}, r"unknown axis 'fc1_bits'"),
    ],
)
def test_bits_that_are_none(choice, said):
    with pytest.raises(ConfigError, match=said):
        space_of(vit(), **choice)


def test_multiples_round_down_and_leave_the_whole_axis_whole():
    mlp = space_of(deit(), mlp="{size: [0.001, 0.3, 0.34, 0.999, 1.0], multiple_of: 80, per: model}")
    assert sizes(mlp, "mlp") == [(80,) * 12, (160,) * 12, (240,) * 12, (720,) * 12, (768,) * 12]
    assert not mlp.notes
    few = space_of(deit(), mlp="{size: [0.1, 0.15], multiple_of: 64, per: model}")
    assert few.notes == ("mlp: dropped 0.15, which means the same as 0.1 (" + mlp_is(64) + ")",)
    assert sizes(space_of(deit(), tokens="{keep: [0.001, 0.5, 1.0], multiple_of: 8}"), "tokens.0") == [
        (8,),
        (96,),
        (197,),
    ]
    ranks = space_of(Outline("m", {"fc1_rank.0": 24}), fc1="{rank: [0.3, 1.0], multiple_of: 4}")
    assert sizes(ranks, "fc1.0") == [(4,), (24,)]
    alpha = space_of(swin(), alpha="{divide: [mlp], by: [1, 2, 4, 8], multiple_of: 96}")
    assert alpha["alpha.0.0"].values == (4, 2, 1)
    assert alpha.notes[0] == "alpha.0.0: dropped 8, which does not divide mlp.0.0 = 384 into multiples of 96"


def mlp_is(units):
    return ", ".join(f"mlp.{block} = {units}" for block in range(12))


def test_a_whole_number_that_is_no_multiple_is_refused():
    said = r"mlp.size.0: found 100; allowed: multiples of 64 \(multiple_of\), or all 768 units"
    with pytest.raises(ConfigError, match=said):
        space_of(deit(), mlp="{size: [100, 128, 768], multiple_of: 64}")
    assert space_of(deit(), mlp="{size: [160, 768], multiple_of: 80}")["mlp.3"].values == (160, 768)


THIRD_PARTY = """
from dataclasses import dataclass
from nas.searchspaces import Choice, ChoiceKind
@dataclass(frozen=True, kw_only=True)
class Halve(ChoiceKind):
    halve: str
    def choices(self, name, outline, faults):
        if self.halve not in outline.dimensions:
            faults.fault("halve", self.halve, "an axis")
            return []
        whole = {a: outline.axes[a] for a in outline.dimensions[self.halve]}
        half = {a: size // 2 for a, size in whole.items()}
        return [Choice(name, "halve", ("half", 1), (half, whole))]
    @classmethod
    def examples(cls):
        return [("mlp", {"halve": "mlp"})]
"""


def test_the_suite_finds_the_kinds_of_other_packages_and_their_faults(tmp_path: Path):
    """A package brings a kind whose values are no numbers: the suite must run on it, and must fail."""
    (tmp_path / "third.py").write_text(THIRD_PARTY, encoding="utf-8")
    info = tmp_path / "third-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third\nVersion: 0.1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[nas.searchspaces.choices]\nhalve = third:Halve\n", encoding="utf-8")
    test = tmp_path / "test_third.py"
    test.write_text(
        "from nas.testing.choices import ChoiceSuite\nclass TestThird(ChoiceSuite):\n    pass\n", encoding="utf-8"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    options = ["-q", "-k", "halve", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(test)]
    ran = subprocess.run([sys.executable, "-c", code, *options], capture_output=True, text=True, check=False)
    assert "test_architectures_survive_json_and_tables[halve]" in ran.stdout, ran.stdout + ran.stderr
    assert "found 'half'; allowed: a finite number" in ran.stdout
    assert "test_every_example_suits_a_model[halve]" not in ran.stdout
