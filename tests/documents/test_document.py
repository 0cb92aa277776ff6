# ruff: noqa: E501 (whole messages are compared)
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from nas.documents.document import attempt, parse, read
from nas.errors import ConfigError


@dataclass(frozen=True)
class Recipe:
    epochs: int
    lr: float = 1e-3
    rule: Literal["uniform", "sandwich"] = "uniform"

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError("at least one epoch")


@dataclass(frozen=True)
class Span:
    start: Annotated[int, Field(alias="from")]
    stop: Annotated[int, Field(alias="to")]


@dataclass(frozen=True, kw_only=True)
class Study:
    name: str
    recipe: Recipe | None = None
    values: list[int | float] | Span = field(default_factory=list)
    pair: tuple[float, float] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    flag: bool = False


def faults(call) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        call()
    return [str(fault) for fault in caught.value.faults]


def test_yaml_becomes_a_dataclass():
    study = parse(read("name: a\nrecipe: {epochs: 3, lr: 5e-4}\nvalues: [1, 0.5]\npair: [1, 2.5]\nflag: true\n"), Study)
    assert study == Study(name="a", recipe=Recipe(3, 5e-4), values=[1, 0.5], pair=(1.0, 2.5), flag=True)
    assert parse(read("name: on\nvalues: {from: 1, to: 3}\n"), Study) == Study(name="on", values=Span(1, 3))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("0.9e9", 0.9e9), ("1e3", 1000.0), ("5e-4", 5e-4), (".5", 0.5), ("012", 12), ("0x10", 16), ("true", True)],
        *[("on", "on"), ("no", "no"), ("2026-01-02", "2026-01-02"), ("=", "="), ("'1'", "1"), ("1:30", "1:30")],
        ("~", None),
    ],
)
def test_numbers_and_texts_are_those_of_yaml_1_2(text, value):
    found = read(f"key: {text}\n").data["key"]
    assert found == value
    assert type(found) is type(value)


def test_all_faults_of_a_text_at_once_each_with_its_place():
    text = """name: 3
recipe: {epochs: 1.5, lrr: 2, rule: sandwhich}
values: [1, x, true]
pair: [1]
flagg: true
name: again
"""
    assert faults(lambda: parse(read(text), Study)) == [
        "<text>:1:1: name: found 3; allowed: text",
        "<text>:2:10: recipe.epochs: found 1.5; allowed: a whole number",
        "<text>:2:23: recipe.lrr: found an unknown key; allowed: epochs, lr, rule; did you mean 'lr'?",
        "<text>:2:31: recipe.rule: found 'sandwhich'; allowed: 'uniform' or 'sandwich'; did you mean 'sandwich'?",
        "<text>:3:13: values.1: found 'x'; allowed: a number",
        "<text>:3:16: values.2: found true; allowed: a number",
        "<text>:4:1: pair.1: found nothing; allowed: a value for this key",
        "<text>:5:1: flagg: found an unknown key; allowed: name, recipe, values, pair, extra, flag; did you mean 'flag'?",
        "<text>:6:1: name: found this key again, after <text>:1:1; allowed: each key once",
    ]


def test_of_a_union_the_branch_that_was_meant_speaks():
    assert faults(lambda: parse(read("name: a\nvalues: {from: 1, too: 2}\n"), Study)) == [
        "<text>:2:1: values.to: found nothing; allowed: a value for this key",
        "<text>:2:19: values.too: found an unknown key; allowed: from, to; did you mean 'to'?",
    ]
    assert faults(lambda: parse(read("name: a\nvalues: 3\n"), Study)) == [
        "<text>:2:1: values: found 3; allowed: a list, or a mapping with the keys from, to"
    ]


