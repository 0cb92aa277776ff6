"""The built wheel: one name in site-packages, and the files that are no Python."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = target.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


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
