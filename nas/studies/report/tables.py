"""Tables for the terminal. Which columns there are, and how a value reads, is asked of the quantities: those that are
counted, and the metrics of the run's task.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table

from nas import quantities, words
from nas.quantities import Quantity
from nas.studies.run.frames import STANDARD_ERROR
from nas.studies.run.rank_truth import RankTruth
from nas.studies.run.rounds import RoundResult
from nas.studies.run.rows import RETRAINED, WINNER, RowResult

LEFT = ("study", "model", "strategy", "digest", "commit", "score", "")
"""Columns of words; all others are of numbers."""


def results_table(rows: Sequence[RowResult], title: str, metric: Quantity) -> Table:
    """The results of one run by the headline `metric` of its task; how many times as fast a model is as the first one
    stands in brackets.
    """
    first, costs = rows[0], _known(rows[0].costs)
    batches = list(first.latency)
    columns = [f"test {metric.heading}", *(cost.title for cost in costs), *(f"ms, batch {batch}" for batch in batches)]
    table = _table(["model", *columns], title)
    for row in rows:
        table.add_row(
            row.model,
            metric.show(row.test[metric.name]),
            *(cost.show(row.costs[cost.name]) for cost in costs),
            *(
                f"{words.significant(row.latency[batch])} ({first.latency[batch] / row.latency[batch]:.2f}x)"
                for batch in batches
            ),
            style="bold" if row.model == f"{WINNER}{RETRAINED}" else None,
        )
    return table


def metrics_table(values: Mapping[str, Mapping[str, float]], metrics: Sequence[Quantity], title: str) -> Table:
    """Model -> its values of the `metrics`."""
    table = _table(["model", *(metric.heading for metric in metrics)], title)
    for model, measured in values.items():
        table.add_row(model, *(metric.show(measured[metric.name]) for metric in metrics))
    return table


def finalists_table(rounds: Sequence[RoundResult], metric: Quantity) -> Table:
    """What each round decided, by the loss after its training."""
    costs = _known(rounds[0].finalists[0].costs)
    measured = [f"shared {metric.heading}", f"trained {metric.heading}", "loss", "behind, 95 % interval"]
    table = _table(["round", "strategy", "digest", *(cost.title for cost in costs), *measured, ""], "finalists")
    for number, one in enumerate(rounds, 1):
        for finalist in one.finalists:
            gap = finalist.behind
            table.add_row(
                str(number),
                finalist.strategy,
                finalist.digest,
                *(cost.show(finalist.costs[cost.name]) for cost in costs),
                *(metric.show(values[metric.name]) for values in (finalist.shared, finalist.validation)),
                f"{finalist.loss:.4f}",
                "" if finalist is one.finalists[0] else f"{gap.mean:.4f} ({gap.low:.4f} to {gap.high:.4f})",
                "stays" if finalist.kept else "leaves",
            )
    return table


def trials_table(
    frame: pd.DataFrame, title: str, metrics: Sequence[Quantity], scored: Quantity | None, images: int
) -> Table:
    """Trials, or a front of them, as `nas.studies.run.frames` makes them, with the `metrics` of the run's task; and how
    far the first objective may be off, where it is one of them (`scored`) on so many images.
    """
    costs = _known(frame.columns)
    names = [quantity.title for quantity in (*metrics, *costs)]
    errors = [] if scored is None else [_standard_error(row, scored, images) for row in frame.to_dict("records")]
    known = any(error is not None for error in errors)
    table = _table(["strategy", "trial", *names, *(["standard error"] if known else []), "digest", ""], title)
    for place, row in enumerate(frame.to_dict("records")):
        table.add_row(
            row["strategy"],
            str(row["number"]),
            *(f"{row[metric.name]:.4f}" if metric.name in row else "" for metric in metrics),
            *(cost.show(row[cost.name]) for cost in costs),
            *(["" if (error := errors[place]) is None else f"{error:.4f}"] if known else []),
            row["digest"],
            "knee" if row.get("knee") else row["error"] or ("" if row["feasible"] else "over the limit"),
        )
    return table


def _standard_error(row: Mapping[Any, Any], scored: Quantity, images: int) -> float | None:
    """Of a trial's score: from its parts, where it was measured part by part; else from the value, if that tells."""
    own, value = row.get(STANDARD_ERROR, math.nan), row.get(scored.name, math.nan)
    if not math.isnan(own):
        return float(own)
    return None if math.isnan(value) else scored.standard_error(value, max(1, round(images * row["share"])))


