"""Which score of a detector's sub-networks is less noise: average precision, or the loss?

    python -m benchmarks.detector_scores RUN [--architectures 60]

Architectures drawn uniformly within the limit of a run of detection are measured with its shared weights on two halves
of its search-validation split. A score is worth something if on one half it ranks as average precision does on
the other: Kendall's tau-b of each score with that, both ways round, with intervals of a bootstrap over architectures.
What is measured is kept, as a row per run. Whether shared weights rank as retraining does, `nas tau RUN` says of both.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.tables import RESULTS, Rows
from nas import Study, seeds
from nas.evaluation import Evaluator
from nas.studies.tau.statistics import tau_b
from nas.system.environment import commit

ROWS = Rows(RESULTS / "detector_scores.csv", ("run", "architectures"))
RESAMPLES = 500
SCORES = {"map": 1.0, "ap50": 1.0, "loss": -1.0}
"""Metric -> the sign with which more of it is better."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="a run of detection, at least as far as its supernet")
    parser.add_argument("--architectures", type=int, default=60)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    halves, macs = measured(Study.open(arguments.run), arguments.architectures)
    rng = np.random.default_rng(0)
    count = len(macs)
    draws = [np.arange(count), *rng.integers(0, count, (RESAMPLES, count))]
    row: dict[str, object] = {"run": arguments.run.name, "architectures": count}
    for name in SCORES:
        taus = np.array([_foretold(halves[name], halves["map"], rows) for rows in draws])
        low, high = np.quantile(np.nan_to_num(taus[1:]), [0.025, 0.975])
        row |= {f"tau_{name}": round(float(taus[0]), 3), f"low_{name}": round(low, 3), f"high_{name}": round(high, 3)}
        row[f"spread_{name}"] = round(float(halves[name].mean(0).std()), 5)
    row["tau_macs"] = round(_foretold(np.stack([macs, macs]), halves["map"], draws[0]), 3)
    ROWS.append({**row, "commit": commit()})
    print(row)


def measured(study: Study, count: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Each score (2 halves x architectures; the greater the better), and the MACs of the architectures."""
    workshop = study._workshop(show=False)
    split = workshop.data.validation.shuffled(seeds.derive(workshop.config.seed, seeds.PARTS))
    middle = len(split) // 2
    supernet = workshop.supernets.shared()
    halves = (split.between(0, middle), split.between(middle, len(split)))
    task, batch = replace(workshop.task, measured="both"), workshop.config.eval_batch
    evaluators = [Evaluator(supernet, half, task, device=workshop.device, batch=batch) for half in halves]
    rng = np.random.default_rng(0)
    architectures = [workshop.space.sample(rng, workshop.limit) for _ in range(count)]
    metrics = [[evaluator(one).metrics for one in architectures] for evaluator in evaluators]
    scores = {name: np.array([[sign * of[name] for of in half] for half in metrics]) for name, sign in SCORES.items()}
    return scores, np.array([workshop.cost.counts(one)["macs"] for one in architectures], float)


def _foretold(score: np.ndarray, precision: np.ndarray, rows: np.ndarray) -> float:
    """Tau of the score on one half with the precision on the other, the mean of both ways round."""
    return float(np.mean([tau_b(score[half][rows], precision[1 - half][rows]) for half in (0, 1)]))


if __name__ == "__main__":
    main()
