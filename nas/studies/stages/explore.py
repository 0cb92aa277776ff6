"""explore: the study's strategy, and uniform search with as many trials on the same supernet; each trial is recorded
when it is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nas import strategies
from nas.searchspaces import Architecture
from nas.strategies import Objective, Problem, Strategy, Trial, winner
from nas.studies.reading import BASELINE
from nas.studies.session import Session
from nas.studies.store import Store
from nas.training import Evaluator


def run(session: Session) -> dict[str, Any]:
    """Searches until the budget is spent, continuing after the trials that the store holds; names the winners."""
    config, study = session.config, session.study
    searches = {"winner": (config.strategy_name, study.strategy)}
    if config.strategy["use"] != BASELINE:
        searches[BASELINE] = (BASELINE, strategies.find(BASELINE)(trials=study.strategy.trials))
    supernet = session.supernet()
    evaluator = Evaluator(supernet, session.data.validation, device=session.device)
    objectives = tuple(Objective(metric, way == "max") for metric, way in config.objectives.items())
    found: dict[str, Any] = {}
    choices = {name: choice.values for name, choice in session.space.items()}
    with session.store() as store:
        for role, (title, strategy) in searches.items():
            problem = _problem(session, store, title, strategy, objectives, evaluator)
            problem.supernet, problem.train, problem.validation = supernet, session.data.train, session.data.validation
            _search(problem, strategy, session.show)
            found[role] = _plain(winner(problem.history, objectives, session.limit))
        trials = store.trials(session.run_id, choices=choices)
    found["trials"] = len(trials)
    found["measured"] = sum(not trial.cached for trial in trials)
    found["failed"] = sum(trial.state == "failed" for trial in trials)
    return found


def _problem(
    session: Session,
    store: Store,
    name: str,
    strategy: Strategy,
    objectives: tuple[Objective, ...],
    evaluator: Evaluator,
) -> Problem:
    """What the strategy may see: its own trials so far, and the measurements of the others under their digests."""
    cost = session.cost
    choices = {name: choice.values for name, choice in session.space.items()}

    def costs(architecture: Architecture) -> Mapping[str, int]:
        return {"macs": int(cost.macs(architecture)[0]), "params": int(cost.params(architecture)[0])}

    done = [trial for trial in store.trials(session.run_id, choices=choices) if trial.state == "done"]
    return Problem(
        space=session.space,
        objectives=objectives,
        strategy=name,
        seed=session.config.seed,
        trials=strategy.trials,
        measure=lambda architecture: evaluator(architecture).metrics,
        costs=costs,
        record=lambda trial: store.record(session.run_id, trial),
        limit=session.limit,
        history=store.trials(session.run_id, name, choices=choices),
        known={trial.architecture.digest: trial.metrics for trial in done if trial.strategy != name},
    )


def _search(problem: Problem, strategy: Strategy, show: bool) -> None:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[best]}"))
    objective = problem.objectives[0]
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not (show and console.is_terminal)
    ) as progress:
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
