"""The proof of what is derived of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.commands.options import DerivedModel, ImageSide, Json, ModelArgs, arguments_of, put_json
from nas.errors import ModelError

if TYPE_CHECKING:
    from rich.table import Table

    from nas.supernets.derived.checking import Proof


def check(model: DerivedModel, model_args: ModelArgs = None, image_size: ImageSide = None, json: Json = None) -> None:
    """Prove what is derived of a model, on random values: a verdict for each kind of axes."""
    from dataclasses import asdict

    from nas.supernets.derived.checking import check as checked
    from nas.supernets.derived.sources import full_name, image_of, small_enough
    from nas.system.terminal import Terminal

    arguments = arguments_of(model_args)
    built = small_enough(full_name(model), arguments)
    channels, *sides = image_of(built, arguments)
    height, width = (image_size, image_size) if image_size else sides
    verdicts = list(checked(built, (channels, height, width)))
    if not put_json(json, [asdict(verdict) for verdict in verdicts]):
        Terminal().print(_table(model, verdicts))
    if wrong := [verdict.kind for verdict in verdicts if not verdict.good]:
        raise ModelError(f"{model}: something is wrong with {', '.join(wrong)}; leave them out of the choices")


def _table(model: str, verdicts: list[Proof]) -> Table:
    from rich.table import Table

    from nas.supernets.derived.checking import PROOFS

    table = Table("kind", "axes", *PROOFS, title=model)
    for verdict in verdicts:
        table.add_row(verdict.kind, str(verdict.axes), *(verdict.found[proof] or "holds" for proof in PROOFS))
    return table
