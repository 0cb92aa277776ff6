"""Whether a run can be believed, in three sentences: how noisy its scores are and how well they rank, what training
changed among the finalists, and how far the winner is from uniform's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from nas import words
from nas.quantities import Quantity
from nas.studies.run.described import TableFacts
from nas.studies.run.measured import ForeseenTime
from nas.studies.run.paired import PairedDifference
from nas.studies.run.rank_truth import RankTruth
from nas.studies.run.rounds import RoundResult


def of_scores(metric: Quantity, values: pd.Series, images: int, truth: RankTruth | None) -> str:
    """How far a score on so many images may be off, how many of the `values` (of architectures within the limit) are no
    further from the best, and whether they rank as retraining does.
    """
    best = float(values.max() if metric.maximise else values.min())
    said = f"A score is the {metric.title} on {images} images"
    error = metric.standard_error(best, images)
    if error is not None:
        near = int(((values - best).abs() <= error).sum())
        said += (
            f", of whose best, {metric.show(best)}, one standard error is {metric.show_difference(error)[1:]} "
            f"{metric.difference_unit}: {near} of {len(values)} architectures are no further from it"
        )
    if truth is None:
        return f"{said}; whether scores rank as retraining does was not asked (nas tau)."
    tau, low, high = truth.value("tau")
    ceiling = truth.ceiling("tau")
    most = "" if math.isnan(ceiling) else f", where a perfect score would reach {ceiling:.2f}"
    return f"{said}; Kendall's tau with retraining is {tau:.2f} ({low:.2f} to {high:.2f}){most}."


def of_finalists(rounds: Sequence[RoundResult]) -> str:
    """What training changed in the order of the finalists, and whether the last round was clear."""
    if not rounds:
        return "No finalists were trained: the best score won."
    first, last = rounds[0].finalists, rounds[-1].finalists
    by_score = {one.digest: one.place for one in first}
    order = ", ".join(str(by_score[one.digest]) for one in first)
    said = f"Numbered by their scores, the {len(first)} finalists came in the order {order} after {_epochs(rounds[0])}"
    said += f", and number {by_score[last[0].digest]} won"
    if len(last) == 1:
        return f"{said}."
    gap = last[1].behind
    clear = "which is no chance" if gap.certain else "which may be chance"
    return (
        f"{said} after {_epochs(rounds[-1])}, its loss {gap.mean:.3f} less than the next one's ({gap.low:.3f} to "
        f"{gap.high:.3f}), {clear}."
    )


def of_distance(
    metrics: Sequence[Quantity], differences: Mapping[str, PairedDifference] | None, images: int, *, twins: bool
) -> str:
    """How far the retrained winner is from uniform's, picture by picture."""
    if twins:
        return "The winner is the architecture that uniform search chose: the search has found no better one."
    if not differences:
        return "How far the winner is from uniform's was not measured picture by picture."
    said, certain = [], False
    for metric in (metric for metric in metrics if metric.name in differences):
        gap = differences[metric.name]
        mean, low, high = (metric.show_difference(value) for value in (gap.mean, gap.low, gap.high))
        said.append(" ".join(filter(None, (mean, metric.difference_unit, f"of {metric.title} ({low} to {high})"))))
        certain |= gap.certain
    verdict = "a difference that is no chance" if certain else "which may be chance"
    return (
        f"Against uniform's, retrained alike, the winner has {' and '.join(said)} on {images} test images: {verdict}."
    )


def of_table(quantity: Quantity, table: TableFacts, times: Mapping[str, ForeseenTime] | None) -> str:
    """What a table predicted of the run's models, and what they take."""
    said = f"{quantity.title.capitalize()} is that of batches of {table.batch} on {table.device}"
    if table.threads is not None:
        said += f", {table.threads} thread{'' if table.threads == 1 else 's'}"
    if table.error is not None and table.most is not None:
        said += (
            f", off by less than {words.percent(table.error, 1)} for half of the sub-networks that were tried and by "
            f"less than {words.percent(table.most, 1)} for 95 in a hundred"
        )
    if not times:
        return f"{said}; nothing was measured there to compare."
    compared = [
        f"{role} {words.duration(one.timed)}, predicted {words.duration(one.predicted)} "
        f"({100 * (one.predicted / one.timed - 1):+.1f} %)"
        for role, one in times.items()
    ]
    noise = max(one.noise for one in times.values())
    return f"{said}. Timed: {'; '.join(compared)}; timed again, they would differ by {words.percent(noise, 1)}."


def _epochs(one: RoundResult) -> str:
    return f"{one.epochs} epoch{'' if one.epochs == 1 else 's'}"
