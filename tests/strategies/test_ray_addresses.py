"""Addresses at which no cluster answers, refused before anything trains; apart, so that no test has Ray running."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.cli import main
from nas.errors import ClusterError
from nas.testing.toy import Toy

pytest.importorskip("ray", reason="Ray is an extra: pip install 'nas[ray]'")
from nas.strategies.with_raytune.strategy import WithRaytune
from nas.system.cluster import Cluster

NOBODY = "127.0.0.1:9"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("auto", "no cluster answers"),
        (NOBODY, "no cluster answers"),
        ("nowhere", "no cluster answers"),
        (f"ray://{NOBODY}", "no cluster answers|pip install 'ray.client.'"),
    ],
)
def test_the_check_says_so_at_once(address: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", NOBODY)  # `auto` would find a cluster that other tests started
    with pytest.raises(ClusterError, match=message):
        WithRaytune(ray=Cluster(address=address)).check(Toy().problem(trials=1))


def test_the_command_line_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "studies/digits.yaml", "--folder", str(tmp_path / "run")]
    settings = ["--set", "strategy=strategies/ray.yaml", "--set", f"strategy.ray.address={NOBODY}"]
    assert main([*words, *settings]) == 2
    told = capsys.readouterr().err
    assert "strategy" in told
    assert "no cluster answers" in told
    assert not (tmp_path / "run").exists()
