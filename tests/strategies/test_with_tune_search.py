"""Tune's searchers in this process: what they are told, that they leave no trace, and what is refused."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from nas.errors import StrategyError
from nas.search import Search
from nas.search.dispatch import Dispatcher
from nas.search.trial import Outcome
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.limit import Limit
from nas.testing.toy import ACCURACY, MACS, Toy

pytest.importorskip("ray", reason="Ray is an extra: pip install 'nas[ray]'")
from nas.strategies.with_tune_search import WithTuneSearch

TRIALS = 15
TOY = Toy()


def sometimes_failing(architecture: Architecture) -> Mapping[str, float]:
    if int(architecture.digest, 16) % 3 == 0:
        raise RuntimeError("no memory")
    return TOY.measure(architecture)


def live(**options: Any) -> Search:
    return TOY.search(**{"trials": TRIALS, "limit": Limit(TOY, macs="60%"), "measure": sometimes_failing} | options)


@pytest.mark.parametrize("objectives", [(ACCURACY,), (ACCURACY, MACS)], ids=["one", "two"])
def test_the_searcher_is_told_what_was_measured(objectives: Any) -> None:
    search = live(objectives=objectives)
    proposer = WithTuneSearch().proposer(search)
    for number in range(TRIALS):
        proposer.tell(search.evaluate([proposer.ask(number)])[0])
    study = proposer._searcher._ot_study  # type: ignore[attr-defined]
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"][: len(objectives)]
    for told, trial in zip(study.trials, search.history, strict=True):
        assert told.values == (None if trial.error else [trial.value(o.metric) for o in objectives])
        assert set(told.params) == set(TOY.space)
    assert {trial.state for trial in search.history} == {"done", "failed"}


@pytest.mark.parametrize("stop", [3, 8])
def test_rounds_killed_and_continued_end_the_same(stop: int) -> None:
    """As `with_raytune` asks: several at once, and told when all of a round are known."""

    def digests(history: Any = (), stop: int = TRIALS) -> list[str]:
        search = live(history=history)
        dispatcher = Dispatcher(WithTuneSearch(), search, 4)
        for _ in range(stop):
            if (job := dispatcher.next()) is None:
                break
            try:
                dispatcher.settle(job.number, Outcome(sometimes_failing(job.architecture)))
            except RuntimeError as fault:
                dispatcher.settle(job.number, Outcome({}, str(fault)))
        kept.append(search.history)
        return [trial.architecture.digest for trial in search.history]

    kept: list[Any] = []
    whole = digests()
    assert digests(stop=stop) == whole[:stop]
    assert digests(history=kept[-1]) == whole


def test_it_leaves_global_generators_and_logging_as_they_were(capfd: pytest.CaptureFixture[str]) -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), logging.root.manager.disable  # type: ignore[union-attr]  # noqa: NPY002
    list(WithTuneSearch().search(live()))
    after = random.getstate(), np.random.get_state()[1].tolist(), logging.root.manager.disable  # type: ignore[union-attr]  # noqa: NPY002
    assert after == before
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.parametrize(
    ("options", "objectives", "message"),
    [
        ({"algorithm": "random"}, 1, "'uniform'"),
        ({"algorithm": "optunna"}, 1, r"allowed: .*hyperopt.*did you mean 'optuna'"),
        ({"options": {"samplr": "x"}}, 1, r"options of 'optuna': found samplr; allowed: .*sampler"),
        ({"options": {"seed": 3}}, 1, "found seed"),
        ({"options": {"sampler": "nsga2"}}, 1, "sampler"),
        ({"algorithm": "hyperopt"}, 2, "2 objectives"),
        ({"algorithm": "hebo"}, 1, "HEBO must be installed"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_measured(options: Any, objectives: int, message: str) -> None:
    search = live(objectives=(ACCURACY, MACS)[:objectives])
    with pytest.raises(StrategyError, match=message):
        WithTuneSearch(**options).search(search)
    assert not search.history
