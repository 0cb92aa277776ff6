"""Without Optuna, Ray and NNI everything else works, and what needs one of them says so in a line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
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
import contextlib, importlib, io, json, pathlib
needing = {}
for path in sorted(pathlib.Path("nas").rglob("*.py")):
    parts = path.with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as absent:
        needing[module] = absent.name.partition(".")[0]

from nas import search
from nas.cli import main
from nas.errors import StrategyError

said = {}
for name in search.names():
    try:
        search.find(name)
    except StrategyError as absent:
        said[name] = str(absent)

ended = {}
for preset in ("nsga2", "nni"):
    words = ["run", "studies/digits.yaml", "--folder", f"{sys.argv[1]}/{preset}"]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main([*words, "--set", f"strategy=strategies/{preset}.yaml"])
    ended[preset] = code, out.getvalue(), err.getvalue()
print(json.dumps([needing, said, ended]))
"""
EXTRAS = {"with_optuna": "optuna", "with_raytune": "ray", "with_tune_search": "ray", "with_nni": "nni"}
ON_RAY = {"nas.training.parallel.ray_train", "nas.studies.tau.on_ray"}
"""Modules outside the strategies that may need one; they are imported when workers are asked for."""


@dataclass(frozen=True)
class Found:
    """In one process without the three: which modules lack what, what is said of strategies, how studies end."""

    needing: Mapping[str, str]
    said: Mapping[str, str]
    ended: Mapping[str, tuple[int, str, str]]
    folder: Path


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("without")
    command = [sys.executable, "-c", BLOCKED + EVERYTHING, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return Found(*json.loads(done.stdout.splitlines()[-1]), folder)


def test_only_their_own_modules_need_them(without: Found) -> None:
    needing = without.needing
    assert {f"nas.strategies.{name}": extra for name, extra in EXTRAS.items()}.items() <= needing.items()
    assert set(needing.values()) == {"optuna", "ray", "nni"}
    assert {module for module in needing if not module.startswith("nas.strategies.")} == ON_RAY


def test_each_says_what_to_install(without: Found) -> None:
    for name, extra in EXTRAS.items():
        needs = f"'{name}' needs the package '{extra}', which is not installed: pip install 'nas[{extra}]'"
        assert without.said[name] == needs


@pytest.mark.parametrize(("preset", "extra"), [("nsga2", "optuna"), ("nni", "nni")])
def test_a_study_that_needs_one_ends_before_anything_trains(preset: str, extra: str, without: Found) -> None:
    code, out, err = without.ended[preset]
    assert (code, out) == (2, ""), err
    assert len(err.splitlines()) == 1
    assert f"strategies/{preset}.yaml" in err
    assert f"pip install 'nas[{extra}]'" in err
    assert not (without.folder / preset).exists()
