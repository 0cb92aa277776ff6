"""Without Optuna, Ray and NNI everything else works, and what needs one of them says so in a line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BLOCKED = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("optuna", "ray", "nni"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Absent())
"""

EVERYTHING = """
import importlib, pathlib
for path in sorted(pathlib.Path("nas").rglob("*.py")):
    parts = path.with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as absent:
        print(module, absent.name.partition(".")[0])
"""

MESSAGES = """
from nas import search
from nas.errors import StrategyError
for name in search.names():
    try:
        search.find(name)
    except StrategyError as absent:
        print(name, str(absent), sep=": ")
"""

COMMAND = "from nas.cli import main; sys.exit(main(sys.argv[1:]))"
EXTRAS = {"with_optuna": "optuna", "with_raytune": "ray", "with_tune_search": "ray", "with_nni": "nni"}
ON_RAY = {"nas.training.parallel.ray_train", "nas.studies.tau.on_ray"}
"""Modules outside the strategies that may need one; they are imported when workers are asked for."""


def without_extras(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCKED + code, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)


def test_only_their_own_modules_need_them() -> None:
    done = without_extras(EVERYTHING)
    assert done.returncode == 0, done.stderr
    needing = dict(line.split() for line in done.stdout.splitlines())
    assert {f"nas.strategies.{name}": extra for name, extra in EXTRAS.items()}.items() <= needing.items()
    assert set(needing.values()) == {"optuna", "ray", "nni"}
    assert {module for module in needing if not module.startswith("nas.strategies.")} == ON_RAY


def test_each_says_what_to_install() -> None:
    done = without_extras(MESSAGES)
    assert done.returncode == 0, done.stderr
    for name, extra in EXTRAS.items():
        line = f"{name}: '{name}' needs the package '{extra}', which is not installed: pip install 'nas[{extra}]'"
        assert line in done.stdout.splitlines()


@pytest.mark.parametrize(("preset", "extra"), [("nsga2", "optuna"), ("nni", "nni")])
def test_a_study_that_needs_one_ends_before_anything_trains(preset: str, extra: str, tmp_path: Path) -> None:
    words = ["run", "studies/digits.yaml", "--folder", str(tmp_path / "run")]
    done = without_extras(COMMAND, *words, "--set", f"strategy=strategies/{preset}.yaml")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert f"strategies/{preset}.yaml" in done.stderr
    assert f"pip install 'nas[{extra}]'" in done.stderr
    assert not (tmp_path / "run").exists()
