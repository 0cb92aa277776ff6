"""A first study of a model on one's own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.commands.options import DerivedModel, ModelArgs, arguments_of

if TYPE_CHECKING:
    from nas.studies.drafting.draft import Draft
    from nas.system.terminal import Terminal

LATE = 1.2
"""Times what was asked for, up to which a forecast keeps to it: steps are timed, not known."""
LONG = 3600
"""Seconds from which on it is told how a study takes less."""


def init(  # noqa: PLR0913  (one per option)
    model: DerivedModel,
    data: Annotated[
        str,
        typer.Option(
            metavar="DATA",
            help="A folder of class folders, an .npz file, COCO's layout, or what nas evaluate takes.",
        ),
    ],
    goal: Annotated[
        str,
        typer.Option(
            metavar="GOAL",
            help="Most of the model's MACs, 50% or 600M; or another cost: params=5M. Of a detector: of its body's.",
        ),
    ] = "50%",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="New folder for the two files (default: ./DATA-MODEL)."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Start from these weights of the whole model.")
    ] = None,
    scratch: Annotated[
        bool, typer.Option("--scratch", help="Start from fresh weights, also where timm has pretrained ones.")
    ] = False,
    within: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Shorten it until it takes no longer here: 30min, 2h.", show_default=False),
    ] = None,
    model_args: ModelArgs = None,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="cpu, cuda, cuda:1 ...; auto: a GPU if any.")] = "auto",
) -> None:
    """Write a first study: look at pictures, model and machine, choose what is sensible, say what it will take."""
    from nas.errors import CheckpointError
    from nas.studies.drafting.draft import Wish, draft
    from nas.system.terminal import Terminal
    from nas.trusted import trust_code

    trust_code(model)
    if checkpoint is not None and not checkpoint.is_file():
        raise CheckpointError(f"--checkpoint: {checkpoint} is no file")
    wish = Wish(
        model=model,
        data=data,
        goal=goal,
        out=out,
        model_args=arguments_of(model_args),
        checkpoint=checkpoint,
        scratch=scratch,
        within=within,
        device=device,
    )
    waiting, console = Terminal(stderr=True), Terminal()
    made = draft(wish, lambda doing: waiting.say(f"{doing} ...") if waiting.is_terminal else None)
    made.write()
    _tell(console, made, within)


def _tell(console: Terminal, made: Draft, within: str | None) -> None:
    from nas import quantities, words
    from nas.studies.drafting.plan import seconds_in
    from nas.studies.drafting.text import SPACE, STUDY
    from nas.studies.forecast.shown import sentences, stages_table

    chosen, looked = made.chosen, made.survey
    for number, line in enumerate(looked.lines()):
        console.say(f"{'' if number else 'pictures':9} {line}")
    for line in looked.odd:
        console.say(f"note      {line}")
    how = "axes derived from its forward" if made.derived else "axes from a table by hand"
    console.say(f"model     {chosen.space.outline.model}, {how}: {quantities.in_words(chosen.cost.bases)}")
    console.say(f"          starts from {made.weights}")
    names = words.listed([proposal.name for proposal in chosen.proposals])
    console.say(
        f"space     {names}: {words.architectures(chosen.space.size)} architectures, "
        f"{words.share(chosen.limit.share)} of them within {chosen.limit.describe()}"
    )
    for line in chosen.refused:
        console.say(f"note      left out: {line}")
    console.print(stages_table("about", made.forecast))
    for line in sentences(made.forecast, made.machine):
        console.say(line)
    if within is not None and made.forecast.seconds > LATE * seconds_in(within):
        console.say(
            f"note      more than {within}, and no stage can be shorter; a smaller model or smaller pictures would be"
        )
    if made.forecast.seconds > LONG and not made.machine.gpus:
        console.say("shorter   --within 1h; a smaller model (--model-args embed_dim=96); a GPU")
    console.say(f"written   {made.folder / STUDY}, {made.folder / SPACE}")
    console.say(f"next      nas run {made.folder / STUDY}")
    console.say(f"then      nas open runs/{made.name}")
