"""The two rankings of a sample, and what is noise in either."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from nas import quantities
from nas.data import Split
from nas.quantities import Quantity
from nas.studies.run.rank_results import RankingResult, RankNoise, Relearning, Statistic
from nas.studies.run.results import TrainingResult
from nas.studies.run.rows import RankedRow
from nas.studies.stages.workshop import Workshop
from nas.studies.tau.noise import Repeated
from nas.studies.tau.statistics import TAU, Rankings, ranked, summary, ties
from nas.studies.tau.strata import Member, MetricsOf


def measure_of(workshop: Workshop, split: Split) -> MetricsOf:
    """The metrics with shared weights on a split."""
    supernet = workshop.supernets.of(workshop.config.strategy_name)
    evaluator = workshop.evaluator(supernet, split)
    return lambda architecture: evaluator(architecture).metrics


def ranking(
    workshop: Workshop,
    members: Sequence[Member],
    trainings: Mapping[str, Sequence[TrainingResult]],
    how: Relearning,
    others: Sequence[Workshop],
) -> RankingResult:
    """The two rankings of the members, the best with shared weights first, and how well one predicts the other."""
    metric = workshop.metric
    rows = {
        member.architecture.digest: RankedRow(
            digest=member.architecture.digest,
            band=member.band,
            costs=quantities.with_multiples(workshop.cost.counts(member.architecture)),
            shared=dict(member.shared),
            retrained=_mean([training.validation for training in trainings[member.architecture.digest]]),
        )
        for member in members
    }
    table = ranked(pd.DataFrame([row.flat() for row in rows.values()]), metric)
    order = {digest: position for position, digest in enumerate(table["digest"])}
    inside = sorted(members, key=lambda member: order[member.architecture.digest])
    # A metric of which less is better: the greatest negative is the best.
    truth = Repeated(
        _signed(metric, [[one.validation[metric.name] for one in trainings[digest]] for digest in table["digest"]])
    )
    scores = {
        TAU if other is metric else f"tau of {other.name}": _signed(other, table[f"shared_{other.name}"].to_list())
        for other in workshop.task.metrics
    }
    found = summary(Rankings(scores, table[quantities.SIZE].to_numpy(np.float64), truth), workshop.config.seed)
    statistics = [
        Statistic(name, *(None if math.isnan(value) else float(value) for value in values))
        for name, *values in found.itertuples(index=False)
    ]
    return RankingResult(
        table=[rows[digest] for digest in table["digest"]],
        summary=statistics,
        relearning=how,
        images=len(workshop.data.validation),
        ties=dict(ties(table, metric)),
        noise=_noise(workshop, inside, truth, others),
    )


def _noise(workshop: Workshop, members: Sequence[Member], truth: Repeated, others: Sequence[Workshop]) -> RankNoise:
    """What repeating each side said."""
    metric = workshop.metric
    parts = [[part[metric.name] for part in member.parts] or [member.shared[metric.name]] for member in members]
    supernets = None
    if others:
        measures = [measure_of(other, other.data.validation) for other in others]
        by_supernet = [
            [member.shared[metric.name], *(measure(member.architecture)[metric.name] for measure in measures)]
            for member in members
        ]
        supernets = Repeated(np.array(by_supernet)).repeats
    return RankNoise(truth=truth.repeats, images=Repeated(np.array(parts)).repeats, supernets=supernets)


def _signed(metric: Quantity, values: Sequence[float] | Sequence[Sequence[float]]) -> np.ndarray:
    """Values of which more is better."""
    return np.array(values, np.float64) * (1 if metric.maximise else -1)


def _mean(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([one[name] for one in metrics])) for name in metrics[0]}
