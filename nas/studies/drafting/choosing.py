"""What may be chosen of a model in a first study: a few dimensions with a few values each, as far as its axes allow.

What is written is tried: a choice that the reader of spaces refuses is left out, with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from nas.errors import ConfigError, LimitError, ModelError
from nas.searchspaces import Limit, Outline, SearchSpace
from nas.searchspaces.axis_names import DEPTH, EMBED, HEADS, MLP, TOKENS
from nas.supernets import Cost
from nas.supernets.of_space import cost_of

FRACTIONS = [0.25, 0.5, 0.75, 1.0]
SMALLER = [0.125, *FRACTIONS]
"""Where a quarter is too much for the limit."""
FEW_HEADS = 4
"""So many heads are chosen one by one."""
ROUND = 8
"""What devices like sizes of hidden units and embeddings to be multiples of."""


@final
@dataclass(frozen=True)
class Proposal:
    """A dimension that may be chosen: its mapping in YAML, and what that means."""

    name: str
    mapping: Mapping[str, Any]
    meaning: str


@final
@dataclass(frozen=True)
class ChosenSpace:
    """A space for a model with the proposals that its reader takes, what it refused, and the study's limit on it."""

    space: SearchSpace
    cost: Cost
    limit: Limit
    proposals: tuple[Proposal, ...]
    refused: tuple[str, ...]
    tokens: bool
    """Whether tokens can be chosen, which a first study does not."""


def chosen_space(
    model: str, own_args: Mapping[str, Any], model_args: Mapping[str, Any], outline: Outline, goal: Mapping[str, str]
) -> ChosenSpace:
    """The space of a model: `own_args` are written in its file, `model_args` follow from the data. Raises `ModelError`
    where nothing of it can be chosen, `LimitError` where no choice reaches the goal.
    """
    last: LimitError | None = None
    for fractions in (FRACTIONS, SMALLER):
        kept: list[Proposal] = []
        refused: list[str] = []
        for proposal in proposals(outline, fractions):
            try:
                _space(model, own_args, model_args, [proposal])
                kept.append(proposal)
            except ConfigError as fault:
                refused.append(f"{proposal.name}: {fault.faults[0].found}")
        if not kept:
            raise ModelError(f"'{model}': nothing of it can shrink; nas axes {model} says why")
        space = _space(model, own_args, model_args, kept)
        cost = cost_of(space)
        try:
            limit = Limit(cost, **goal)
        except LimitError as fault:
            last = fault
            continue
        tokens = TOKENS in outline.dimensions and TOKENS in outline.elastic
        return ChosenSpace(space, cost, limit, tuple(kept), tuple(refused), tokens)
    assert last is not None
    raise LimitError(f"--goal: {last}")


def as_yaml(model: str, own_args: Mapping[str, Any], chosen: Iterable[Proposal]) -> dict[str, Any]:
    """The space as plain data."""
    args = {"model_args": dict(own_args)} if own_args else {}
    return {"model": model, **args, "choices": {one.name: dict(one.mapping) for one in chosen}}


def _space(
    model: str, own_args: Mapping[str, Any], model_args: Mapping[str, Any], chosen: Iterable[Proposal]
) -> SearchSpace:
    return SearchSpace.from_yaml(json.dumps(as_yaml(model, own_args, chosen)), model_args=model_args)


def proposals(outline: Outline, fractions: list[float]) -> Iterator[Proposal]:
    """What a first study chooses of a model, as far as it has the axes."""
    sizes = {name: {outline.axes[axis] for axis in axes} for name, axes in outline.dimensions.items()}
    elastic = {name: sizes[name] for name in sizes if name in outline.elastic}
    if MLP in elastic:
        yield _units(MLP, elastic[MLP], fractions, "hidden units of a block")
    if HEADS in elastic and max(elastic[HEADS]) > 1:
        yield _heads(elastic[HEADS])
    if DEPTH in elastic:
        blocks = len(outline.dimensions[DEPTH])
        if outline.staged:
            yield Proposal(DEPTH, {DEPTH: [0.5, 1.0]}, "blocks of a stage that stay, the first ones")
        elif blocks > 2:
            yield Proposal(DEPTH, {DEPTH: sorted({-(-blocks * 2 // 3), -(-blocks * 5 // 6), blocks})},
                           "blocks that stay, the first ones")  # fmt: skip
    others = [name for name in elastic if not {MLP, HEADS} & set(elastic)]
    # Where blocks have neither, as in a CNN, the width is what there is.
    if EMBED in others:
        yield _units(EMBED, elastic[EMBED], [0.5, 0.75, 1.0], "width of what blocks read and write", per=None)
        return
    for name in others:
        if name != DEPTH:
            yield _units(name, elastic[name], fractions, "units of a layer", per=None)


def _units(name: str, sizes: set[int], fractions: list[float], meaning: str, per: str | None = "block") -> Proposal:
    multiple = {"multiple_of": ROUND} if min(sizes) >= 8 * ROUND else {}
    level = {} if per is None else {"per": per}
    return Proposal(name, {"size": fractions, **level, **multiple}, meaning)


def _heads(sizes: set[int]) -> Proposal:
    if len(sizes) == 1 and max(sizes) <= FEW_HEADS:
        return Proposal(HEADS, {"size": list(range(1, max(sizes) + 1)), "per": "block"}, "attention heads of a block")
    return Proposal(HEADS, {"size": [0.34, 0.67, 1.0], "per": "block"}, "attention heads of a block, as shares")
