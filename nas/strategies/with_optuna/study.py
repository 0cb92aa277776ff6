"""A search as a study in a storage of Optuna's, for optuna-dashboard and for other searches.

Trials are written whole, in one write each, so that none is ever left running. Our table of trials stays the truth:
what a killed search has not written is written when it is told again, and nothing is written twice.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas import quantities
from nas.quantities import Multiple
from nas.search.problem import Objective
from nas.search.trial import Trial
from nas.searchspaces.architecture import Architecture, Value
from nas.strategies.with_optuna.samplers import quiet
from nas.strategies.with_optuna.storage import faults, holds, opened

STATES = {"done": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
RUN, NUMBER, SPACE = "nas_run", "nas_number", "nas_space"
"""User attributes: by the first two a run knows its trials again, by the third a study its choices."""


@final
@dataclass(frozen=True)
class Topic:
    """What a study is about: the run, its strategy and objectives, the values of its choices, and the least and most
    of each cost that its limit allows. `study` names a study that several runs share; by default a run has its own.
    """

    run: str
    strategy: str
    objectives: tuple[Objective, ...]
    choices: Mapping[str, Sequence[Value]]
    bounds: Mapping[str, tuple[float, float]]
    study: str | None = None

    @property
    def name(self) -> str:
        """Of the study in the storage."""
        return self.study or f"{self.run}-{self.strategy}"

    @property
    def directions(self) -> list[StudyDirection]:
        """Of the objectives."""
        return directions(self.objectives)


@final
class StoredStudy:
    """The study of a topic. All methods raise `StoreError` for a storage that fails."""

    def __init__(self, url: str, topic: Topic) -> None:
        """Opens the study, or makes it. Raises `StoreError` for one about other choices or objectives, too."""
        self._url, self._topic = url, topic
        self._storage = opened(url)
        self._trials: dict[int, Trial] = {}
        with self._careful():
            self._open()

    def add(self, trial: Trial) -> None:
        """Writes a trial, unless it is there. A run's own study that holds other trials than the run's table, since the
        supernet was trained anew, is written anew.
        """
        self._trials[trial.number] = trial
        stored = self._mine.get(trial.number)
        if stored == self._essence(trial):
            return
        with self._careful():
            # A study that several runs share is never deleted: there, the new trial stands beside the old one.
            if stored is None or self._topic.study is not None:
                self._write(trial)
                return
            optuna.delete_study(study_name=self._topic.name, storage=self._storage)
            self._open()
            for known in self._trials.values():
                self._write(known)

    def others(self) -> list[tuple[Architecture, Mapping[str, float]]]:
        """What other runs have measured since this was last asked: architectures, and the values of objectives."""
        names = [objective.metric for objective in self._topic.objectives]
        with self._careful():
            done = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        fresh = [t for t in done if t.number not in self._heard and t.user_attrs.get(RUN) != self._topic.run]
        self._heard |= {t.number for t in fresh}
        return [(Architecture(t.params), dict(zip(names, t.values, strict=True))) for t in fresh]

    def __len__(self) -> int:
        with self._careful():
            return len(self._study.get_trials(deepcopy=False))

    def _open(self) -> None:
        topic = self._topic
        self._study = optuna.create_study(
            storage=self._storage, study_name=topic.name, directions=topic.directions, load_if_exists=True
        )
        self._describe()
        mine = [t for t in self._study.get_trials(deepcopy=False) if t.user_attrs.get(RUN) == topic.run]
        self._mine = {t.user_attrs[NUMBER]: (t.user_attrs["digest"], t.values) for t in mine}
        """The run's own trials that are there, by our numbers."""
        self._heard: set[int] = set()
        """Those of other runs that `others` has told of, by Optuna's numbers."""

    def _describe(self) -> None:
        """Says what the study is about, unless somebody has; refuses one about something else."""
        topic = self._topic
        refuse_other(self._study, topic)
        if SPACE in self._study.user_attrs:
            return
        self._study.set_metric_names([objective.metric for objective in topic.objectives])
        identity = self._storage.get_study_id_from_name(topic.name)
        self._storage.set_study_system_attr(identity, "dashboard:note_str:0", _note(topic))
        self._storage.set_study_system_attr(identity, "dashboard:note_ver", 1)
        self._study.set_user_attr(SPACE, _fingerprint(topic))

    def _write(self, trial: Trial) -> None:
        self._study.add_trial(_frozen(trial, self._topic))
        self._mine[trial.number] = self._essence(trial)

    def _essence(self, trial: Trial) -> tuple[str, list[float] | None]:
        """What a trial that was stored is known by."""
        return trial.architecture.digest, _values(trial, self._topic)

    @contextmanager
    def _careful(self) -> Iterator[None]:
        with faults(self._url), quiet():
            yield


