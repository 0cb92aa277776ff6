"""The stages of a run, in their order: the function that runs each, and the files that it leaves. What each returns is
said by its `Stage`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nas.studies.run.examples import EXAMPLES
from nas.studies.run.folder import INDEX, LATENCY_TABLE, OTHER_TABLES
from nas.studies.run.results import (
    BASE,
    EXPLORE,
    EXTRACT,
    FINALISTS,
    PREPARE,
    REPORT,
    RETRAIN,
    STAGES,
    SUPERNET,
    Stage,
    StageResult,
)
from nas.studies.run.rows import UNIFORM, WINNER
from nas.studies.run.weights import WEIGHTS
from nas.studies.stages import base, explore, extract, finalists, prepare, report, retrain, supernet
from nas.studies.stages.supernets import FACTORING, RELAXATION, SELECTION
from nas.studies.stages.workshop import Workshop
from nas.supernets import saved

RUN: Mapping[Stage[StageResult], Callable[[Workshop], StageResult]] = {
    PREPARE: prepare.run,
    BASE: base.run,
    SUPERNET: supernet.run,
    EXPLORE: explore.run,
    FINALISTS: finalists.run,
    EXTRACT: extract.run,
    RETRAIN: retrain.run,
    REPORT: report.run,
}
assert tuple(RUN) == STAGES

_MODELS = [f"{role}/{name}" for role in (WINNER, UNIFORM) for name in (saved.WEIGHTS, saved.RECIPE)]
KEPT: Mapping[Stage[StageResult], Sequence[str]] = {
    PREPARE: [INDEX, LATENCY_TABLE, OTHER_TABLES],
    BASE: [WEIGHTS],
    SUPERNET: [WEIGHTS, SELECTION, FACTORING],
    EXPLORE: [WEIGHTS, SELECTION, FACTORING, RELAXATION, EXAMPLES],
    FINALISTS: [],  # what its trainings left is in its result
    EXTRACT: _MODELS,
    RETRAIN: [*_MODELS, *(f"{role}.json" for role in (WINNER, UNIFORM))],
    REPORT: [],  # made anew at any time
}
"""Files that a stage may leave in its folder, and that later ones, or users, rely on."""
