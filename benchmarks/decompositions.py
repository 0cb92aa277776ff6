"""Every decomposition at equal rank: error of the matrices, of the logits, parameters, MACs, and the time it takes.

    python -m benchmarks.decompositions [--seeds 3]

A small ViT is trained on the embedded digits; then qkv, proj, fc1 and fc2 of all blocks are factored at half of the
rank at which two factors cost as much as the matrix, by each method, without any retraining. `matrix_error` is the mean
over matrices of |W - A B| / |W|; `logit_error` the same of the logits of test images. `factoring_s` is processor time
for all matrices of the model, `large_matrix_s` for one of DeiT-B's qkv (2304 x 768), random.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch

from benchmarks.methods import accuracy
from benchmarks.pairs import ratio
from benchmarks.presets import ROOT, read
from benchmarks.tables import RESULTS, over_seeds
from nas.data import Data, DataSpec, load_data
from nas.importance.directions import OfDirections
from nas.searchspaces import SearchSpace
from nas.searchspaces.axis_names import rank_of
from nas.supernets import Supernet, build
from nas.supernets.decompositions import METHODS, directions, relative_error
from nas.system.environment import commit
from nas.training import FitCall, PlainStep, Recipe, Runtime, Workplace, fit

BASE = Recipe(epochs=20, lr=3e-3)
SHARE = 0.5
"""Of the rank at which factoring breaks even."""
LAYERS = ("qkv", "proj", "fc1", "fc2")


def rows(seed: int) -> Iterator[dict[str, Any]]:
    data = load_data(DataSpec(name="digits"), image_size=8, seed=seed)
    space = _space()
    torch.manual_seed(seed)
    model = build(space.model, space.model_args)
    fit(FitCall(model, PlainStep(), data, BASE, seed), Runtime(progress=False))
    whole = accuracy(model, data.test)
    for method in METHODS:
        net = Supernet(model, space)
        yield {"seed": seed, "method": method, "base_accuracy": whole, **_factored(net, method, data, seed)}


@torch.no_grad()
def _factored(net: Supernet, method: str, data: Data, seed: int) -> dict[str, Any]:
    started = time.process_time()
    OfDirections(method=method).score(net, Workplace(data.without_test(), seed))
    small = net.extract(net.space.smallest).eval()
    taken = time.process_time() - started
    images = next(data.test.batches(64)).inputs
    logits, near = net.model.eval()(images), small(images)
    errors = []
    for entry in net.table.entries.values():
        if entry.rank in net.space.axes:
            weight = net.model.get_parameter(entry.parameter)
            rank = net.space.sizes(net.space.smallest)[entry.rank]
            errors.append(relative_error(weight, net.directions(entry), rank))
    cost, counts = net.cost, net.cost.counts(net.space.smallest)
    return {
        "matrix_error": sum(errors) / len(errors),
        "logit_error": float((logits - near).norm() / logits.norm()),
        "test_accuracy": accuracy(small, data.test),
        "params_share": counts["params"] / cost.base("params"),
        "macs_share": counts["macs"] / cost.base("macs"),
        "time_share": ratio(lambda: small(images), lambda: net.model(images), 15)["ratio"],
        "factoring_s": taken,
        "large_matrix_s": _large(method),
    }


def _large(method: str) -> float:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(2304, 768, generator=generator)
    covariance = torch.eye(768) if method == "aware_svd" else None
    started = time.process_time()
    directions(weight, method, covariance)
    return time.process_time() - started


def _space() -> SearchSpace:
    """One choice for each kind of matrix: its full rank, or the share of the break-even that is measured."""
    model = read(ROOT / "searchspaces" / "vit_digits_matrices.yaml")
    width = model["model_args"]["embed_dim"]
    shapes = {"qkv": (3 * width, width), "proj": (width, width), "fc1": (4 * width, width), "fc2": (width, 4 * width)}
    ranks = {name: int(SHARE * m * n / (m + n)) for name, (m, n) in shapes.items()}
    choices = {
        rank_of(name): {"rank": [rank, min(shapes[name])], "of": [name], "per": "model"} for name, rank in ranks.items()
    }
    return SearchSpace.from_yaml(json.dumps({**model, "choices": choices}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = pd.DataFrame([row for seed in range(arguments.seeds) for row in rows(seed)]).assign(commit=commit())
    table.to_csv(RESULTS / "decompositions.csv", index=False)
    summary = over_seeds(table, ["method"], [c for c in table if c not in ("seed", "method", "commit")])
    summary.to_csv(RESULTS / "decompositions_summary.csv")
    print(summary.filter(like="mean").round(4).to_string())


if __name__ == "__main__":
    main()
