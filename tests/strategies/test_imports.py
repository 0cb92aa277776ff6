"""Black-box strategies load without torch; the gradient half does need it, which shows that the test can fail."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from nas.search import installed

ROOT = Path(__file__).parents[2]


def loads_torch(module: str) -> bool:
    code = f"import sys, {module}; print(any(name in sys.modules for name in ('torch', 'timm', 'pandas')))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip() == "True"


@pytest.mark.parametrize("module", ["uniform", "evolution", "halving", "racing", "with_optuna", "an"])
def test_black_box_strategies_load_no_torch(module: str) -> None:
    if module == "with_optuna":
        pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'nas[optuna]'")
    assert not loads_torch(f"nas.strategies.{module}")


@pytest.mark.parametrize("module", ["dispatch", "searcher"])
def test_nor_does_what_they_are_made_of(module: str) -> None:
    assert not loads_torch(f"nas.search.{module}")


def test_a_contract_forbids_it_to_every_black_box_strategy() -> None:
    """A strategy that needs no supernet is in the list, but for NNI's, which can run an experiment that trains."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [contract for contract in contracts if contract["name"].startswith("black-box strategies")]
    black_box = {f"nas.strategies.{name}" for name, kind in installed().items() if not kind.needs_supernet}
    assert black_box - {"nas.strategies.with_nni"} <= set(contract["source_modules"])


def test_the_gradient_half_does() -> None:
    assert loads_torch("nas.search.relaxed")
