"""20 steps of every gradient method on a toy ViT and a toy Swin, and the errors of Patch Slimming's blocks at ten
tolerances: they are committed as text.

A change of results that was intended is made with `python tests/strategies/test_golden_losses.py`, and said in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nas.importance.l1_gates import L1Gates, L1Step
from nas.importance.patch_impact import PatchImpact
from nas.strategies.dan import Dan, DanStep
from nas.strategies.tolerance.slimming import Growth, Slimming
from nas.strategies.tolerance.tuning import Tuning
from nas.testing.relaxed import Bench
from nas.training import Recipe, Step
from nas.training.objectives.relaxation import Relaxation, relax

KINDS = ("vit", "swin")
FOLDER = Path(__file__).parent / "golden"
RECIPE = Recipe(epochs=20, lr=1e-3, batch=48, warmup=2)
"""An epoch is one step: the batch holds all images."""


def _dan(bench: Bench) -> tuple[Relaxation, Step]:
    relaxation = Relaxation(bench.supernet, Dan().parameters(bench.problem), 20.0)
    return relaxation, DanStep(Dan(), relaxation, 0.5)


def _gates(options: L1Gates) -> Callable[[Bench], tuple[Relaxation, Step]]:
    def made(bench: Bench) -> tuple[Relaxation, Step]:
        ones = {
            axis: torch.ones(bench.supernet.table.frame.axes[axis])
            for axis in options._axes(bench.supernet.space, bench.supernet.table)
        }
        relaxation = Relaxation(bench.supernet, ones, 10.0)
        return relaxation, L1Step(options, relaxation)

    return made


METHODS: dict[str, Callable[[Bench], tuple[Relaxation, Step]]] = {
    "dan": _dan,
    "sidt": _gates(L1Gates(where="produced", gamma=1e-2)),
    "vtp": _gates(L1Gates(where="consumed", gamma=1e-2)),
}


def losses(method: str, kind: str) -> list[float]:
    if method == "patch_slimming":
        return [error for power in range(10) for error in _errors(3e-6 * 1.6**power)]
    bench = Bench(kind)
    relaxation, step = METHODS[method](bench)
    history = relax(relaxation, step, bench.work, RECIPE, lambda _: {})
    return [row.loss for row in history]


def _errors(tolerance: float) -> list[float]:
    """Of the two blocks that grow, the last one first.

    The rate is small: where a block has no error to mend, Adam scales up the rounding of its gradients, and a large
    rate would turn that into an error of its own, another one on every processor.
    """
    bench = Bench("tokens")
    growth = Growth(2, "relative", Tuning(epochs=2, lr=1e-5, batch=16, warmup=0), PatchImpact(images=32))
    slimming = Slimming(growth, bench.supernet, bench.work)
    slimming.run(tolerance, {})
    return [row.loss for row in slimming.history]


CASES = [*((method, kind) for method in METHODS for kind in KINDS), ("patch_slimming", "tokens")]


@pytest.mark.parametrize(("method", "kind"), CASES)
def test_losses_are_what_they_were(method: str, kind: str) -> None:
    golden = [float(line) for line in (FOLDER / f"{method}_{kind}.txt").read_text().split()]
    assert len(golden) == 20
    assert losses(method, kind) == pytest.approx(golden, rel=2e-4)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for method, kind in CASES:
        lines = "".join(f"{loss:.7g}\n" for loss in losses(method, kind))
        (FOLDER / f"{method}_{kind}.txt").write_text(lines)
