"""Notebooks as pages: their text, and their code as blocks. Outputs are those of whoever runs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent / "notebooks"


def pages() -> Iterator[tuple[str, str]]:
    """Path in the site -> Markdown, of every notebook."""
    for notebook in sorted(FOLDER.glob("*.ipynb")):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        first, *rest = [_cell(cell["cell_type"], "".join(cell["source"])) for cell in cells]
        load = f"[The notebook itself]({notebook.name})"
        yield f"notebooks/{notebook.stem}.md", "\n\n".join([first, load, *rest]) + "\n"


def _cell(kind: str, text: str) -> str:
    return f"```python\n{text}\n```" if kind == "code" else text
