"""explore: the study's strategy, and uniform search beside it; each trial is recorded when it is known.

Both measure with the weights of the stage `supernet`, unless the strategy trains weights of its own: then its
architectures are measured on those, which are kept in this stage's folder, and the baseline's stay on the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from nas import search, seeds
from nas.evaluation import Measure
from nas.search import Objective, Problem, Search, Strategy, Trial, winner
from nas.search.finalists import finalists
from nas.studies.file.config import BASELINE
from nas.studies.run.examples import COUNT, EXAMPLES, save_examples
from nas.studies.run.frames import candidates_per_hour, trials_frame
from nas.studies.run.results import EXPLORE, SUPERNET, ExploreResult, WinnerResult
from nas.studies.run.rows import UNIFORM, WINNER
from nas.studies.stages import trainers
from nas.studies.stages.workshop import CHECKPOINT, Workshop
from nas.studies.store.store import Store
from nas.supernets import Supernet
from nas.system.terminal import Terminal, Words


def run(workshop: Workshop) -> ExploreResult:
    """Searches until the budget is spent, continuing after the trials that the store holds; names the winners."""
    config, study = workshop.config, workshop.study
    searches = {WINNER: (config.strategy_name, study.strategy)}
    beside = study.baseline_trials
    if config.strategy["use"] != BASELINE and beside:
        searches[UNIFORM] = (BASELINE, search.find(BASELINE)(trials=beside))
    objectives = tuple(Objective(metric, way == "max") for metric, way in config.objectives.items())
    winners = {}
    with workshop.store() as store:
        _settle(workshop, store)
        for role, (name, strategy) in searches.items():
            live = _search(workshop, store, name, strategy, objectives)
            trains = strategy.trains_on_workers and len(live.history) < strategy.trials
            with trainers.gathered(workshop.study, EXPLORE) if trains else nullcontext():
                _run(live, strategy, workshop.show)
            best = winner(live.history, objectives, workshop.limit)
            winners[role] = _result(best)
            if "positions" in best.notes:
                save_examples(workshop.place(EXPLORE) / EXAMPLES, workshop.data.validation.first(COUNT))
        trials = store.trials(workshop.run_id, choices=workshop.choices)
    frame = trials_frame(trials, study=config.name, choices=list(workshop.choices), bounds={})
    return ExploreResult(
        winner=winners[WINNER],
        uniform=winners.get(UNIFORM),
        trials=len(trials),
        measured=sum(not trial.cached for trial in trials),
        failed=sum(trial.state == "failed" for trial in trials),
        stopped=sum(trial.state == "stopped" for trial in trials),
        candidates_per_hour=candidates_per_hour(frame),
        adopted=workshop.supernets.source(config.strategy_name) is EXPLORE,
        relaxation=workshop.supernets.relaxation(),
        finalists=[_result(trial) for trial in _finalists(workshop, trials, objectives[0])],
    )


def _finalists(workshop: Workshop, trials: Sequence[Trial], objective: Objective) -> list[Trial]:
    """The architectures that compete before a winner is named, see `StudyConfig`; none where the best trial wins.

    The baseline's trials may be among them where the same weights have measured them: its best one has no place for
    being that.
    """
    config, limit, strategy = workshop.config, workshop.limit, workshop.study.strategy
    if limit is None or not workshop.study.competing:
        return []
    comparable = [trial for trial in trials if trial.strategy == config.strategy_name or not strategy.measures]
    chosen = finalists(comparable, objective, limit, config.finalists)
    by_score = sorted(chosen, key=lambda trial: trial.value(objective.metric), reverse=objective.maximise)
    return by_score if len(by_score) > 1 else []


def _settle(workshop: Workshop, store: Store) -> None:
    """A strategy that trains leaves a supernet in the stage's folder, and trials measured on it in the store. Where one
    of the two is missing (a run killed in between, a folder deleted), the other goes, and the strategy starts again.
    """
    name = workshop.config.strategy_name
    if not workshop.study.strategy.needs_supernet:
        return
    if workshop.supernets.source(name) is not EXPLORE:
        store.clear(workshop.run_id, name)
    elif not store.trials(workshop.run_id, name, choices=workshop.choices):
        workshop.supernets.disown()


def _search(
    workshop: Workshop, store: Store, name: str, strategy: Strategy, objectives: tuple[Objective, ...]
) -> Search:
    """What the strategy may see: its own trials so far, and under their digests the measurements that the other made
    with the same weights.
    """
    supernets = workshop.supernets
    source = supernets.source(name)

    def record(trial: Trial) -> None:
        store.record(workshop.run_id, trial)
        workshop.activity.end(name, trial.number)
        workshop.callbacks.on_trial(trial)

    split = workshop.data.validation
    if strategy.by_shares:
        split = split.shuffled(seeds.derive(workshop.config.seed, seeds.PARTS))

    def measured_on(supernet: Supernet) -> Measure:
        return Measure(workshop.evaluator(supernet, split))

    def adopt(adopted: Supernet, rows: Sequence[Mapping[str, object]]) -> None:
        assert name == workshop.config.strategy_name, "the baseline trains nothing"
        live.measure = measured_on(adopted.to(workshop.device).eval())
        supernets.adopt(adopted, rows)
        live.known = {}  # what others have measured, they have measured on other weights

    others = [
        trial
        for trial in store.trials(workshop.run_id, choices=workshop.choices)
        if trial.state == "done" and trial.strategy != name and supernets.source(trial.strategy) is source
    ]
    supernet = supernets.shared()
    problem = Problem(
        space=workshop.space,
        objectives=objectives,
        strategy=name,
        seed=workshop.config.seed,
        trials=strategy.trials,
        limit=workshop.limit,
        prior=workshop.prior,
        run=workshop.label,
    )
    live = Search(
        problem=problem,
        measure=measured_on(supernet if source is SUPERNET else supernets.of(name)),
        counts=workshop.cost.counts,
        record=record,
        begin=lambda number, architecture: workshop.activity.begin(name, number, architecture),
        history=store.trials(workshop.run_id, name, choices=workshop.choices),
        known={} if workshop.study.strategy.measures else {t.architecture.digest: t.metrics for t in others},
        supernet=supernet,
        work=workshop.workplace(EXPLORE, name, workshop.folder.stage(EXPLORE.name) / CHECKPOINT),
        adopt=adopt,
    )
    return live


def _run(live: Search, strategy: Strategy, show: bool) -> None:
    """Search to the end, with a bar of progress."""
    problem = live.problem
    console = Terminal(stderr=True)
    draw = show and console.is_terminal and not strategy.needs_supernet  # those show their training instead
    columns = (Words("{task.description}"), BarColumn(), MofNCompleteColumn(), Words("{task.fields[best]}"))
    objective = problem.objectives[0]
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not draw) as progress:
        task = progress.add_task(problem.strategy, total=problem.trials, completed=len(live.history), best="")
        best: float | None = None
        for trial in strategy.search(live):
            if trial.state == "done":
                value = trial.value(objective.metric)
                best = value if best is None else max(best, value) if objective.maximise else min(best, value)
            shown = "" if best is None else f"best {objective.metric} {best:.4f}"
            progress.update(task, advance=1, best=shown)


def _result(trial: Trial) -> WinnerResult:
    return WinnerResult(
        strategy=trial.strategy,
        number=trial.number,
        digest=trial.architecture.digest,
        architecture=dict(trial.architecture),
        metrics=dict(trial.metrics),
        costs=dict(trial.costs),
    )
