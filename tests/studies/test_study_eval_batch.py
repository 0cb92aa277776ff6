"""`eval_batch`: how many images a model sees together wherever a run measures one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from studies_fakes import TINY, outcome

from nas.errors import ConfigError, MemoryShortageError
from nas.evaluation import evaluate
from nas.studies.run.results import RETRAIN
from nas.studies.study import Study
from nas.tasks.classification import Classification


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Of the batches that were measured since; detailed tallies ask the plain one, too."""
    sizes: set[int] = set()
    tally = type(Classification().tally())
    after = tally.after

    def counted(self: Any, outputs: Any, targets: Any) -> Any:
        sizes.add(len(targets))
        return after(self, outputs, targets)

    monkeypatch.setattr(tally, "after", counted)
    return sizes


def test_a_run_and_its_ranking_measure_in_such_batches_and_find_the_same(
    tmp_path: Path, finished: Study, sizes: set[int]
) -> None:
    study = Study.from_yaml(TINY, overrides=["eval_batch=7"], folder=tmp_path / "run")
    study.run(quiet=True)
    study.tau(architectures=3, seeds=1, epochs=1)
    assert max(sizes) == 7
    ours, theirs = outcome(study), outcome(finished)
    assert (ours["weights"], ours["winner"].digest) == (theirs["weights"], theirs["winner"].digest)
    for one, other in zip(ours["rows"], theirs["rows"], strict=True):
        assert one.test == pytest.approx(other.test, abs=1e-5)


def test_a_run_goes_on_with_smaller_ones(tmp_path: Path, sizes: set[int]) -> None:
    few = TINY.replace("trials: 12", "trials: 4").replace("epochs: 2", "epochs: 0")
    Study.from_yaml(few, folder=tmp_path / "run").run(quiet=True)
    assert max(sizes) > 9
    sizes.clear()
    Study.open(tmp_path / "run", overrides=["eval_batch=9"]).run(quiet=True, start=RETRAIN.name)
    assert max(sizes) == 9
    assert Study.open(tmp_path / "run").resolved.config.eval_batch == 9


def test_what_does_not_fit_says_the_key(monkeypatch: pytest.MonkeyPatch, finished: Study) -> None:
    def hungry(*_: object) -> None:
        raise MemoryError

    data = finished._workshop(show=False).data
    with pytest.raises(MemoryShortageError, match=r"measure in batches of 512; set a smaller eval_batch"):
        evaluate(hungry, data.validation, data.task)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"eval_batch: found 0; allowed: a whole number from 1 to 1000000"):
        Study.from_yaml(TINY, overrides=["eval_batch=0"])
