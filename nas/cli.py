"""The command line. What each command needs is imported when it runs, so that `nas --help` answers at once.

Exit codes: 0 done; 2 a fault that the user can mend, said in a line or two; 75 a Ray cluster is gone in the midst of
work, so that the same command is to be run again; 130 Ctrl-C; 143 SIGTERM; 1 a fault of ours, with its traceback.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

if __name__ == "__main__" and sys.path[:1] == [str(Path.cwd())]:
    del sys.path[0]  # `python -m` looks for modules in the current folder first, which may be somebody else's

import typer

from nas.errors import ClusterLostError, NasError, RunError
from nas.passwords import hidden_url
from nas.system.memory import memory_for
from nas.system.processes import leave

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

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, such as runs/digits.", show_default=False)]
RunOrFile = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="Folder of a run, or an architecture's file (nas export).", show_default=False),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, such as strategy.trials=50. May be repeated."),
]
Digest = Annotated[
    str | None, typer.Option(metavar="DIGEST", help="The architecture with this digest (its first letters).")
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Connect to the hosts that the run's folder names (see also NAS_TRUST).")
]
TrialNumber = Annotated[
    int | None, typer.Option("--trial", metavar="N", help="The architecture of this trial of the study's strategy.")
]


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from nas import __version__

        typer.echo(f"nas {__version__}")
        raise typer.Exit


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
    trust: Trust = False,
) -> None:
    """Run a study, or continue it: stages that are done are skipped."""
    with _stoppable(_again("run", str(study))):
        from nas.training.parallel import torchrun

        def whole() -> None:
            _study(study, settings, folder, trust).run(quiet=quiet, start=start)

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
    from nas.system.terminal import Terminal

    record = Record.open(run, trust=trust)
    frame = record.trials() if trials else record.pareto()
    _write_csv(frame, csv)
    if parquet is not None:
        with parquet.open("wb") as handle:
            frame.to_parquet(handle, index=False)
    title = f"{record.name}: {'trials' if trials else 'Pareto front'}"
    console = Terminal()
    console.print(trials_table(frame, title, record.task.metrics))
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


@app.command()
def extract(
    run: RunOrFile,
    to: Annotated[Path, typer.Option(metavar="DIR", help="New folder for model.safetensors and model.json.")],
    digest: Digest = None,
    number: TrialNumber = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of an architecture's file: weights of the whole model.")
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Of an architecture's file: timm's weights of the whole model.")
    ] = False,
    trust: Trust = False,
) -> None:
    """Write an architecture (the winner) as a model for nas.load. The data of its run are not needed."""
    from nas.studies.models import of_file, of_run
    from nas.studies.run.found import FoundArchitecture
    from nas.studies.run.record import Record
    from nas.system.terminal import Terminal

    if run.is_file():
        _refuse(run, "a run", digest=digest, trial=number)
        extracted = of_file(FoundArchitecture.read(run), str(run), checkpoint=checkpoint, pretrained=pretrained)
    else:
        _refuse(run, "the file of an architecture", checkpoint=checkpoint, pretrained=pretrained or None)
        extracted = of_run(Record.open(run, trust=trust), digest=digest, number=number)
    extracted.write(to)
    console = Terminal()
    console.say(f"written to {to}; load it in Python with nas.load('{to}')")
    for note in extracted.notes:
        console.say(f"note: {note}")


@app.command()
def retrain(  # noqa: PLR0913  (one per option)
    run: RunOrFile,
    digest: Digest = None,
    number: TrialNumber = None,
    other: Annotated[
        Path | None,
        typer.Option("--study", metavar="STUDY", help="By this study: on its data, at its image size, by its recipe."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS",
            help="With --study: base (the study's base model, trained first where it has epochs; the default), scratch "
            "(fresh), or supernet (of RUN, at the study's size and classes; of an architecture's file, the study's).",
        ),
    ] = None,
    settings: Settings = None,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --study: folder of its run (default: runs/NAME).")
    ] = None,
    trust: Trust = False,
) -> None:
    """Retrain an architecture (the winner) and test it: by its own study, or by another one (--study)."""
    with _stoppable(_again()):
        from nas.studies.report.tables import results_table
        from nas.studies.run.found import FoundArchitecture, found_by
        from nas.studies.run.record import Record
        from nas.studies.study import Study
        from nas.system.terminal import Terminal
        from nas.training.parallel import torchrun

        def whole() -> None:
            if other is None:
                _refuse(run, "--study STUDY", weights=weights, set=settings or None, folder=folder)
                if run.is_file():
                    raise RunError(f"{run}: found an architecture's file; needed: --study STUDY, which retrains it")
                study = Study.open(run, trust=trust)
                row = study.retrain(digest=digest, number=number)
            else:
                source = None if run.is_file() else Record.open(run, trust=trust)
                if source is None:
                    _refuse(run, "a run", digest=digest, trial=number)
                    found = FoundArchitecture.read(run)
                else:
                    found = found_by(source, digest=digest, number=number)
                study = _study(other, settings, folder, trust)
                row = study.retrain_found(found, weights=weights or "base", source=source)
            Terminal().print(results_table([row], study.resolved.config.name, study.record.task.metrics[0]))

        torchrun.lead(whole)


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
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the architectures to a CSV file.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw both rankings, as SVG.")] = None,
    trust: Trust = False,
) -> None:
    """Retrain some architectures: does the ranking with shared weights hold?"""
    with _stoppable(_again()):
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
        )
    metric = study.record.task.metrics[0]
    _write_csv(truth.table, csv)
    if plot is not None:
        from nas.studies.report.plots import svg
        from nas.studies.report.rank_plot import rank_plot

        plot.write_text(svg(rank_plot(truth, metric)), encoding="utf-8")
    rank_summary(Terminal(), truth, metric)


@app.command()
def evaluate(  # noqa: PLR0913  (one per option)
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A saved model's folder, a run's (its winner), or a name of timm's."),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="A folder of class folders, an .npz file, digits, a study's YAML file, or what stands there behind "
            "data:, such as '{name: cifar10, path: DIR}' (default: a run's own).",
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(metavar="SPLIT", help="test, val or train; all of a data set that brings no splits.")
    ] = "test",
    checkpoint: Annotated[
        str | None, typer.Option(metavar="FILE", help="Weights of the model that timm has by this name.")
    ] = None,
    pretrained: Annotated[bool, typer.Option("--pretrained", help="timm's own weights of that name.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Such as data.crop_pct=1 or model_args.img_size=64."),
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", help="Images at a time.")] = 256,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="cpu, cuda, cuda:1 ...; auto: a GPU if any.")] = "auto",
    amp: Annotated[str | None, typer.Option(metavar="TYPE", help="bfloat16 or float16 (default: float32).")] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes that decode pictures.")] = None,
    predictions: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a row per image, as CSV.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the numbers to a JSON file.")] = None,
    trust: Trust = False,
) -> None:
    """Measure any model: accuracies, calibration, loss, MACs, parameters. Images are prepared as it wants them."""
    from nas.studies.measure.evaluate import evaluate as evaluated
    from nas.system.files import replace_file
    from nas.system.terminal import Terminal

    measured = evaluated(
        model,
        data,
        split=split,
        checkpoint=checkpoint,
        pretrained=pretrained,
        overrides=[*(settings or ()), *([] if workers is None else [f"data.workers={workers}"])],
        batch=batch,
        device=device,
        amp=amp,
        predictions=predictions is not None,
        progress=True,
        trust=trust,
    )
    if measured.predictions is not None:
        _write_csv(measured.predictions, predictions)
    if json is not None:
        replace_file(json, measured.to_json().encode())
    measured.show(Terminal())


@app.command()
def export(
    run: Run,
    optuna: Annotated[
        str | None, typer.Option(metavar="URL", help="Trials, to an Optuna storage such as sqlite:///optuna.db.")
    ] = None,
    architecture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An architecture (the winner), to a JSON file.")
    ] = None,
    digest: Digest = None,
    number: TrialNumber = None,
    trust: Trust = False,
) -> None:
    """Copy trials for optuna-dashboard, or an architecture for nas extract and nas retrain --study elsewhere."""
    from nas.studies.run.record import Record
    from nas.system.terminal import Terminal

    if optuna is None and architecture is None:
        raise RunError("export: found nothing to write; allowed: --optuna URL, --architecture FILE, or both")
    record, console = Record.open(run, trust=trust), Terminal()
    if architecture is not None:
        from nas.studies.run.found import found_by

        found = found_by(record, digest=digest, number=number)
        found.write(architecture)
        console.say(f"{found.digest} by {found.strategy}: {architecture}")
    if optuna is not None:
        from nas.studies.run.export_optuna import export as exported

        for name, trials in exported(record, optuna).items():
            console.say(f"{name}: {trials} trials")


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _stoppable(), memory_for("go on"):
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


def _study(path: Path, settings: list[str] | None, folder: Path | None, trust: bool) -> Study:
    """A study's YAML file, or the folder of a run."""
    from nas.studies.study import Study

    if not path.is_dir():
        return Study.from_yaml(path, overrides=settings or (), folder=folder, trust=trust)
    if folder:
        raise RunError(f"{path}: a run continues in its own folder; --folder goes with a study's YAML file")
    return Study.open(path, overrides=settings or (), trust=trust)


