"""Generations that are kept are those that Optuna counts by itself."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from nas.search import Search
from nas.search.dispatch import Dispatcher, Job
from nas.search.trial import Outcome
from nas.searchspaces.limit import Limit
from nas.testing.toy import ACCURACY, COUPLED, MACS, Toy

pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'nas[optuna]'")
from optuna.trial import TrialState, create_trial

from nas.strategies.with_optuna.generations import Generations
from nas.strategies.with_optuna.samplers import Sampling
from nas.strategies.with_optuna.strategy import WithOptuna

SAMPLERS: tuple[Any, ...] = ("nsga2", "nsga3", {"use": "NSGAIISampler", "population_size": 4})


def out_of_order(strategy: WithOptuna, toy: Toy, size: int | None) -> list[str]:
    """Digests of a search with four workers, of whom any may be the next to finish, or to fail."""
    search: Search = toy.search(trials=40, limit=Limit(toy, macs="50%"), objectives=(ACCURACY, MACS))
    dispatcher, rng = Dispatcher(strategy, search, size), np.random.default_rng(0)
    running: list[Job] = []
    while not dispatcher.finished:
        while len(running) < 4 and (job := dispatcher.next()) is not None:
            running.append(job)
        if running:
            job = running.pop(int(rng.integers(len(running))))
            dispatcher.settle(job.number, outcome(job, toy.measure(job.architecture)))
    return [trial.architecture.digest for trial in sorted(search.history, key=lambda trial: trial.number)]


def outcome(job: Job, metrics: Mapping[str, float]) -> Outcome:
    failed = int(job.architecture.digest, 16) % 5 == 0
    return Outcome({}, error="no memory") if failed else Outcome(metrics)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("size", [4, None], ids=["in rounds", "free"])
def test_proposals_are_those_of_optunas_own_generations(
    sampler: Any, size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy, strategy = Toy(COUPLED), WithOptuna(sampler=sampler, population=4)
    kept = out_of_order(strategy, toy, size)
    monkeypatch.setattr(Sampling, "keeping", lambda self, _generations: self)
    assert kept == out_of_order(strategy, toy, size)


def test_a_replay_chooses_the_parents_of_a_generation_once(monkeypatch: pytest.MonkeyPatch) -> None:
    toy, strategy = Toy(COUPLED), WithOptuna(sampler="nsga2", population=4)
    search = toy.search(trials=17, limit=Limit(toy, macs="50%"))
    list(strategy.search(search))
    proposer = strategy.proposer(search)
    made: list[int] = []
    make = Sampling.make

    def counted(sampling: Sampling, seed: int, **hooks: Any) -> Any:
        made.append(seed)
        return make(sampling, seed, **hooks)

    monkeypatch.setattr(Sampling, "make", counted)
    for trial in search.history:
        proposer.ask(trial.number, trial.architecture)
        proposer.tell(trial)
    assert len(made) == 4, "once for each generation behind the first"


def test_a_generation_is_full_when_as_many_are_done() -> None:
    generations, told = Generations(2), []
    for number, state in enumerate((TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE)):
        told.append(generations.of(number))
        trial = create_trial(state=state, values=[0.0] if state == TrialState.COMPLETE else None)
        trial.number = number
        generations.learn(trial)
    assert told == [0, 0, 0, 1]
    assert [trial.number for trial in generations.done(0)] == [0, 2]
