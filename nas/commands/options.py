"""Arguments and options that several commands have, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.errors import RunError

if TYPE_CHECKING:
    from nas.studies.study import Study

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
    bool,
    typer.Option(
        "--trust",
        help="Connect to the hosts, and run the function of a model, that the run's folder names (see also NAS_TRUST).",
    ),
]
Json = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write it as JSON to a file; -: print that instead.")
]
TrialNumber = Annotated[
    int | None, typer.Option("--trial", metavar="N", help="The architecture of this trial of the study's strategy.")
]

DerivedModel = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A name of timm's, torchvision/NAME, hf/CLASS or hf/FOLDER, or package.module:function, which is run.",
    ),
]
ModelArgs = Annotated[
    list[str] | None,
    typer.Option("--model-args", metavar="KEY=VALUE", help="Such as depth=2. May be repeated."),
]
MostSeconds = Annotated[float, typer.Option("--seconds", metavar="N", help="Most time it may take.")]
ImageSide = Annotated[
    int | None, typer.Option(metavar="N", help="Pixels of an image's side (default: the model's own).")
]


def arguments_of(settings: list[str] | None) -> dict[str, Any]:
    """Arguments of a model, as they would stand in YAML."""
    from nas.documents.document import pairs, read

    own = {f"model_args.{key}": value for key, value in pairs(settings or ()).items()}
    arguments: Any = read("model_args: {}\n").override(own).get(("model_args",))
    return dict(arguments)


def put_json(path: Path | None, plain: object) -> bool:
    """Writes plain data to a file, or prints them where the path is "-"; then True: nothing else is to be printed."""
    from json import dumps

    from nas.system.files import replace_file

    if path is None:
        return False
    text = dumps(_finite(plain), indent=1, allow_nan=False)
    if str(path) == "-":
        typer.echo(text)
        return True
    replace_file(path, f"{text}\n".encode())
    return False


def _finite(plain: Any) -> Any:
    """The data with null in the place of what JSON has no number for."""
    if isinstance(plain, Mapping):
        return {key: _finite(value) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return list(map(_finite, plain))
    return None if isinstance(plain, float) and not isfinite(plain) else plain


def study_at(path: Path, settings: list[str] | None, folder: Path | None, trust: bool) -> Study:
    """A study's YAML file, or the folder of a run."""
    from nas.ready_made import file_of
    from nas.studies.study import Study

    if not path.is_dir():
        path = file_of(path, "studies")
        return Study.from_yaml(path, overrides=settings or (), folder=folder, trust=trust)
    if folder:
        raise RunError(f"{path}: a run continues in its own folder; --folder goes with a study's YAML file")
    return Study.open(path, overrides=settings or (), trust=trust)


def refuse(path: Path, belongs: str, **options: object) -> None:
    """Raises `RunError` for options that go with something else than what lies at a path."""
    if given := [f"--{name}" for name, value in options.items() if value is not None]:
        raise RunError(f"{path}: found {', '.join(given)}, which goes with {belongs}")
