"""A hook of mkdocs: pages that are made from the code, and from files at the root, when the site is built."""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # mkdocs loads a hook as a file of its own

from docs import _notebooks, _reference, _rows  # noqa: E402

MOVED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "extending.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "studies/LOG.md": "log.md",
    "studies/papers/README.md": "papers/studies.md",
}
"""Files of the repository -> their pages."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made."""
    for source, page in MOVED.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_linked(text, PurePosixPath(source), page)))
    for page, text in (*_reference.pages(), *_notebooks.pages()):
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Fills in tables, and turns links to files of the repository into links to their pages."""
    path = page.file.src_uri
    return _linked(_rows.filled(markdown), PurePosixPath("docs", path), path)


def _linked(markdown: str, source: PurePosixPath, page: str) -> str:
    """Links of a file of the repository, as links of its page: to pages, or, where a file is none, its name."""

    def changed(found: re.Match[str]) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        if "://" in target:
            return found[0]
        file = normpath(str(source.parent / target))
        if file in MOVED:
            return f"[{text}]({relpath(MOVED[file], str(PurePosixPath(page).parent))}{anchor})"
        if file.startswith("docs/notebooks/") and not page.startswith("notebooks/"):
            file = file.replace(".ipynb", ".md")
        if file.startswith("docs/"):
            return f"[{text}]({relpath(file.removeprefix('docs/'), str(PurePosixPath(page).parent))}{anchor})"
        return found[0] if source.parts[0] != "docs" and not (ROOT / file).exists() else f"`{file}`"

    return re.sub(r"\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)", changed, markdown)