def test_what_a_dataclass_itself_refuses_is_a_fault_with_a_place():
    assert faults(lambda: parse(read("name: a\nrecipe: {epochs: 0}\n"), Study)) == [
        '<text>:2:1: recipe: found {"epochs": 0}; allowed: at least one epoch'
    ]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("name: [1\nflag: true\n", "<text>:2:5: found expected ',' or ']', but got ':'"),
        ("name: 'x\n\n", "<text>:"),
        ("name: *other\n\n", "<text>:1:7: found undefined alias 'other'"),
        ("name: a\n---\nname: b\n", "<text>:2:1: found another document"),
        ("a:\n\t- b\n", "<text>:2:1: found character '\\t'"),
        ("name: \x01\n", "<text>:1:1: found unacceptable character"),
    ],
)
def test_what_is_no_yaml_is_one_fault_with_its_line(text, start):
    (fault,) = faults(lambda: read(text))
    assert fault.startswith(start)
    assert fault.endswith("; allowed: YAML")


@pytest.mark.parametrize("text", ["\n", "- 1\n- 2\n", "word\n\n", "3\n\n"])
def test_a_text_that_is_no_mapping(text):
    (fault,) = faults(lambda: parse(read(text), Study))
    assert "allowed: a mapping with the keys name, recipe, values, pair, extra, flag" in fault


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name: !!python/object x\n", "the tag tag:yaml.org,2002:python/object"),
        ("name: &a [*a]\n", "aliases without end"),
        ("? [1, 2]\n: 3\n", "a list or a mapping as a key"),
        ("a: &a {b: 1}\n<<: *a\n", "the merge key <<"),
    ],
)
def test_what_plain_data_does_not_know_is_a_fault(text, found):
    assert any(found in fault for fault in faults(lambda: parse(read(text), Study)))


def test_aliases_that_grow_exponentially_end_in_a_fault():
    levels = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9))
    assert any("aliases without end" in fault for fault in faults(lambda: parse(read(f"a0: &a0 1\n{levels}\n"), Study)))


def test_a_str_of_one_line_is_a_path_and_of_several_a_text(tmp_path: Path):
    file = tmp_path / "study.yaml"
    file.write_text("name: a\nflag: 3\n", encoding="utf-8")
    for path in (file, str(file)):
        (fault,) = faults(lambda path=path: parse(read(path), Study))
        assert fault == f"{file}:2:1: flag: found 3; allowed: true or false"
    assert parse(read("{name: a}"), Study) == Study(name="a")


def test_files_that_cannot_be_read(tmp_path: Path):
    (fault,) = faults(lambda: read("no/such.yaml"))
    assert fault == "no/such.yaml: found no such file; allowed: the path of a YAML file, or YAML text"
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    assert "not UTF-8" in faults(lambda: read(tmp_path / "latin.yaml"))[0]
    assert str(tmp_path) in faults(lambda: read(tmp_path))[0]


def test_settings_replace_and_add_values_and_their_faults_name_the_option():
    document = read("name: a\nrecipe: {epochs: 3}\nvalues: [1, 2]\n")
    changed = document.override({"recipe.epochs": "5", "values.1": "7", "extra.a.b": "{c: 1e3}", "flag": "true"})
    study = parse(changed, Study)
    assert study == Study(name="a", recipe=Recipe(5), values=[1, 7], extra={"a": {"b": {"c": 1000.0}}}, flag=True)
    assert document.data == {"name": "a", "recipe": {"epochs": 3}, "values": [1, 2]}
    assert faults(lambda: parse(document.override({"recipe.epochs": "x", "recipee": "1", "flag": "[2]"}), Study)) == [
        "--set recipe.epochs: recipe.epochs: found 'x'; allowed: a whole number",
        "--set flag: flag: found [2]; allowed: true or false",
        "--set recipee: recipee: found an unknown key; allowed: name, recipe, values, pair, extra, flag; "
        "did you mean 'recipe'?",
    ]


def test_a_setting_can_make_its_parents_and_name_what_lacks_there():
    assert faults(lambda: parse(read("name: a\n\n").override({"recipe.lr": "0.1"}), Study)) == [
        "--set recipe.lr: recipe.epochs: found nothing; allowed: a value for this key"
    ]


def test_settings_that_lead_nowhere_are_reported_together():
    document = read("name: a\nvalues: [1]\n")
    assert faults(lambda: document.override({"name.x": "1", "values.3": "1", "flag": "{"})) == [
        "--set name.x: name.x: found 'x' inside 'a'; allowed: a mapping at name",
        "--set values.3: values.3: found '3' in the list values; allowed: a position from 0 to 0",
        "--set flag: found expected the node content, but found '<stream end>' while parsing a flow node; allowed: YAML",
    ]


