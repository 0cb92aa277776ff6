"""`make peers`: what its table says of a peer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks.peers import __main__ as peers
from benchmarks.peers import smaller, torch_pruning
from benchmarks.peers.one import lines
from benchmarks.peers.terms import Terms, macs
from benchmarks.tables import Rows


def example(x: int) -> int:
    """Is not counted."""
    # Nor is this.
    return sum(
        (x, 1),
    )


def test_lines_of_user_code() -> None:
    assert lines(example) == 4
    assert lines("a: 1\n\nb: 2\n") == 2
    assert lines((example, example)) == 8


def test_a_peer_that_takes_no_part_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*packages: str) -> None:
        raise RuntimeError(f"no matching distribution for {packages[0]}")

    monkeypatch.setattr(peers, "python_with", refused)
    assert peers.run("whittle", 0, 1) == {"note": "cannot be installed: no matching distribution for whittle==0.6.0"}
    monkeypatch.setattr(peers, "find_spec", lambda _: None)
    assert peers.run("nni_supernet", 0, 1) == {"note": "not installed: pip install 'nas[nni]'"}

    def ended(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([sys.executable], 1, "", "Traceback\nValueError: too small\n")

    monkeypatch.setattr(peers, "find_spec", lambda _: True)
    monkeypatch.setattr(subprocess, "run", ended)
    assert peers.run("ours", 0, 1) == {"note": "failed: ValueError: too small"}


def test_the_summary_has_the_spread_over_seeds_and_what_is_missing() -> None:
    common = {"peer": "ours", "seconds_given": 5, "macs": 10, "processor_seconds": 5.0, "lines_of_user_code": 8}
    rows = [{**common, "seed": seed, "test_accuracy": 0.9 + seed / 50, "commit": "abc"} for seed in (0, 1)]
    missing = {"peer": "whittle", "seconds_given": 5, "seed": 0, "note": "none", "commit": "abc"}
    summary = peers.summarised(pd.DataFrame([*rows, missing]))
    ours, whittle = summary.loc[("ours", 5)], summary.loc[("whittle", 5)]
    assert ours["test_accuracy_mean"] == pytest.approx(0.91)
    assert (ours["seeds"], ours["lines_of_user_code"], whittle["note"]) == (2, 8, "none")


def test_a_table_goes_on_after_its_last_row(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "rows.csv", ("peer", "seconds_given"))
    assert not rows.has(peer="ours", seconds_given=30.0)
    rows.append({"peer": "ours", "seconds_given": 30.0, "macs": 10})
    rows.append({"peer": "whittle", "seconds_given": 30.0, "note": "not installed"})
    assert rows.has(peer="ours", seconds_given=30.0)
    assert not rows.has(peer="ours", seconds_given=60.0)
    lines = ["peer,seconds_given,macs,note", "ours,30,10,", "whittle,30,,not installed"]
    assert rows.path.read_text().splitlines() == lines


def test_the_smaller_model_is_the_largest_within_the_limit() -> None:
    terms = Terms(0, 1.0, 0.0)
    chosen = smaller.smaller(terms)
    assert 0.8 * terms.limit < macs(chosen) <= terms.limit == 1640768


def test_narrowed_attention_is_timms_where_nothing_was_taken_away() -> None:
    model, images = Terms(0, 1.0, 0.0).model().eval(), torch.rand(2, 1, 8, 8)
    before = model(images)
    for part in model.modules():
        if type(part) is torch_pruning.Attention:
            part.__class__ = torch_pruning.Narrowed
    assert any(isinstance(part, torch_pruning.Narrowed) for part in model.modules())
    assert torch.allclose(model(images), before, atol=1e-6)
