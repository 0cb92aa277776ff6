"""What comes with nas can be called by name, from any folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from studies_fakes import TINY

from nas import SearchSpace, Study
from nas.cli import main
from nas.errors import ConfigError
from nas.ready_made import named, ready_made

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", ["searchspaces", "strategies", "studies"])
def test_all_files_of_the_root_have_names(kind: str) -> None:
    files = ready_made(kind)  # type: ignore[arg-type]
    assert set(files) == {path.stem for path in (ROOT / kind).glob("*.yaml")}
    assert all(path.is_file() for path in files.values())


def test_a_space_is_known_by_its_name() -> None:
    assert SearchSpace.from_yaml("deit_tiny").size == SearchSpace.from_yaml(ROOT / "searchspaces/deit_tiny.yaml").size
    assert main(["show", "deit_tiny"]) == 0


def test_a_study_by_names_is_that_by_files(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'nas[optuna]'")
    by_name = Study.from_yaml("digits", overrides=["space=vit_digits", "strategy=nsga2"], folder=tmp_path / "run")
    files = [f"space={ROOT}/searchspaces/vit_digits.yaml", f"strategy={ROOT}/strategies/nsga2.yaml"]
    by_file = Study.from_yaml(ROOT / "studies" / "digits.yaml", overrides=files, folder=tmp_path / "run")
    assert by_name.resolved.settings == by_file.resolved.settings
    assert by_name.resolved.config.run_folder == Path("runs/digits")


def test_what_is_used_keeps_its_name() -> None:
    """`evolution` is the strategy with its own defaults; the file strategies/evolution.yaml says 300 trials."""
    study = Study.from_yaml(TINY, overrides=["strategy=evolution"])
    assert study.resolved.strategy.trials == 200


def test_a_file_of_ones_own_comes_first(tmp_path: Path) -> None:
    (tmp_path / "deit_tiny").write_text("model: [")
    assert named("deit_tiny", "searchspaces") is None
    with pytest.raises(ConfigError):
        SearchSpace.from_yaml("deit_tiny")


def test_unknown_names_are_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"one of .*deit_tiny.*did you mean 'vit_digits'"):
        Study.from_yaml(TINY, overrides=["space=vit_digit"])
    with pytest.raises(ConfigError, match=r"strategy.use: .*did you mean 'nsga[23]'"):
        Study.from_yaml(TINY, overrides=["strategy=nsga1"])
    assert named("../strategies/nsga2", "strategies") is None
