"""What a study says, or asks of its space, limit and objectives, that cannot be done; known before anything trains."""

from __future__ import annotations

from collections.abc import Callable

from nas import quantities
from nas.documents.document import Document
from nas.documents.mistakes import shown
from nas.errors import ClusterError, Fault, StoreError, StrategyError
from nas.foreign import ALLOWED as NAMES
from nas.foreign import is_name
from nas.importance import Importance
from nas.quantities import Multiple
from nas.search import Objective, Problem, Strategy
from nas.searchspaces import Limit, SearchSpace
from nas.studies.file.amounts import amount_faults
from nas.studies.file.config import BASELINE, RetrainSpec, StudyConfig
from nas.supernets import Cost
from nas.tasks import Task
from nas.training.objectives.gradual import stages
from nas.training.rules import SupernetRule


def misstated(document: Document, task: Task | None) -> list[Fault]:
    """What is wrong by itself, whatever the space: quantities that there are not, amounts, the strategy's title."""
    return [*amount_faults(document, task), *_misnamed(document)]


def unfit(
    document: Document,
    config: StudyConfig,
    strategy: Strategy,
    criterion: Importance,
    space: SearchSpace,
    limit: Limit | None,
) -> list[Fault]:
    """What the strategy or the criterion refuses. Strategies connect to where they are to work."""
    problem = Problem(
        space=space,
        objectives=tuple(Objective(metric, way == "max") for metric, way in config.objectives.items()),
        strategy=config.strategy_name,
        seed=config.seed,
        trials=strategy.trials,
        limit=limit,
    )
    checks: dict[str, Callable[[], None]] = {
        "strategy": lambda: strategy.check(problem),
        "importance": lambda: criterion.check(space),
    }
    faults = []
    for key, check in checks.items():
        try:
            check()
        except (ClusterError, StrategyError, StoreError) as refusal:
            faults.append(document.refused((key,), refusal, "what fits the space, the limit and the objectives"))
    return faults


def too_gradual(document: Document, spec: RetrainSpec, reordering: Importance, space: SearchSpace) -> list[Fault]:
    """What keeps the winner of a gradual retraining from learning, or its units from being put in order anew."""
    if not spec.gradual:
        return []
    faults = []
    blocks = len(stages(space, space.smallest))
    if spec.epochs < blocks:
        found = f"{spec.epochs}, with gradual: true, which cuts {blocks} blocks, one per epoch"
        faults.append(document.fault(("retrain", "epochs"), found, f"at least {blocks}: the winner learns in the last"))
    try:
        if not reordering.blockwise:
            raise StrategyError("scores that follow from later blocks too, which are cut by then, or that move units")
        reordering.check(space)
    except StrategyError as refusal:
        allowed = "a criterion that sees a block and those before it, and that scores the space: ffn_votes, given"
        faults.append(document.refused(("retrain", "importance"), refusal, allowed))
    return faults


def incomparable(
    document: Document, config: StudyConfig, task: Task, rule: SupernetRule, strategy: Strategy
) -> list[Fault]:
    """What compares the outputs of two networks, where the task has no divergence of outputs."""
    if not task.no_divergence:
        return []
    spec, faults = config.retrain, []
    found = f"the outputs of two networks are compared, and of this task {task.no_divergence}"
    if rule.compares and config.supernet.epochs:
        faults.append(document.fault(("supernet", "rule"), found, "uniform, or targets: 1 in a rule that has them"))
    if spec.loss != "plain" and spec.epochs:
        faults.append(document.fault(("retrain", "loss"), found, "plain"))
    if strategy.compares:
        faults.append(document.fault(("strategy",), found, "a strategy that compares none, such as evolution or sidt"))
    for stage, recipe in {"base": config.base, "supernet": config.supernet, "retrain": spec}.items():
        if recipe.teacher is not None:
            faults.append(document.fault((stage, "teacher"), found, "no teacher"))
    return faults


def untrained_finalists(document: Document, config: StudyConfig, task: Task) -> list[Fault]:
    """How many finalists compete, where the first objective is a cost: training changes none, so that nobody does."""
    first, metrics = next(iter(config.objectives), task.metrics[0].name), [metric.name for metric in task.metrics]
    if config.finalists in (1, StudyConfig.finalists) or first in metrics:
        return []
    found = f"{config.finalists}, which is not read where the first objective is '{first}', which no training changes"
    allowed = f"only with one of {', '.join(metrics)} as the first objective; otherwise to leave it out, or 1"
    return [document.fault(("finalists",), found, allowed)]


def in_no_parts(document: Document, config: StudyConfig, task: Task, strategy: Strategy) -> list[Fault]:
    """A first objective that is no mean over images, where the strategy compares parts of them."""
    first = next(iter(config.objectives), task.metrics[0].name)
    means = [metric.name for metric in task.metrics if metric.averaged]
    if not strategy.by_parts or first in means:
        return []
    found = f"'{first}', which is no mean over images, and the strategy compares candidates on parts of them"
    allowed = ", ".join(means) or "another strategy, such as evolution"
    return [document.fault(("objectives", first), found, allowed)]


def of_no_part(document: Document, config: StudyConfig, cost: Cost) -> list[Fault]:
    """Objectives that are costs which the model has none of, or which no table tells."""
    faults, known = [], cost.bases
    for quantity in quantities.every_cost(config.objectives):
        name = quantity.of if isinstance(quantity, Multiple) else quantity.name
        if quantity.name in config.objectives and name not in known:
            found = f"'{quantity.name}', {quantity.absence}"
            faults.append(document.fault(("objectives", quantity.name), found, ", ".join(known)))
    return faults


def _misnamed(document: Document) -> list[Fault]:
    """A strategy's `name` stands beside its trials; the baseline's is taken."""
    name, use = document.get(("strategy", "name")), document.get(("strategy", "use"))
    if name is None or (isinstance(name, str) and is_name(name) and (name != BASELINE or use == BASELINE)):
        return []
    allowed = f"text other than '{BASELINE}', the name of the baseline" if name == BASELINE else NAMES
    return [document.fault(("strategy", "name"), shown(name), allowed)]
