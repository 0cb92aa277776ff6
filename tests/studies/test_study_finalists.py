"""The stage `finalists`: rounds that decide who wins, whatever happens meanwhile, and what a reader is told of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from studies_fakes import TINY
from studies_partial import Stop, run_up_to

import nas.cli
from nas.errors import ConfigError
from nas.studies.report.belief import of_distance, of_finalists, of_scores
from nas.studies.report.findings import Findings
from nas.studies.run.paired import PairedDifference, paired
from nas.studies.run.results import EXPLORE, EXTRACT, FINALISTS, RETRAIN, WinnerResult
from nas.studies.run.rounds import FinalistTraining, RoundResult
from nas.studies.stages import finalists
from nas.studies.stages.finalists import decided, lengths_of
from nas.studies.study import Study
from nas.tasks.classification import ACCURACY, LOSS

OVERRIDES = ["finalists=3", "retrain.epochs=4", "strategy.trials=6"]


@pytest.fixture(scope="module")
def contested(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished run whose winner was decided in rounds. Do not write into its folder."""
    study = Study.from_yaml(TINY, overrides=OVERRIDES, folder=tmp_path_factory.mktemp("runs") / "contested")
    study.run(quiet=True)
    return study


def trained(digest: str, *losses: float) -> FinalistTraining:
    return FinalistTraining(digest=digest, validation={"accuracy": 0.5}, losses=list(losses))


def round_of(trainings: list[FinalistTraining], most: int) -> RoundResult:
    """As `decided`, numbered by score in the order of the letters of their digests."""
    named = {
        digest: WinnerResult(
            strategy="evolution", number=number, digest=digest, architecture={"a": 1}, metrics={"accuracy": 0.9},
            costs={"macs": 10, "params": 5},
        )
        for number, digest in enumerate(sorted(training.digest for training in trainings))
    }  # fmt: skip
    return decided(named, trainings, epochs=2, most=most)


def test_paired_differences_see_what_means_do_not() -> None:
    rng = np.random.default_rng(0)
    hard = rng.exponential(1.0, 200)  # of each picture, the same for both
    first, second = hard + rng.normal(0.02, 0.05, 200), hard
    gap = paired(first.tolist(), second.tolist())
    assert gap.mean == pytest.approx(float((first - second).mean()))
    assert gap.low < gap.mean < gap.high
    assert gap.certain
    apart = paired(rng.permutation(first).tolist(), second.tolist())
    assert not apart.certain, "the same values, picture by picture of others"
    assert paired([1.0, 2.0], [1.0, 2.0]) == PairedDifference(mean=0.0, low=0.0, high=0.0)


def test_intervals_hold_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    gaps = [paired(rng.normal(0.3, 1, 100).tolist(), [0.0] * 100) for _ in range(60)]
    assert sum(gap.low <= 0.3 <= gap.high for gap in gaps) >= 50


def test_half_stay_and_none_that_is_certainly_behind() -> None:
    close = [trained("b", 1.0, 0.0, 1.0, 0.0), trained("a", 0.0, 1.0, 0.1, 1.0), trained("c", 9.0, 9.0, 9.0, 9.0)]
    one = round_of(close, 2)
    assert [(row.digest, row.place, row.kept) for row in one.finalists] == [
        ("b", 2, True),
        ("a", 1, True),
        ("c", 3, False),
    ]
    assert one.finalists[0].behind.mean == 0
    assert one.finalists[1].loss == pytest.approx(0.525)
    clear = round_of([*close[::2], trained("d", 8.0, 9.0, 9.0, 9.0)], 2)
    assert [row.kept for row in clear.finalists] == [True, False, False]
    tied = round_of([trained("z", 1.0, 1.0), trained("y", 1.0, 1.0)], 1)
    assert [(row.digest, row.kept) for row in tied.finalists] == [("y", True), ("z", False)]


@pytest.mark.parametrize(
    ("count", "epochs", "lengths"),
    [(5, 20, [2, 5, 10]), (2, 20, [10]), (5, 1, [1]), (4, 4, [1, 2]), (8, 300, [38, 75, 150])],
)
def test_rounds_double_to_half_a_retraining(count: int, epochs: int, lengths: list[int]) -> None:
    assert lengths_of(count, epochs) == lengths


def test_rounds_decide_the_winner(contested: Study) -> None:
    record = contested.record
    explored, result = record.result(EXPLORE), record.result(FINALISTS)
    first, last = result.rounds[0], result.rounds[-1]
    assert {one.digest for one in first.finalists} == {one.digest for one in explored.finalists}
    assert len(first.finalists) == 3
    assert [one.kept for one in last.finalists].count(True) == 1
    assert result.winner.digest == last.finalists[0].digest
    assert record.result(EXTRACT).winner.digest == result.winner.digest
    assert record.folder.roles()["winner"] == result.winner
    scores = [one.metrics["accuracy"] for one in explored.finalists]
    assert scores == sorted(scores, reverse=True)


