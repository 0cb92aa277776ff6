"""Black-box strategies load without torch; the gradient half does need it, which shows that the test can fail."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from nas.search import installed

ROOT = Path(__file__).parents[2]


MODULES = [
    *(f"nas.strategies.{name}" for name in ("uniform", "evolution", "halving", "racing", "with_optuna", "an")),
    *(f"nas.search.{name}" for name in ("dispatch", "searcher")),
]
"""Those that need no torch: black-box strategies, and what they are made of."""
GRADIENTS = "nas.search.relaxed"
SCRIPT = """
import importlib, json, sys
loading = {}
for module in sys.argv[1:]:
    before = set(sys.modules)
    try:
        importlib.import_module(module)
    except ModuleNotFoundError:
        continue
    loading[module] = sorted({"torch", "timm", "pandas"} & (set(sys.modules) - before))
print(json.dumps(loading))
"""


@pytest.fixture(scope="module")
def loading() -> dict[str, list[str]]:
    """What each module loads of the heavy packages, one after the other in one process."""
    command = [sys.executable, "-c", SCRIPT, *MODULES, GRADIENTS]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_black_box_strategies_load_no_torch(module: str, loading: dict[str, list[str]]) -> None:
    if module.endswith("with_optuna"):
        pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'nas[optuna]'")
    assert loading[module] == []


def test_a_contract_forbids_it_to_every_black_box_strategy() -> None:
    """A strategy that needs no supernet is in the list, but for NNI's, which can run an experiment that trains."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [contract for contract in contracts if contract["name"].startswith("black-box strategies")]
    black_box = {f"nas.strategies.{name}" for name, kind in installed().items() if not kind.needs_supernet}
    assert black_box - {"nas.strategies.with_nni"} <= set(contract["source_modules"])


def test_the_gradient_half_does(loading: dict[str, list[str]]) -> None:
    assert "torch" in loading[GRADIENTS]
