"""Strategies that train weights of their own: what is measured on which supernet, whatever happens in between."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from studies_fakes import TINY, Learning, Trained
from studies_partial import Stop, run_up_to

from nas.evaluation import Evaluator
from nas.search import Trial
from nas.studies.report.findings import Findings
from nas.studies.run.folder import write_json
from nas.studies.run.identity import Identity
from nas.studies.run.record import Record
from nas.studies.run.results import EXPLORE, EXTRACT, RETRAIN, SUPERNET
from nas.studies.run.weights import WEIGHTS
from nas.studies.stages.workshop import CHECKPOINT, ORDERING, Workshop
from nas.studies.store.store import Store
from nas.studies.study import Study
from nas.supernets import load

BRIEF = ["base.epochs=1", "supernet.epochs=1", "retrain.epochs=1"]
QUICK = [*BRIEF, "baseline=1"]


NOBODY = Identity(id="x", created="", commit="", version="", threads=1)


def learning(folder: Path, *overrides: str) -> Study:
    """The tiny study with a strategy that trains; uniform's only trial is the same architecture."""
    study = Study.from_yaml(TINY, overrides=[*QUICK, *overrides], folder=folder)
    return Study.of(replace(study.resolved, strategy=Learning()), folder)


def workshop_of(study: Study) -> Workshop:
    return Workshop(study.resolved, study.folder, study.record.identity, show=False)


