"""A peer that is a study of ours: its epochs and trials are made fewer until it fits into the seconds."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from ruamel.yaml import YAML
from torch import nn

from benchmarks.peers.terms import Terms
from nas import Study, load
from nas.studies.run.results import REPORT, RETRAIN
from nas.studies.run.rows import WINNER
from nas.studies.stages import order


class _ReportDueError(Exception):
    """All but the report is done, which no peer writes."""


def winner_of(terms: Terms, text: str, passes: float) -> nn.Module:
    """The retrained winner of a study whose trainings and trials are worth about so many epochs of the whole model."""
    study: Mapping[str, Any] = YAML(typ="safe").load(text)
    share = terms.seconds / (passes * terms.epoch())
    amounts = {
        f"{stage}.epochs": round(study[stage]["epochs"] * share)
        for stage in ("base", "supernet", "retrain")
        if study.get(stage, {}).get("epochs")
    }
    fixed = {"seed": terms.seed, "threads": 1, "latency": "{batches: [1], seconds: 0.01}"}
    if isinstance(strategy := study["strategy"], Mapping):  # with trials; a preset by its name alone has one
        amounts["strategy.trials"] = max(10, round(strategy["trials"] * share))
    if not (isinstance(strategy, Mapping) and strategy["use"] == "uniform"):  # which has no other baseline
        fixed["baseline"] = 0
    settings = [f"{key}={value}" for key, value in {**amounts, **fixed}.items()]

    def due(_: object) -> None:
        raise _ReportDueError

    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(order.RUN, {REPORT: due}):
        run = Study.from_yaml(text, overrides=settings, folder=Path(folder) / "run")
        try:
            run.run(quiet=True)
        except _ReportDueError:
            return load(run.folder.path / RETRAIN.name / WINNER)
    raise AssertionError("a run ends with its report")
