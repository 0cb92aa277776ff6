"""The adapter: what NNI is told, and that it keeps quiet and to itself. What it finds is the suite's matter."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from nas.errors import StrategyError
from nas.search.dispatch import Dispatcher
from nas.search.trial import Outcome
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.limit import Limit
from nas.testing.strategies import StrategySuite
from nas.testing.toy import ACCURACY, COUPLED, MACS, TINY, Toy

pytest.importorskip("nni", reason="NNI is an extra: pip install 'nas[nni]'")
from nni.algorithms.hpo.evolution_tuner import EvolutionTuner

from nas.strategies import with_nni
from nas.strategies.with_nni import WithNni

SAMPLERS: tuple[Any, ...] = ("regularized_evolution", "tpe", "evolution", "random")


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy(COUPLED)


@pytest.fixture(scope="module")
def limit(toy: Toy) -> Limit:
    return Limit(toy, macs="50%")


def global_generators() -> tuple[Any, ...]:
    return random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002


def small(sampler: Any, **options: Any) -> WithNni:
    return WithNni(sampler=sampler, startup=4, population=4, sample=2, **options)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_nni_prints_nothing_and_leaves_global_generators_alone(
    sampler: Any, toy: Toy, limit: Limit, capfd: pytest.CaptureFixture[str]
) -> None:
    before = global_generators()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trials = list(small(sampler).search(toy.search(trials=12, limit=limit)))
    assert len({trial.architecture for trial in trials}) > 8
    assert global_generators() == before
    assert capfd.readouterr() == ("", "")


def test_random_is_feasible_and_continues_too() -> None:
    """It is not among the examples, since it does not learn."""
    suite, strategy = StrategySuite(), WithNni(sampler="random")
    suite.test_proposes_only_canonical_architectures_within_the_limit(strategy, COUPLED)
    suite.test_killed_search_continues_to_the_same_result(strategy, 5, (ACCURACY,))


@pytest.mark.parametrize("sampler", SAMPLERS[:3])
def test_a_searcher_learns_what_the_objective_says(sampler: Any, toy: Toy) -> None:
    """MACs, less is better: without a limit its later trials are cheaper than its first."""
    search = toy.search(trials=60, objectives=(MACS,))
    costs = [trial.value("macs") for trial in small(sampler).search(search)]
    assert np.mean(costs[-15:]) < 0.8 * np.mean(costs[:15])


def test_several_objectives_are_refused(toy: Toy) -> None:
    with pytest.raises(StrategyError, match=r"found 2 objectives.*allowed: one"):
        WithNni().check(toy.problem(trials=1, objectives=(ACCURACY, MACS)))


def test_regularised_evolution_says_what_else_it_needs(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(with_nni, "find_spec", lambda name: None)
    with pytest.raises(StrategyError, match=r"'pytorch_lightning'.*pip install 'nas\[nni\]'"):
        WithNni().check(toy.problem(trials=1))
    WithNni(sampler="tpe").check(toy.problem(trials=1))


def test_naive_evolution_is_told_what_was_measured_in_place_of_its_proposals(toy: Toy, limit: Limit) -> None:
    def measure(architecture: Architecture) -> Mapping[str, float]:
        if int(architecture.digest, 16) % 4 == 0:
            raise RuntimeError("no memory")
        return toy.measure(architecture)

    search = toy.search(trials=30, limit=limit, measure=measure)
    list(small("evolution").search(search))
    tuner: EvolutionTuner = small("evolution").resumed(search)._tuner  # type: ignore[attr-defined]
    measured = {
        tuple(toy.space.to_table([trial.architecture])[0]): trial.value("accuracy")
        for trial in search.history
        if trial.state == "done"
    }
    known = [individual for individual in tuner.population if individual.result is not None]
    assert len(known) > 1
    assert {trial.state for trial in search.history} == {"done", "failed"}
    for individual in known:
        row = tuple(individual.config[str(place)]["_index"] for place in range(len(toy.space)))
        assert measured[row] == individual.result


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_rounds_larger_than_the_population_are_asked_for(sampler: Any, toy: Toy, limit: Limit) -> None:
    search = toy.search(trials=24, limit=limit)
    dispatcher = Dispatcher(small(sampler), search, 12)
    while (job := dispatcher.next()) is not None:
        dispatcher.settle(job.number, Outcome(toy.measure(job.architecture)))
    assert dispatcher.finished


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_space_that_is_used_up_is_searched_to_the_end(sampler: Any) -> None:
    trials = list(small(sampler).search(Toy(TINY).search(trials=30)))
    assert len(trials) == 30
    assert len({trial.architecture for trial in trials}) == 9