def outcome(record: Record) -> dict[str, Any]:
    """All that must not depend on how often a run was interrupted."""
    explored = record.result(EXPLORE)
    rows = [replace(row, latency={}) for row in record.result(RETRAIN).rows]
    relaxation = [replace(epoch, seconds=0) for epoch in explored.relaxation]
    return {"rows": rows, "winner": explored.winner, "uniform": explored.uniform, "relaxation": relaxation}


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Do not write into its folder."""
    study = learning(tmp_path_factory.mktemp("runs") / "learned")
    study.run(quiet=True)
    return study


def test_winner_and_baseline_are_measured_on_and_extracted_from_supernets_of_their_own(learned: Study) -> None:
    explored, extracted = learned.record.result(EXPLORE), learned.record.result(EXTRACT)
    assert explored.uniform is not None
    assert explored.winner.digest == explored.uniform.digest
    assert explored.measured == 2  # nothing that was measured on one supernet serves for the other
    assert explored.winner.metrics != explored.uniform.metrics
    workshop = workshop_of(learned)
    for role, strategy in (("winner", "evolution"), ("uniform", "uniform")):
        supernet = workshop.supernets.of(strategy)
        evaluator = Evaluator(supernet, workshop.data.validation, workshop.task)
        evaluation = evaluator(learned.record.stored(strategy)[0].architecture)
        assert explored.roles[role].metrics == pytest.approx(evaluation.metrics)
        assert extracted.roles[role].validation == pytest.approx(evaluation.metrics)
        assert extracted.roles[role].difference == 0


def test_the_baseline_runs_on_the_studys_supernet(learned: Study) -> None:
    workshop = workshop_of(learned)
    assert (workshop.supernets.source("evolution"), workshop.supernets.source("uniform")) == (EXPLORE, SUPERNET)
    own, adopted = workshop.supernets.of("uniform"), workshop.supernets.of("evolution")
    stored = load_file(learned.folder.path / "supernet" / WEIGHTS)
    assert all(torch.equal(tensor, stored[name]) for name, tensor in own.state_dict().items())
    assert not torch.equal(own.model.get_parameter("head.weight"), adopted.model.get_parameter("head.weight"))
    assert not adopted.training


def test_one_architecture_of_two_supernets_is_retrained_twice(learned: Study) -> None:
    retrained = learned.record.result(RETRAIN)
    assert not retrained.twins
    assert retrained.trainings["winner"].history != retrained.trainings["uniform"].history


def test_one_architecture_of_one_supernet_is_retrained_once(tmp_path: Path) -> None:
    overrides = [*QUICK, "strategy.trials=2", "baseline=2", "retrain.epochs=0"]
    record = run_up_to("report", Study.from_yaml(TINY, overrides=overrides, folder=tmp_path / "run")).record
    explored = record.result(EXPLORE)
    assert (explored.adopted, explored.measured) == (False, 2)
    assert record.result(RETRAIN).twins


def test_the_relaxed_training_is_kept_and_its_checkpoint_is_not(learned: Study) -> None:
    explored = learned.record.result(EXPLORE)
    assert explored.adopted
    assert [epoch.epoch for epoch in explored.relaxation] == [1, 2]
    assert explored.relaxation[0].metrics["mlp.1"] == 0.75
    assert not (learned.folder.path / "explore" / CHECKPOINT).exists()


def test_an_architecture_by_name_comes_from_the_supernet_of_its_strategy(learned: Study) -> None:
    images = next(workshop_of(learned).data.validation.batches(8)).inputs
    best = learned.record.result(EXPLORE).winner
    supernet = workshop_of(learned).supernets.of("evolution")
    with torch.no_grad():
        expected = supernet(images, learned.record.stored("evolution")[0].architecture)
        for name in ({}, {"number": 0}, {"digest": best.digest}):
            assert torch.equal(learned.extract(**name)(images), expected)


@pytest.mark.parametrize("loss", ["plain", "adjoined"])
def test_other_architectures_are_retrained_from_the_supernet_of_their_strategy(tmp_path: Path, loss: str) -> None:
    study = learning(tmp_path / "run", f"retrain.loss={loss}", "retrain.epochs=0", "baseline=4")
    run_up_to("report", study)
    other = next(t.architecture for t in study.record.stored("uniform")[1:] if t.number)
    images = next(workshop_of(study).data.validation.batches(8)).inputs
    study.retrain(digest=other.digest)
    with torch.no_grad():
        expected = workshop_of(study).supernets.of("uniform")(images, other)
        found = load(study.folder.path / "retrain" / other.digest)(images)
        winner = load(study.folder.path / "retrain" / "winner")(images)
        best = study.record.stored("evolution")[0].architecture
        assert torch.equal(found, expected)
        assert torch.equal(winner, workshop_of(study).supernets.of("evolution")(images, best))


@pytest.mark.parametrize(("before", "strategy"), [(True, "evolution"), (False, "evolution"), (False, "uniform")])
def test_a_run_killed_around_adoption_ends_as_one_that_was_not(
    learned: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool, strategy: str
) -> None:
    record = Store.record

    def dying(store: Store, run: str, trial: Trial) -> None:
        if not (before and trial.strategy == strategy):
            record(store, run, trial)
        if trial.strategy == strategy:
            raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(Store, "record", dying)
        with pytest.raises(Stop):
            learning(tmp_path / "run").run(quiet=True)
    assert (tmp_path / "run" / "explore" / WEIGHTS).exists()
    again = run_up_to("report", learning(tmp_path / "run"))
    assert outcome(again.record) == outcome(learned.record)


def test_a_run_killed_while_it_adopts_ends_as_one_that_was_not(
    learned: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(path: Path, value: Mapping[str, Any]) -> None:
        write_json(path, value)
        if path.parent.name == "explore":
            raise Stop

    with monkeypatch.context() as patched:
        patched.setattr("nas.studies.stages.supernets.write_json", dying)
        with pytest.raises(Stop):
            learning(tmp_path / "run").run(quiet=True)
    assert workshop_of(learning(tmp_path / "run")).supernets.source("evolution") == SUPERNET
    assert outcome(run_up_to("report", learning(tmp_path / "run")).record) == outcome(learned.record)


@pytest.mark.parametrize("lost", ["explore", "supernet"])
def test_a_stage_that_is_asked_for_is_redone_with_fresh_weights(learned: Study, tmp_path: Path, lost: str) -> None:
    folder = shutil.copytree(learned.folder.path, tmp_path / "run")
    stale = folder / "explore" / WEIGHTS
    if lost == "supernet":
        stale.write_bytes(b"stale")
    assert outcome(run_up_to("report", learning(folder), lost).record) == outcome(learned.record)
    assert load_file(stale).keys() == load_file(learned.folder.path / "explore" / WEIGHTS).keys()


def test_a_store_that_was_lost_takes_the_adopted_supernet_with_it(learned: Study, tmp_path: Path) -> None:
    folder = shutil.copytree(learned.folder.path, tmp_path / "run")
    (folder / "trials.sqlite").unlink()
    assert outcome(run_up_to("report", learning(folder), "explore").record) == outcome(learned.record)


def test_nobody_who_trains_sees_the_test_split(learned: Study) -> None:
    workshop = workshop_of(learned)
    work = workshop.workplace(EXPLORE, "search", learned.folder.path / "nosuch")
    assert (len(work.data.test), len(work.data.test.images)) == (0, 0)
    assert work.data.train is workshop.data.train
    assert work.data.validation is workshop.data.validation
    assert len(workshop.data.test) > 0
    assert (work.seed, work.runtime.title) == (4, "search")


@pytest.mark.parametrize(("overrides", "trials"), [([], 100), (["baseline=3"], 3)])
def test_the_baseline_of_a_single_trial_has_a_hundred(tmp_path: Path, overrides: Sequence[str], trials: int) -> None:
    study = Study.from_yaml(TINY, overrides=overrides, folder=tmp_path / "run")
    resolved = replace(study.resolved, strategy=Learning())
    assert resolved.baseline_trials == trials
    expected = 12 if trials == 100 else trials
    assert study.resolved.baseline_trials == expected


def test_a_criterion_that_trains_leaves_its_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def study() -> Study:
        made = Study.from_yaml(TINY, overrides=[*BRIEF, "strategy=uniform", "strategy.trials=1"], folder=tmp_path / "r")
        return Study.of(replace(made.resolved, importance=Trained()), tmp_path / "r")

    with monkeypatch.context() as patched:
        patched.setattr("nas.studies.stages.supernet.Ends.__call__", lambda *_: (_ for _ in ()).throw(Stop()))
        with pytest.raises(Stop):
            study().run(quiet=True)
    assert (tmp_path / "r" / "supernet" / ORDERING).exists()
    record = study().run(quiet=True)
    assert [epoch.epoch for epoch in record.result(SUPERNET).importance] == [1, 2]
    assert Findings(record).passes == {"importance": 2, "supernet": 1}
    assert "importance" in Findings(record).histories
    assert not (tmp_path / "r" / "supernet" / ORDERING).exists()


def test_the_report_tells_the_relaxed_training(learned: Study) -> None:
    findings = Findings(learned.record)
    assert findings.passes == {"supernet": 1, "evolution": 2}
    assert "search (evolution)" in findings.histories
    text = (learned.folder.path / "report" / "report.html").read_text()
    assert text.count("<svg") == 6
    assert "3 passes over the training data (supernet 1, evolution 2)" in text
    assert "best of 1 architectures drawn uniformly" in text
    assert "the supernet that the strategy started from" in text


def test_results_of_older_runs_lack_the_new_keys_and_are_read(learned: Study, tmp_path: Path) -> None:
    folder = shutil.copytree(learned.folder.path, tmp_path / "run")
    for stage, keys in (
        ("explore", ("relaxation", "adopted", "seal", "sha256")),
        ("supernet", ("importance", "seal", "sha256")),
    ):
        path = folder / stage / "result.json"
        path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k not in keys}))
    findings = Findings(Record.open(folder))
    explored = findings.explored
    assert (explored.relaxation, findings.supernet.importance, explored.adopted) == ([], [], False)


def test_separate_norms_are_retrained_and_saved(tmp_path: Path) -> None:
    def weights(*overrides: str) -> dict[str, torch.Tensor]:
        folder = tmp_path / str(len(overrides))
        study = Study.from_yaml(
            TINY, overrides=[*BRIEF, "strategy=uniform", "strategy.trials=1", *overrides], folder=folder
        )
        run_up_to("report", study)
        return load_file(folder / "retrain" / "winner" / "model.safetensors")

    shared, own = weights(), weights("retrain.separate_norms=true")
    assert shared.keys() == own.keys()
    assert not torch.equal(shared["blocks.0.norm1.weight"], own["blocks.0.norm1.weight"])
