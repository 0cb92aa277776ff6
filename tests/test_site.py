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

from docs import _keys, _notebooks, _reference, _rows
from nas import plugins
from nas.studies.file.config import StudyConfig

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
    for kind in _reference.KINDS:
        headings = re.findall(r"^## (\w+)$", made[f"reference/{kind.page}.md"], re.MULTILINE)
        assert headings == plugins.names(kind.folder)


def test_every_key_has_a_type_and_a_meaning() -> None:
    kinds = [StudyConfig]
    for options in kinds:
        kinds += [kind for _, kind in _keys.nested(options) if kind not in kinds]
    for folder in _reference.KINDS:
        found = [folder.find(name) for name in plugins.names(folder.folder)]
        kinds += [kind for kind in found if is_dataclass(kind) and folder.page != "quantities"]
    every = [(kind.__name__, key) for kind in kinds for key in _keys.keys_of(kind)]
    assert len(every) > 250
    assert not [(kind, key.name) for kind, key in every if not key.meaning or not key.kind]
    assert {key.unit for _, key in every} >= {"epochs", "images", "pixels", "processes", "seconds"}


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
