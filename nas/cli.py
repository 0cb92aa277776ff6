"""The command line. What each command needs is imported when it runs, so that `nas --help` answers at once.

Exit codes: 0 done; 2 a fault that the user can mend, said in a line or two; 75 a Ray cluster is gone in the midst of
work, so that the same command is to be run again; 130 Ctrl-C; 143 SIGTERM; 1 a fault of ours, with its traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

if __name__ == "__main__" and sys.path[:1] == [str(Path.cwd())]:
    del sys.path[0]  # `python -m` looks for modules in the current folder first, which may be somebody else's

import typer

from nas.commands.axes import axes
from nas.commands.bench import bench
from nas.commands.check import check
from nas.commands.export import export
from nas.commands.init import init
from nas.commands.models import evaluate, extract, retrain
from nas.commands.options import Run, Settings, Trust, study_at
from nas.commands.stopping import again, stoppable
from nas.errors import ClusterLostError, NasError
from nas.system.memory import memory_for

if TYPE_CHECKING:
    import pandas as pd

    from nas.studies.study import Study

app = typer.Typer(
    name="nas",
    help="Find the vision transformer that fits your budget, inside one you already have.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from nas import __version__

        typer.echo(f"nas {__version__}")
        raise typer.Exit


app.command()(init)


@app.command()
def run(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY", help="A study's YAML file, or the folder of a run to continue.")
    ],
    settings: Settings = None,
    folder: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the run (default: runs/NAME).")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="STAGE", help="Drop this stage and later ones, and run them anew."),
    ] = None,
    dry: Annotated[
        bool, typer.Option("--dry", help="Only say what it would do, and take, from a few timed steps; write nothing.")
    ] = False,
    trust: Trust = False,
) -> None:
    """Run a study, or continue it: stages that are done are skipped."""
    if dry:
        _foresee(study_at(study, settings, folder, trust))
        return
    with stoppable(again("run", str(study))):
        from nas.training.parallel import torchrun

        def whole() -> None:
            study_at(study, settings, folder, trust).run(quiet=quiet, start=start)

        torchrun.lead(whole)


@app.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A search space, a study or the folder of a run.")],
    settings: Settings = None,
    trust: Trust = False,
) -> None:
    """Show choices and costs, before anything trains; of a run also who runs it, and the trials under way."""
    from nas.studies.show import show as shown
    from nas.system.terminal import Terminal

    shown(Terminal(), path, settings or (), trust=trust)


@app.command()
def pareto(
    run: Run,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the front to a CSV file, with every choice.")
    ] = None,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it to a Parquet file.")] = None,
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
    title = f"{record.name}: {'trials' if trials else 'Pareto front'}"
    console = Terminal()
    metrics, objective = record.task.metrics, record.objectives[0].metric
    scored = next((metric for metric in metrics if metric.name == objective), None)
    console.print(trials_table(frame, title, metrics, scored, record.result(PREPARE).data.images.validation))
    if not trials:
        console.say(f"hypervolume {record.hypervolume():.4f}")


@app.command()
def report(run: Run, trust: Trust = False) -> None:
    """Write the report of a run anew and print its summary."""
    from nas.studies.report.files import write_report
    from nas.studies.report.findings import Findings
    from nas.studies.report.summary import summary
    from nas.studies.run.record import Record
    from nas.system.terminal import Terminal

    record, console = Record.open(run, trust=trust), Terminal()
    page = write_report(record)
    summary(console, Findings(record))
    console.say(f"report: {page}")


app.command()(extract)


app.command()(retrain)


@app.command()
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
    rank_summary(Terminal(), truth, metric)


app.command()(evaluate)


app.command()(axes)


app.command()(check)


app.command()(bench)


app.command()(export)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs.")],
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table to a CSV file.")] = None,
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
    Terminal().print(comparison_table(frame, metric))


def _foresee(study: Study) -> None:
    from nas.studies.forecast.shown import sentences, stages_table
    from nas.system.machine import this_machine
    from nas.system.terminal import Terminal

    console, forecast = Terminal(), study.forecast()
    if not forecast.stages:
        console.say(f"{study.folder}: all stages are done; nas report {study.folder} shows what they found")
        return
    console.print(stages_table(f"{study.resolved.config.name}: {study.resolved.space.outline.model}", forecast))
    for sentence in sentences(forecast, this_machine()):
        console.say(sentence)
    console.say(f"folder    {study.folder}; nothing was written")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with stoppable(), memory_for("go on"):
            return int(app(words or ["--help"], standalone_mode=False) or 0)
    except ClusterLostError as fault:
        from nas.system.head import LOST

        return _fail(str(fault), LOST)
    except NasError as fault:
        return _fail(str(fault))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        return 1
    except OSError as fault:
        return _fail(f"{fault.filename or 'disk'}: {fault.strerror or fault}; mend that and run the same command again")
    except Exception as fault:
        if not hasattr(
            fault, "format_message"
        ):  # typer's usage errors have one; typer brings a copy of click of its own
            raise
        return _fail(f"{fault.format_message()} See: nas --help")


def _fail(message: str, code: int = 2) -> int:
    from nas.system.terminal import literally

    typer.echo(f"error: {literally(message)}", err=True)
    return code


def _write_csv(frame: pd.DataFrame, path: Path | None) -> None:
    if path is not None:
        from nas.studies.report.spreadsheet import write_csv

        write_csv(frame, path)


if __name__ == "__main__":
    sys.exit(main())
