"""The proof as a service: what is right is found right, and what is wrong is found."""

from __future__ import annotations

from dataclasses import replace

import pytest
from derived_models import small

from nas import cli
from nas.supernets.derived.captured import Graphs
from nas.supernets.derived.checking import check


def test_verdicts_of_a_model() -> None:
    """Hidden units have gates, so zeros are tried; heads are normed or summed over."""
    verdicts = {verdict.kind: verdict for verdict in check(*small("eva02_tiny_patch14_224"))}
    assert {kind: verdict.axes for kind, verdict in verdicts.items()} == {
        "embed": 1, "heads": 2, "head_dim": 1, "mlp": 2, "depth": 2, "rank": 8,
    }  # fmt: skip
    assert all(verdict.good for verdict in verdicts.values())
    assert verdicts["mlp"].found["zeros"] == ""
    assert verdicts["embed"].found["zeros"] == "-"
    assert verdicts["depth"].found["order"] == "-"


def test_a_wrong_table_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs without the products of attention are too small."""
    table = Graphs.table.func  # type: ignore[attr-defined]
    monkeypatch.setattr(Graphs, "table", property(lambda graphs: replace(table(graphs), products=())))
    verdicts = list(check(*small("vit_tiny_patch16_224")))
    assert not any(verdict.good for verdict in verdicts)
    assert all("MACs for" in verdict.found["costs"] for verdict in verdicts)


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["img_size=32", "patch_size=8", "embed_dim=24", "depth=2", "num_heads=3", "num_classes=5"]
    settings = [word for argument in arguments for word in ("--model-args", argument)]
    assert cli.main(["check", "eva02_tiny_patch14_224", *settings]) == 0
    printed = capsys.readouterr().out
    assert printed.count("holds") == 28
    assert "head_dim" in printed
