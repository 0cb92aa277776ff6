"""Cheap scores on architectures that others measured: 200 of AutoFormer-T's space, of Auto-Prox (arXiv 2312.09059).

    python -m benchmarks.vit_bench autoformer_tiny.csv

Columns: `embed`, `depth`, `heads` and `mlp_ratio` (a number per block), accuracies after training from scratch
(`*_base_acc`, of the first 100) or with distillation (`*_kd_acc`), and `imagenet_super_acc`, that with shared weights
on ImageNet. No weights, so only scores that need none: sizes, the accuracy with shared weights, and predictors that
were shown some of the architectures, drawn twenty times, and rank the others. `low` to `high` is a 95 % bootstrap
interval over architectures, of predictors the middle 95 % of the draws.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from benchmarks.tables import RESULTS
from nas import proxies
from nas.proxies import Predictor
from nas.studies.tau.statistics import tau_b
from nas.system.environment import commit

TOKENS, PATCH, HEAD_DIM, BLOCKS = 197, 768, 64, 14
"""Of a picture of 224 x 224 pixels in patches of 16, with a class token."""
KNOWN = (10, 20, 50)
"""Architectures that predictors are shown."""
DRAWS = 20
RESAMPLES = 1000
BAND = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("architectures", type=Path, help="autoformer_tiny.csv")
    table = pd.read_csv(parser.parse_args().architectures)
    targets = [column for column in table if column.endswith("_acc") and column != "imagenet_super_acc"]
    rows = [row for target in targets for row in _rows(table.dropna(subset=[target]), target)]
    pd.DataFrame(rows).round(3).assign(commit=commit()).to_csv(RESULTS / "vit_bench.csv", index=False)


def _rows(table: pd.DataFrame, target: str) -> Iterator[dict[str, Any]]:
    """How well each score predicts one column of accuracies."""
    truth, features = table[target].to_numpy(), _features(table)
    close = _close(features["macs"].to_numpy())
    scores = {"macs": features["macs"], "params": features["params"], "depth": table["depth"], "embed": table["embed"]}
    for name, values in {**scores, "shared weights": table["imagenet_super_acc"]}.items():
        score = values.to_numpy(np.float64)
        draws = np.random.default_rng(0).integers(0, len(truth), (RESAMPLES, len(truth)))
        taus = np.array([tau_b(score[draw], truth[draw]) for draw in draws])
        yield _row(target, name, len(truth), tau_b(score, truth), taus, tau_b(score, truth, close))
    for name in ("ridge", "gaussian_process"):
        for known in KNOWN:
            yield _predicted(target, name, known, features.to_numpy(np.float64), truth)


def _predicted(target: str, name: str, known: int, features: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    predictor, rng = proxies.find(name), np.random.default_rng(0)
    assert isinstance(predictor, Predictor)
    taus, within = [], []
    for _ in range(DRAWS):
        order = rng.permutation(len(truth))
        seen, unseen = order[:known], order[known:]
        scaler = StandardScaler().fit(features[seen])
        values = predictor.predict(
            scaler.transform(features[seen]), truth[seen] - truth[seen].mean(), scaler.transform(features[unseen])
        )
        taus.append(tau_b(values, truth[unseen]))
        within.append(tau_b(values, truth[unseen], _close(features[unseen, -2])))
    # A predictor that says the same of all ranks nothing: 0.
    taus, within = np.nan_to_num(taus), np.nan_to_num(within)
    return _row(target, f"{name}, {known} known", len(truth) - known, float(taus.mean()), taus, float(within.mean()))


def _row(target: str, score: str, count: int, tau: float, taus: np.ndarray, within: float) -> dict[str, Any]:
    low, high = np.quantile(taus, [0.025, 0.975])
    return {
        "target": target,
        "score": score,
        "architectures": count,
        "tau": tau,
        "low": low,
        "high": high,
        "within_2_percent_of_macs": within,
    }


def _features(table: pd.DataFrame) -> pd.DataFrame:
    """A row per architecture: width, depth, heads and hidden units of each block (0 where there is none), and costs."""
    rows = []
    for embed, heads, ratios in zip(table["embed"], table["heads"], table["mlp_ratio"], strict=True):
        inner = HEAD_DIM * np.array([int(number) for number in heads.split()])
        hidden = embed * np.array([float(number) for number in ratios.split()])
        weights = 4 * embed * inner + 2 * embed * hidden
        outside = PATCH * embed
        biases = 3 * inner + hidden + 6 * embed
        macs = TOKENS * (weights.sum() + 2 * TOKENS * inner.sum() + outside)
        params = weights.sum() + biases.sum() + outside + (TOKENS + 4) * embed
        padded = [np.pad(values, (0, BLOCKS - len(values))) for values in (inner, hidden)]
        rows.append([embed, len(inner), *np.concatenate(padded), macs, params])
    frame = pd.DataFrame(rows)
    return frame.rename(columns={frame.columns[-2]: "macs", frame.columns[-1]: "params"})


def _close(sizes: np.ndarray) -> np.ndarray:
    """Which pairs are of about the same size."""
    differences = np.abs(sizes[:, None] - sizes[None, :])
    return np.asarray(differences <= BAND * np.maximum(sizes[:, None], sizes[None, :]))


if __name__ == "__main__":
    main()
