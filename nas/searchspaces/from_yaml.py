"""From the YAML of a search space to its choices: reads every mapping, asks every kind, and reports all faults
together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache, partial
from typing import Any, cast, final

from nas.axes.sizes import leading_to
from nas.documents.document import Document, attempt, in_order
from nas.documents.text import KeyPath, cut, dotted
from nas.errors import ConfigError, Fault, ModelError, NasError, SpaceError, nearest
from nas.plugins import find, installed, names
from nas.searchspaces.choices._base import Choice, ChoiceKind, Faults
from nas.searchspaces.outline import Outline

KINDS = "nas.searchspaces.choices"
"""The plug-in folder of choice kinds, and the group of entry points that adds to it."""
OUTLINES = "nas.outlines"
"""The group of entry points that know models: functions of a model's name and arguments that return its Outline."""


@final
@dataclass(frozen=True, kw_only=True)
class SpaceFile:
    """A file of a search space, or what stands under `space:` in a study.

    model        what is searched: a name of timm's or a checkpoint's tag, torchvision/NAME, hf/CLASS or hf/FOLDER, or
                 package.module:function of your own, which is run
    model_args   arguments with which it is built; data and task add theirs: classes, channels, size of images
    choices      dimension of the model (heads, mlp, depth ...: `nas axes MODEL` lists them) -> how it may be chosen: a
                 mapping with the main key of one kind of choice, and its other keys
    """

    model: str
    model_args: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, dict[str, Any]]


@final
@dataclass(frozen=True)
class Parts:
    """What a search space is made of."""

    choices: list[Choice]
    outline: Outline
    model_args: dict[str, Any]
    notes: list[str]


def load(document: Document, at: KeyPath, model_args: Mapping[str, Any], outline: Outline | None) -> Parts:
    """The parts of the space at the path `at` of a document.

    Raises ConfigError with all faults: of the text, of its keys and types, and of its choices against the model's
    outline; a model that cannot be outlined is one of them.
    """
    _, faults = attempt(document, SpaceFile, at)
    faults = [*document.faults, *faults]
    kinds = _kinds(document, at, faults)
    model, own_args = document.get((*at, "model")), document.get((*at, "model_args"))
    args = {**(own_args if isinstance(own_args, dict) else {}), **model_args}
    notes: list[str] = []
    if outline is None and isinstance(model, str):
        try:
            outline = outline_of(model, args)
        except NasError as wrong:
            faults.append(_refused(document, at, model, args, wrong))
        else:
            if outline.model != model:
                notes.append(f"'{model}' has no table of axes by hand: they are derived, as of '{outline.model}'")
    choices = _expanded(document, at, kinds, outline, faults, notes) if outline else []
    if faults:
        raise ConfigError(in_order(faults))
    assert outline is not None
    return Parts(choices, outline, args, notes)


def outline_of(model: str, model_args: Mapping[str, Any]) -> Outline:
    """What the installed packages say of a model. Raises the ModelError of the first that was asked when none knows
    it.
    """
    refused: list[ModelError] = []
    for entry in sorted(installed(OUTLINES), key=lambda entry: entry.name):
        try:
            outline = entry.load()(model, model_args)
        except ModelError as fault:
            refused.append(fault)
        else:
            assert isinstance(outline, Outline), f"entry point '{entry.name}' of {OUTLINES} must return an Outline"
            return outline
    raise refused[0] if refused else ModelError(f"no installed package knows models (entry points '{OUTLINES}')")


def _refused(document: Document, at: KeyPath, model: str, args: Mapping[str, Any], wrong: NasError) -> Fault:
    """The fault of a model that cannot be outlined: of its arguments, when the model without them can be."""
    reason = " ".join(str(wrong).split())
    if document.get((*at, "model_args")):
        try:
            outline_of(model, {})
        except NasError:
            pass
        else:
            allowed = f"arguments that {model} can be built with ({reason})"
            return document.fault((*at, "model_args"), cut(", ".join(f"{k}: {v}" for k, v in args.items())), allowed)
    return document.fault((*at, "model"), f"'{cut(model)}'", f"a model that can become a supernet ({reason})")


@lru_cache(maxsize=1)
def kind_names() -> tuple[str, ...]:
    """All kinds of choices that are installed; looked up once, since that reads the metadata of every package."""
    return tuple(names(KINDS))


@lru_cache(maxsize=64)
def find_kind(name: str) -> type[ChoiceKind]:
    """The kind of choice called `name`. Raises SpaceError when a package that it needs is not installed."""
    return find(KINDS, name, ChoiceKind, SpaceError)  # type: ignore[type-abstract]


