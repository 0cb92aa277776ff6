"""Commands that read what a run has left, or a study before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.commands.options import Json, Run, Settings, Trust, put_json
from nas.commands.stopping import again, stoppable

if TYPE_CHECKING:
    import pandas as pd

    from nas.studies.run.rank_truth import RankTruth

Csv = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table to a CSV file.")]


def show(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A search space, a study or the folder of a run.")],
    settings: Settings = None,
    json: Json = None,
    trust: Trust = False,
) -> None:
    """Show choices and costs, before anything trains; of a run also who runs it, and the trials under way."""
    from nas.studies.show import facts_of, show
    from nas.system.terminal import Terminal

    shown = facts_of(path, settings or (), trust=trust)
    if not put_json(json, shown.plain()):
        show(Terminal(), shown)


def pareto(
    run: Run,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the front to a CSV file, with every choice.")
    ] = None,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it to a Parquet file.")] = None,
    json: Json = None,
    trials: Annotated[bool, typer.Option("--trials", help="All trials instead of the front.")] = False,
    trust: Trust = False,
) -> None:
    """Print the Pareto front of a run; its knee is marked."""
    from nas.studies.report.tables import trials_table
    from nas.studies.run.record import Record
    from nas.studies.run.results import PREPARE
    from nas.system.terminal import Terminal

    record = Record.open(run, trust=trust)
    frame = record.trials() if trials else record.pareto()
    _write_csv(frame, csv)
    if parquet is not None:
        with parquet.open("wb") as handle:
            frame.to_parquet(handle, index=False)
    if put_json(json, _rows(frame)):
        return
    title = f"{record.name}: {'trials' if trials else 'Pareto front'}"
    console = Terminal()
    metrics, objective = record.task.metrics, record.objectives[0].metric
    scored = next((metric for metric in metrics if metric.name == objective), None)
    console.print(trials_table(frame, title, metrics, scored, record.result(PREPARE).data.images.validation))
    if not trials:
        console.say(f"hypervolume {record.hypervolume():.4f}")


def report(run: Run, json: Json = None, trust: Trust = False) -> None:
    """Write the report of a run anew and print its summary."""
    from nas.studies.report.files import write_report
    from nas.studies.report.findings import Findings
    from nas.studies.report.summary import summary
    from nas.studies.run.record import Record
    from nas.system.terminal import Terminal

    record, console = Record.open(run, trust=trust), Terminal()
    page = write_report(record)
    if put_json(json, [row.flat() for row in Findings(record).rows]):
        return
    summary(console, Findings(record))
    console.say(f"report: {page}")


def tau(  # noqa: PLR0913  (one per option)
    run: Run,
    architectures: Annotated[int, typer.Option(metavar="N", help="How many architectures are retrained.")] = 12,
    seeds: Annotated[int, typer.Option(metavar="N", help="How often each is: more than once tells what is noise.")] = 3,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Epochs of each (default: the study's).")] = None,
    loss: Annotated[
        str | None, typer.Option(metavar="LOSS", help="adjoined, distilled or plain (default: the study's).")
    ] = None,
    scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start from fresh weights, not from the shared ones.")
    ] = False,
    workers: Annotated[int, typer.Option(metavar="N", help="Retrain N at a time, on Ray.")] = 1,
    address: Annotated[str, typer.Option(metavar="ADDRESS", help="Of Ray: local, auto or HOST:PORT.")] = "local",
    beside: Annotated[
        list[Path] | None, typer.Option(metavar="RUN", help="A run of the same study with another seed; repeatable.")
    ] = None,
    proxies: Annotated[
        str, typer.Option(metavar="NAMES", help="Cheap scores to judge beside it: all, or names with commas.")
    ] = "",
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the architectures to a CSV file.")] = None,
    json: Json = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw both rankings, as SVG.")] = None,
    trust: Trust = False,
) -> None:
    """Retrain some architectures: does the ranking with shared weights hold?"""
    with stoppable(again()):
        from nas.studies.report.summary import rank_summary
        from nas.studies.study import Study
        from nas.system.terminal import Terminal

        study = Study.open(run, trust=trust)
        truth = study.tau(
            architectures=architectures,
            seeds=seeds,
            epochs=epochs,
            loss=loss,
            from_scratch=scratch,
            workers=workers,
            address=address,
            beside=beside or (),
            proxies=[name.strip() for name in proxies.split(",") if name.strip()],
        )
    metric = study.record.task.metrics[0]
    _write_csv(truth.table, csv)
    if plot is not None:
        from nas.studies.report.plots import svg
        from nas.studies.report.rank_plot import rank_plot

        plot.write_text(svg(rank_plot(truth, metric)), encoding="utf-8")
    if not put_json(json, _of_ranking(truth)):
        rank_summary(Terminal(), truth, metric)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs.")],
    csv: Csv = None,
    json: Json = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the models over their size, as SVG.")] = None,
    trust: Trust = False,
) -> None:
    """Print the results of several runs in one table, and draw them in one plot."""
    from nas.studies.report.tables import comparison_table
    from nas.studies.run.compare import compare as compared
    from nas.studies.run.compare import compared_metric
    from nas.studies.run.record import Record
    from nas.system.terminal import Terminal

    records = [Record.open(run, trust=trust) for run in runs]
    metric, frame = compared_metric(records), compared(records)
    _write_csv(frame, csv)
    if plot is not None:
        from nas.studies.report.comparison import comparison
        from nas.studies.report.plots import svg

        plot.write_text(svg(comparison(frame, metric)), encoding="utf-8")
    if not put_json(json, _rows(frame)):
        Terminal().print(comparison_table(frame, metric))


def _of_ranking(truth: RankTruth) -> dict[str, Any]:
    return {"verdict": truth.verdict, "summary": _rows(truth.summary), "architectures": _rows(truth.table),
            "scores": _rows(truth.scores)}  # fmt: skip


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame as plain data; what is not there is null."""
    from json import loads

    rows: list[dict[str, Any]] = loads(frame.to_json(orient="records", double_precision=15))
    return rows


def _write_csv(frame: pd.DataFrame, path: Path | None) -> None:
    if path is not None:
        from nas.studies.report.spreadsheet import write_csv

        write_csv(frame, path)