def directions(objectives: Sequence[Objective]) -> list[StudyDirection]:
    """Optuna's words for the ways of objectives."""
    return [StudyDirection.MAXIMIZE if o.maximise else StudyDirection.MINIMIZE for o in objectives]


def check(url: str, topic: Topic) -> None:
    """Raise `StoreError` when nothing answers at the URL, or when the study there is about something else."""
    if not holds(url):
        return
    storage = opened(url)
    with faults(url), quiet():
        if topic.name in optuna.get_all_study_names(storage):
            refuse_other(optuna.load_study(study_name=topic.name, storage=storage), topic)


def refuse_other(study: optuna.Study, topic: Topic) -> None:
    """Raise `ValueError` for a study about other choices or objectives. One that nobody has described may be new."""
    names = study.metric_names or [objective.metric for objective in topic.objectives]
    if study.directions != topic.directions or names != [objective.metric for objective in topic.objectives]:
        ways = ", ".join(f"{n} {d.name.lower()}d" for n, d in zip(names, study.directions, strict=False))
        raise ValueError(f"the study '{topic.name}' there has other objectives ({ways}); name another `study:`")
    known = study.user_attrs.get(SPACE)
    if known not in (None, _fingerprint(topic)) or (known is None and study.get_trials(deepcopy=False)):
        raise ValueError(f"the study '{topic.name}' there is about other choices; name another `study:`")


def _fingerprint(topic: Topic) -> str:
    choices = {name: list(values) for name, values in topic.choices.items()}
    return hashlib.sha256(json.dumps(choices, sort_keys=True).encode()).hexdigest()[:12]


def _note(topic: Topic) -> str:
    ways = ", ".join(f"{o.metric} ({'more' if o.maximise else 'less'} is better)" for o in topic.objectives)
    costs = ", ".join(
        f"{q.name} ({f'{q.times} x {q.of}' if isinstance(q, Multiple) else q.title})" for q in quantities.every_cost()
    )
    return (
        f"Written by nas: {'several runs' if topic.study else f'run {topic.run}, strategy {topic.strategy}'}.\n\n"
        f"Objectives: {ways}. Parameters are the values of the search space's choices. Constraints say by which share "
        "a cost is over its limit; at most 0 is within. User attributes hold what else is known of a trial: costs of "
        f"the whole model, {costs}; the architecture's digest; its run."
    )


def _values(trial: Trial, topic: Topic) -> list[float] | None:
    return [trial.value(o.metric) for o in topic.objectives] if trial.state == "done" else None


def _frozen(trial: Trial, topic: Topic) -> FrozenTrial:
    """A trial as Optuna knows them, finished now."""
    violations = _violations(trial, topic.bounds)
    frozen = optuna.trial.create_trial(
        state=STATES[trial.state],
        values=_values(trial, topic),
        params=dict(trial.architecture),
        distributions={name: CategoricalDistribution(values) for name, values in topic.choices.items()},
        user_attrs={
            **trial.costs,
            **trial.multiples,
            **trial.metrics,
            RUN: topic.run,
            NUMBER: trial.number,
            "strategy": trial.strategy,
            "seed": trial.seed,
            "digest": trial.architecture.digest,
            "seconds": trial.seconds,
            "cached": trial.cached,
            "error": trial.error or "",
        },
        system_attrs={"constraints": list(violations.values())},  # where optuna-dashboard 0.21 looks for them
        constraints=violations,
    )
    frozen.datetime_complete = datetime.datetime.now()
    frozen.datetime_start = frozen.datetime_complete - datetime.timedelta(seconds=trial.seconds)
    return frozen


def _violations(trial: Trial, bounds: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """How far each cost is over its limit, as a share of it; at most 0 when it fits."""
    violations = {}
    for cost, (low, high) in bounds.items():
        if high < float("inf"):
            violations[f"most {cost}"] = trial.costs[cost] / high - 1 if high else float(trial.costs[cost])
        if low > 0:
            violations[f"least {cost}"] = 1 - trial.costs[cost] / low
    return violations
