"""Prints constraints for pip: the oldest version that pyproject.toml allows of each package that is named.

python .github/oldest.py torch timm optuna ray
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def oldest(names: Sequence[str]) -> list[str]:
    """Lines such as "torch==2.6.*". Raises ValueError for a package without a least version."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    texts = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    least = {
        one.name: bound.version for one in map(Requirement, texts) for bound in one.specifier if bound.operator == ">="
    }
    missing = [name for name in names if name not in least]
    if missing:
        raise ValueError(f"{PROJECT}: no least version of {', '.join(missing)}")
    return [f"{name}=={least[name]}.*" for name in names]


if __name__ == "__main__":
    print("\n".join(oldest(sys.argv[1:])))
