"""A study, run or continued, or only foreseen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.commands.options import Json, Settings, Trust, put_json, refuse, study_at
from nas.commands.stopping import again, stoppable

if TYPE_CHECKING:
    from nas.studies.study import Study


def run(  # noqa: PLR0913  (one per option)
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
    json: Json = None,
    trust: Trust = False,
) -> None:
    """Run a study, or continue it: stages that are done are skipped."""
    if dry:
        refuse(study, "a run that is not --dry", **{"from": start})
        _foresee(study_at(study, settings, folder, trust), json)
        return
    refuse(study, "--dry", json=json)
    with stoppable(again("run", str(study))):
        from nas.training.parallel import torchrun

        def whole() -> None:
            study_at(study, settings, folder, trust).run(quiet=quiet, start=start)

        torchrun.lead(whole)


def _foresee(study: Study, json: Path | None) -> None:
    from dataclasses import asdict

    from nas.studies.forecast.shown import sentences, stages_table
    from nas.system.machine import this_machine
    from nas.system.terminal import Terminal

    console, forecast = Terminal(), study.forecast()
    if put_json(json, {**asdict(forecast), "seconds": forecast.seconds}):
        return
    if not forecast.stages:
        console.say(f"{study.folder}: all stages are done; nas report {study.folder} shows what they found")
        return
    console.print(stages_table(f"{study.resolved.config.name}: {study.resolved.space.model}", forecast))
    for sentence in sentences(forecast, this_machine()):
        console.say(sentence)
    console.say(f"folder    {study.folder}; nothing was written")
