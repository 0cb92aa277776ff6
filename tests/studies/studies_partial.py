"""Runs that end early, in this process, and what must not depend on how a search got to its end."""

from __future__ import annotations

from typing import Any

import pytest

from nas.studies.run.results import EXPLORE, STAGES
from nas.studies.stages import order
from nas.studies.study import Study


class Stop(BaseException):
    """A kill."""


def run_up_to(stage: str, study: Study, start: str | None = None) -> Study:
    """Runs the stages before this one, those from `start` on anew."""

    def stop(_: object) -> None:
        raise Stop

    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(order.RUN, next(one for one in STAGES if one.name == stage), stop)
        with pytest.raises(Stop):
            study.run(quiet=True, start=start)
    return study


def found(study: Study) -> dict[str, Any]:
    """What a search found: it must not depend on where, by how many drivers, and how often it was killed."""
    trials = study.trials().drop(columns="seconds").to_dict("list")
    return {"winner": study.record.result(EXPLORE).winner, **trials}
