"""explore: the study's strategy, and uniform search beside it; each trial is recorded when it is known.

Both measure with the weights of the stage `supernet`, unless the strategy trains weights of its own: then its
architectures are measured on those, which are kept in this stage's folder, and the baseline's stay on the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nas import strategies
from nas.searchspaces import Architecture
from nas.strategies import Objective, Problem, Strategy, Trial, winner
from nas.studies.examples import EXAMPLES, save_examples
from nas.studies.frames import candidates_per_hour, trials_frame
from nas.studies.reading import BASELINE
from nas.studies.session import CHECKPOINT, Session
from nas.studies.store import Store
from nas.supernets import Supernet
from nas.training import Evaluator, Measure

BASELINE_TRIALS = 100
"""Least of the baseline, unless the study says otherwise, where the strategy has a single trial to compare."""


def run(session: Session) -> dict[str, Any]:
    """Searches until the budget is spent, continuing after the trials that the store holds; names the winners."""
    config, study = session.config, session.study
    searches = {"winner": (config.strategy_name, study.strategy)}
    if config.strategy["use"] != BASELINE:
        searches[BASELINE] = (BASELINE, strategies.find(BASELINE)(trials=baseline_trials(session)))
    objectives = tuple(Objective(metric, way == "max") for metric, way in config.objectives.items())
    found: dict[str, Any] = {}
    choices = {name: choice.values for name, choice in session.space.items()}
    with session.store() as store:
        _settle(session, store)
        for role, (title, strategy) in searches.items():
            problem = _problem(session, store, title, strategy, objectives)
            _search(problem, strategy, session.show)
            best = winner(problem.history, objectives, session.limit)
            found[role] = _plain(best)
            if "positions" in best.notes:
                save_examples(session.folder.stage("explore") / EXAMPLES, session.data.validation.images)
        trials = store.trials(session.run_id, choices=choices)
    found["trials"] = len(trials)
    found["measured"] = sum(not trial.cached for trial in trials)
    found["failed"] = sum(trial.state == "failed" for trial in trials)
    found["stopped"] = sum(trial.state == "stopped" for trial in trials)
    found["candidates_per_hour"] = candidates_per_hour(
        trials_frame(trials, study=config.name, choices=list(choices), bounds={})
    )
    found["adopted"] = session.source(config.strategy_name) == "explore"
    found["relaxation"] = session.relaxation()
    return found


def baseline_trials(session: Session) -> int:
    """Trials of the uniform baseline: see `StudyConfig`."""
    strategy = session.study.strategy
    least = BASELINE_TRIALS if strategy.needs_supernet else 1
    return session.config.baseline or max(strategy.trials, least)


def _settle(session: Session, store: Store) -> None:
    """A strategy that trains leaves a supernet in the stage's folder, and trials measured on it in the store. Where one
    of the two is missing (a run killed in between, a folder deleted), the other goes, and the strategy starts again.
    """
    name = session.config.strategy_name
    if not session.study.strategy.needs_supernet:
        return
    choices = {name: choice.values for name, choice in session.space.items()}
    if session.source(name) != "explore":
        store.clear(session.run_id, name)
    elif not store.trials(session.run_id, name, choices=choices):
        session.disown()


def _problem(
    session: Session, store: Store, name: str, strategy: Strategy, objectives: tuple[Objective, ...]
) -> Problem:
    """What the strategy may see: its own trials so far, and under their digests the measurements that the other made
    with the same weights.
    """
    cost = session.cost
    choices = {name: choice.values for name, choice in session.space.items()}

    def costs(architecture: Architecture) -> Mapping[str, int]:
        return {"macs": int(cost.macs(architecture)[0]), "params": int(cost.params(architecture)[0])}

    def record(trial: Trial) -> None:
        store.record(session.run_id, trial)
        session.activity.end(name, trial.number)

    def measured_on(supernet: Supernet) -> Measure:
        return Measure(Evaluator(supernet, session.data.validation, device=session.device))

    def adopt(adopted: Supernet, rows: Sequence[Mapping[str, Any]]) -> None:
        assert name == session.config.strategy_name, "the baseline trains nothing"
        problem.measure = measured_on(adopted.to(session.device).eval())
        session.adopt(adopted, rows)
        problem.known = {}

    others = [
        trial
        for trial in store.trials(session.run_id, choices=choices)
        if trial.state == "done" and trial.strategy != name and session.source(trial.strategy) == session.source(name)
    ]
    supernet = session.supernet()
    problem = Problem(
        space=session.space,
        objectives=objectives,
        strategy=name,
        seed=session.config.seed,
        trials=strategy.trials,
        measure=measured_on(supernet if session.source(name) == "supernet" else session.supernet(name)),
        costs=costs,
        record=record,
        begin=lambda number, architecture: session.activity.begin(name, number, architecture),
        limit=session.limit,
        history=store.trials(session.run_id, name, choices=choices),
        prior=session.prior,
        run=session.label,
        known={} if session.study.strategy.measures else {t.architecture.digest: t.metrics for t in others},
        supernet=supernet,
        work=session.workplace(name, session.folder.stage("explore") / CHECKPOINT),
        adopt=adopt,
    )
    return problem


def _search(problem: Problem, strategy: Strategy, show: bool) -> None:
    console = Console(stderr=True)
    draw = show and console.is_terminal and not strategy.needs_supernet  # those show their training instead
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[best]}"))
    objective = problem.objectives[0]
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not draw) as progress:
        task = progress.add_task(problem.strategy, total=problem.trials, completed=len(problem.history), best="")
        best: float | None = None
        for trial in strategy.search(problem):
            if trial.state == "done":
                value = trial.value(objective.metric)
                best = value if best is None else max(best, value) if objective.maximise else min(best, value)
            shown = "" if best is None else f"best {objective.metric} {best:.4f}"
            progress.update(task, advance=1, best=shown)


def _plain(trial: Trial) -> dict[str, Any]:
    return {
        "strategy": trial.strategy,
        "number": trial.number,
        "digest": trial.architecture.digest,
        "architecture": dict(trial.architecture),
        "metrics": dict(trial.metrics),
        "costs": dict(trial.costs),
    }
