"""How much of a model its attention and its feed-forward networks are: table 1 of MCF, of any of timm's models that can
become a supernet.

    python -m benchmarks.ffn_shares [deit_base_patch16_224 swin_base_patch4_window7_224 ...]

MACs and parameters of all blocks together, from the axis table, without weights. The paper's 29.9 M of DeiT-B's
attention are all that is not feed-forward: patches, norms and classifier as well, which are `rest` here.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import pandas as pd
import torch

from nas.axes import AxisTable, Entry
from nas.supernets import build
from nas.supernets.families import family_of

MODELS = ("deit_base_patch16_224", "swin_base_patch4_window7_224")


def shares(name: str) -> list[dict[str, Any]]:
    """Rows of attention, feed_forward and rest: MACs and parameters, and their shares of the whole model."""
    with torch.device("meta"):
        model = build(name, {})
    family = family_of(model)
    table, layers = family.table(model), family.feed_forward(model)
    macs = dict.fromkeys(("attention", "feed_forward", "rest"), 0)
    params = dict(macs)
    for entry in table.entries.values():
        part = _part(entry, table, layers)
        size = math.prod(table.frame.full(atom) for atom in entry.atoms)
        params[part] += size
        macs[part] += size * table.frame.full(entry.at) if entry.at else 0
    # Queries times keys, and attention times values.
    for product in table.products:
        macs["attention"] += product.factor * math.prod(table.frame.full(atom) for atom in product.atoms)
    whole = sum(macs.values()), sum(params.values())
    return [
        {"model": name, "part": part, "macs": macs[part], "macs_share": round(macs[part] / whole[0], 4),
         "params": params[part], "params_share": round(params[part] / whole[1], 4)}
        for part in macs
    ]  # fmt: skip


def _part(entry: Entry, table: AxisTable, layers: tuple[str, ...]) -> str:
    inside = entry.owner.removeprefix(f"{table.frame.blocks[entry.block]}.") if entry.block else ""
    if inside in layers:
        return "feed_forward"
    return "attention" if inside.startswith("attn.") else "rest"


def main() -> None:
    rows = [row for name in sys.argv[1:] or MODELS for row in shares(name)]
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
