"""The proof of what is derived of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.commands.options import DerivedModel, ImageSide, Json, ModelArgs, MostSeconds, arguments_of, put_json
from nas.errors import ModelError

if TYPE_CHECKING:
    from rich.table import Table

    from nas.supernets.derived.proof import Proof


def check(
    model: DerivedModel,
    model_args: ModelArgs = None,
    image_size: ImageSide = None,
    seconds: MostSeconds = 600,
    json: Json = None,
) -> None:
    """Prove what is derived of a model, on random values: a verdict for each kind of axes."""
    from dataclasses import asdict

    from nas.supernets.derived.asked import proofs_of
    from nas.system.terminal import Terminal
    from nas.trusted import trust_code

    trust_code(model)
    verdicts = proofs_of(model, arguments_of(model_args), image_size, seconds)
    if not put_json(json, [asdict(verdict) for verdict in verdicts]):
        Terminal().print(_table(model, verdicts))
    if wrong := [verdict.kind for verdict in verdicts if not verdict.good]:
        raise ModelError(f"{model}: something is wrong with {', '.join(wrong)}; leave them out of the choices")


def _table(model: str, verdicts: list[Proof]) -> Table:
    from rich.table import Table

    from nas.supernets.derived.proof import PROOFS

    table = Table("kind", "axes", *PROOFS, title=model)
    for verdict in verdicts:
        table.add_row(verdict.kind, str(verdict.axes), *(verdict.found[proof] or "holds" for proof in PROOFS))
    return table
