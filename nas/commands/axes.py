"""The axes of any model, as a tree by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nas.commands.options import DerivedModel, ImageSide, Json, ModelArgs, MostSeconds, arguments_of, put_json

if TYPE_CHECKING:
    from rich.tree import Tree

    from nas.supernets.derived.derivation import Derivation


def axes(
    model: DerivedModel,
    model_args: ModelArgs = None,
    image_size: ImageSide = None,
    seconds: MostSeconds = 600,
    json: Json = None,
) -> None:
    """Derive the axes of any model: what may shrink, which parameters it runs through, and what stays, and why."""
    from nas.supernets.derived.asked import derivation_by
    from nas.system.terminal import Terminal
    from nas.trusted import trust_code

    trust_code(model)
    derivation = derivation_by(model, arguments_of(model_args), image_size, seconds)
    if not put_json(json, _plain(derivation)):
        Terminal().print(_tree(model, derivation))


def _tree(name: str, derivation: Derivation) -> Tree:
    """Axes under their block, those of the whole model or of a stage first."""
    from rich.tree import Tree

    from nas.searchspaces.axis_names import index

    tree = Tree(f"{name} ({derivation.model}): {len(derivation.axes)} axes, {len(derivation.blocks)} blocks")
    for axis in derivation.axes:
        if index(axis) not in derivation.blocks:
            tree.add(_line(axis, derivation))
    for place, path in derivation.blocks.items():
        skipped = ", may be left out" if place in derivation.skippable else ""
        branch = tree.add(f"block {place} ({path}){skipped}")
        for axis in derivation.axes:
            if index(axis) == place:
                branch.add(_line(axis, derivation))
    stays = tree.add("what stays")
    for reason, places in derivation.fixed.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        stays.add(f"{reason}: {places[0]}{more}")
    return tree


def _line(axis: str, derivation: Derivation) -> str:
    through = derivation.through(axis)
    names = ", ".join(through) if len(through) < 4 else f"{through[0]}, {through[1]} and {len(through) - 2} more"
    return f"{axis}  {derivation.axes[axis]}  {names}"


def _plain(derivation: Derivation) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(derivation), "through": {axis: derivation.through(axis) for axis in derivation.axes}}
