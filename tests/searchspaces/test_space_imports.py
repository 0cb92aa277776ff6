"""Search spaces must be usable without torch; and this test must be able to say that they are not."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "timm", "torchvision", "pandas")


def loads_heavy(statement: str) -> bool:
    code = f"import sys\n{statement}\nsys.exit(any(name in sys.modules for name in {HEAVY}))"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == 1


@pytest.mark.parametrize("module", ["nas.searchspaces", "nas.documents.document", "nas.searchspaces.choices.keep"])
def test_search_spaces_load_no_torch(module):
    assert not loads_heavy(f"import {module}")


def test_making_and_drawing_from_a_space_loads_no_torch():
    statement = """
import numpy as np
from nas.searchspaces import Outline, SearchSpace
space = SearchSpace.from_yaml("model: m\\nchoices: {heads: {size: [1, 2]}}", outline=Outline("m", {"heads.0": 2}))
space.sample(np.random.default_rng(0))
"""
    assert not loads_heavy(statement)


def test_this_test_can_fail():
    assert loads_heavy("import pandas")
