"""Ties between keys: what the chosen combination does not read is a fault at its own place, defaults are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest

from nas.documents.conditions import Above, Absent, AtMost, Is, IsNot, Offers, Present, ReadWith, Tie
from nas.documents.document import read
from nas.documents.markers import Plugged
from nas.documents.ties import untied

PAINTS: dict[str, type[Any]] = {}
PAINT = Plugged("paint", lambda: sorted(PAINTS), PAINTS.__getitem__, titled=True)
Paint = Annotated[str | dict[str, Any], PAINT]


@dataclass(frozen=True, kw_only=True)
class Oil:
    glossy: bool = True
    coats: int = 2
    dry: Annotated[int, AtMost("coats")] = 1

    @property
    def lasts(self) -> bool:
        return self.glossy


@dataclass(frozen=True, kw_only=True)
class Chalk:
    lasts = False
    hue: Annotated[float, ReadWith()] = 0.5
    under: Annotated[str | dict[str, Any], Plugged("paint", PAINT.names, PAINT.find)] = "oil"


PAINTS |= {"oil": Oil, "chalk": Chalk}


@dataclass(frozen=True)
class Wall:
    paint: Annotated[str | dict[str, Any], PAINT] = "oil"
    thinner: Annotated[float | None, ReadWith(Is("paint", "oil"))] = None
    sponge: Annotated[bool, ReadWith(IsNot("paint", "oil"))] = False
    warranty: Annotated[int, ReadWith(Offers("paint", "lasts", "a paint that lasts"))] = 0
    layers: tuple[Paint, ...] = ()


@dataclass(frozen=True)
class House:
    wall: Wall = field(default_factory=Wall)
    floors: int = 1
    lift: Annotated[bool, ReadWith(Above("floors", 1), Present("tower"))] = False
    tower: str | None = None
    stairs: Annotated[str | None, ReadWith(Absent("lift"))] = None
    ladder: Annotated[str | dict[str, Any] | Sequence[Paint], ReadWith(Above("/floors", 1)), PAINT] = "oil"


def told(text: str, *wrong: str) -> list[str]:
    return [str(fault) for fault in untied(read(f"\n{text}"), House, set(wrong))]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{lift: true}", "<text>:2:2: lift: found true, which is not read with floors: 1, tower: null; allowed: only "
         "with floors above 1 or a tower; otherwise to leave it out, or its default false"),
        ("{floors: 2, lift: true}", None),
        ("{tower: north, lift: true}", None),
        ("{lift: false}", None),
        ("{floors: 3, lift: true, stairs: oak}", "stairs: found 'oak', which is not read with lift: true; allowed: "
         "only with no lift; otherwise to leave it out, or its default null"),
        ("{wall: {paint: chalk, thinner: 0.2}}", "<text>:2:23: wall.thinner: found 0.2, which is not read with paint: "
         "chalk; allowed: only with paint: oil"),
        ("{wall: {paint: {use: chalk}, thinner: 0.2}}", "wall.thinner: found 0.2"),
        ("{wall: {paint: {use: oil, name: mine}, thinner: 0.2}}", None),
        ("{wall: {thinner: 0.2}}", None),
        ("{wall: {sponge: true}}", "allowed: only with another paint than oil"),
        ("{wall: {warranty: 5}}", None),
        ("{wall: {warranty: 5, paint: chalk}}", "allowed: only with a paint that lasts"),
        ("{wall: {warranty: 5, paint: {use: oil, glossy: false}}}", "which is not read with paint: oil"),
        ("{wall: {paint: {use: oil, dry: 3}}}", "wall.paint.dry: found 3 of coats: 2; allowed: at most 2"),
        ("{wall: {paint: {use: oil, dry: 3, coats: 3}}}", None),
        ("{wall: {paint: {use: oil, coats: 0}}}", None),  # a default of another key is cut to size by its reader
        ("{wall: {paint: {use: chalk, hue: 0.1}}}", "wall.paint.hue: found 0.1, which nothing reads here"),
        ("{wall: {paint: {use: chalk, under: {use: chalk, hue: 1}}}}", "wall.paint.under.hue: found 1"),
        ("{wall: {layers: [oil, {use: oil, dry: 5}]}}", "wall.layers.1.dry: found 5 of coats: 2"),
        ("{ladder: {use: oil}}", None),  # another way to say the default
        ("{ladder: {use: oil, coats: 3}}", "ladder: found"),
    ],
)  # fmt: skip
def test_a_key_that_is_not_read_is_a_fault(text: str, fault: str | None) -> None:
    faults = told(text)
    assert len(faults) == (fault is not None), faults
    assert fault is None or fault in faults[0]


def test_a_tie_to_a_key_that_is_wrong_itself_is_not_looked_at() -> None:
    assert told("{floors: many, lift: true}", "floors") == []
    assert told("{floors: 1, lift: true}", "wall") != []


def test_data_of_the_wrong_form_are_no_fault_of_ties() -> None:
    for text in ("3", "[1]", "{wall: 3, lift: 4}", "{wall: {paint: {use: [1]}, thinner: {}}}", "{wall: {layers: 3}}"):
        assert all(isinstance(fault, str) for fault in told(text))


def test_a_tie_is_a_marker_that_others_can_make() -> None:
    assert issubclass(AtMost, Tie)
    assert AtMost("coats").keys == ("coats",)
    assert ReadWith(Is("a", 1), Above("/b", 2)).keys == ("a", "/b")
