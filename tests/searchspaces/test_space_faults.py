# ruff: noqa: E501 (whole messages are compared)
"""Every fault of a search space's YAML, all at once, against the text and against the model's outline."""

import pytest
from space_fakes import deit, small, swin, text

from nas.errors import ConfigError, ModelError
from nas.searchspaces import Outline, SearchSpace
from nas.searchspaces import from_yaml as loading_module


def faults(yaml: str, outline: Outline | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        SearchSpace.from_yaml(yaml, outline=outline or deit())
    return [str(fault) for fault in caught.value.faults]


def fault(kind: str, name: str = "heads", outline: Outline | None = None) -> str:
    """The only fault of a space with one choice, without its place."""
    (found,) = faults(text("m", **{name: kind}), outline)
    assert found.startswith("<text>:3:")
    return found.partition(": ")[2]


def test_all_faults_of_a_file_at_once():
    yaml = """model: deit_tiny_patch16_224
modell: x
choices:
  heads: {size: [1, 2, 4], per: blok}
  mlp: {sizes: [192, 384]}
  hedas: {size: [1, 2]}
  tokens: {keep: [0.5, 1.5, 0.5]}
  alpha: {divide: [head, mlp], by: []}
  depth: {depth: [8, 13]}
  depth: {depth: [8]}
"""
    assert faults(yaml) == [
        "<text>:2:1: modell: found an unknown key; allowed: model, model_args, choices; did you mean 'model'?",
        "<text>:4:24: choices.heads.size.2: found 4; allowed: 1 to 3, since heads.0 has 3 units",
        "<text>:4:28: choices.heads.per: found 'blok'; allowed: 'block', 'stage' or 'model'; did you mean 'block'?",
        "<text>:5:3: choices.mlp: found the keys sizes; allowed: exactly one of bits, depth, divide, keep, rank, size; "
        "did you mean 'size'?",
        "<text>:6:3: choices.hedas: found unknown axis 'hedas'; allowed: one of depth, embed, fc1_in, heads, mlp, tokens; "
        "did you mean 'heads'?",
        "<text>:7:24: choices.tokens.keep.1: found 1.5; allowed: a fraction in [0, 1], or a whole number of units",
        "<text>:7:29: choices.tokens.keep.2: found 0.5 again; allowed: each value once",
        "<text>:8:20: choices.alpha.divide.0: found unknown axis 'head'; allowed: one of depth, embed, fc1_in, heads, mlp, "
        "tokens; did you mean 'heads'?",
        "<text>:8:32: choices.alpha.by: found an empty list; allowed: at least one factor, such as [1, 2, 4]",
        "<text>:9:22: choices.depth.depth.1: found 13; allowed: 1 to 12, since the model has 12 blocks",
        "<text>:10:3: choices.depth: found this key again, after <text>:9:3; allowed: each key once",
    ]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("{size: [1, 4]}", "choices.heads.size.1: found 4; allowed: 1 to 3, since heads.0 has 3 units"),
        ("{size: [0, 1]}", "choices.heads.size.0: found 0; allowed: 1 to 3, since heads.0 has 3 units"),
        ("{size: [-1]}", "choices.heads.size.0: found -1; allowed: a whole number from 1, or a fraction up to 1"),
        ("{size: [.nan]}", "choices.heads.size.0: found nan; allowed: a whole number from 1, or a fraction up to 1"),
        ("{size: [.inf]}", "choices.heads.size.0: found inf; allowed: a whole number from 1, or a fraction up to 1"),
        ("{size: [true]}", "choices.heads.size.0: found true; allowed: a number"),
        ("{size: [0.0]}", "choices.heads.size.0: found 0.0; allowed: a fraction in (0, 1], or a whole number of units"),
        ("{size: []}", "choices.heads.size: found an empty list; allowed: at least one value"),
        ("{size: [2, 2]}", "choices.heads.size.1: found 2 again; allowed: each value once"),
        (
            "{size: [0.5, 1]}",
            "choices.heads.size.1: found the whole number 1 among fractions; "
            "allowed: fractions only, such as 1.0, or whole numbers only",
        ),
        ("{size: 2}", "choices.heads.size: found 2; allowed: a list, or a mapping with the keys from, to, step"),
        (
            "{size: {from: 1, to: 4, step: 2}}",
            "choices.heads.size: found {from: 1, to: 4, step: 2}; allowed: a whole number of steps: to 3 or to 5",
        ),
        (
            "{size: {from: 3, to: 1, step: 1}}",
            "choices.heads.size: found {from: 3, to: 1, step: 1}; allowed: finite numbers with 0 < from <= to and step > 0",
        ),
        (
            "{size: {from: 0, to: 1000000000, step: 1}}",
            "choices.heads.size: found {from: 0, to: 1000000000, step: 1}, 1000000001 values; allowed: at most 4096 values",
        ),
        (
            "{size: [1], per: stage}",
            "choices.heads.per: found 'stage'; allowed: 'block' or 'model': deit_tiny_patch16_224 has no stages",
        ),
        ("{size: [1, 2], of: []}", "choices.heads.of: found an empty list; allowed: at least one of "
         "depth, embed, fc1_in, heads, mlp, tokens"),
        ("{size: [0.5], of: [heads, heads]}", "choices.heads.of.1: found 'heads' twice; allowed: each axis once"),
        (
            "{size: [0.5], of: [head_dim]}",
            "choices.heads.of.0: found 'head_dim', which is fixed in deit_tiny_patch16_224; "
            "allowed: one of depth, embed, fc1_in, heads, mlp, tokens",
        ),
        (
            "{size: [2], of: [heads, mlp]}",
            "choices.heads.size: found whole numbers; "
            "allowed: fractions in (0, 1], since heads.0 has 3 units, mlp.0 has 768 units",
        ),
        ("{}", "choices.heads: found an empty mapping; allowed: exactly one of bits, depth, divide, keep, rank, size"),
        (
            "{size: [1], keep: [1]}",
            "choices.heads: found the keys size, keep; allowed: exactly one of bits, depth, divide, keep, rank, size",
        ),
        ("3", "choices.heads: found 3; allowed: a mapping"),
        ("", "choices.heads: found nothing; allowed: a mapping"),
    ],
)  # fmt: skip
def test_size(kind, message):
    assert fault(kind) == message


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("embed", "{size: [96], per: block}", "choices.embed.per: found 'block'; "
         "allowed: 'model' or coarser: deit_tiny_patch16_224 has 'embed' once per model"),
        ("tokens", "{size: [100]}", "choices.tokens.size: found a size of tokens; allowed: keep: [...]"),
        ("depth", "{size: [1]}", "choices.depth.size: found a size of depth; allowed: depth: [...]"),
        ("tokens", "{keep: [198]}", "choices.tokens.keep.0: found 198; allowed: 1 to 197, since tokens.0 has 197 units"),
        ("tokens", "{keep: [0.5], order: any}", "choices.tokens.order: found 'any'; allowed: 'never-grows'"),
        ("depth", "{depth: [0, 4]}", "choices.depth.depth.0: found 0; allowed: 1 to 12, since the model has 12 blocks"),
        ("depth", "{depth: [4], per: block}", "choices.depth.per: found 'block'; allowed: 'model' for deit_tiny_patch16_224"),
        ("a", "{divide: [heads], by: [2, 4]}", "choices.a.by: found [2, 4], none of which divides heads.0 = 3 "
         "(nor the axes of 11 more groups); allowed: a factor that divides all, such as 1"),
        ("a", "{divide: [heads], by: [1, 0, 1]}", ""),
        ("qkv", "{rank: [0.5]}", "choices.qkv: found unknown matrix 'qkv'; allowed: no rank choice in deit_tiny_patch16_224"),
    ],
)  # fmt: skip
def test_other_kinds(name, kind, message):
    if message:
        assert fault(kind, name).startswith(message)
    else:
        assert [found.partition(": ")[2] for found in faults(text("m", **{name: kind}))] == [
            "choices.a.by.1: found 0; allowed: whole numbers from 1, each once",
            "choices.a.by.2: found 1 again; allowed: whole numbers from 1, each once",
        ]


