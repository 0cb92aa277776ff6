"""The two rankings of a sample, and what is noise in either."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from nas import quantities
from nas.data import Split
from nas.studies.run.rank_results import RankingResult, RankNoise, Relearning, Statistic
from nas.studies.run.results import TrainingResult
from nas.studies.run.rows import RankedRow
from nas.studies.stages.workshop import Workshop
from nas.studies.tau.contenders import Contenders, signed
from nas.studies.tau.judging import judged
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
    *,
    proxies: Sequence[str] = (),
    others: Sequence[Workshop] = (),
) -> RankingResult:
    """The two rankings of the members, the best with shared weights first, and how well one predicts the other; the
    same of each proxy, and of what is aggregated of them. `others` have other supernets.
    """
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
        signed(metric, [[one.validation[metric.name] for one in trainings[digest]] for digest in table["digest"]])
    )
    scores = {
        TAU if other is metric else f"tau of {other.name}": signed(other, table[f"shared_{other.name}"].to_list())
        for other in workshop.task.metrics
    }
    sizes, seed = table[quantities.SIZE].to_numpy(np.float64), workshop.config.seed
    found = summary(Rankings(scores, sizes, truth), seed)
    contenders = Contenders.of(workshop, inside, truth.mean, proxies)
    statistics = [
        Statistic(name, *(None if math.isnan(value) else float(value) for value in values))
        for name, *values in found.itertuples(index=False)
    ]
    return RankingResult(
        table=[
            replace(rows[digest], scores=contenders.of_row(number)) for number, digest in enumerate(table["digest"])
        ],
        summary=statistics,
        relearning=how,
        images=len(workshop.data.validation),
        ties=dict(ties(table, metric)),
        noise=_noise(workshop, inside, truth, others),
        scores=judged(Rankings(contenders.scores, sizes, truth), seed) if proxies else [],
        aggregate=contenders.helpful,
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


def _mean(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([one[name] for one in metrics])) for name in metrics[0]}
