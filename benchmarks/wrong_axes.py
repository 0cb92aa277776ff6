"""How many wrong axes the proofs notice: a parameter left out of its group, one in another group, neighbours that are
taken for one axis, one axis taken for two, two that have nothing to do with each other taken for one
(`nas.testing.wrong_axes`). All of some small models are tried, but for tensors of which no order matters.

    python -m benchmarks.wrong_axes

A row per model and kind in `studies/results/wrong_axes.csv`; what was not noticed stands there by name.
"""

from __future__ import annotations

import time
from typing import Any

import timm
import torch

from benchmarks.tables import RESULTS, Rows
from nas.supernets.derived.checking import randomise_all
from nas.supernets.derived.deriving import derive
from nas.supernets.derived.permutation import CLOSE, furthest
from nas.supernets.derived.ties import untied
from nas.system.environment import commit
from nas.testing.wrong_axes import idle, noticed, wrong_axes

MODELS: dict[str, dict[str, Any]] = {
    "eva02_tiny_patch14_224": {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3},
    "convnext_atto": {"depths": (1, 1, 1, 1), "dims": (8, 12, 16, 20)},
    "swinv2_tiny_window8_256": {
        "img_size": 32, "window_size": 4, "embed_dim": 24, "depths": (1, 1), "num_heads": (3, 6),
    },
    "vit_tiny_patch16_224": {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3},
    "levit_128s": {"img_size": 64, "embed_dim": (16, 24), "depth": (1, 1), "num_heads": (2, 3), "key_dim": 8},
    "xcit_nano_12_p16_224": {"img_size": 32, "embed_dim": 24, "depth": 2, "num_heads": 3},
}  # fmt: skip
SIDES = {"levit_128s": 64}


def main() -> None:
    torch.set_num_threads(1)
    at, rows = commit(), Rows(RESULTS / "wrong_axes.csv", ["model", "kind"])
    for name, sizes in MODELS.items():
        for row in tried(name, sizes):
            if not rows.has(model=name, kind=row["kind"]):
                rows.append({**row, "commit": at})
                print(row, flush=True)


def tried(name: str, sizes: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each kind of wrong axes."""
    model = timm.create_model(name, num_classes=5, **sizes).double().eval()
    randomise_all(model)
    image = (3, SIDES.get(name, 32), SIDES.get(name, 32))
    images = torch.randn(2, *image, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    right, start = derive(model, image), time.process_time()
    assert furthest(model, images, right, list(right.axes)) < CLOSE, name
    assert not untied(model, images, right, right.axes), name
    found: dict[str, list[tuple[str, bool]]] = {}
    none = idle(model, images)
    for wrong in (wrong for wrong in wrong_axes(right) if wrong.parameter not in none):
        found.setdefault(wrong.kind, []).append((wrong.what, noticed(wrong, model, images)))
    seconds = (time.process_time() - start) / sum(map(len, found.values()))
    return [
        {
            "model": name,
            "kind": kind,
            "tries": len(tries),
            "noticed": sum(seen for _, seen in tries),
            "missed": "; ".join(what for what, seen in tries if not seen),
            "seconds_each": round(seconds, 3),
        }
        for kind, tries in found.items()
    ]


if __name__ == "__main__":
    main()