def test_stages_are_checked_by_their_shortest():
    found = fault("{depth: [2, 3]}", "depth", swin())
    assert found == "choices.depth.depth.1: found 3; allowed: 1 to 2, since stage 0 has 2 blocks"


def test_tokens_that_grow_along_the_model_cannot_be_kept():
    axes = {"tokens.0": 5, "tokens.1": 9}
    assert "axes that grow: tokens.0 has 5 units, tokens.1 has 9" in fault(
        "{keep: [0.5]}", "tokens", Outline("m", axes)
    )


def test_a_share_of_nothing_needs_something_protected():
    assert "(0, 1]" in fault("{keep: [0.0, 1.0]}", "tokens", Outline("m", {"tokens.0": 9}))
    space = SearchSpace.from_yaml(text("m", tokens="{keep: [0.0, 1.0]}"), outline=small())
    assert space["tokens.0"].sizes[0] == {"tokens.0": 1}


def test_an_axis_belongs_to_one_choice():
    found = faults(text("m", heads="{size: [1, 2]}", width="{size: [0.5, 1.0], of: [heads, mlp]}"))
    assert found == [
        "<text>:4:3: choices.width: found sizes of heads.0, which 'heads' sets too; allowed: each axis in one choice"
    ]


def test_an_axis_and_the_one_it_selects_from_are_not_both_chosen():
    found = faults(text("m", embed="{size: [96, 192]}", inputs="{size: [0.5, 1.0], of: [fc1_in]}"))
    assert found == [
        "<text>:4:3: choices.inputs: found sizes of fc1_in.11, while 'embed' sets embed; "
        "allowed: one of the two, since fc1_in.11 selects its units from embed"
    ]


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("choices: {heads: {size: [1]}}\n", "<text>:1:1: model: found nothing; allowed: a value for this key"),
        ("model: 3\nchoices: {heads: {size: [1]}}\n", "<text>:1:1: model: found 3; allowed: text"),
        ("model: m\nchoices: {}\n", "<text>:2:1: choices: found an empty mapping; allowed: at least one choice, such as "
         "heads: {size: [1, 2, 3]}"),
        ("model: m\nchoices: [heads]\n", "<text>:2:1: choices: found [\"heads\"]; allowed: a mapping"),
        ("model: m\n\n", "<text>:1:1: choices: found nothing; allowed: a value for this key"),
        ("model: m\nmodel_args: 3\nchoices: {heads: {size: [1]}}\n", "<text>:2:1: model_args: found 3; allowed: a mapping"),
        ("model: m\nchoices: {a b: {size: [1], of: [heads]}}\n", "<text>:2:11: choices.a b: found the name 'a b'; "
         "allowed: a letter, then letters, digits, - and _"),
    ],
)  # fmt: skip
def test_top_level(yaml, message):
    assert faults(yaml) == [message]


