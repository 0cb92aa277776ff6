"""`warm_start:` what a run takes from earlier runs, that it keeps it, and which runs are refused; and where a study's
storage lies.
"""

from __future__ import annotations

import multiprocessing
import shutil
from pathlib import Path

import optuna
import pytest
from studies_fakes import TINY, run_and_die

from nas.errors import ConfigError, RunError
from nas.strategies.with_optuna.storage import opened
from nas.studies.file.resolve import resolve
from nas.studies.run.export_optuna import export
from nas.studies.run.prior import read_prior, write_prior
from nas.studies.stages.beginning import begin
from nas.studies.study import Study

OPTUNA = ["strategy={use: with_optuna, sampler: nsga2, population: 3, trials: 6}", "baseline=1"]
COLD = ["strategy={use: evolution, trials: 6, population: 4, sample: 2}", "seed=5"]


def digests(study: Study, strategy: str) -> list[str]:
    return [trial.architecture.digest for trial in study.record.stored(strategy)]


def test_a_run_learns_from_an_earlier_one_and_keeps_what_it_took(finished: Study, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    shutil.copytree(finished.folder.path, earlier)
    warm = Study.from_yaml(TINY, overrides=[*COLD, f"warm_start=[{earlier}]"], folder=tmp_path / "warm")
    done = {trial.architecture.digest for trial in finished.record.stored() if trial.state == "done"}
    assert {trial.architecture.digest for trial in warm.resolved.prior} == done
    assert len(warm.resolved.prior) == len(done), "each architecture once"
    killed = multiprocessing.get_context("spawn").Process(
        target=run_and_die, args=(tmp_path / "killed",),
        kwargs={"writes": -1, "trials": 3, "overrides": [*COLD, f"warm_start=[{earlier}]"]},
    )  # fmt: skip
    killed.start()
    warm.run(quiet=True)
    cold = Study.from_yaml(TINY, overrides=COLD, folder=tmp_path / "cold")
    cold.run(quiet=True)
    killed.join(120)
    assert digests(warm, "evolution")[:4] != digests(cold, "evolution")[:4], "bred, not drawn"
    assert digests(warm, "uniform") == digests(cold, "uniform")
    assert len(warm.record.stored("evolution")) == 6, "what was taken is no trial of this run"

    assert killed.exitcode == -9
    shutil.rmtree(earlier)
    continued = Study.open(tmp_path / "killed")  # on another machine, say, where there is no earlier run
    continued.run(quiet=True)
    assert digests(continued, "evolution") == digests(warm, "evolution")
    with pytest.raises(ConfigError, match=r"warm_start.0: found .*earlier: no run here"):
        Study.from_yaml(TINY, overrides=[*COLD, f"warm_start=[{earlier}]"], folder=tmp_path / "other")


def test_what_is_kept_comes_back(finished: Study, tmp_path: Path) -> None:
    trials = [trial for trial in finished.record.stored() if not trial.cached]
    write_prior(tmp_path / "prior.json", trials)
    assert read_prior(tmp_path / "prior.json") == trials
    (tmp_path / "prior.json").write_text('{"trials": [{"number": 1}]}')
    with pytest.raises(RunError, match=r"prior.json: damaged"):
        read_prior(tmp_path / "prior.json")


def test_runs_that_do_not_fit_are_refused_at_their_places(finished: Study, tmp_path: Path) -> None:
    other = TINY.replace("heads: {size: [1, 2], per: block}", "heads: {size: [1, 2], per: model}")
    study = Study.from_yaml(other, folder=tmp_path / "other")
    begin(study.resolved, study.folder)
    text = f"{TINY}\nwarm_start:\n- {tmp_path}/nosuch\n- {study.folder.path}\n- {finished.folder.path}\n"
    with pytest.raises(ConfigError) as caught:
        resolve(text)
    first, second = str(caught.value).splitlines()
    line = text.splitlines().index("warm_start:") + 2
    assert first.startswith(f"<text>:{line}:3: warm_start.0: found {tmp_path}/nosuch: no run here")
    assert second.startswith(f"<text>:{line + 1}:3: warm_start.1: found {study.folder.path}")
    shutil.copytree(finished.folder.path, tmp_path / "copy")
    with pytest.raises(ConfigError, match=r"warm_start.0: found '.*tiny', whose choices differ \(heads: none, "
                       r"here \[1, 2\]\); allowed: runs with the same choices and values"):  # fmt: skip
        resolve(other, [f"warm_start=[{finished.folder.path}]"])
    with pytest.raises(ConfigError, match=r"of whose \d+ finished trials none fits; allowed: runs with trials within"):
        resolve(TINY, [f"warm_start=[{finished.folder.path}]", "limit={macs: [99%, null]}"])


def test_a_run_with_a_storage_and_its_export_are_one_study(
    finished: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "study.yaml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    overrides = [*OPTUNA, "strategy.storage=optuna.journal", f"warm_start=[{finished.folder.path}]"]
    study = Study.from_yaml("lab/study.yaml", overrides=overrides, folder=tmp_path / "run")
    assert study.resolved.strategy.storage == str(tmp_path / "optuna.journal")  # type: ignore[attr-defined]
    study.run(quiet=True)
    name = f"{study.record.label}-with_optuna"
    storage = opened("optuna.journal")
    before = optuna.load_study(study_name=name, storage=storage).get_trials()
    assert [t.params for t in before] == [dict(t.architecture) for t in study.record.stored("with_optuna")]
    assert export(study.record, "optuna.journal") == {name: 6, f"{study.record.label}-uniform": 1}


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("strategy.storage=sqlite:////nosuch/x.db", r"strategy: found storage '.*there is no folder /nosuch"),
        (
            "strategy.storage=nosuchdb://u@h/x",
            r"--set strategy: strategy: found storage 'nosuchdb://u@h/x': .*plugin",
        ),
        (
            "strategy.storage=nosuchdb://u:s3cret@h/x",
            r"--set strategy.storage: strategy.storage: found database 'nosuchdb://u:\*\*\*@h/x': found a password;",
        ),
        ("strategy.study=both", "study 'both' without a storage; allowed: both"),
        ("strategy.sampler=nsga4", r"--set strategy.sampler: strategy.sampler: found 'nsga4'.*did you mean 'nsga"),
    ],
)
def test_what_is_wrong_with_a_storage_is_said_before_anything_trains(setting: str, found: str) -> None:
    with pytest.raises(ConfigError, match=found) as caught:
        Study.from_yaml(TINY, overrides=[*OPTUNA, setting])
    assert len(str(caught.value).splitlines()) == 1
    assert "s3cret" not in str(caught.value)
