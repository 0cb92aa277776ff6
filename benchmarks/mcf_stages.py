"""The ablation of MCF with our own figures: each stage alone, on the trained base of `benchmarks.methods`.

    python -m benchmarks.mcf_stages fashion_mnist.npz [--seeds 3]

Irregular masks (FIS) keep 60 % of the weights of every output, by votes; they save nothing. Regular ones (CRS) keep the
same 60 % of inputs for all outputs, so matrices shrink. With uniform inputs (X-T) fc1 also loses the outputs that fc2
does not read. Direct pruning is X-T by weight magnitude, and at random. Test accuracy without any retraining.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from benchmarks.methods import Bench, accuracy, bench_of
from benchmarks.tables import RESULTS, over_seeds
from nas.importance import Importance, Scored
from nas.importance.ffn_votes import FfnVotes, irregular
from nas.importance.magnitude import Magnitude
from nas.searchspaces import Architecture, SearchSpace
from nas.supernets import Supernet
from nas.system.environment import commit

KEEP = 0.6
REGULAR = {"CRS": ("fc1_in", "fc2_in"), "X-T": ("fc1_in", "mlp")}


def stages(bench: Bench) -> Iterator[dict[str, Any]]:
    yield {"stage": "base", "test_accuracy": accuracy(bench.base(), bench.data.test)}
    yield irregular_masks(bench)
    for name, axes in REGULAR.items():
        yield regular(bench, name, axes, FfnVotes())
    yield regular(bench, "direct, magnitude", REGULAR["X-T"], Magnitude())
    yield regular(bench, "direct, random", REGULAR["X-T"], None)


def irregular_masks(bench: Bench) -> dict[str, Any]:
    net = supernet(bench, REGULAR["X-T"])
    votes, _ = FfnVotes().votes(net, bench.workplace("votes"))
    names = {path: f"{path}.weight" for path in votes}
    masked = {name: net.model.get_parameter(name) * irregular(votes[path], KEEP) for path, name in names.items()}
    share = accuracy(net.extract(net.space.largest, masked), bench.data.test)
    return {"stage": "FIS", "test_accuracy": share, "macs_share": 1.0, "params_share": 1.0}


def regular(bench: Bench, name: str, axes: tuple[str, str], criterion: Importance | None) -> dict[str, Any]:
    net = supernet(bench, axes)
    if criterion is None:
        net.reorder(shuffled(net, bench.seed))
    else:
        scored: Scored = criterion.apply(net, bench.workplace("votes"))
        assert set(scored.scores) >= net.space.axes
    small = Architecture(dict.fromkeys(net.space, KEEP))
    return {
        "stage": name,
        "test_accuracy": accuracy(net.extract(small), bench.data.test),
        **{f"{name}_share": count / net.cost.base(name) for name, count in net.cost.counts(small).items()},
    }


def supernet(bench: Bench, axes: tuple[str, str]) -> Supernet:
    whole = bench.space("networks")
    choices = ", ".join(f"{axis}: {{size: [{KEEP}, 1.0], per: block}}" for axis in axes)
    text = f"{{model: {whole.model}, choices: {{{choices}}}}}"
    return Supernet(bench.base(), SearchSpace.from_yaml(text, model_args=whole.model_args))


def shuffled(net: Supernet, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {axis: torch.rand(net.table.frame.axes[axis], generator=generator) for axis in sorted(net.space.axes)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="Fashion-MNIST as .npz in the MedMNIST layout")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seed in range(arguments.seeds):
        bench = bench_of("vit_matrices", arguments.data, seed)
        for row in stages(bench):
            rows.append({"seed": seed, **row, "commit": commit()})
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(RESULTS / "mcf-stages.csv", index=False)
    summary = over_seeds(table, ["stage"], ["test_accuracy", "macs_share", "params_share"])
    summary.to_csv(RESULTS / "mcf-stages_summary.csv")


if __name__ == "__main__":
    main()
