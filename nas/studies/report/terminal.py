"""What a run prints at its end: the results table, how it was found, and where the rest is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from nas import words
from nas.studies.report.findings import Findings
from nas.studies.run.rank_truth import RankTruth


def terminal(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A console; wide enough for every table where the output is no terminal."""
    console = Console(stderr=stderr, quiet=quiet)
    return console if console.is_terminal else Console(stderr=stderr, quiet=quiet, width=200)


def summary(console: Console, facts: Findings) -> None:
    """Prints the summary of a finished run."""
    record = facts.record
    extracted = record.result("extract")
    console.print()
    console.print(results_table(facts.rows, record.name))
    console.print(f"winner, retrained: [bold]{facts.headline}[/bold]", highlight=False, soft_wrap=True)
    volumes = ", ".join(f"{name} {volume:.4f}" for name, volume in facts.hypervolumes.items())
    console.print(
        f"search: {facts.search}; limit {record.result('prepare')['limit']['text']}; hypervolume {volumes}",
        highlight=False,
        soft_wrap=True,
    )
    for role, found in extracted.items():
        if isinstance(found, Mapping):
            difference = "0" if found["difference"] == 0 else f"{found['difference']:.1e}"
            console.print(
                f"{role}: extracted model = supernet on {found['images']} validation images, greatest difference "
                f"{difference}",
                highlight=False,
                soft_wrap=True,
            )
    for warning in facts.warnings:
        console.print(f"[yellow]note[/yellow] {warning}", highlight=False, soft_wrap=True)


def results_table(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    """The results of one run; how many times as fast a model is as the first one stands in brackets."""
    batches = words.batches(rows)
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", no_wrap=True)
    for column in ("test acc.", "MACs", "FLOPs", "params", *(f"ms, batch {batch}" for batch in batches)):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        times = [
            f"{row[key]:.3g} ({rows[0][key] / row[key]:.2f}x)" for key in (f"latency_ms_batch_{b}" for b in batches)
        ]
        table.add_row(
            row["model"],
            words.percent(row["test_accuracy"]),
            words.amount(row["macs"]),
            words.amount(row["flops"]),
            words.amount(row["params"]),
            *times,
            style="bold" if row["model"] == "winner, retrained" else None,
        )
    return table


def rank_table(truth: RankTruth) -> Table:
    """The architectures as shared weights rank them, with their ranks after retraining (ties share the middle)."""
    table = Table(title=truth.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("rank", "digest", "MACs", "FLOPs", "params", "shared acc.", "retrained acc.", "rank, retrained"):
        table.add_column(column, justify="left" if column == "digest" else "right", no_wrap=True)
    ranks = truth.table["retrained_accuracy"].rank(ascending=False)
    for place, row in enumerate(truth.table.to_dict("records")):
        table.add_row(
            str(place + 1),
            row["digest"],
            *(words.amount(row[cost]) for cost in ("macs", "flops", "params")),
            words.percent(row["shared_accuracy"]),
            words.percent(row["retrained_accuracy"]),
            f"{ranks[place]:g}",
        )
    return table


def rank_summary(console: Console, truth: RankTruth) -> None:
    """Prints what was found, and how far to trust it."""
    console.print(rank_table(truth))
    for row in truth.summary.to_dict("records"):
        name = str(row["statistic"])
        value, low, high = (words.statistic(row[column], name) for column in ("value", "low", "high"))
        unit = " points" if name.startswith("regret") else ""
        console.print(f"{name:12} {value:>6}{unit}, 95 % interval {low} to {high}", highlight=False)
    console.print(truth.caption, highlight=False, soft_wrap=True)


def comparison_table(frame: pd.DataFrame) -> Table:
    """Results of several runs, one row per run and model."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    right = ("test acc.", "MACs", "FLOPs", "params", "hypervolume", "seed")
    for column in ("study", "model", "strategy", *right, "commit"):
        table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    for row in frame.to_dict("records"):
        table.add_row(
            row["study"],
            row["model"],
            row["strategy"],
            words.percent(row["test_accuracy"]),
            words.amount(row["macs"]),
            words.amount(row["flops"]),
            words.amount(row["params"]),
            "" if pd.isna(row["hypervolume"]) else f"{row['hypervolume']:.4f}",
            str(row["seed"]),
            row["commit"],
        )
    return table
