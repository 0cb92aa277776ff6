"""`nas tau` on the tiny study: what it retrains, keeps, continues and refuses."""

from __future__ import annotations

import builtins
import multiprocessing
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from studies_fakes import TINY, unsealed
from tau_fakes import tau_and_die

from nas.errors import NasError, RunError
from nas.searchspaces import Architecture
from nas.studies.report.findings import Findings
from nas.studies.run.folder import read_json
from nas.studies.run.rank_results import Sample
from nas.studies.run.rank_truth import RankTruth, found_in
from nas.studies.run.results import EXPLORE, RETRAIN
from nas.studies.study import Study
from nas.studies.tau import statistics
from nas.studies.tau.ranking import measure_of
from nas.studies.tau.retraining import Retraining
from nas.studies.tau.tau import Question, rank_truth
from nas.system.terminal import Terminal

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["nas.studies.study", "nas.studies.tau.tau"])
FEW = {"architectures": 4, "epochs": 1, "seeds": 1}


@pytest.fixture(scope="module", autouse=True)
def _few_resamples() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "RESAMPLES", 20)
        yield


@pytest.fixture(scope="module")
def run(finished: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished run that was asked once, with FEW."""
    folder = shutil.copytree(finished.folder.path, tmp_path_factory.mktemp("tau") / "run")
    study = Study.open(folder)
    study.tau(**FEW)
    return study


def copied(study: Study, place: Path) -> Study:
    """Without its report, which would be written anew each time."""
    return Study.open(shutil.copytree(study.folder.path, place, ignore=shutil.ignore_patterns("report")))


def retrainings(study: Study) -> dict[str, int]:
    """Files of retrained architectures, and when they were written."""
    return {path.stem: path.stat().st_mtime_ns for path in study.folder.path.glob("tau/*-*/*.json")}


def test_the_answer_is_kept_and_read_back_as_it_was(run: Study) -> None:
    (kept,) = found_in(run.folder.path)
    before = retrainings(run)
    again = run.tau(**FEW)
    assert retrainings(run) == before
    assert set(before) == set(again.table["digest"])
    pd.testing.assert_frame_equal(kept.table, again.table, check_exact=True)
    pd.testing.assert_frame_equal(kept.summary, again.summary, check_exact=True)
    assert (kept.relearning, kept.images, kept.ties) == (again.relearning, 45, again.ties)


def test_accuracies_are_of_the_search_validation_split(run: Study) -> None:
    """With shared weights, those that the search measured; a winner's retraining is found again as it was."""
    (kept,) = found_in(run.folder.path)
    workshop = run._workshop(show=False)
    measure = measure_of(workshop, workshop.data.validation)
    trial = run.record.find(number=0)
    assert measure(trial.architecture) == trial.metrics
    sample = read_json(run.folder.path / "tau" / "samples" / "4.json", Sample, remedy="")
    shared = kept.table.set_index("digest")["shared_accuracy"]
    for member in sample.members:
        architecture = Architecture(member.architecture)
        assert member.shared == measure(architecture)
        assert shared[architecture.digest] == member.shared["accuracy"]
        assert sum(part["accuracy"] for part in member.parts) / 8 == pytest.approx(member.shared["accuracy"], abs=0.02)
    winner = run.record.result(EXPLORE).winner
    work = Retraining(
        supernet=workshop.supernets.of(winner.strategy),
        spec=workshop.config.retrain,
        data=workshop.data.without_test(),
        seed=workshop.config.seed,
        device="cpu",
    )
    architecture = Architecture(winner.architecture)
    expected = run.record.result(RETRAIN).trainings["winner"].validation
    assert work(architecture).validation == work(architecture).validation == expected


def test_the_report_shows_the_answers_that_there_are(run: Study, finished: Study) -> None:
    title = "Do shared weights rank as retraining does?"
    page = (run.folder.path / "report" / "report.html").read_text()
    assert title in page
    assert "4 architectures, retrained 1 epoch (adjoined) from the shared weights" in page
    assert "Of 6 pairs" in page
    assert "regret@3 (points)" in page
    assert re.search(r"accuracy on 45 images, of whose best, [\d.]+ %, one standard error is [\d.]+ points", page)
    assert re.search(r"with shared weights is [\d.]+ points, of a difference on the same images [\d.]+ points", page)
    assert title not in (finished.folder.path / "report" / "report.html").read_text()
    assert Findings(finished.record).ranks == []


def test_other_recipes_lie_beside_each_other(run: Study, tmp_path: Path) -> None:
    study = copied(run, tmp_path / "run")
    answers = [
        study.tau(**FEW, **other) for other in ({"loss": "plain"}, {"loss": "distilled"}, {"from_scratch": True})
    ]
    names = {"adjoined-1-4", "plain-1-4", "distilled-1-4", "plain-1-from-scratch-4"}
    assert {truth.name for truth in found_in(study.folder.path)} == names
    shared = [dict(zip(t.table["digest"], t.table["shared_accuracy"], strict=True)) for t in answers]
    assert shared[0] == shared[1] == shared[2]
    assert len({tuple(t.table["retrained_loss"]) for t in answers}) == 3
    scratch = answers[2]
    assert scratch.table["retrained_loss"].min() > answers[0].table["retrained_loss"].max()


def test_a_killed_call_goes_on_where_it_was(run: Study, tmp_path: Path) -> None:
    study = copied(run, tmp_path / "run")
    shutil.rmtree(study.folder.path / "tau")
    process = PROCESSES.Process(target=tau_and_die, args=(study.folder.path, 3), kwargs=FEW)
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    before = retrainings(study)
    assert len(before) == 2
    truth = study.tau(**FEW)
    after = retrainings(study)
    assert len(after) == 4
    assert before.items() <= after.items()
    (undisturbed,) = found_in(run.folder.path)
    pd.testing.assert_frame_equal(truth.table, undisturbed.table, check_exact=True)
    pd.testing.assert_frame_equal(truth.summary, undisturbed.summary, check_exact=True)


def test_a_new_search_drops_the_answers_and_a_new_report_keeps_them(run: Study, tmp_path: Path) -> None:
    study = copied(run, tmp_path / "run")
    study.run(quiet=True)
    assert len(found_in(study.folder.path)) == 1
    assert "Of 6 pairs" in (study.folder.path / "report" / "report.html").read_text()
    study.run(quiet=True, start="explore")
    assert not found_in(study.folder.path)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"architectures": 2}, "architectures: found 2; allowed: 3 or more"),
        ({"architectures": 200}, "architectures: found 200, but .* ask for fewer"),
        ({"seeds": 0}, "seeds: found 0; allowed: 1 or more"),
        ({"epochs": 0}, "epochs: found 0; allowed: 1 or more"),
        ({"workers": 0}, "workers: found 0; allowed: 1 or more"),
        ({"workers": 257}, "workers: found 257; allowed: at most 256"),
        ({"epochs": 10**12}, "epochs: found 1000000000000; allowed: at most 1000000"),
        ({"loss": "adjoint"}, "loss: found 'adjoint'; allowed: adjoined, distilled, plain; did you mean 'adjoined'"),
        ({"loss": "adjoined", "from_scratch": True}, "allowed: plain, distilled, or to start from the shared weights"),
    ],
)
def test_what_cannot_be_answered_is_refused(run: Study, question: dict[str, Any], message: str) -> None:
    before = retrainings(run)
    with pytest.raises(RunError, match=message):
        run.tau(**question)
    assert retrainings(run) == before


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    study = Study.from_yaml(TINY, folder=tmp_path / "run")
    with pytest.raises(RunError, match="the stage 'explore' is not finished"):
        study.tau()


