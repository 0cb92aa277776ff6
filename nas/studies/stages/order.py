"""The stages of a run, in their order, and the function that runs each. What each returns is said by its `Stage`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.studies.run.results import (
    BASE,
    EXPLORE,
    EXTRACT,
    PREPARE,
    REPORT,
    RETRAIN,
    STAGES,
    SUPERNET,
    Stage,
    StageResult,
)
from nas.studies.stages import base, explore, extract, prepare, report, retrain, supernet
from nas.studies.stages.workshop import Workshop

RUN: Mapping[Stage[StageResult], Callable[[Workshop], StageResult]] = {
    PREPARE: prepare.run,
    BASE: base.run,
    SUPERNET: supernet.run,
    EXPLORE: explore.run,
    EXTRACT: extract.run,
    RETRAIN: retrain.run,
    REPORT: report.run,
}
assert tuple(RUN) == STAGES