def test_a_preset_lies_under_the_keys_of_a_document(tmp_path: Path):
    preset = tmp_path / "preset.yaml"
    preset.write_text("epochs: 9\nlr: x\nrule: sandwich\n", encoding="utf-8")
    document = read("name: a\nrecipe:\n  epochs: 3\n").under(read(preset), ("recipe",))
    assert document.data == {"name": "a", "recipe": {"epochs": 3, "lr": "x", "rule": "sandwich"}}
    assert faults(lambda: parse(document, Study)) == [f"{preset}:2:1: recipe.lr: found 'x'; allowed: a number"]
    fixed = document.override({"recipe.lr": "0.5"})
    assert parse(fixed, Study).recipe == Recipe(3, 0.5, "sandwich")
    assert parse(fixed, Recipe, ("recipe",)) == Recipe(3, 0.5, "sandwich")


def test_a_preset_may_fill_what_is_absent_and_loses_lists_to_the_document(tmp_path: Path):
    preset = read("values: [1, 2, 3]\nrecipe: {epochs: 1}\nname: p\n")
    document = read("name: a\nvalues: [x]\n").under(preset)
    assert document.data == {"values": ["x"], "recipe": {"epochs": 1}, "name": "a"}
    assert faults(lambda: parse(document, Study)) == ["<text>:2:10: values.0: found 'x'; allowed: a number"]
    assert parse(read("name: a\n\n").under(read("{epochs: 4}"), ("recipe",)), Study).recipe == Recipe(4)


def test_what_lacks_in_a_list_is_missed_where_the_list_was_written_not_in_the_preset(tmp_path: Path):
    preset = tmp_path / "preset.yaml"
    preset.write_text("pair:\n- 1\n- 2\n", encoding="utf-8")
    document = read("name: a\npair: [1]\n").under(read(preset))
    assert faults(lambda: parse(document, Study)) == [
        "<text>:2:1: pair.1: found nothing; allowed: a value for this key"
    ]


def test_attempt_returns_what_parse_raises():
    value, found = attempt(read("name: a\nflag: 1\n"), Study)
    assert value is None
    assert [str(fault) for fault in found] == ["<text>:2:1: flag: found 1; allowed: true or false"]
    value, found = attempt(read("name: a\n\n"), Study)
    assert (value, found) == (Study(name="a"), [])


@pytest.mark.parametrize("depth", [70, 200, 3000])
@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_endless_nesting_is_a_fault(depth, pair):
    opening = "[" if pair == "[]" else "{a: "
    found = faults(lambda: parse(read(f"name: a\nextra: {{a: {opening * depth}{pair[1] * depth}}}\n"), Study))
    assert len(found) == 1
    assert found[0].endswith("found lists or mappings nested too deep; allowed: at most 64 levels")


@pytest.mark.parametrize("number", ["9" * 20, "-" + "9" * 400, "9" * 5000])
def test_a_number_that_cannot_be_read_is_not_found_missing_too(number):
    (found,) = faults(lambda: parse(read(f"name: a\nrecipe:\n  epochs: {number}\n"), Study))
    assert found.startswith(f"<text>:3:11: recipe.epochs: found {number[:20]}")
    assert found.endswith("; allowed: a whole number of at most 64 bits")
    assert len(found) < 150


def test_a_document_is_too_large_before_it_is_parsed(tmp_path: Path) -> None:
    """30 MB of comments took 49 s; a text of the greatest length takes some."""
    file = tmp_path / "study.yaml"
    file.write_text("# " + "c" * 1_000_000)
    with pytest.raises(ConfigError, match=r"study.yaml: found more than 262,144 bytes; allowed: at most 262,144 bytes"):
        read(file)
    with pytest.raises(ConfigError, match="<text>:1:1: found more than 262,144 bytes"):
        read("\n# " + "c" * 1_000_000)
    with pytest.raises(ConfigError, match="--set a: found more than"):
        read("{}").override({"a": "c" * 1_000_000})
    file.write_text("a: 1 # " + "c" * 100_000)
    assert read(file).data == {"a": 1}