def test_options_are_named_where_they_were_given(tmp_path):
    from nas.documents.document import read

    document = read(text("m", heads="{size: [1, 2]}")).override({"choices.heads.size": "[1, 9]"})
    with pytest.raises(ConfigError) as caught:
        SearchSpace.from_document(document, outline=deit())
    assert str(caught.value).startswith("--set choices.heads.size: choices.heads.size.1: found 9; allowed: 1 to 3")


def test_an_inline_space_keeps_its_path(tmp_path):
    from nas.documents.document import read

    document = read("seed: 1\nspace:\n  model: m\n  choices: {heads: {size: [9]}}\n")
    with pytest.raises(ConfigError) as caught:
        SearchSpace.from_document(document, ("space",), outline=deit())
    assert str(caught.value).startswith("<text>:4:28: space.choices.heads.size.0: found 9")


def test_models_are_outlined_by_entry_points(monkeypatch):
    class Entry:
        name = "fake"

        @staticmethod
        def load():
            def outline(model, model_args):
                if model != "known":
                    raise ModelError(f"no model '{model}'")
                return Outline(model, {"heads.0": model_args["heads"]})

            return outline

    monkeypatch.setattr(loading_module, "installed", lambda group: [Entry] if group == "nas.outlines" else [])
    yaml = text("known", heads="{size: [1, 5]}") + "model_args: {heads: 4, depth: 2}\n"
    space = SearchSpace.from_yaml(yaml, model_args={"heads": 5})
    assert space.model == "known"
    assert space.model_args == {"heads": 5, "depth": 2}
    assert faults_without_outline(yaml) == [
        "<text>:3:21: choices.heads.size.1: found 5; allowed: 1 to 4, since heads.0 has 4 units"
    ]
    refused = "<text>:1:1: model: found 'other'; allowed: a model that can become a supernet (no model 'other')"
    assert faults_without_outline(text("other", heads="{size: [1]}")) == [refused]
    assert faults_without_outline(text("other", heads="{size: [1], perr: x}")) == [
        refused,
        "<text>:3:22: choices.heads.perr: found an unknown key; allowed: per, size, of, multiple_of; did you mean 'per'?",
    ]