def _refuse(path: Path, belongs: str, **options: object) -> None:
    """Raises `RunError` for options that go with something else than what lies at a path."""
    if given := [f"--{name}" for name, value in options.items() if value is not None]:
        raise RunError(f"{path}: found {', '.join(given)}, which goes with {belongs}")


def _fail(message: str, code: int = 2) -> int:
    from nas.system.terminal import literally

    typer.echo(f"error: {literally(message)}", err=True)
    return code


def _again(*otherwise: str) -> str:
    """The command line as it may be typed again, without passwords; `otherwise` when Python called, not a shell."""
    words = sys.argv[1:] if sys.argv[1:2] in (["run"], ["retrain"], ["tau"]) else otherwise
    return shlex.join(["nas", *map(hidden_url, words)])


@contextmanager
def _stoppable(again: str = "") -> Iterator[None]:
    """Ctrl-C and SIGTERM end the process at once, with a line that says how to continue.

    Files and trials are whole at any moment, so there is nothing to clean up or to save: what is lost is the epoch, or
    the trials, under way. An exception would be no better, and is lost when the signal comes while Python runs a
    destructor or a callback of a weak reference.
    """
    advice = f"; everything finished is kept, continue with: {again}" if again else ""

    def stop(number: int, _frame: object) -> None:
        word = "interrupted" if number == signal.SIGINT else "terminated"
        leave(f"{word}{advice}", 128 + number)

    heeded = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _write_csv(frame: pd.DataFrame, path: Path | None) -> None:
    if path is not None:
        from nas.studies.report.spreadsheet import csv_text

        path.write_text(csv_text(frame), encoding="utf-8", newline="")


if __name__ == "__main__":
    sys.exit(main())
