"""Results on disk: flat rows become mappings and flat again; what is missing or new is told apart from damage."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from nas.studies.run.results import EXPLORE, STAGES, ExploreResult, WinnerResult
from nas.studies.run.rows import ExtractedResult, RankedRow, RowResult
from nas.studies.run.typed_json import parsed, plain
from nas.studies.stages.order import RUN
from nas.tasks.classification import ACCURACY

FLAT: dict[str, Any] = {
    "study": "digits", "model": "winner", "strategy": "evolution", "seed": 4, "digest": "2a925a0c9122",
    "validation_accuracy": 0.6, "test_accuracy": 0.5, "test_loss": 1.25, "test_images": 359,
    "macs": 9888, "flops": 19776, "params": 2858, "latency_ms_batch_1": 0.5, "latency_ms_batch_64": 8.0, "commit": "c",
}  # fmt: skip
BEST = WinnerResult(
    strategy="evolution", number=3, digest="2a925a0c9122", architecture={"mlp.0": 8}, metrics={"accuracy": 0.6},
    costs={"macs": 9888, "params": 2858},
)  # fmt: skip


def test_a_row_is_flat_on_disk_and_has_mappings_here() -> None:
    row = parsed(RowResult, json.dumps(FLAT))
    assert row.validation == {"accuracy": 0.6}
    assert row.test == {"accuracy": 0.5, "loss": 1.25}
    assert row.costs == {"macs": 9888, "flops": 19776, "params": 2858}
    assert row.latency == {"1": 0.5, "64": 8.0}
    assert list(row.flat().items()) == list(plain(row).items()) == list(FLAT.items())


def test_other_rows_are_flat_too() -> None:
    ranked = {"digest": "x", "band": 1, "macs": 2, "flops": 4, "params": 3, "shared_loss": 0.5, "retrained_loss": 0.25}
    assert list(plain(parsed(RankedRow, json.dumps(ranked))).items()) == list(ranked.items())
    extracted = {
        "digest": "x", "architecture": {"mlp.0": 8}, "macs": 2, "params": 3, "kept": {"mlp.0": 8},
        "full": {"mlp.0": 64}, "validation": {"accuracy": 0.5}, "difference": 0.0, "images": 45, "slices_only": True,
    }  # fmt: skip
    assert list(plain(parsed(ExtractedResult, json.dumps(extracted))).items()) == list(extracted.items())


@pytest.mark.parametrize("later", ["params", "latency_ms_batch_1", "test_loss"])
def test_numbers_that_came_later_may_be_missing(later: str) -> None:
    older = {key: value for key, value in FLAT.items() if key != later}
    assert parsed(RowResult, json.dumps(older)).flat() == older
    newer = {**FLAT, "nobody_knows": 1}
    assert parsed(RowResult, json.dumps(newer)).flat() == FLAT


@pytest.mark.parametrize(
    "wrong", [{"macs": None}, {"macs": 0}, {"params": "many"}, {"test_images": 0}, {"validation_accuracy": "good"}]
)
def test_a_damaged_row_is_found_out(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        parsed(RowResult, json.dumps({**FLAT, **wrong}))


def test_a_baseline_that_is_the_strategy_itself_has_no_key() -> None:
    result = ExploreResult(winner=BEST, trials=5, measured=4, failed=0)
    assert "uniform" not in plain(result)
    assert list(result.roles) == ["winner"]
    both = replace(result, uniform=BEST)
    assert list(plain(both))[:3] == ["winner", "uniform", "trials"]
    assert parsed(ExploreResult, json.dumps(plain(both))) == both
    assert result.outcome(ACCURACY) == "winner 2a925a0c9122, 9.89 k MACs, 4 architectures measured"


def test_every_stage_has_a_function_that_runs_it() -> None:
    assert tuple(RUN) == STAGES
    assert EXPLORE.result is ExploreResult
