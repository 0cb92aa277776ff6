from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from safetensors import SafetensorError

from nas.errors import RunError
from nas.studies.run.folder import RunFolder, read_json, replaced_folder, write_bytes, write_json
from nas.studies.run.results import BASE, EXPLORE, STAGES, Stage, StageResult


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"n": 1})

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"result\.json': No space left on device; .*nothing finished is lost"):
        write_json(path, {"n": 2})
    assert read_json(path, dict[str, int], remedy="") == {"n": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize("key", ["n", "sha256"])
def test_a_file_that_is_not_as_it_was_written_is_named(tmp_path: Path, key: str) -> None:
    path = tmp_path / "prior.json"
    write_json(path, {"n": 1})
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, key: 2}))
    with pytest.raises(RunError, match=r"prior\.json: damaged, or changed since .*checksum\); delete it"):
        read_json(path, dict[str, int], remedy="delete it")


def test_a_file_of_an_earlier_version_has_no_checksum(tmp_path: Path) -> None:
    (tmp_path / "selection.json").write_text('{"n": 2}')
    assert read_json(tmp_path / "selection.json", dict[str, int], remedy="") == {"n": 2}


def test_a_folder_takes_its_place_when_it_is_full(tmp_path: Path) -> None:
    place = tmp_path / "model"
    with replaced_folder(place) as partial:
        (partial / "a").write_text("1")
        assert not place.exists()
    with replaced_folder(place) as partial:
        (partial / "b").write_text("2")
    assert [p.name for p in place.iterdir()] == ["b"]


def test_a_folder_that_cannot_be_filled_changes_nothing(tmp_path: Path) -> None:
    place = tmp_path / "model"
    with replaced_folder(place) as partial:
        (partial / "a").write_text("1")

    def fill() -> None:
        with replaced_folder(place) as partial:
            (partial / "b").write_text("2")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fill()
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert [p.name for p in place.iterdir()] == ["a"]


def test_weights_that_do_not_fit_on_the_disk_are_a_fault_of_the_disk(tmp_path: Path) -> None:
    def fill() -> None:
        with replaced_folder(tmp_path / "model"):
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(RunError, match=r"cannot write '.*model': .*No space left on device"):
        fill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", STAGES, ids=str)
@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe", b"{}", b'{"seconds": 1.0, "history": [{}]}'])
def test_a_damaged_result_names_the_file_and_the_remedy(
    tmp_path: Path,
    stage: Stage[StageResult],
    content: bytes,
) -> None:
    write_bytes(tmp_path / stage.name / "result.json", content)
    with pytest.raises(RunError, match=rf"{stage}/result\.json: damaged.*anew: nas run .* --from {stage}"):
        RunFolder(tmp_path).result(stage)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    history = [{"epoch": 1, "metrics": {}}]
    write_json(tmp_path / "base" / "result.json", {"history": history, "validation": {"accuracy": 1}, "seconds": 1})
    with pytest.raises(RunError, match=r"damaged, 'history\.0\.loss' is missing or wrong"):
        RunFolder(tmp_path).result(BASE)


def test_an_empty_folder_that_is_there_gets_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with replaced_folder(Path()) as partial:
        (partial / "a").write_text("1")
    assert [p.name for p in Path.cwd().iterdir()] == ["a"]
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]


def test_a_stage_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="the stage 'explore' is not finished; run the study again"):
        RunFolder(tmp_path).need(EXPLORE)


def test_a_result_that_is_no_number_is_said_and_not_written(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"row\.json: not written, since a measured number is infinite or none at all"):
        write_json(tmp_path / "row.json", {"loss": float("nan")})
    assert not (tmp_path / "row.json").exists()
