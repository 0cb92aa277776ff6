"""What README and CONTRIBUTING show works: Python runs, YAML parses, commands exit with 0."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nas import SearchSpace, Study
from nas.cli import app

ROOT = Path(__file__).parents[1]


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_readme_python() -> None:
    names: dict[str, Any] = {}
    python = blocks("README.md", "python")
    for block in python:
        exec(block, names)
    assert len(python) == 3
    assert names["study"].resolved.strategy.trials == 200
    assert type(names["small"]).__name__ == "VisionTransformer"
    assert names["supernet"].cost.macs([names["architecture"]])[0] <= names["supernet"].cost.base("macs") / 2


def test_readme_yaml(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'nas[optuna]'")
    spaces = [text for text in blocks("README.md", "yaml") if text.startswith("# space")]
    studies = [text for text in blocks("README.md", "yaml") if text.startswith("# study")]
    assert (len(spaces), len(studies)) == (1, 1)
    assert SearchSpace.from_yaml(spaces[0]).size > 1e9
    Study.from_yaml(studies[0], folder=tmp_path)


def test_readme_commands() -> None:
    pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'nas[optuna]'")
    commands = re.findall(r"^\$ nas (.*)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        result = CliRunner().invoke(app, shlex.split(command))
        assert result.exit_code == 0, result.output


def test_readme_choices() -> None:
    """The examples in the table of choice kinds are choices."""
    examples = re.findall(r"^\| `\w+` \|.*\| `(\w+: \{.*\})` \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(examples) == 5
    for example in examples:
        assert SearchSpace.from_yaml(f"model: deit_small_patch16_224\nchoices:\n  {example}\n").size > 1


def test_the_strategy_of_contributing_searches() -> None:
    from nas.testing.toy import Toy

    names: dict[str, Any] = {}
    (block,) = blocks("CONTRIBUTING.md", "python")
    exec(block, names)
    trials = list(names["Coordinate"](trials=12).search(Toy().search(trials=12)))
    assert len(trials) == 12
    assert all(trial.state == "done" for trial in trials)
