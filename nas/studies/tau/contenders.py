"""All scores that are judged beside each other: the metrics with shared weights, proxies, and the mean of the ranks of
those that help.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self, final

import numpy as np

from nas import proxies
from nas.proxies import Evidence, Predictor
from nas.quantities import Quantity
from nas.studies.stages.workshop import Workshop
from nas.studies.tau.aggregate import aggregated, helpful
from nas.studies.tau.strata import Member

AGGREGATE = "aggregate"


@final
@dataclass(frozen=True, eq=False)
class Contenders:
    """Scores of the same architectures, more is better; the task's first metric comes first.

    proxies   name -> values
    scores    the metrics, the proxies, and the aggregate
    helpful   which scores the aggregate would be made of, all architectures taken together
    """

    proxies: Mapping[str, np.ndarray]
    scores: Mapping[str, np.ndarray]
    helpful: list[str]

    @classmethod
    def of(cls, workshop: Workshop, members: Sequence[Member], truth: np.ndarray, names: Sequence[str]) -> Self:
        """Scores the members, which in truth reach `truth`, by the proxies of these names."""
        metrics = {
            metric.name: signed(metric, [member.shared[metric.name] for member in members])
            for metric in workshop.task.metrics
        }
        if not names:
            return cls({}, metrics, [])
        architectures = [member.architecture for member in members]
        digests = [architecture.digest for architecture in architectures]
        evidence = evidence_of(workshop, dict(zip(digests, truth.tolist(), strict=True)))
        plugins = {name: proxies.find(name) for name in names}
        values = {name: proxy.scores(evidence, architectures) for name, proxy in plugins.items()}
        # Predictors were shown the truth of the other architectures: they are judged, and not mixed with what was not.
        blind = metrics | {name: values[name] for name, proxy in plugins.items() if not isinstance(proxy, Predictor)}
        mixed = aggregated(blind, truth, workshop.config.seed)
        chosen = helpful(blind, truth, np.arange(len(truth)))
        return cls(values, {**metrics, **values, AGGREGATE: mixed}, chosen)

    def of_row(self, number: int) -> dict[str, float]:
        """What the proxies say of one architecture, as far as they are defined."""
        values = {name: float(scores[number]) for name, scores in self.proxies.items()}
        return {name: value for name, value in values.items() if np.isfinite(value)}


def evidence_of(workshop: Workshop, truth: Mapping[str, float]) -> Evidence:
    """What proxies may look at in a study, with what is known of retrained architectures (digest -> value)."""
    supernet = workshop.supernets.of(workshop.config.strategy_name)
    return Evidence(supernet, workshop.data.without_test(), workshop.config.seed, truth)


def refusals(workshop: Workshop, names: Sequence[str]) -> dict[str, str]:
    """The proxies among these that cannot score the study's models -> why not."""
    evidence = evidence_of(workshop, {})
    return {name: reason for name in names if (reason := proxies.find(name).refusal(evidence))}


def signed(metric: Quantity, values: Sequence[float] | Sequence[Sequence[float]]) -> np.ndarray:
    """Values of which more is better."""
    return np.array(values, np.float64) * (1 if metric.maximise else -1)
