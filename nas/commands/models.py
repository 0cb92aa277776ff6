"""Commands about single models: written, measured, trained again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.commands.options import Digest, Json, RunOrFile, Settings, TrialNumber, Trust, put_json, refuse, study_at
from nas.commands.stopping import again, stoppable
from nas.errors import RunError


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
        refuse(run, "a run", digest=digest, trial=number)
        extracted = of_file(FoundArchitecture.read(run), str(run), checkpoint=checkpoint, pretrained=pretrained)
    else:
        refuse(run, "the file of an architecture", checkpoint=checkpoint, pretrained=pretrained or None)
        extracted = of_run(Record.open(run, trust=trust), digest=digest, number=number)
    extracted.write(to)
    console = Terminal()
    console.say(f"written to {to}; load it in Python with nas.load('{to}')")
    for note in extracted.notes:
        console.say(f"note: {note}")


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
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a row per image, as CSV; of a detector, FILE.json: COCO's file of results."
        ),
    ] = None,
    json: Json = None,
    trust: Trust = False,
) -> None:
    """Measure any model: accuracies, calibration, loss, MACs, parameters. Images are prepared as it wants them."""
    from json import dumps, loads

    from nas.studies.measure.evaluate import evaluate as evaluated
    from nas.studies.report.spreadsheet import write_csv
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
    if predictions is not None and measured.results is not None and predictions.suffix.lower() == ".json":
        replace_file(predictions, dumps(measured.results).encode())
    elif measured.predictions is not None and predictions is not None:
        write_csv(measured.predictions, predictions)
    if not put_json(json, loads(measured.to_json())):
        measured.show(Terminal())


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
    with stoppable(again()):
        from nas.studies.report.tables import results_table
        from nas.studies.run.found import FoundArchitecture, found_by
        from nas.studies.run.record import Record
        from nas.studies.study import Study
        from nas.system.terminal import Terminal
        from nas.training.parallel import torchrun

        def whole() -> None:
            if other is None:
                refuse(run, "--study STUDY", weights=weights, set=settings or None, folder=folder)
                if run.is_file():
                    raise RunError(f"{run}: found an architecture's file; needed: --study STUDY, which retrains it")
                study = Study.open(run, trust=trust)
                row = study.retrain(digest=digest, number=number)
            else:
                source = None if run.is_file() else Record.open(run, trust=trust)
                if source is None:
                    refuse(run, "a run", digest=digest, trial=number)
                    found = FoundArchitecture.read(run)
                else:
                    found = found_by(source, digest=digest, number=number)
                study = study_at(other, settings, folder, trust)
                row = study.retrain_found(found, weights=weights or "base", source=source)
            Terminal().print(results_table([row], study.resolved.config.name, study.record.task.metrics[0]))

        torchrun.lead(whole)
