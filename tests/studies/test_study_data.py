"""What a run says of its pictures, on the terminal, in its folder and in its report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from studies_fakes import TINY, unsealed

import nas.cli
from nas.errors import ConfigError
from nas.studies.file.resolve import resolve
from nas.studies.run.results import PREPARE, Stamp
from nas.studies.stages import prepare
from nas.studies.stages.beginning import begin
from nas.studies.stages.workshop import Workshop
from nas.studies.study import Study


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part in ("Train", "Test"):
        for name in ("[red]a", "b"):
            (tmp_path / "set" / part / name).mkdir(parents=True)
            for k in range(20):
                pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "set" / part / name / f"{k}.png")
    return tmp_path / "set"


def study_of(pictures: Path, *overrides: str) -> Study:
    text = TINY.replace("{name: digits, train_images: 300}", f"{{path: {pictures}}}")
    return Study.from_yaml(text, overrides=overrides, folder=pictures.parent / "run")


def test_notes_are_on_the_terminal_in_the_folder_and_in_the_report(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(pictures / "Train" / "b" / "0.png", pictures / "Test" / "b" / "again.png")
    for file in (pictures / "Test" / "[red]a").iterdir():
        file.unlink()
    (pictures / "Test" / "b" / "phone.heic").write_bytes(b"?")
    study = study_of(pictures, "data.mean=[0.5]", "data.std=[0.25]")
    study.run()
    notes = (
        "set: left out, being no pictures, or in no class folder: .heic (1)",
        "test has no image of 1 of the 2 classes: [red]a",
        "1 of the 21 test images is in validation too, equal to the pixel",
    )
    printed = " ".join(capsys.readouterr().err.split())
    page = (pictures.parent / "run" / "report" / "report.html").read_text()
    prepared = json.loads((pictures.parent / "run" / "prepare" / "result.json").read_text())
    assert prepared["notes"] == list(notes)
    assert prepared["preprocessing"] == {
        "mean": [0.5] * 3, "std": [0.25] * 3, "crop_pct": 1.0, "interpolation": "bilinear", "crop_mode": "center",
        "source": "given",
    }  # fmt: skip
    for note in notes:
        assert f"note: {note}" in printed
        assert f"data: {note}" in page


@pytest.mark.filterwarnings("error")
def test_bad_pictures_end_a_run_with_their_names(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("Train/b/1.png", "Test/b/2.png", "Test/[red]a/0.png"):
        (pictures / name).write_bytes(b"")
    (pictures.parent / "study.yaml").write_text(TINY)
    asked = ["run", str(pictures.parent / "study.yaml"), "--folder", str(pictures.parent / "run")]
    given = ["--set", "data.name=null", "--set", "data.train_images=null", "--set", f"data.path={pictures}"]
    assert nas.cli.main([*asked, *given, "--quiet"]) == 2
    printed = capsys.readouterr().err
    assert all(name in printed for name in ("Train/b/1.png", "Test/b/2.png", "Test/[red]a/0.png"))
    assert "Traceback" not in printed


def test_a_size_out_of_bounds_is_one_fault_and_builds_nothing() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(TINY, ["data.image_size=1000000000"])
    assert [fault.key for fault in caught.value.faults] == ["data.image_size"]


def test_settings_are_written_anew_only_where_the_pictures_moved(pictures: Path) -> None:
    study = study_of(pictures)
    begin(study.resolved, study.folder)
    workshop = Workshop(study.resolved, study.folder, study.record.identity, show=False)
    study.folder.finish(PREPARE, prepare.run(workshop), Stamp(0.0, ""))
    written = study.folder.study_file.read_bytes()
    older = b"\n".join(line for line in written.split(b"\n") if b"split_folders" not in line)
    study.folder.study_file.write_bytes(older)
    unsealed(study.folder.path)
    begin(study.resolved, study.folder)
    assert study.folder.study_file.read_bytes() == older
    pictures.rename(pictures.parent / "moved")
    moved = study_of(pictures.parent / "moved")
    begin(moved.resolved, moved.folder)
    assert b"moved" in study.folder.study_file.read_bytes()
