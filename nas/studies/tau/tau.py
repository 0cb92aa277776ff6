"""Rank truth: a stratified handful of a run's architectures is retrained, and the ranking that this gives is compared
with the one that shared weights gave. The test split is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import final, get_args

import numpy as np

from nas import proxies, seeds
from nas.data import Split
from nas.errors import RunError, StrategyError, nearest
from nas.searchspaces import Architecture
from nas.studies.file.config import RetrainSpec
from nas.studies.run.folder import TAU, read_json, write_json
from nas.studies.run.rank_results import MemberResult, Relearning, Sample
from nas.studies.run.rank_truth import RankTruth
from nas.studies.run.results import RETRAIN, TrainingResult
from nas.studies.stages.workshop import Workshop
from nas.studies.tau.contenders import refusals
from nas.studies.tau.ranking import measure_of, ranking
from nas.studies.tau.retraining import Retraining
from nas.studies.tau.strata import Member, stratified
from nas.system.terminal import Terminal
from nas.training import RetrainLoss
from nas.training.objectives.gradual import stages

LEAST = 3
"""Architectures; with fewer there is no ranking to speak of."""
MOST = {"architectures": 1_000_000, "seeds": 100, "epochs": 1_000_000, "workers": 256}
"""As of the options of a study, see `nas.numbers`."""
ALL = "all"
"""Stands for the names of all proxies."""
PARTS = 8
"""Of the images, on each of which shared weights are measured, so that the noise of few images is known."""
LOSSES: Mapping[str, RetrainLoss] = {loss: loss for loss in get_args(RetrainLoss)}

Runner = Callable[[Retraining, Sequence[Architecture]], Iterable[TrainingResult]]
"""Yields what came of each architecture, in any order."""


@final
@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of a run. Raises `RunError` for what cannot be answered, `StrategyError` for unknown proxies.

    architectures   how many are retrained
    seeds           how often each is, with the seed of the run first; more than one tells what is noise
    epochs, loss    of the retraining; None takes the study's
    from_scratch    start from freshly initialised weights, in place of the shared ones; the loss is then plain unless
                    another is asked for
    workers         architectures retrained at the same time; more than one on Ray
    address         where Ray's workers are, see `nas.system.cluster.Cluster`
    proxies         names of the cheap scores that are judged beside the supernet's (`nas.proxies`), or "all"
    """

    architectures: int = 12
    seeds: int = 3
    epochs: int | None = None
    loss: str | None = None
    from_scratch: bool = False
    workers: int = 1
    address: str = "local"
    proxies: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in self.proxy_names:
            proxies.find(name)
        if self.architectures < LEAST:
            raise RunError(f"architectures: found {self.architectures}; allowed: {LEAST} or more")
        for name in ("seeds", "epochs", "workers"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise RunError(f"{name}: found {getattr(self, name)}; allowed: 1 or more")
        for name, most in MOST.items():
            if (getattr(self, name) or 0) > most:
                raise RunError(f"{name}: found {getattr(self, name)}; allowed: at most {most}")
        if self.loss is not None and self.loss not in LOSSES:
            raise RunError(f"loss: found '{self.loss}'; allowed: {', '.join(LOSSES)}{nearest(self.loss, LOSSES)}")
        if self.from_scratch and self.loss == "adjoined":
            raise RunError(
                "loss: found 'adjoined' from scratch, but it learns beside the trained supernet; allowed: plain, "
                "distilled, or to start from the shared weights"
            )

    @property
    def proxy_names(self) -> list[str]:
        """Each once, in their order."""
        return proxies.names() if ALL in self.proxies else list(dict.fromkeys(self.proxies))

    def spec(self, study: RetrainSpec) -> RetrainSpec:
        """The recipe: the study's, but for what was asked."""
        epochs = study.epochs if self.epochs is None else self.epochs
        if epochs < 1:
            raise RunError(
                "epochs: the study retrains for 0 epochs, which would compare a ranking with itself; say how many"
            )
        otherwise = "plain" if self.from_scratch and study.loss == "adjoined" else study.loss
        # From scratch, there is no trained network to cut block by block.
        gradual = study.gradual and not self.from_scratch
        return replace(study, epochs=epochs, loss=LOSSES[self.loss or otherwise], gradual=gradual)


def rank_truth(workshop: Workshop, question: Question, console: Terminal, others: Sequence[Workshop] = ()) -> RankTruth:
    """Answers the question, and keeps the answer in the run's folder. What was retrained before is not retrained again,
    so that a killed call goes on where it was.

    `others` are runs of the same study with other seeds: what their supernets say of the same architectures tells how
    much of a score is the chance of one training.
    """
    _check_same_choices(workshop, others)
    spec = question.spec(workshop.config.retrain)
    blocks = len(stages(workshop.space, workshop.space.smallest))
    if spec.gradual and spec.epochs < blocks:
        raise RunError(
            f"epochs: found {spec.epochs}, but the study cuts {blocks} blocks, one per epoch (retrain.gradual); "
            f"allowed: {blocks} or more"
        )
    how = Relearning(spec.loss, spec.epochs, question.from_scratch, question.seeds)
    names = _proxies(workshop, question, console)
    with _runner(question) as run:
        members = _sample(workshop, question.architectures)
        trainings = _retrained(workshop, members, _work(workshop, spec, how), how, run=run, console=console)
    truth = RankTruth(ranking(workshop, members, trainings, how, proxies=names, others=others))
    truth.save(workshop.folder.path)
    return truth


@contextmanager
def _runner(question: Question) -> Iterator[Runner]:
    """One after the other in this process, or on Ray."""
    if question.workers == 1 and question.address == "local":
        yield map
        return
    try:
        from nas.studies.tau.on_ray import on_ray
        from nas.system.cluster import Cluster, connected
    except ModuleNotFoundError as absent:
        if absent.name is None or absent.name.startswith("nas."):
            raise
        raise RunError(
            f"workers: found {question.workers} at '{question.address}'; they need the package '{absent.name}', which "
            "is not installed: pip install 'nas[ray]', or leave them out"
        ) from absent
    cluster = Cluster(address=question.address)
    with connected(cluster, question.workers):
        yield lambda work, architectures: on_ray(work, architectures, cluster, question.workers)


def _check_same_choices(workshop: Workshop, others: Sequence[Workshop]) -> None:
    for other in others:
        if other.choices != workshop.choices:
            raise RunError(
                f"beside: {other.folder} has other choices than {workshop.folder}; allowed: runs of its study"
            )


def _proxies(workshop: Workshop, question: Question, console: Terminal) -> list[str]:
    """Those that are asked for; of all, those that can score the study's models. Raises `StrategyError`."""
    names = question.proxy_names
    refused = refusals(workshop, names)
    if refused and ALL not in question.proxies:
        name, reason = next(iter(refused.items()))
        unsuited = refusals(workshop, proxies.names())
        others = ", ".join(other for other in proxies.names() if other not in unsuited)
        raise StrategyError(f"proxies: found {name}; {reason}; allowed: {others}")
    for name, reason in refused.items():
        console.say(f"{name} is left out: {reason}")
    return [name for name in names if name not in refused]


def _sample(workshop: Workshop, count: int) -> list[Member]:
    """The architectures, drawn and measured with shared weights; kept, so that the next call need not."""
    path = workshop.folder.stage(TAU) / "samples" / f"{count}.json"
    if not path.exists():
        measure = measure_of(workshop, workshop.data.validation)
        metric, seed = workshop.metric.name, workshop.config.seed
        members = stratified(workshop.cost, workshop.limit, count, measure, metric, seed)
        parts = [measure_of(workshop, part) for part in _parts(workshop.data.validation)]
        rows = [
            MemberResult(
                architecture=dict(member.architecture),
                band=member.band,
                shared=dict(member.shared),
                parts=[dict(part(member.architecture)) for part in parts],
            )
            for member in members
        ]
        write_json(path, Sample(rows))
    sample = read_json(path, Sample, remedy="delete it and run nas tau again")
    return [Member(Architecture(row.architecture), row.band, row.shared, tuple(row.parts)) for row in sample.members]


def _parts(split: Split) -> list[Split]:
    """About equal parts of a split, as far as it has images."""
    edges = np.linspace(0, len(split), min(PARTS, len(split)) + 1).round().astype(int)
    return [split.between(int(start), int(stop)) for start, stop in pairwise(edges)]


def _work(workshop: Workshop, spec: RetrainSpec, how: Relearning) -> Retraining:
    return Retraining(
        supernet=workshop.supernets.of(workshop.config.strategy_name),
        spec=spec,
        data=workshop.data.without_test(),
        seed=workshop.config.seed,
        device=str(workshop.device),
        teacher=workshop.base_model() if spec.loss == "distilled" else None,
        master=workshop.teacher_of(RETRAIN),
        scorer=workshop.scorer(),
        batch=workshop.config.eval_batch,
        scratch=how.from_scratch,
    )


def _retrained(
    workshop: Workshop, members: Sequence[Member], work: Retraining, how: Relearning, *, run: Runner, console: Terminal
) -> dict[str, list[TrainingResult]]:
    """What came of each architecture, by its digest, for each seed; each is written the moment it is known."""
    folder, metric = workshop.folder.stage(TAU) / how.label, workshop.metric
    trainings: dict[str, list[TrainingResult]] = {member.architecture.digest: [] for member in members}
    for repeat in range(how.seeds):
        # The first seed is the run's own, and its files lie where they lay when there was no other.
        place = folder / f"seed-{repeat}" if repeat else folder
        files = {digest: place / f"{digest}.json" for digest in trainings}
        missing = [m.architecture for m in members if not files[m.architecture.digest].exists()]
        seed = seeds.derive(work.seed, seeds.RETRAINING, repeat) if repeat else work.seed
        for number, training in enumerate(run(replace(work, seed=seed), missing), len(members) - len(missing) + 1):
            write_json(files[training.digest], training)
            console.say(
                f"retrained {number} of {len(members)}: {training.digest}, validation {metric.title} "
                f"{metric.show(training.validation[metric.name])}{f', seed {repeat + 1}' if how.seeds > 1 else ''}"
            )
        for digest, path in files.items():
            trainings[digest].append(_read(path))
    return trainings


def _read(path: Path) -> TrainingResult:
    return read_json(path, TrainingResult, remedy="delete it and run nas tau again")