def rank_table(truth: RankTruth, metric: Quantity) -> Table:
    """The architectures as shared weights rank them by the `metric`, with their ranks after retraining (ties share the
    middle).
    """
    costs = _known(truth.result.table[0].costs)
    both = [f"shared {metric.heading}", f"retrained {metric.heading}"]
    table = _table(["rank", "digest", *(cost.title for cost in costs), *both, "rank, retrained"], truth.title)
    retrained = pd.Series([row.retrained[metric.name] for row in truth.result.table])
    ranks = retrained.rank(ascending=not metric.maximise)
    for number, row in enumerate(truth.result.table, 1):
        table.add_row(
            str(number),
            row.digest,
            *(cost.show(row.costs[cost.name]) for cost in costs),
            *(metric.show(metrics[metric.name]) for metrics in (row.shared, row.retrained)),
            f"{ranks[number - 1]:g}",
        )
    return table


def scores_table(truth: RankTruth) -> Table:
    """How well each score ranks, the best first."""
    columns = ["score", "tau", "95 % interval", "of ceiling", "within bands", "of ceiling", "more than the first's"]
    table = _table(columns, f"aggregate: {' + '.join(truth.result.aggregate)}")
    for row in truth.scores.sort_values("tau", ascending=False).to_dict("records"):
        table.add_row(
            row["score"],
            _number(row["tau"]),
            _between(row["low"], row["high"]),
            _number(row["of_ceiling"]),
            _number(row["within"]),
            _number(row["within_of_ceiling"]),
            " ".join(filter(None, (_number(row["gain"]), _between(row["gain_low"], row["gain_high"], "({})")))),
        )
    return table


def comparison_table(frame: pd.DataFrame, metric: Quantity) -> Table:
    """Results of several runs, one row per run and model, as `nas.studies.run.compare.compare` makes them."""
    costs = _known(frame.columns)
    numbers = [f"test {metric.heading}", *(cost.title for cost in costs), "hypervolume", "seed"]
    table = _table(["study", "model", "strategy", *numbers, "commit"])
    for row in frame.to_dict("records"):
        table.add_row(
            row["study"],
            row["model"],
            row["strategy"],
            metric.show(row[f"test_{metric.name}"]),
            *(cost.show(row[cost.name]) for cost in costs),
            "" if pd.isna(row["hypervolume"]) else f"{row['hypervolume']:.4f}",
            str(row["seed"]),
            row["commit"],
        )
    return table


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.2f}"


def _between(low: float, high: float, written: str = "{}") -> str:
    """An interval; nothing where it is not defined."""
    return "" if pd.isna(low) else written.format(f"{low:.2f} to {high:.2f}")


def statistic(value: float | None, name: str, metric: Quantity) -> str:
    """A tau with two decimals; a regret as a difference of two values of the `metric`."""
    if value is None or pd.isna(value):
        return "undefined"
    return metric.show_difference(value).removeprefix("+") if name.startswith("regret") else f"{value:.2f}"


def _table(columns: Sequence[str], title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in LEFT else "right", no_wrap=True)
    return table


def _known(columns: pd.Index[str] | Mapping[str, int]) -> list[Quantity]:
    """The costs that a table has: one that is counted since may be missing from an older run."""
    return [cost for cost in quantities.every_cost(columns) if cost.name in columns]