def _kinds(document: Document, at: KeyPath, faults: list[Fault]) -> dict[str, ChoiceKind]:
    """Every mapping under `choices` that could be read, as a kind of choice."""
    mappings = document.get((*at, "choices"))
    if mappings == {}:
        faults.append(
            document.fault(
                (*at, "choices"), "an empty mapping", "at least one choice, such as heads: {size: [1, 2, 3]}"
            )
        )
    kinds = {}
    for name, mapping in mappings.items() if isinstance(mappings, dict) else ():
        path = (*at, "choices", name)
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
            faults.append(document.fault(path, f"the name '{name}'", "a letter, then letters, digits, - and _"))
        if isinstance(mapping, dict):
            kind = _kind(document, path, mapping, faults)
            if kind is not None:
                kinds[name] = kind
    return kinds


def _kind(document: Document, path: KeyPath, mapping: Mapping[str, Any], faults: list[Fault]) -> ChoiceKind | None:
    """The kind of choice that a mapping is: the one whose name is among its keys."""
    known = kind_names()
    keys = [key for key in mapping if key in known]
    if len(keys) != 1:
        written = f"the keys {', '.join(mapping)}" if mapping else "an empty mapping"
        hints = (nearest(key, known) for key in mapping)
        hint = "" if keys else next(filter(None, hints), "")
        faults.append(document.fault(path, written, f"exactly one of {', '.join(known)}{hint}"))
        return None
    try:
        kind = find_kind(keys[0])
    except SpaceError as fault:
        faults.append(document.fault((*path, keys[0]), keys[0], str(fault)))
        return None
    value, wrong = attempt(document, kind, path)
    faults += wrong
    return _remainder(document, kind, path, wrong) if wrong else value


def _remainder(document: Document, kind: type[ChoiceKind], path: KeyPath, wrong: Sequence[Fault]) -> ChoiceKind | None:
    """The kind without the keys that could not be read, so that the values of the others can be judged too.

    None when a key is among them that it needs, or `of`, without which nobody knows what the values are of.
    """
    mapping = dict(cast(Mapping[str, Any], document.get(path)))
    for key in {fault.key.removeprefix(f"{dotted(path)}.").split(".")[0] for fault in wrong}:
        mapping.pop(key, None)
        if key == "of" or "'of'" in nearest(key, [field.name for field in fields(kind)]):
            return None
    value, _ = attempt(replace(document, data=mapping), kind)
    return value


def _expanded(
    document: Document,
    at: KeyPath,
    kinds: Mapping[str, ChoiceKind],
    outline: Outline,
    faults: list[Fault],
    notes: list[str],
) -> list[Choice]:
    """The choices that the kinds make on a model; faults and notes are added to the lists."""

    def fault(path: KeyPath, key: str, found: str, allowed: str) -> None:
        # A kind knows its own mapping only: its "size.2" becomes the document's choices.heads.size.2.
        inner = tuple(int(step) if step.isdigit() else step for step in key.split(".")) if key else ()
        faults.append(document.fault((*path, *inner), found, allowed))

    choices: list[Choice] = []
    owners: dict[str, str] = {}  # axis -> the mapping that sets it
    for name, kind in kinds.items():
        own = Faults(partial(fault, (*at, "choices", name)), notes.append)
        before = len(faults)
        expanded = kind.choices(name, outline, own)
        assert expanded or len(faults) > before, f"'{name}' made no choice and reported nothing"
        # Two mappings that set one axis would contradict each other. One axis is enough to say so: of 12 blocks, all
        # others would be reported alike.
        for axis in (axis for choice in expanded for axis in choice.axes):
            rival = owners.setdefault(axis, name)
            if rival != name:
                own.fault("", f"sizes of {axis}, which '{rival}' sets too", "each axis in one choice")
                break
        choices += expanded
    for name, axis, parent in _nested_twice(choices, owners, outline):
        allowed = f"one of the two, since {axis} selects its units from {parent}"
        fault((*at, "choices", name), "", f"sizes of {axis}, while '{owners[parent]}' sets {parent}", allowed)
    return choices


def _nested_twice(
    choices: Sequence[Choice], owners: Mapping[str, str], outline: Outline
) -> Iterator[tuple[str, str, str]]:
    """An axis is set, and so is the one whose units it selects from: the mapping at fault, the axis, and the other.

    It would be open whether "half of the inputs" is half of the whole embedding or of what is left of it. A chain may
    do it where one mapping sets both, since it makes their sizes agree (queries that are dropped after their block).
    """
    agreed = {axis for choice in choices if choice.chain for axis in choice.axes}
    clashes = {
        (owners[axis], parent): axis
        for axis in owners
        for parent in leading_to(axis, outline.within)
        if parent != axis and parent in owners and not (axis in agreed and owners[parent] == owners[axis])
    }
    for (owner, parent), axis in clashes.items():
        yield owner, axis, parent
