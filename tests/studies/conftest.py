"""One finished run of the tiny study, shared by all tests that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from studies_fakes import TINY

from nas.studies.study import Study


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Do not write into its folder."""
    study = Study.from_yaml(TINY, folder=tmp_path_factory.mktemp("runs") / "tiny")
    study.run(quiet=True)
    return study


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The tiny study as a file."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path
