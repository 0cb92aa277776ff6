"""What each command may load. A command that answers from a few files must not wait for libraries that it does not
need: torch alone takes seconds.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from studies_fakes import TINY

from nas import cli

ROOT = Path(__file__).parents[1]
SPACE = str(ROOT / "searchspaces" / "deit_tiny.yaml")
WATCHED = {
    "jinja2",
    "matplotlib",
    "moocore",
    "nni",
    "numpy",
    "optuna",
    "pandas",
    "pyarrow",
    "pydantic",
    "ray",
    "rich",
    "ruamel",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "timm",
    "torch",
    "torchvision",
}
"""Libraries that take time to load."""
TEXTS = {"numpy", "pydantic", "rich", "ruamel"}
TABLES = TEXTS | {"moocore", "pandas", "pyarrow", "sqlalchemy"}
MODELS = {"timm", "torch", "torchvision"}
LIBRARIES = {
    "--help": set(),
    "--version": {"pydantic"},  # typer's, of everything that has an option
    "show SPACE": TEXTS,
    "show RUN": TABLES,
    "pareto RUN": TABLES,
    "pareto RUN --trials": TABLES,
    "compare RUN": TABLES,
    "report RUN": TABLES | {"jinja2", "matplotlib"},
}
"""A command -> all that it may load of them. SPACE is of a model that was seen before."""
OWN = {
    "--help": {"errors", "passwords", "system"},
    "--version": {"errors", "passwords", "system"},
    "show SPACE": {"axes", "detectors", "documents", "errors", "foreign", "numbers", "passwords", "plugins",
                   "preprocessing", "quantities", "ready_made", "searchspaces", "studies", "supernets", "system",
                   "trusted", "words"},
}  # fmt: skip
for command in ("show RUN", "pareto RUN", "pareto RUN --trials", "compare RUN", "report RUN"):
    OWN[command] = OWN["show SPACE"] - {"detectors", "supernets"} | {"search", "tasks"}
"""A command -> the rooms of `nas` that it may load."""
SCRIPT = """
import sys
from nas import cli
code = cli.main(sys.argv[1:])
print(code, sorted(sys.modules))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("imports")
    (folder / "tiny.yaml").write_text(TINY)
    assert cli.main(["run", str(folder / "tiny.yaml"), "--folder", str(folder / "run"), "--quiet"]) == 0
    return str(folder / "run")


@pytest.fixture(scope="module")
def seen() -> None:
    """The model of SPACE has been seen."""
    assert cli.main(["show", SPACE]) == 0


def loaded(arguments: Sequence[str], cache: Path | None = None) -> tuple[set[str], set[str]]:
    """Libraries and rooms of `nas` that a command has loaded when it is done."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **({"XDG_CACHE_HOME": str(cache)} if cache else {})}
    command = [sys.executable, "-c", SCRIPT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=True)
    code, modules = done.stdout.splitlines()[-1].split(" ", 1)
    assert code == "0", done.stderr
    names = ast.literal_eval(modules)
    rooms = {name.split(".")[1] for name in names if name.startswith("nas.")}
    return {name.partition(".")[0] for name in names} & WATCHED, rooms - {"cli", "commands"}


@pytest.mark.parametrize("command", LIBRARIES)
def test_a_command_loads_what_it_needs_and_no_more(command: str, run: str, seen: None) -> None:
    paths = {"SPACE": SPACE, "RUN": run}
    libraries, rooms = loaded([paths.get(word, word) for word in command.split()])
    assert libraries <= LIBRARIES[command]
    assert rooms <= OWN[command]


def test_a_model_that_was_never_seen_is_built_once(tmp_path: Path) -> None:
    libraries, rooms = loaded(["show", SPACE], tmp_path)
    assert MODELS <= libraries <= MODELS | TEXTS
    assert rooms == OWN["show SPACE"]
    (file,) = (tmp_path / "nas").iterdir()
    assert json.loads(file.read_text())["about"]["model"] == "deit_tiny_patch16_224"
    libraries, _ = loaded(["show", SPACE], tmp_path)
    assert not MODELS & libraries