def test_frame_page_and_terminal_say_what_was_decided(contested: Study, capsys: pytest.CaptureFixture[str]) -> None:
    frame = contested.finalists()
    assert list(frame.columns[:6]) == ["round", "epochs", "place", "strategy", "number", "digest"]
    assert {"macs", "shared_accuracy", "trained_accuracy", "behind_low", "kept"} <= set(frame.columns)
    assert (frame.groupby("round")["loss"].min() == frame[frame["behind"] == 0].groupby("round")["loss"].min()).all()
    assert nas.cli.main(["report", str(contested.folder.path)]) == 0
    said = capsys.readouterr().out
    page = (contested.folder.path / "report" / "report.html").read_text()
    for digest in frame["digest"]:
        assert digest in said
        assert digest in page
    assert "Can this run be believed?" in page
    assert "<h2>Finalists</h2>" in page
    assert nas.cli.main(["show", str(contested.folder.path)]) == 0
    assert "finalists" in capsys.readouterr().out


def test_the_search_validation_split_decides_alone(contested: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = shutil.copytree(contested.folder.path, contested.folder.path.with_name("without_test"))
    workshop = Study.open(copied)._workshop(show=False)
    monkeypatch.setattr(workshop, "data", workshop.data.without_test())
    shutil.rmtree(copied / "finalists")
    assert finalists.run(workshop) == contested.record.result(FINALISTS)


def test_a_killed_stage_goes_on_where_it_was(contested: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = run_up_to("finalists", Study.from_yaml(TINY, overrides=OVERRIDES, folder=tmp_path / "run"))
    learnt, begun = finalists.learnt, 0

    def dying(*arguments: object, **options: object) -> object:
        nonlocal begun
        begun += 1
        if begun == 3:
            raise Stop
        return learnt(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(finalists, "learnt", dying)
    with pytest.raises(Stop):
        study.run(quiet=True)
    assert not study.folder.decided
    assert len(list((study.folder.path / "finalists").rglob("*.json"))) == 2
    record = study.run(quiet=True)
    assert begun == 3 + 3, "five trainings, of which the third began twice"
    assert record.result(FINALISTS) == contested.record.result(FINALISTS)
    assert record.result(RETRAIN).winner.test == contested.record.result(RETRAIN).winner.test


def test_the_best_trial_wins_where_nothing_decides(finished: Study) -> None:
    record = finished.record
    assert "finalists" not in json.loads((finished.folder.path / "explore" / "result.json").read_text())
    assert record.result(FINALISTS).rounds == []
    assert record.result(FINALISTS).winner == record.result(EXPLORE).winner
    assert finished.finalists().empty
    assert Findings(record).belief[1] == "No finalists were trained: the best score won."


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("retrain.epochs=0", "retrain.epochs above 0"),
        ("limit={}", "a limit"),
        ("strategy={use: an}", "measures several"),
        ("objectives={macs: min, accuracy: max}", "'macs', which no training changes.* one of accuracy, loss"),
    ],
)
def test_finalists_that_nothing_trains_are_refused(override: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"finalists: found 3, .*{reason}"):
        Study.from_yaml(TINY, overrides=["finalists=3", override])
    Study.from_yaml(TINY, overrides=["finalists=1", override])


def test_three_sentences_say_whether_to_believe() -> None:
    values = pd.Series([0.99, 0.985, 0.90])
    said = of_scores(ACCURACY, values, 200, None)
    assert "one standard error is 0.70 points: 2 of 3 architectures" in said
    assert "not asked" in said
    rounds = [round_of([trained("a", 2.0, 2.1), trained("b", 1.0, 1.2)], 1)]
    assert "came in the order 2, 1 after 2 epochs, and number 2 won" in of_finalists(rounds)
    assert "no chance" in of_finalists(rounds)
    gaps = {
        "accuracy": PairedDifference(mean=0.01, low=-0.01, high=0.03),
        "loss": PairedDifference(mean=-0.5, low=-0.8, high=-0.1),
    }
    said = of_distance((ACCURACY, LOSS), gaps, 359, twins=False)
    assert "+1.00 points of accuracy (-1.00 to +3.00)" in said
    assert said.endswith("on 359 test images: a difference that is no chance.")
    del gaps["loss"]
    assert "may be chance" in of_distance((ACCURACY, LOSS), gaps, 359, twins=False)
    assert "uniform search chose" in of_distance((ACCURACY, LOSS), None, 359, twins=True)
