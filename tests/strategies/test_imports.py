"""Black-box strategies load without torch; the gradient half does need it, which shows that the test can fail."""

import subprocess
import sys

import pytest


def loads_torch(module: str) -> bool:
    code = f"import sys, {module}; print(any(name in sys.modules for name in ('torch', 'timm', 'pandas')))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip() == "True"


@pytest.mark.parametrize("module", ["uniform", "evolution", "with_optuna", "an"])
def test_black_box_strategies_load_no_torch(module: str) -> None:
    if module == "with_optuna":
        pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'nas[optuna]'")
    assert not loads_torch(f"nas.strategies.{module}")


def test_the_gradient_half_does() -> None:
    assert loads_torch("nas.search.relaxed")