def test_a_study_that_retrains_for_no_epochs_must_be_told_how_many(run: Study, tmp_path: Path) -> None:
    study = copied(run, tmp_path / "run")
    text = study.folder.study_file.read_text()
    at = text.index("retrain:")
    study.folder.study_file.write_text(text[:at] + text[at:].replace("epochs: 2", "epochs: 0", 1))
    unsealed(study.folder.path)
    with pytest.raises(RunError, match="the study retrains for 0 epochs"):
        Study.open(study.folder.path).tau()


def test_workers_without_ray_are_refused(run: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_ray(name: str, *rest: Any) -> Any:
        if name in ("nas.system.cluster", "nas.studies.tau.on_ray"):
            raise ModuleNotFoundError("No module named 'ray'", name="ray")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(RunError, match=r"workers: found 2 at 'local'.*'ray', which is not installed.*nas\[ray\]"):
        run.tau(**FEW, workers=2)


def test_a_damaged_answer_is_named(run: Study, tmp_path: Path) -> None:
    study = copied(run, tmp_path / "run")
    (path,) = study.folder.path.glob("tau/*.json")
    path.write_text("{}")
    with pytest.raises(NasError, match=r"damaged, .*delete it and run nas tau again"):
        RankTruth.load(path)
    retrained = next(iter(study.folder.path.glob("tau/adjoined-1/*.json")))
    retrained.write_text('{"digest": "x"}')
    with pytest.raises(NasError, match=r"damaged, .*delete it and run nas tau again"):
        study.tau(**FEW)


def test_seeds_and_other_supernets_tell_what_is_noise(run: Study, tmp_path: Path) -> None:
    study = copied(run, tmp_path / "run")
    truth = study.tau(**FEW | {"seeds": 2, "architectures": 3}, beside=[run.folder.path])
    assert truth.name == "adjoined-1-3x2"
    files = {path.parent.name for path in study.folder.path.glob("tau/adjoined-1/**/*.json")}
    assert files == {"adjoined-1", "seed-1"}
    noise = truth.result.noise
    assert noise is not None
    assert (noise.truth.count, noise.images.count) == (2, 8)
    # The same supernet twice, on the same images: what it says has no noise.
    assert noise.supernets is not None
    assert (noise.supernets.count, noise.supernets.noise) == (2, pytest.approx(0))
    assert truth.verdict
    assert np.isfinite(truth.summary.set_index("statistic").loc["tau", "ceiling"])


def test_proxies_are_judged_beside_the_metrics_and_kept(run: Study, tmp_path: Path) -> None:
    study = copied(run, tmp_path / "run")
    truth = study.tau(**FEW, proxies=["macs", "ridge", "macs"])
    assert list(truth.scores["score"]) == ["accuracy", "loss", "macs", "ridge", "aggregate"]
    assert list(truth.table["score_macs"]) == list(truth.table["macs"])
    study.run(quiet=True)
    page = (study.folder.path / "report" / "report.html").read_text()
    assert "<td>ridge</td>" in page
    assert "mean rank over accuracy" in page
    (kept,) = found_in(study.folder.path)
    pd.testing.assert_frame_equal(kept.scores, truth.scores, check_exact=True)
    assert "ridge" not in kept.result.aggregate
    assert study.tau(**FEW).scores.empty, "asked again without, there are none"
    with pytest.raises(NasError, match=r"no 'mac' in nas.proxies; .* did you mean 'macs'"):
        study.tau(**FEW, proxies=["mac"])


def test_runs_of_another_space_are_no_repeats(run: Study) -> None:
    other: Any = SimpleNamespace(choices={"depth": [1]}, folder="runs/other")
    with pytest.raises(RunError, match=r"beside: runs/other has other choices than .*; allowed: runs of its study"):
        rank_truth(run._workshop(show=False), Question(), Terminal(), [other])
