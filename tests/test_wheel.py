"""The built wheel and sdist: one name in site-packages, files that are no Python, and a run from an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READY_MADE = ("searchspaces", "strategies", "studies")
SHORT = ["base.epochs=1", "supernet.epochs=1", "retrain.epochs=1", "finalists=1", "strategy=uniform",
         "strategy.trials=2", "data.train_images=100", "latency.seconds=0.01"]  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel."""
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return target


@pytest.fixture(scope="module")
def contents(built: Path) -> list[str]:
    (wheel,) = built.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def ready_made() -> set[str]:
    return {path.relative_to(ROOT).as_posix() for folder in READY_MADE for path in (ROOT / folder).rglob("*.yaml")}


def test_one_top_level_name(contents: list[str]) -> None:
    assert {name.partition("/")[0] for name in contents if ".dist-info/" not in name} == {"nas"}


def test_every_module_and_data_file_is_in_it(contents: list[str]) -> None:
    here = {
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / "nas").rglob("*")
        if p.suffix in (".py", ".html", ".css", ".js", ".yaml", ".txt")
    }
    assert len(here) > 80
    assert here | {"nas/py.typed"} <= set(contents)
    assert {f"nas/ready_made/{name}" for name in ready_made()} <= set(contents)


@pytest.mark.long
def test_the_wheel_of_the_sdist_runs_in_an_empty_folder(tmp_path: Path) -> None:
    """In an environment of its own, which has the other packages of this one, but nas from the wheel alone."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)  # the sdist, and from that the wheel
    (wheel,), (sdist,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert ready_made() | {"nas/py.typed", "pyproject.toml", "README.md"} <= names
    environment, empty = tmp_path / "environment", tmp_path / "empty"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    install = ["pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", *install], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    others = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "others.pth").write_text(others)
    empty.mkdir()

    def nas(*arguments: str) -> str:
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        program = [str(environment / "bin" / "nas"), *arguments]
        return subprocess.run(program, cwd=empty, env=clean, check=True, capture_output=True, text=True).stdout

    where = subprocess.run([str(python), "-c", "import nas; print(nas.__file__)"], cwd=empty, check=True,
                           capture_output=True, text=True, env={"PATH": os.environ["PATH"]}).stdout  # fmt: skip
    assert where.startswith(str(environment))
    assert "architectures" in nas("show", "deit_tiny")
    assert "report.html" in nas("run", "digits", *(word for text in SHORT for word in ("--set", text)))
    assert (empty / "runs" / "digits" / "report" / "report.html").is_file()
    (tmp_path / "typed.py").write_text("import nas\nsize: str = nas.SearchSpace.from_yaml('deit_tiny').size\n")
    checked = subprocess.run([sys.executable, "-m", "mypy", "--python-executable", str(python), "typed.py"],
                             cwd=tmp_path, capture_output=True, text=True, check=False)  # fmt: skip
    assert 'has type "int", variable has type "str"' in checked.stdout