def faults_without_outline(yaml: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        SearchSpace.from_yaml(yaml)
    return [str(fault) for fault in caught.value.faults]


def test_without_a_package_that_knows_models_the_error_says_so(monkeypatch):
    monkeypatch.setattr(loading_module, "installed", lambda group: [])
    (found,) = faults_without_outline(text("m", heads="{size: [1]}"))
    assert found.startswith("<text>:1:1: model: found 'm'; allowed:")
    assert "no installed package knows models (entry points 'nas.outlines')" in found


def test_a_broken_path_is_one_line():
    with pytest.raises(ConfigError) as caught:
        SearchSpace.from_yaml("searchspaces/no_such.yaml")
    assert str(caught.value).count("\n") == 0
    assert str(caught.value).startswith("searchspaces/no_such.yaml: found no such file")


@pytest.mark.parametrize(
    ("name", "kind", "keys"),
    [
        ("heads", "{size: [1, 9], per: blok}", ["size.1", "per"]),
        ("heads", "{size: [1, 9], perr: block}", ["size.1", "perr"]),
        ("mlp", "{size: [0, 2000], per: stage}", ["size.0", "size.1", "per"]),
        ("embed", "{size: [999], per: block}", ["size.0", "per"]),
        ("depth", "{depth: [99], per: block}", ["depth.0", "per"]),
        ("tokens", "{keep: [999], order: any, per: 3}", ["keep.0", "order", "per"]),
        ("a", "{divide: [heads], by: [2], per: stage}", ["by", "per"]),
        # Without a readable `of` nobody knows what the values are of.
        ("width", "{size: [99], of: 3}", ["of"]),
        ("width", "{size: [99], off: [heads]}", ["off"]),
        ("heads", "{size: [true], per: blok}", ["size.0", "per"]),
    ],
)
def test_all_faults_of_one_choice_at_once(name, kind, keys):
    found = faults(text("m", **{name: kind}))
    assert [fault.split(": ")[1] for fault in found] == [f"choices.{name}.{key}" for key in keys]


def test_one_more_group_is_singular():
    found = fault("{divide: [heads], by: [2]}", "a", Outline("m", {"heads.0": 3, "heads.1": 3}))
    assert "(nor the axes of 1 more group)" in found


@pytest.mark.parametrize("digits", [19, 400, 5000])
def test_endless_numbers_are_one_short_fault(digits):
    number = "9" * digits
    (found,) = faults(text("m", heads=f"{{size: [1, {number}]}}"))
    assert found.startswith(f"<text>:3:21: choices.heads.size.1: found {number[:57]}")
    assert found.endswith("; allowed: a whole number of at most 64 bits")
    assert len(found) < 160


@pytest.mark.parametrize(
    ("args", "place", "allowed"),
    [
        ("{heads: 4}", "<text>:2:1: model_args: found heads: 4", "arguments that m can be built with (4 heads)"),
        ("{}", "", ""),
    ],
)
def test_arguments_that_the_model_refuses_are_faults_of_their_own(monkeypatch, args, place, allowed):
    def outline(model, model_args):
        if model_args:
            raise ModelError(f"{model_args['heads']}\n heads")
        return Outline(model, {"heads.0": 3})

    class Entry:
        name = "fake"
        load = staticmethod(lambda: outline)

    monkeypatch.setattr(loading_module, "installed", lambda group: [Entry] if group == "nas.outlines" else [])
    yaml = f"model: m\nmodel_args: {args}\nchoices: {{heads: {{size: [1]}}}}\n"
    if place:
        assert faults_without_outline(yaml) == [f"{place}; allowed: {allowed}"]
    else:
        assert SearchSpace.from_yaml(yaml).model_args == {}
