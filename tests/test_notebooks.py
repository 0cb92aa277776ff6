"""The notebooks run as they stand, in a folder with runs, and hold no outputs that could be stale."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
RUN = ROOT / "tests" / "studies" / "run_of_fa6cf74"


def code_of(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def last_value(code: str, names: dict[str, Any]) -> Any:
    """Runs a cell; what its last line is, as a notebook shows it."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec", dont_inherit=True), names)
    shown = None if last is None else compile(ast.Expression(last.value), "cell", "eval", dont_inherit=True)
    return None if shown is None else eval(shown, names)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a few runs, where the notebooks look for them."""
    for name in ("digits", "a", "b", "c"):
        shutil.copytree(RUN, tmp_path / "runs" / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nas.plugins._HANDED", {})  # a notebook's own strategy is none of other tests
    plt.switch_backend("agg")
    return tmp_path


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(notebook: Path, folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "notebook"}
    values = [last_value(code, names) for code in code_of(notebook)]
    plt.close("all")
    assert len(values) >= 3
    if notebook.stem == "own_strategy":
        ours, chance = values[1]
        assert ours > chance
        assert names["study"].trials()["strategy"].value_counts()["climb"] == 12
    if notebook.stem == "own_axes":
        assert names["derivation"].axes["mlp.0"] == 16
        assert values[-1][0] == 9
    if notebook.stem == "pareto_in_pandas":
        assert names["front"]["knee"].sum() == 1
        assert set(names["spread"]) == set(names["study"].resolved.space)


def test_notebooks_hold_no_outputs() -> None:
    assert len(NOTEBOOKS) == 4
    for notebook in NOTEBOOKS:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
        assert cells[0]["cell_type"] == "markdown"
