"""A study on a folder of pictures: what it keeps of the set, and what it does when the set changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from picture_sets import class_folders
from studies_fakes import TINY
from studies_partial import run_up_to

from nas.data.readers._walk import Walk
from nas.errors import RunError
from nas.studies.run.record import Record
from nas.studies.run.results import PREPARE
from nas.studies.study import Study

rng = np.random.default_rng(0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "set", train=9, test=2)


@pytest.fixture
def prepared(root: Path, tmp_path: Path) -> Path:
    """The folder of a run whose first stage is done."""
    text = TINY.replace("{name: digits, train_images: 300}", f"{{path: {root}, validation: 0.3}}")
    study = Study.from_yaml(text, overrides=["base.epochs=0"], folder=tmp_path / "run")
    return run_up_to("base", study).folder.path


def test_a_second_start_lists_nothing_anew(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (prepared / "prepare" / "images.npz").is_file()
    monkeypatch.setattr(Walk, "files", lambda *_, **__: pytest.fail("listed anew"))
    run_up_to("supernet", Study.open(prepared))


def test_batches_that_are_larger_than_the_set_are_noted(prepared: Path) -> None:
    """Of the stages that train: `base` has no epochs here."""
    result = Record.open(prepared).result(PREPARE)
    assert result.notes == [
        f"{stage}.batch: 32, and there are 13 training images: all are in each batch"
        for stage in ("supernet", "retrain")
    ]


def test_other_pictures_are_refused_and_named(prepared: Path, root: Path) -> None:
    picture = root / "train" / "a" / "3.png"
    picture.rename(root / "train" / "a" / "33.png")
    with pytest.raises(RunError, match=r"began with other images \(1 gone \(train/a/3\.png\); 1 new \(train/a/33\.png"):
        run_up_to("supernet", Study.open(prepared))
    (root / "train" / "a" / "33.png").rename(picture)
    run_up_to("supernet", Study.open(prepared))


def test_the_same_pictures_may_lie_elsewhere(prepared: Path, root: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    moved = root.rename(tmp_path / "there" / "set")
    run_up_to("supernet", Study.open(prepared, overrides=[f"data.path={moved}"]))
    assert Record.open(prepared).settings["data"]["path"] == str(moved)


def test_what_is_kept_is_sealed(prepared: Path) -> None:
    path = prepared / "prepare" / "images.npz"
    path.write_bytes(path.read_bytes() + b"?")
    with pytest.raises(RunError, match=r"images\.npz: not the file that the stage 'prepare' left \(checksum\)"):
        run_up_to("supernet", Study.open(prepared))
