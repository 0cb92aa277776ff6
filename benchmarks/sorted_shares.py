"""What halving loses where the images lie sorted by class, so that its first share shows a few classes only; and by the
order that a study draws for it.

    python -m benchmarks.sorted_shares [--supernets 3] [--seeds 3]

The same 200 uniform proposals, on the supernets of `benchmarks.racing`: measured whole, halved on sorted images, halved
on images in an order by chance. Gaps are as there. A row is kept when it is done, and not made again.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from typing import Any

import torch

from benchmarks.racing import OBJECTIVES, SEARCHERS, TRIALS, Bench, gap
from benchmarks.tables import RESULTS, Rows, over_seeds
from nas import seeds
from nas.data.held import HeldSplit
from nas.data.split import Split
from nas.search import winner
from nas.strategies.halving import Halving
from nas.strategies.uniform import Uniform
from nas.system.environment import commit

ROWS = Rows(RESULTS / "sorted_shares.csv", ("supernet", "objective", "seed"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--supernets", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for number in range(arguments.supernets):
        bench = Bench(number)
        for objective, seed in itertools.product(OBJECTIVES, range(arguments.seeds)):
            keys = {"supernet": number, "objective": objective, "seed": seed}
            if not ROWS.has(**keys):
                for row in rows(bench, objective, seed):
                    ROWS.append({**keys, **row, "commit": commit()})
                    print({**keys, **row}, flush=True)
    summary = over_seeds(ROWS.frame, ["objective", "order"], ["same", "gap"])
    summary.to_csv(RESULTS / "sorted_shares_summary.csv")
    print(summary.to_string())


def rows(bench: Bench, objective: str, seed: int) -> list[dict[str, Any]]:
    """Halving on sorted images and on others, against the whole search's winner."""
    validation = bench.workshop.data.validation
    orders = {"sorted": by_class(validation), "drawn": validation.shuffled(seeds.derive(seed, seeds.PARTS))}
    whole, _ = bench.search(Uniform(trials=TRIALS), objective, seed, validation)
    best = winner(whole, [OBJECTIVES[objective]])
    made: list[dict[str, Any]] = []
    for order, split in orders.items():
        trials, _ = bench.search(Halving(searcher=SEARCHERS["uniform"], trials=TRIALS), objective, seed, split)
        found = winner(trials, [OBJECTIVES[objective]])
        same = int(found.architecture == best.architecture)
        made.append({"order": order, "same": same, "gap": round(gap(found, best, objective), 5)})
    return made


def by_class(split: Split) -> Split:
    """The images of a split in the order of their classes."""
    assert isinstance(split, HeldSplit)
    assert isinstance(split.targets, torch.Tensor)
    places = split.targets.argsort(stable=True)
    return replace(split, images=split.images[places], targets=split.targets[places])


if __name__ == "__main__":
    main()
