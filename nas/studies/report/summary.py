"""What a run, or a ranking, prints at its end: its table, how it was made, and how far to trust it."""

from __future__ import annotations

from rich.text import Text

from nas.quantities import Quantity
from nas.studies.report.findings import Findings
from nas.studies.report.tables import finalists_table, metrics_table, rank_table, results_table, scores_table, statistic
from nas.studies.run.rank_truth import RankTruth
from nas.system.terminal import Terminal


def summary(console: Terminal, findings: Findings) -> None:
    """Prints the summary of a finished run."""
    console.print()
    console.print(results_table(findings.rows, findings.record.name, findings.metric))
    if findings.detailed:
        tested = {row.model: row.test for row in findings.rows}
        console.print(metrics_table(tested, findings.detailed, "test split in detail"))
    if findings.rounds:
        console.print(finalists_table(findings.rounds, findings.metric))
    console.say("winner, retrained: ", Text(findings.headline, style="bold"))
    volumes = ", ".join(f"{name} {volume:.4f}" for name, volume in findings.hypervolumes.items())
    lines = [f"search: {findings.search}; limit {findings.prepared.limit.text}; hypervolume {volumes}"]
    for role, model in findings.extracted.roles.items():
        difference = "0" if model.difference == 0 else f"{model.difference:.1e}"
        lines.append(
            f"{role}: extracted model = supernet on {model.images} validation images, greatest difference {difference}"
        )
    for line in filter(None, (*lines, findings.foreseen, *findings.belief)):
        console.say(line)
    for warning in findings.warnings:
        console.say(Text("note", style="yellow"), f" {warning}")


def rank_summary(console: Terminal, truth: RankTruth, metric: Quantity) -> None:
    """Prints both rankings by the `metric`, how well one predicts the other, and how coarse that is."""
    console.print(rank_table(truth, metric))
    for row in truth.result.summary:
        value, low, high = (statistic(number, row.statistic, metric) for number in (row.value, row.low, row.high))
        unit = f" {metric.difference_unit}".rstrip() if row.statistic.startswith("regret") else ""
        ceiling = "" if row.ceiling is None else f"; ceiling {statistic(row.ceiling, row.statistic, metric)}"
        console.print(f"{row.statistic:21} {value:>6}{unit}, 95 % interval {low} to {high}{ceiling}")
    if truth.result.scores:
        console.print(scores_table(truth))
    console.say(f"{truth.caption} {truth.precision(metric)}".rstrip())
    if truth.verdict:
        console.say(truth.verdict)
