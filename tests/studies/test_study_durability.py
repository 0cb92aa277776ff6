from __future__ import annotations

import json
import multiprocessing
import signal
from pathlib import Path
from typing import Any

import pytest
from studies_fakes import TINY, run_and_die

from nas.errors import RunError
from nas.studies.folder import STAGES, RunFolder
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
    return next(stage for stage in STAGES if RunFolder(folder).result(stage) is None)


def outcome(study: Study) -> dict[str, Any]:
    """All that must not depend on how often a run was interrupted."""
    record = study.record
    rows = [
        {key: value for key, value in row.items() if "latency" not in key} for row in record.result("retrain")["rows"]
    ]
    weights = {
        str(path.relative_to(study.folder.path)): json.loads(path.read_text())["sha256"]
        for path in study.folder.path.glob("*/*/model.json")
    }
    assert {f"{stage}/winner/model.json" for stage in ("extract", "retrain")} <= set(weights)
    trials = study.trials().drop(columns=["seconds"])
    return {
        "rows": rows,
        "weights": weights,
        "trials": trials.to_dict("list"),
        "winner": record.result("explore")["winner"],
    }


def test_a_run_killed_again_and_again_ends_as_one_that_was_not(finished: Study, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    reached = [until_killed(folder, writes) for writes in (2, 4, 4, 3, 8, 8, 4)]
    assert not killed(folder, writes=-1)
    assert list(dict.fromkeys(reached)) == ["prepare", "base", "supernet", "extract", "retrain"]
    assert outcome(Study.open(folder)) == outcome(finished)


def test_a_search_killed_in_the_middle_keeps_its_trials_and_goes_on(finished: Study, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    assert killed(folder, writes=-1, trials=5)
    assert len(Study.open(folder).trials()) == 5
    assert killed(folder, writes=-1, trials=14)  # within the uniform baseline
    assert len(Study.open(folder).trials()) == 19
    assert not killed(folder, writes=-1)
    assert outcome(Study.open(folder)) == outcome(finished)


def test_a_finished_run_does_nothing_when_run_again(finished: Study) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.folder.path.rglob("*.json")}
    finished.run(quiet=True)
    assert {path: path.stat().st_mtime_ns for path in finished.folder.path.rglob("*.json")} == before


def test_another_studys_folder_is_refused_with_the_keys_that_differ(finished: Study) -> None:
    other = Study.from_yaml(TINY, overrides=["seed=1", "strategy.trials=13"], folder=finished.folder.path)
    with pytest.raises(RunError, match=r"strategy.trials \(there 12, now 13\), seed \(there 4, now 1\).*--folder"):
        other.run(quiet=True)


def test_the_number_of_threads_may_change(finished: Study) -> None:
    Study.from_yaml(TINY, overrides=["threads=2"], folder=finished.folder.path).run(quiet=True)


def test_a_folder_has_one_driver_at_a_time(finished: Study) -> None:
    with finished.folder.lock(), pytest.raises(RunError, match="another process is running this study"):
        finished.run(quiet=True)


def test_a_stage_that_is_redone_takes_the_later_ones_with_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for stage in ("base", "supernet", "explore"):
        folder.finish(stage, {"done": True})
    folder.forget_after("base")
    assert folder.result("base") == {"done": True}
    assert folder.result("supernet") is None
    assert folder.result("explore") is None
