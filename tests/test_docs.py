"""What README, the docs and CONTRIBUTING show works: Python runs, YAML parses, commands exit with 0, options and linked
files are there.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.main import get_command
from typer.testing import CliRunner

from nas import SearchSpace, Study, plugins
from nas.cli import app
from nas.studies.file.resolve import resolve

ROOT = Path(__file__).parents[1]
DOCS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", *DOCS]
BASE = {
    "space": "searchspaces/vit_digits.yaml",
    "strategy": "uniform",
    "data": {"name": "digits"},
    "limit": {"macs": "50%"},
    "retrain": {"epochs": 2},
}
"""What the parts of studies stand in that the docs show."""


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(document), re.MULTILINE | re.DOTALL)


def showing(language: str) -> list[str]:
    return [document for document in DOCUMENTS if document != "CONTRIBUTING.md" and blocks(document, language)]


def commands(document: str) -> Iterator[list[str]]:
    """Lines of code that begin with "nas", as words."""
    for line in re.findall(r"^(?:    |\$ )(nas .*)$", text_of(document), re.MULTILINE):
        yield shlex.split(line, comments=True)[1:]


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_readme_is_short() -> None:
    readme = text_of("README.md")
    assert len(readme.splitlines()) < 150
    assert readme.index("make demo") < readme.index("make test")


@pytest.mark.parametrize("document", showing("python"))
def test_python_runs(document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a module of its own; what it makes known is forgotten afterwards."""
    monkeypatch.setattr(plugins, "_HANDED", {})
    names: dict[str, Any] = {}
    for block in blocks(document, "python"):
        exec(compile(block, document, "exec", dont_inherit=True), names)
    if document == "docs/manual/python.md":
        assert names["study"].resolved.strategy.trials == 200
        assert type(names["small"]).__name__ == "VisionTransformer"
        assert names["supernet"].cost.macs([names["architecture"]])[0] <= names["supernet"].cost.base("macs") / 2


@pytest.mark.parametrize("document", showing("yaml"))
def test_yaml_is_read(document: str, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'nas[optuna]'")
    for block in blocks(document, "yaml"):
        kind = block.partition("\n")[0]
        if kind == "# space":
            assert SearchSpace.from_yaml(block).size > 1e6
        elif kind == "# part of a study":
            YAML(typ="safe").dump({**BASE, **YAML(typ="safe").load(block)}, tmp_path / "study.yaml")
            resolve(tmp_path / "study.yaml", without_files=True)
        else:
            assert kind == "# study", f"{document}: a block of YAML says what it is in its first line"
            Study.from_yaml(block, folder=tmp_path)


def test_commands_that_are_shown_run() -> None:
    shown = [line for document in DOCUMENTS for line in re.findall(r"^\$ nas (.*)$", text_of(document), re.MULTILINE)]
    assert len(shown) >= 2
    for command in shown:
        result = CliRunner().invoke(app, shlex.split(command))
        assert result.exit_code == 0, result.output


def test_commands_and_their_options_are_there() -> None:
    verbs = get_command(app).commands  # type: ignore[attr-defined]
    shown = [(document, *words) for document in DOCUMENTS for words in commands(document)]
    assert len(shown) > 30
    for document, verb, *words in shown:
        if verb.startswith("-"):
            continue
        assert verb in verbs, f"{document}: nas {verb}"
        options = {option for one in verbs[verb].params for option in (*one.opts, *one.secondary_opts)}
        unknown = {word for word in words if word.startswith("--")} - options
        assert not unknown, f"{document}: nas {verb} has no {unknown}"


def test_choices_of_the_table() -> None:
    """The examples in the table of choice kinds are choices."""
    table = text_of("docs/manual/search_spaces.md")
    examples = re.findall(r"^\| `\w+` \|.*\| `(\w+: \{.*\})` \|$", table, re.MULTILINE)
    assert len(examples) == 6
    for example in examples:
        assert SearchSpace.from_yaml(f"model: deit_small_patch16_224\nchoices:\n  {example}\n").size > 1


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files(document: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", text_of(document))
    missing = [link for link in links if "://" not in link and not (ROOT / document).parent.joinpath(link).exists()]
    assert not missing


def test_the_strategy_of_contributing_searches() -> None:
    from nas.testing.toy import Toy

    names: dict[str, Any] = {}
    (block,) = blocks("CONTRIBUTING.md", "python")
    exec(block, names)
    trials = list(names["Coordinate"](trials=12).search(Toy().search(trials=12)))
    assert len(trials) == 12
    assert all(trial.state == "done" for trial in trials)


def test_oldest_versions_are_pinned() -> None:
    """The scheduled job of `.github/workflows/versions.yml` asks for these."""
    job = YAML(typ="safe").load(text_of(".github/workflows/versions.yml"))["jobs"]["tests"]
    names = job["strategy"]["matrix"]["include"][0]["oldest"].split()
    printed = subprocess.run(
        [sys.executable, ".github/oldest.py", *names], check=True, capture_output=True, text=True
    ).stdout.split()
    assert [line.partition("==")[0] for line in printed] == names == ["torch", "timm", "optuna", "ray"]
    assert all(re.fullmatch(r"\w+==\d+\.\d+(\.\d+)?\.\*", line) for line in printed)
