from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nas.latency import timing
from nas.latency.whole_models import ROUNDS, measure


class Counted(nn.Module):
    """Says its name whenever it runs."""

    def __init__(self, name: str, log: list[tuple[str, int]], work: int) -> None:
        super().__init__()
        self.name, self.log, self.work = name, log, work

    def forward(self, x: Tensor) -> Tensor:
        self.log.append((self.name, len(x)))
        for _ in range(self.work):
            x = torch.tanh(x)
        return x


def test_models_take_turns_and_change_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "WARMING", 0)
    log: list[tuple[str, int]] = []
    models = {name: Counted(name, log, 1) for name in "abc"}
    found = measure(models, (1, 2, 2), device=torch.device("cpu"), batches=(1, 8), seconds=1e-9)
    assert found.rounds == {"1": ROUNDS[0], "8": ROUNDS[0]}
    first = "".join(name for name, batch in log if batch == 1)
    passes = 2  # one that warms up, and one that is timed
    turns = first.removeprefix("abc" * timing.WARM_UP)[::passes]
    rounds = [turns[start : start + 3] for start in range(0, len(turns), 3)]
    assert len(first) == 3 * timing.WARM_UP + 3 * passes * ROUNDS[0]
    assert {"".join(sorted(one)) for one in rounds} == {"abc"}
    assert len(set(rounds)) > 2
    assert all(set(times) == {"1", "8"} for times in found.milliseconds.values())


def test_more_work_takes_longer() -> None:
    log: list[tuple[str, int]] = []
    models = {"little": Counted("little", log, 5), "much": Counted("much", log, 100)}
    found = measure(models, (3, 64, 64), device=torch.device("cpu"), batches=(4,), seconds=0.05).milliseconds
    assert found["much"]["4"] > 3 * found["little"]["4"] > 0
