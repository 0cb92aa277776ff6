"""What leaves a run: trials, architectures, and models in the forms in which people deploy them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.commands.options import Digest, TrialNumber, Trust
from nas.errors import RunError

if TYPE_CHECKING:
    from nas.system.terminal import Terminal

ALLOWED = (
    "--onnx FILE, --torch-export FILE, --timm DIR, --hf DIR, --openvino DIR, --int8 FILE, --architecture FILE, "
    "--optuna URL"
)


def export(  # noqa: PLR0913  (one per option)
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN|MODEL", help="Folder of a run, or of a model (nas extract).", show_default=False),
    ],
    onnx: Annotated[Path | None, typer.Option(metavar="FILE", help="The model as ONNX; any size of batch.")] = None,
    torch_export: Annotated[
        Path | None, typer.Option("--torch-export", metavar="FILE", help="The model as torch.export's .pt2.")
    ] = None,
    timm: Annotated[
        Path | None, typer.Option(metavar="DIR", help='A folder for timm.create_model("local-dir:DIR").')
    ] = None,
    hf: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder for transformers, with its modelling file.")
    ] = None,
    openvino: Annotated[Path | None, typer.Option(metavar="DIR", help="A folder with OpenVINO's model.xml.")] = None,
    int8: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The model as ONNX in int8; FILE.json says its accuracy before and after."),
    ] = None,
    script: Annotated[
        bool, typer.Option("--script", help="Beside the ONNX file, a script that runs it on a folder of pictures.")
    ] = False,
    part: Annotated[
        str | None,
        typer.Option(metavar="PART", help="maps: of a detector on a pyramid, what comes before proposals."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Pictures to compare on, as of nas evaluate (default: the run's own)."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
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
    """Write the winner for onnxruntime, torch, timm, transformers or OpenVINO, compared with the model before it
    has its name; or its architecture as a file for nas extract and nas retrain --study; or trials for optuna-dashboard.
    """
    from nas.system.terminal import Terminal

    leaves = any(path is not None for path in (onnx, torch_export, timm, hf, openvino, int8)) or script
    if not leaves and optuna is None and architecture is None:
        raise RunError(f"export: found nothing to write; allowed: {ALLOWED}, or several")
    console = Terminal()
    if leaves:
        from nas.studies.deploy import AskedModel, Forms, deploy

        asked = AskedModel(run, digest=digest, number=number, part=part, data=data, trust=trust)
        forms = Forms(
            onnx=onnx, torch_export=torch_export, timm=timm, hf=hf, openvino=openvino, int8=int8, script=script
        )
        for sentence in deploy(asked, forms, overwrite=overwrite):
            console.say(sentence)
    if architecture is not None:
        _write_architecture(run, architecture, digest, number, trust, console)
    if optuna is not None:
        _copy_trials(run, optuna, trust, console)


def _write_architecture(
    run: Path, path: Path, digest: str | None, number: int | None, trust: bool, console: Terminal
) -> None:
    from nas.studies.run.found import found_by
    from nas.studies.run.record import Record

    found = found_by(Record.open(run, trust=trust), digest=digest, number=number)
    found.write(path)
    console.say(f"{found.digest} by {found.strategy}: {path}")


def _copy_trials(run: Path, url: str, trust: bool, console: Terminal) -> None:
    from nas.studies.run.export_optuna import export as copied
    from nas.studies.run.record import Record

    for name, trials in copied(Record.open(run, trust=trust), url).items():
        console.say(f"{name}: {trials} trials")
