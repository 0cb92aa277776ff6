from __future__ import annotations

import multiprocessing
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from studies_fakes import TINY, outcome, run_and_die
from studies_partial import found, run_up_to

from nas.errors import RunError, StoreError
from nas.studies.run.folder import RunFolder
from nas.studies.run.record import Record
from nas.studies.run.results import BASE, STAGES, SUPERNET
from nas.studies.stages.workshop import CHECKPOINT
from nas.studies.study import Study

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["nas.studies.study", "nas.strategies.evolution", "nas.studies.stages.report"])


def killed(folder: Path, **moment: Any) -> bool:
    """Runs the tiny study in another process until it is killed; False when it came to its end instead."""
    process = PROCESSES.Process(target=run_and_die, args=(folder,), kwargs=moment)
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


def until_killed(folder: Path, writes: int) -> str:
    """The stage in which the run was killed."""
    assert killed(folder, writes=writes)
    return next(stage.name for stage in STAGES if RunFolder(folder).result(stage) is None)


def test_a_run_killed_again_and_again_ends_as_one_that_was_not(finished: Study, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    reached = [until_killed(folder, writes) for writes in (2, 4, 4, 3, 9, 8, 4)]
    assert not killed(folder, writes=-1)
    assert list(dict.fromkeys(reached)) == ["prepare", "base", "supernet", "extract", "retrain"]
    assert outcome(Study.open(folder)) == outcome(finished)


def test_a_search_killed_in_the_middle_keeps_its_trials_and_goes_on(finished: Study, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    assert killed(folder, trials=5)
    assert len(Study.open(folder).trials()) == 5
    assert killed(folder, trials=14)  # within the uniform baseline
    assert len(Study.open(folder).trials()) == 19
    assert killed(folder, stage="extract", writes=1)
    assert found(Study.open(folder)) == found(finished)


def test_a_finished_run_does_nothing_when_run_again(finished: Study) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.folder.path.rglob("*.json")}
    finished.run(quiet=True)
    assert {path: path.stat().st_mtime_ns for path in finished.folder.path.rglob("*.json")} == before


def test_another_studys_folder_is_refused_with_the_keys_that_differ(finished: Study) -> None:
    other = Study.from_yaml(TINY, overrides=["seed=1", "strategy.trials=13"], folder=finished.folder.path)
    with pytest.raises(RunError, match=r"strategy.trials \(there 12, now 13\), seed \(there 4, now 1\).*--folder"):
        other.run(quiet=True)


def test_a_study_that_failed_in_prepare_can_be_mended(tmp_path: Path) -> None:
    (tmp_path / "other.db").write_text("these are my holiday notes\n" * 200)
    wrong = Study.from_yaml(TINY, overrides=[f"store=sqlite:///{tmp_path}/other.db"], folder=tmp_path / "run")
    with pytest.raises(StoreError, match="not a database"):
        wrong.run(quiet=True)
    mended = Study.from_yaml(TINY, folder=tmp_path / "run")
    assert run_up_to("base", mended).record.settings["store"] is None
    assert (tmp_path / "run" / "trials.sqlite").is_file()


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_the_remedy_for_a_lost_store_works(finished: Study, tmp_path: Path, damage: str) -> None:
    folder = shutil.copytree(finished.folder.path, tmp_path / "run")
    shutil.rmtree(folder / "report")
    if damage == "missing":
        (folder / "trials.sqlite").unlink()
    else:
        (folder / "trials.sqlite").write_bytes((folder / "trials.sqlite").read_bytes()[:6000])
    with pytest.raises(StoreError) as caught:
        Study.open(folder).run(quiet=True)
    assert "delete it and search anew: nas run RUN --from explore" in str(caught.value)
    (folder / "trials.sqlite").unlink(missing_ok=True)
    assert found(run_up_to("extract", Study.open(folder), start="explore")) == found(finished)


@pytest.mark.parametrize("content", [b"{}", b"[]", b"{name: 1}"])
@pytest.mark.parametrize("name", ["run.json", "study.yaml"])
def test_a_damaged_run_is_named_with_the_remedy(finished: Study, tmp_path: Path, name: str, content: bytes) -> None:
    folder = shutil.copytree(finished.folder.path, tmp_path / "run")
    (folder / name).write_bytes(content)
    for use in (Record.open, Study.open):
        with pytest.raises(RunError, match=rf"{name}: damaged, .*delete the run's folder and run again"):
            use(folder)


def test_an_empty_digest_is_refused(finished: Study) -> None:
    with pytest.raises(RunError, match="the digest is empty"):
        finished.record.find(digest="")


def test_the_number_of_threads_may_change(finished: Study) -> None:
    Study.from_yaml(TINY, overrides=["threads=2"], folder=finished.folder.path).run(quiet=True)


def test_a_folder_has_one_driver_at_a_time(finished: Study) -> None:
    with finished.folder.lock(), pytest.raises(RunError, match="another process is running this study"):
        finished.run(quiet=True)


def test_a_stage_that_is_redone_takes_the_later_ones_with_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for stage in ("base", "supernet", "explore"):
        (folder.stage(stage) / "weights").touch()
    folder.forget_after(BASE)
    assert [path.parent.name for path in tmp_path.glob("*/weights")] == ["base"]


def test_a_checkpoint_of_a_finished_stage_is_dropped_by_the_next_driver(finished: Study, tmp_path: Path) -> None:
    """Its own was killed between the stage's result and that."""
    folder = shutil.copytree(finished.folder.path, tmp_path / "run", ignore=shutil.ignore_patterns("report"))
    (folder / SUPERNET.name / CHECKPOINT).touch()
    run_up_to("report", Study.open(folder))
    assert not (folder / SUPERNET.name / CHECKPOINT).exists()
