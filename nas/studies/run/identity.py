"""Who a run is: run.json, and study.yaml as far as it is read without the study's own reader."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Annotated, Literal, final

from pydantic import AfterValidator, Field, JsonValue

from nas.studies.run.seals import Checksum


def _a_date(text: str) -> str:
    datetime.datetime.fromisoformat(text)
    return text


@final
@dataclass(frozen=True, kw_only=True)
class Identity:
    """run.json: the run's id in the table of trials, when and by which commit and version it was begun, torch's
    threads, and the checksums of what study.yaml has said (in runs of earlier versions, of its bytes): the last
    one is today's. Those of still earlier versions have none.
    """

    id: Annotated[str, Field(min_length=1)]
    created: Annotated[str, AfterValidator(_a_date)]
    commit: str
    version: str
    threads: Annotated[int, Field(ge=1)]
    settings: list[Checksum] = field(default_factory=list)

    def label(self, name: str) -> str:
        """What the run of the study `name` is called where several meet: its name, and the beginning of its id."""
        return f"{name}-{self.id[:12]}"


@final
@dataclass(frozen=True, kw_only=True)
class StrategyFacts:
    """`strategy:` of study.yaml."""

    name: str
    use: str


@final
@dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """study.yaml."""

    name: str
    seed: int
    strategy: StrategyFacts
    objectives: Annotated[dict[str, Literal["max", "min"]], Field(min_length=1)]
    task: dict[str, JsonValue] = field(default_factory=lambda: {"use": "classification"})
    store: str | None = None
