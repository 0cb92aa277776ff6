"""The adapter: what Optuna is told, that a kept study equals a rebuilt one, and that it stays quiet."""

import sys
import warnings
from collections.abc import Mapping
from typing import Any

import pytest

import nas.strategies
from nas.errors import StrategyError
from nas.search import Search, find
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.limit import Limit
from nas.strategies.uniform import Uniform
from nas.testing.toy import ACCURACY, COUPLED, MACS, Toy

optuna = pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'nas[optuna]'")
from nas.strategies.with_optuna.strategy import WithOptuna, _StudyProposer  # noqa: E402

SAMPLERS: tuple[Any, ...] = ("tpe", "gp", "nsga2", "nsga3", {"use": "QMCSampler", "qmc_type": "halton"})


def kept(options: WithOptuna, search: Search) -> _StudyProposer:
    """Search, and return the proposer that was kept meanwhile."""
    proposer = options.proposer(search)
    assert isinstance(proposer, _StudyProposer)
    for number in range(len(search.history), search.problem.trials):
        proposer.tell(search.evaluate([proposer.ask(number)])[0])
    return proposer


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy(COUPLED)


@pytest.fixture(scope="module")
def limit(toy: Toy) -> Limit:
    return Limit(toy, macs="50%")


def sometimes_failing(toy: Toy) -> Any:
    def measure(architecture: Architecture) -> Mapping[str, float]:
        if int(architecture.digest, 16) % 5 == 0:
            raise RuntimeError("no memory")
        return toy.measure(architecture)

    return measure


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_optuna_is_told_what_was_measured(sampler: Any, toy: Toy, limit: Limit) -> None:
    search = toy.search(trials=18, limit=limit, objectives=(ACCURACY, MACS), measure=sometimes_failing(toy))
    study = kept(WithOptuna(sampler=sampler), search)._study
    states = optuna.trial.TrialState
    assert {trial.state for trial in study.trials} == {states.COMPLETE, states.FAIL}
    for told, trial in zip(study.trials, search.history, strict=True):
        row = toy.space.to_table([trial.architecture])[0]
        assert told.params == {
            name: at for name, at in zip(toy.space, row, strict=True) if len(toy.space[name].values) > 1
        }
        assert (told.state == states.FAIL) == (trial.state == "failed")
        assert told.values == (None if trial.error else [trial.value("accuracy"), trial.value("macs")])
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_rebuilt_study_is_the_kept_one_and_asks_the_same(sampler: Any, toy: Toy, limit: Limit) -> None:
    strategy = WithOptuna(sampler=sampler, startup=5, population=4)
    search = toy.search(trials=13, limit=limit, objectives=(ACCURACY, MACS), measure=sometimes_failing(toy))
    proposer, rebuilt = kept(strategy, search), strategy.resumed(search)
    assert isinstance(rebuilt, _StudyProposer)
    for ours, theirs in zip(proposer._study.trials, rebuilt._study.trials, strict=True):
        assert (ours.params, ours.values, ours.state) == (theirs.params, theirs.values, theirs.state)
    assert generations(proposer) == generations(rebuilt)
    for number in (0, 4, 9, 12):
        past = toy.search(trials=13, limit=limit, objectives=(ACCURACY, MACS), history=search.history[:number])
        assert strategy.ask(past, number) == search.history[number].architecture


def generations(proposer: _StudyProposer) -> dict[int, int]:
    """Optuna's number of each trial -> its generation."""
    return proposer._feasible.generations._of


def test_generations_hold_as_many_done_trials_as_the_population(toy: Toy, limit: Limit) -> None:
    search = toy.search(trials=23, limit=limit, measure=sometimes_failing(toy))
    proposer = kept(WithOptuna(sampler="nsga2", population=4), search)
    done = 0
    for trial in proposer._study.trials:
        assert generations(proposer)[trial.number] == done // 4
        done += trial.state == optuna.trial.TrialState.COMPLETE
    assert 4 * 3 < done < 23


def test_several_objectives_get_the_multivariate_tpe(toy: Toy, limit: Limit) -> None:
    search = toy.search(trials=6, limit=limit, objectives=(ACCURACY, MACS))
    study = kept(WithOptuna(sampler="tpe", startup=3), search)._study
    sampler = WithOptuna(sampler="tpe").sampling().make(0)
    assert isinstance(sampler, optuna.samplers.TPESampler)
    assert sampler._is_multivariate(study)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "nsga3"])
def test_trials_of_earlier_runs_are_told_before_the_first_proposal(sampler: Any, toy: Toy, limit: Limit) -> None:
    earlier = list(Uniform().search(toy.search(trials=12, limit=limit, seed=5)))
    strategy = WithOptuna(sampler=sampler, startup=10, population=4)
    search = toy.search(trials=6, limit=limit, prior=earlier)
    proposer = kept(strategy, search)
    study = proposer._study
    assert [told.value for told in study.trials[:12]] == [trial.value("accuracy") for trial in earlier]
    assert len(study.trials) == 12 + 6
    if sampler != "tpe":
        assert generations(proposer) == {number: number // 4 for number in range(18)}
    cold = list(strategy.search(toy.search(trials=6, limit=limit)))
    assert [t.architecture for t in search.history] != [t.architecture for t in cold]
    for number in (0, 3, 5):
        past = toy.search(trials=6, limit=limit, prior=earlier, history=search.history[:number])
        assert strategy.ask(past, number) == search.history[number].architecture


def test_optuna_neither_prints_nor_warns_nor_stays_silenced(
    toy: Toy, limit: Limit, capfd: pytest.CaptureFixture[str]
) -> None:
    optuna.logging.set_verbosity(optuna.logging.INFO)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for sampler in SAMPLERS:
            list(WithOptuna(sampler=sampler, population=4).search(toy.search(trials=12, limit=limit)))
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert optuna.logging.get_verbosity() == optuna.logging.INFO


def test_without_optuna_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("nas.strategies.with_optuna")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delattr(nas.strategies, "with_optuna")
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(StrategyError, match=r"'with_optuna' needs .*'optuna'.*pip install 'nas\[optuna\]'"):
        find("with_optuna")


def test_a_space_of_one_architecture_is_searched_too() -> None:
    toy = Toy("model: toy\nchoices:\n  heads: {size: [2], per: model}\n")
    for sampler in SAMPLERS:
        trials = list(WithOptuna(sampler=sampler).search(toy.search(trials=14)))
        assert len({trial.architecture for trial in trials}) == 1
