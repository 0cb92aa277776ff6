"""Every preset says what it is, and holds options that its strategy takes."""

import re
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML

import nas.strategies
from nas.errors import StrategyError

PRESETS = sorted((Path(__file__).parents[2] / "strategies").glob("*.yaml"))


def test_there_are_presets() -> None:
    assert {p.stem for p in PRESETS} >= {
        *("uniform", "evolution", "autoformer", "tpe", "gp", "nsga2", "nsga3"),
        *("dan", "an", "nni", "sidt", "vtp", "magnitude", "knapsack"),
        *("patch_slimming", "mcf", "vtp_svd"),
    }


@pytest.mark.parametrize("path", PRESETS, ids=lambda p: p.stem)
def test_a_preset_is_documented_and_parses(path: Path) -> None:
    text = path.read_text()
    head = text[: re.search(r"^[^#]", text, re.MULTILINE).start()]  # type: ignore[union-attr]
    for word in ("When:", "Paper:", "Cost:", "Command:"):
        assert word in head
    assert f"--set strategy=strategies/{path.name}" in head
    assert max(map(len, text.splitlines())) <= 120
    options = dict(YAML(typ="safe").load(text))
    try:
        kind = nas.search.find(options.pop("use"))
    except StrategyError as absent:
        pytest.skip(str(absent))
    strategy = TypeAdapter(kind).validate_python(options)
    assert strategy.trials == options.get("trials", 1)
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(options | {"trials": 0})


def test_unknown_strategies_are_named_with_the_nearest() -> None:
    with pytest.raises(StrategyError, match=r"no 'evolutio' in .*did you mean 'evolution'"):
        nas.search.find("evolutio")
