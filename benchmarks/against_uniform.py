"""How winners differ from uniform's, both retrained alike: from the committed tables, paired by seed.

    python -m benchmarks.against_uniform

A row is a method under a limit. Its difference is in points of test accuracy, with an interval of 95 % (Student's t
over seeds); one seed has none. The intervals are each for itself: of eighty, four leave 0 out by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from benchmarks.tables import RESULTS, paired

UNIFORM = "uniform"
SUBJECTS: Mapping[str, str] = {
    "methods-vit": "Fashion-MNIST, ViT",
    "methods-swin": "Fashion-MNIST, Swin",
    "methods-cifar10": "CIFAR-10, ViT",
    "methods-cifar10_wide": "CIFAR-10, wide ViT",
}
STUDIES: Mapping[str, str] = {"digits": "digits, ViT", "fashion_mnist": "Fashion-MNIST, ViT, 14 pixels"}
HALF = 50
"""The limit of the studies and presets, in per cent of the MACs."""


def main() -> None:
    table = pd.DataFrame([*_of_methods(), *_of_presets(), *_of_studies()])
    table.to_csv(RESULTS / "against_uniform.csv", index=False)
    print(table.drop(columns="commit").to_string(index=False))


def _of_methods() -> Iterator[dict[str, Any]]:
    """Of `benchmarks.methods`, where uniform was among them."""
    for name, subject in SUBJECTS.items():
        for limit, rows in pd.read_csv(RESULTS / f"{name}.csv").groupby("limit"):
            yield from _differences(rows.rename(columns={"method": "search"}), subject, int(str(limit)))


def _of_presets() -> Iterator[dict[str, Any]]:
    rows = pd.read_csv(RESULTS / "presets.csv")
    retrained = rows[rows["model"] == "winner, retrained"].rename(columns={"study": "search"})
    yield from _differences(retrained, "Fashion-MNIST, ViT, presets", HALF)


def _of_studies() -> Iterator[dict[str, Any]]:
    for name, subject in STUDIES.items():
        rows = pd.read_csv(RESULTS / f"{name}.csv")
        retrained = rows[rows["model"].isin(["winner, retrained", f"{UNIFORM}, retrained"])]
        yield from _differences(retrained.rename(columns={"strategy": "search"}), subject, HALF)


def _differences(rows: pd.DataFrame, subject: str, limit: int) -> Iterator[dict[str, Any]]:
    """A row for each search but uniform and what was never cut."""
    accuracy = rows.pivot_table(index="seed", columns="search", values="test_accuracy")
    if UNIFORM not in accuracy:
        return
    for search in accuracy.columns.drop(UNIFORM):
        if not search.startswith("base"):
            difference = paired(100 * accuracy[search], 100 * accuracy[UNIFORM])
            commits = ", ".join(sorted(set(rows[rows["search"].isin([search, UNIFORM])]["commit"])))
            yield {"subject": subject, "limit": limit, "search": search, **difference, "commit": commits}


if __name__ == "__main__":
    main()
