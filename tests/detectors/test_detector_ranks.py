"""Two processes that train a detector together find what one finds, but for what is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from detector_ranks import DRAWN, trained
from ranks_fakes import together

from nas.training.ranks import Ranks

pytestmark = pytest.mark.timeout(240)


def test_two_ranks_find_the_gradients_and_the_weights_of_one(tmp_path: Path) -> None:
    """Of losses that divide by pictures, and by objects, of which the ranks have not equally many."""
    alone = trained(Ranks())
    first, second = together(trained, tmp_path)
    assert not isinstance(first, Exception), first
    for kind, (losses, gradients, weights) in alone.items():
        assert all(torch.equal(first[kind][2][name], second[kind][2][name]) for name in weights), kind
        if kind == DRAWN:
            assert first[kind][0] == pytest.approx(losses, rel=0.2)
            continue
        assert first[kind][0] == pytest.approx(losses, abs=1e-9), kind
        known = {name: gradient for name, gradient in gradients.items() if gradient is not None}
        assert max(float(gradient.abs().max()) for gradient in known.values()) > 1e-3, kind
        for name, gradient in known.items():
            assert float((first[kind][1][name] - gradient).abs().max()) < 1e-12, (kind, name)
        assert max(float((first[kind][2][name] - weights[name]).abs().max()) for name in weights) < 1e-10, kind
