"""The site: whole, and made from the code. The strict build itself is long; what it is made of is looked at in CI."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.main import get_command

import nas
from docs import _keys, _notebooks, _reference, _rows
from nas import cli, plugins, search
from nas.data.transforms import AUGMENTATION
from nas.searchspaces.from_yaml import KINDS, SpaceFile
from nas.studies.file.config import StudyConfig
from nas.training.optimiser_options import OPTIMIZER
from nas.training.schedule import SCHEDULE

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def made() -> Mapping[str, str]:
    """Page -> its Markdown, of those that are made from the code."""
    return dict(_reference.pages())


def of_the_menu(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for entry in nav.values() if isinstance(nav, dict) else nav:
            yield from of_the_menu(entry)


def test_every_page_is_in_the_menu(made: Mapping[str, str]) -> None:
    config = YAML(typ="safe").load(ROOT / "mkdocs.yml")
    hook = (DOCS / "_pages.py").read_text(encoding="utf-8")
    moved = re.findall(r'^    "[\w/.]+": "([\w/.]+)",$', hook, re.MULTILINE)
    written = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    notebooks = dict(_notebooks.pages())
    assert sorted(of_the_menu(config["nav"])) == sorted({*written, *moved, *made, *notebooks})
    assert "```python\nimport pandas as pd" in notebooks["notebooks/compare_runs.md"]
    assert len(moved) > 4


def test_every_plugin_is_in_the_reference(made: Mapping[str, str]) -> None:
    folders = {
        ".".join(file.relative_to(ROOT).parent.parts)
        for file in (ROOT / "nas").rglob("__init__.py")
        if "plugins.names(__name__)" in file.read_text(encoding="utf-8")
    }
    known = {kind.folder for kind in _reference.KINDS}
    assert folders | {search.registry.FOLDER, KINDS, "nas.supernets.families"} == known
    for kind in _reference.KINDS:
        headings = re.findall(r"^## (\w+)$", made[f"reference/{kind.page}.md"], re.MULTILINE)
        assert headings == plugins.names(kind.folder)


def test_every_public_name_is_in_the_reference() -> None:
    told = re.findall(r"^::: nas\.(\w+)$", (DOCS / "reference" / "api.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(told) == sorted(nas.__all__)


def test_every_command_and_option_is_in_the_reference(made: Mapping[str, str]) -> None:
    sections = dict(
        re.findall(r"^## nas (\w+)\n(.*?)(?=^## )", made["reference/commands.md"], re.MULTILINE | re.DOTALL)
    )
    commands: Mapping[str, Any] = get_command(cli.app).commands  # type: ignore[attr-defined]
    assert sections.keys() == commands.keys()
    for name, command in commands.items():
        rows = re.findall(r"^\| `(.+?)` \| (.*?) \| (.+?) \|$", sections[name], re.MULTILINE)
        assert [row[0].split()[0] for row in rows] == [
            (one.metavar if one.param_type_name == "argument" else one.opts[0]) for one in command.params
        ]


def test_what_has_a_name_is_told(made: Mapping[str, str]) -> None:
    """Optimisers, schedules, augmentations; and every file that comes with nas."""
    study, ready = made["reference/study.md"], made["reference/ready_made.md"]
    for plugged, key in ((SCHEDULE, "schedule"), (AUGMENTATION, "augment")):
        assert re.findall(rf"^## {key}: (.+)$", study, re.MULTILINE) == list(plugged.names())
    assert all(re.search(rf"\b{name}\b", study) for name in OPTIMIZER.names())
    files = {
        path.stem for folder in ("searchspaces", "strategies", "studies") for path in (ROOT / folder).glob("*.yaml")
    }
    files |= {path.stem for path in (ROOT / "nas").rglob("presets/*.yaml")}
    assert set(re.findall(r"^### (\w+)$", ready, re.MULTILINE)) == files


PURE = {"seed", "re_count", "aug_repeats", "classes", "eta", "stages", "octaves", "index"}
"""Keys of whole numbers that count nothing which has a name, or are numbers of something."""
SIZES = {"bits", "depth", "by", "keep", "rank", "size", "from", "to", "step"}
"""Main keys of choices: units of the dimension that they stand under, or shares of it."""


def test_every_key_has_a_type_a_meaning_and_a_unit() -> None:
    kinds = [StudyConfig, SpaceFile, *(one.find(name) for one in (SCHEDULE, AUGMENTATION) for name in one.names())]
    for folder in _reference.KINDS:
        found = [folder.find(name) for name in plugins.names(folder.folder)]
        kinds += [kind for kind in found if is_dataclass(kind) and folder.page != "quantities"]
    for options in kinds:
        kinds += [kind for _, kind in _keys.nested(options) if kind not in kinds]
    every = [(kind.__name__, key) for kind in kinds for key in _keys.keys_of(kind)]
    assert len(every) > 300
    assert not [(kind, key.name) for kind, key in every if not key.meaning or not key.kind]
    assert {key.name for _, key in every if "whole number" in key.kind and not key.unit} <= PURE | SIZES
    assert {key.unit for _, key in every} >= {"epochs", "images", "pixels", "processes", "seconds", "trials"}


def test_keys_are_told_as_a_study_reads_them() -> None:
    keys = {key.name: key for key in _keys.keys_of(StudyConfig)}
    assert keys["finalists"].kind == "a whole number from 1 to 64"
    assert keys["finalists"].default == "5"
    assert "Read only with a limit" in keys["finalists"].meaning
    assert keys["strategy"].default == "required"
    assert [field.name for field in fields(StudyConfig)] == list(keys)


def test_tables_of_results_are_filled() -> None:
    pages = [page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md") if "<!-- " in page.read_text("utf-8")]
    assert len(pages) >= 6
    for page in pages:
        assert "<!-- " not in _rows.filled(page)
    with pytest.raises(ValueError, match="no rows"):
        _rows.filled("<!-- table: peers_summary.csv; peer: nobody -->")
    filled = _rows.filled("<!-- table: peers_summary.csv; peer: smaller; show: peer, test_accuracy, commit -->")
    assert re.search(r"\| smaller \| \d\d\.\d\d % \+- \d\.\d\d % \| [0-9a-f, ]+ \|", filled)


@pytest.mark.long
def test_the_site_builds_strictly(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the site is an extra: pip install 'nas[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    pages = {str(page.relative_to(tmp_path)): page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html")}
    assert 'id="nas.Study.pareto"' in pages["reference/api.html"]
    hosts = {host for page in pages.values() for host in re.findall(r'(?:src|href)="https?://([^/"]+)', page)}
    assert hosts <= {"squidfunk.github.io", "www.mkdocs.org"}, "nothing is fetched from others"
