"""Samplers by name: which there are, what they take, what is refused, and that all of them search and resume."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from optuna.samplers import NSGAIIISampler, QMCSampler, TPESampler
from pydantic import TypeAdapter
from scipy.stats import qmc

from nas.documents.document import attempt, read
from nas.errors import StrategyError
from nas.searchspaces.limit import Limit
from nas.strategies.with_optuna.samplers import PACKAGES, offered, plain_options, sampling
from nas.strategies.with_optuna.strategy import WithOptuna
from nas.testing.toy import ACCURACY, COUPLED, MACS, Toy

INSTALLED = [name for name in offered() if importlib.util.find_spec(PACKAGES.get(name, "optuna"))]
CHEAP = [name for name in INSTALLED if name not in ("GPSampler", "TPESampler")]


def test_samplers_that_need_what_yaml_cannot_say_are_not_offered() -> None:
    assert {"CmaEsSampler", "GPSampler", "NSGAIISampler", "NSGAIIISampler", "QMCSampler", "TPESampler"} <= set(
        offered()
    )
    assert not {"BaseSampler", "BaseGASampler", "GridSampler", "PartialFixedSampler"} & set(offered())
    assert "dividing_parameter" in plain_options(NSGAIIISampler)
    assert not {"seed", "constraints_func", "gamma", "reference_points", "warn_independent_sampling"} & {
        *plain_options(TPESampler),
        *plain_options(NSGAIIISampler),
        *plain_options(QMCSampler),
    }


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ("tpee", r"tpe, gp, nsga2, nsga3, .*TPESampler; did you mean 'tpe'\?"),
        ("QMCSample", r"did you mean 'QMCSampler'\?"),
        ({"qmc_type": "sobol"}, "tpe, gp, nsga2, nsga3"),
        ({"use": "QMCSampler", "qmc_typ": "sobol"}, r"'QMCSampler' with qmc_type, scramble; did you mean 'qmc_type'\?"),
        ({"use": "QMCSampler", "qmc_type": "random"}, "options that QMCSampler takes .*halton.*sobol"),
        ({"use": "tpe", "n_ei_candidates": "many"}, "'tpe' with n_ei_candidates: int"),
        ({"use": "NSGAIISampler", "population_size": 1}, "greater than or equal to 2"),
        ({"use": "RandomSampler", "seed": 1}, "'RandomSampler' with no options"),
    ],
)
def test_what_is_wrong_is_said_at_the_place_of_the_sampler(given: Any, allowed: str) -> None:
    text = TypeAdapter(Any).dump_json({"strategy": {"sampler": given}}).decode()
    made, faults = attempt(read(text), WithOptuna, ("strategy",))
    assert made is None
    (fault,) = faults
    assert fault.key == "strategy.sampler"
    assert fault.where.startswith("<text>:1:")
    with pytest.raises(AssertionError, match=allowed):
        raise AssertionError(fault.allowed)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "cmaes" else object())
    with pytest.raises(ValueError, match="'CmaEsSampler' where the package 'cmaes' is installed: pip install cmaes"):
        sampling("CmaEsSampler")


def test_options_go_over_those_of_a_preset() -> None:
    found = sampling({"use": "tpe", "n_ei_candidates": 5}, startup=7)
    assert found.options == {
        "n_startup_trials": 7, "multivariate": True, "constant_liar": False, "n_ei_candidates": 5,
    }  # fmt: skip
    assert sampling("TPESampler").options == {}


@pytest.mark.parametrize("sampler", [*CHEAP, {"use": "QMCSampler", "scramble": True}], ids=str)
def test_every_sampler_searches_within_the_limit_and_resumes(sampler: str | Mapping[str, Any]) -> None:
    toy = Toy(COUPLED)
    limit = Limit(toy, macs="60%")
    strategy = WithOptuna(sampler=sampler)
    whole = list(strategy.search(toy.search(trials=24, limit=limit)))
    assert all(limit.allows(trial.architecture) for trial in whole)
    for stop in (1, 13, 23):
        past = toy.search(trials=24, limit=limit, history=whole[:stop])
        assert strategy.ask(past, stop) == whole[stop].architecture


def test_a_quasi_random_sequence_is_one_sequence() -> None:
    """Each trial is asked of a new sampler: with a seed of its own it would get the first point of another sequence."""
    toy = Toy()
    strategy = WithOptuna(sampler={"use": "QMCSampler", "qmc_type": "halton", "scramble": True})
    trials = list(strategy.search(toy.search(trials=7, seed=3)))
    points = qmc.Halton(len(toy.space), seed=3, scramble=True).random(7)
    rows = toy.space.to_table([trial.architecture for trial in trials])
    assert np.array_equal(rows, (points * toy.space.n_values).astype(int))


@pytest.mark.skipif("CmaEsSampler" not in INSTALLED, reason="the package cmaes is not installed")
def test_a_sampler_for_one_objective_refuses_two() -> None:
    toy = Toy()
    strategy = WithOptuna(sampler="CmaEsSampler")
    strategy.check(toy.problem(trials=2))
    with pytest.raises(StrategyError, match=r"CmaEsSampler with 2 objectives .*; allowed: tpe, gp, nsga2, nsga3"):
        strategy.check(toy.problem(trials=2, objectives=(ACCURACY, MACS)))
