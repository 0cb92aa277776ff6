"""What racing saves in images that are measured, and what it costs in the quality of the winner.

    python -m benchmarks.racing [--supernets 3] [--seeds 5]

On the supernets of the digits' study, each search of 200 trials is made three times with the same seed: measured whole,
in a race (`racing`, 12 parts), and halved (`halving`, as its preset). Each gap is a winner's value on all images of the
search-validation split less that of the whole search's, so that more is better; `same` says whether they are one
architecture. A row is kept when it is done, and not made again; runs lie in `runs/racing`.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.tables import RESULTS, Rows, over_seeds
from nas import Study, seeds
from nas.data.split import Split
from nas.evaluation import Evaluator, Measure
from nas.search import Objective, Problem, Search, Strategy, Trial, winner
from nas.strategies.halving import Halving
from nas.strategies.racing import Racing
from nas.system.environment import commit

ROOT = Path(__file__).parents[1]
RUNS = Path("runs") / "racing"
TRIALS = 200
OBJECTIVES = {"accuracy": Objective("accuracy", maximise=True), "loss": Objective("loss", maximise=False)}
SEARCHERS: Mapping[str, Mapping[str, Any]] = {"uniform": {"use": "uniform"}, "evolution": {"use": "evolution"}}
ROWS = Rows(RESULTS / "racing.csv", ("supernet", "searcher", "objective", "seed"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--supernets", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for number in range(arguments.supernets):
        bench = Bench(number)
        for searcher, objective, seed in itertools.product(SEARCHERS, OBJECTIVES, range(arguments.seeds)):
            keys = {"supernet": number, "searcher": searcher, "objective": objective, "seed": seed}
            if not ROWS.has(**keys):
                row = {**keys, **bench.row(searcher, objective, seed), "commit": commit()}
                ROWS.append(row)
                print(row, flush=True)
    kinds = ("race", "halving")
    columns = [f"{kind}_{what}" for kind in kinds for what in ("images", "same", "gap", "seconds_share")]
    summary = over_seeds(ROWS.frame, ["searcher", "objective"], columns)
    summary.to_csv(RESULTS / "racing_summary.csv")
    print(summary.drop(columns="commit").to_string())


class Bench:
    """A trained supernet, and its search-validation split."""

    def __init__(self, number: int) -> None:
        overrides = [f"seed={number}", "strategy={use: uniform, trials: 1}", "retrain.epochs=0", "latency.seconds=0.1"]
        study = Study.from_yaml(ROOT / "studies" / "digits.yaml", overrides=overrides, folder=RUNS / f"digits-{number}")
        study.run(quiet=True)
        self.workshop = study._workshop(show=False)
        self.supernet = self.workshop.supernets.shared()

    def row(self, searcher: str, objective: str, seed: int) -> dict[str, Any]:
        """The three searches."""
        options: dict[str, Any] = {"searcher": SEARCHERS[searcher], "trials": TRIALS}
        split = self.workshop.data.validation.shuffled(seeds.derive(seed, seeds.PARTS))
        whole, seconds = self.search(Racing(**options, least=Racing.parts), objective, seed, split)
        best = winner(whole, [OBJECTIVES[objective]])
        row: dict[str, Any] = {"whole": round(best.metrics[objective], 5), "seconds": round(seconds, 3)}
        for name, strategy in {"race": Racing(**options), "halving": Halving(**options)}.items():
            trials, taken = self.search(strategy, objective, seed, split)
            found = winner(trials, [OBJECTIVES[objective]])
            row |= {
                f"{name}_images": round(_images(trials) / _images(whole), 4),
                f"{name}_same": int(found.architecture == best.architecture),
                f"{name}_gap": round(gap(found, best, objective), 5),
                f"{name}_seconds_share": round(taken / seconds, 3),
            }
        return row

    def search(self, strategy: Strategy, objective: str, seed: int, split: Split) -> tuple[list[Trial], float]:
        """The trials of a search on the images of `split`, and the processor seconds that it took."""
        workshop = self.workshop
        search = Search(
            problem=Problem(
                space=workshop.space,
                objectives=(OBJECTIVES[objective],),
                strategy="racing",
                seed=seed,
                trials=TRIALS,
                limit=workshop.limit,
            ),
            measure=Measure(Evaluator(self.supernet, split, workshop.task)),
            counts=workshop.cost.counts,
            record=lambda _: None,
        )
        started = time.process_time()
        return list(strategy.search(search)), time.process_time() - started


def gap(found: Trial, best: Trial, objective: str) -> float:
    """By how much `found` is better than the best of the whole search; less than 0, if it is worse."""
    more = found.metrics[objective] - best.metrics[objective]
    return more if OBJECTIVES[objective].maximise else -more


def _images(trials: list[Trial]) -> float:
    """How many images were measured, in whole splits."""
    return sum(trial.share for trial in trials if not trial.cached)


if __name__ == "__main__":
    main()
