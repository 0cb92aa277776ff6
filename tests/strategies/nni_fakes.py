"""The driver of an NNI experiment, for a process of its own that can be killed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from nas.strategies._nni_experiment import Experiment
from nas.strategies.with_nni import WithNni
from nas.testing.relaxed import Bench
from nas.training import Recipe


@final
class Fragile:
    """A supernet that has no memory for its first candidate."""

    def __init__(self, supernet: Any, marker: str) -> None:
        self.supernet, self.marker = supernet, marker

    def extract(self, architecture: Any) -> Any:
        if not Path(self.marker).exists():
            Path(self.marker).touch()
            raise RuntimeError("no memory")
        return self.supernet.extract(architecture)


def drive(marker: str) -> None:
    """Searches, and prints each trial as a line of JSON."""
    bench = Bench("vit")
    bench.search.problem = replace(bench.problem, trials=3)
    bench.search.supernet = Fragile(bench.supernet, marker)  # type: ignore[assignment]
    experiment = Experiment(round=1, training=Recipe(epochs=2, batch=16, warmup=0))
    for trial in WithNni(trials=3, sampler="random", mode="experiment", experiment=experiment).search(bench.search):
        print(json.dumps([trial.number, trial.state, trial.error, dict(trial.metrics)]), flush=True)
