"""Which of timm's transformers and hybrids become supernets: by hand-written tables, derived, or not, and why.

    python -m benchmarks.coverage [MODULE ...]

Each is tried by itself, within bounds: a shrunken instance (`benchmarks.shrinking`: few of the blocks that are alike,
few heads, half the side of large images) of random values goes through `nas check`, all kinds of axes at once.
Names whose shrunken instances are alike, such as those of one model in several sizes, are tried once: `tried` says by
which name. A row per name in `nas/supernets/timm_names.csv`, which `nas models` shows; what is there is not tried
again. First comes the smallest name of each module, so that an unfinished table says most.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import timm
import torch
from torch import nn

from benchmarks.shrinking import Instance, macs, shrunken
from benchmarks.tables import Rows
from nas.errors import ModelError, NasError
from nas.supernets import timm_names
from nas.supernets.derived.checking import check, costs_without_values
from nas.supernets.derived.program import capture
from nas.supernets.derived.proof import PROOFS
from nas.supernets.derived.sources import image_of
from nas.supernets.families import family_of
from nas.supernets.timm_models import outlined
from nas.system.bounded import bounded
from nas.system.environment import commit

MODULES = [
    "vision_transformer",
    "eva",
    "maxxvit",
    "xcit",
    "convnext",
    "mlp_mixer",
    "deit",
    "levit",
    "metaformer",
    "beit",
    "vision_transformer_hybrid",
    "mobilevit",
    "swin_transformer",
    "swin_transformer_v2",
    "swin_transformer_v2_cr",
    "naflexvit",
    "vision_transformer_relpos",
    "vitamin",
    "fastvit",
    "volo",
    "focalnet",
    "crossvit",
    "mambaout",
    "cait",
    "qwen3_vit",
    "iformer",
    "nest",
    "coat",
    "davit",
    "efficientvim",
    "hiera",
    "lowformer",
    "mvitv2",
    "pit",
    "repvit",
    "efficientvit_mit",
    "pvt_v2",
    "efficientvit_msra",
    "twins",
    "edgenext",
    "gcvit",
    "hieradet_sam2",
    "tiny_vit",
    "efficientformer_v2",
    "gemma4_vit",
    "inception_next",
    "shvit",
    "swiftformer",
    "vision_transformer_sam",
    "sequencer",
    "convit",
    "deepseek_vit",
    "efficientformer",
    "nextvit",
    "tnt",
    "visformer",
    "csatv2",
    "byoanet",
]
SECONDS, GIBIBYTES = 1200.0, 12.0
"""Most that one may take. On a busy machine a second of the clock is a part of one of the processor."""
LARGE = 150e6
"""Parameters above which no values are drawn: axes are derived, and costs compared, without them."""
BRIEFLY = ("order", "costs", "gradients")
"""Proofs of all names but the first of each module, which goes through all of them."""


def main() -> None:
    torch.set_num_threads(1)  # what is forked must have no threads
    capture(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), (3, 2, 2))  # what is imported now, no fork imports
    weights = Counter(name.partition(".")[0] for name in timm.list_pretrained())
    rows, at = Rows(timm_names.FILE, ["model"]), commit()
    for module, name in names(sys.argv[1:] or MODULES, weights):
        if not rows.has(model=name):
            row = {"model": name, "module": module, **dict.fromkeys(timm_names.FOUND), "weights": weights[name]}
            rows.append({**row, **_row(name, module, rows), "commit": at})
            print(rows.frame.iloc[-1].to_dict(), flush=True)
    _count(rows)


def _count(rows: Rows) -> None:
    """Fill in the multiply-accumulates of all that were tried; they take as long as the rest of most names."""
    frame = rows.frame.convert_dtypes()
    frame["macs"] = frame["macs"].astype("Int64")
    for place, name in frame.loc[frame["macs"].isna() & frame["parameters"].notna(), "model"].items():
        with suppress(NasError):
            if said := _apart(name, counted, name):
                frame.loc[place, "macs"] = int(said)  # type: ignore[call-overload]
                frame.to_csv(rows.path, index=False)


def counted(name: str) -> str:
    """In a process of its own: multiply-accumulates of a model's whole forward, empty where it needs values."""
    whole = outlined(name, {})
    return str(macs(whole, image_of(whole, {})) or "")


def _row(name: str, module: str, rows: Rows) -> Mapping[str, Any]:
    """What is known of a name: of its definition, and of another name with the same one, or of itself."""
    frame = rows.frame
    known = frozenset(frame["definition"].dropna()) if frame.size else frozenset()
    proofs = BRIEFLY if frame.size and module in set(frame["module"]) else PROOFS
    try:
        found = _apart(name, tried, name, known, proofs)
    except NasError as refused:
        return {"by": "refused", "tried": name, "reason": str(refused)}
    row: dict[str, Any] = json.loads(found)
    if row["definition"] not in known:
        return {**row, "tried": name}
    others = frame[frame["definition"] == row["definition"]].iloc[0].fillna("")
    by = row["by"] if row["by"] == "hand" else others["by"]
    return {**row, **{key: others[key] for key in ("kinds", "axes", "wrong", "reason", "tried")}, "by": by}


def _apart(name: str, work: Callable[..., str], *arguments: object) -> str:
    return bounded(work, *arguments, seconds=SECONDS, gibibytes=GIBIBYTES, task=name, method="fork")


def names(modules: Sequence[str], weights: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Names of timm by module, the smallest of each module first; of the others first those with most weights."""
    known = {module: timm.list_models(module=module) for module in modules}
    first = {module: min(some, key=lambda name: (_order(name), name)) for module, some in known.items() if some}
    yield from first.items()
    others = [(module, name) for module, some in known.items() for name in some if name != first[module]]
    yield from sorted(others, key=lambda other: -weights[other[1]])


def tried(name: str, known: frozenset[str], proofs: Sequence[str]) -> str:
    """In a process of its own: what there is to say of a name, as JSON. A small instance of it is tried, but for one
    whose definition is known.
    """
    whole = outlined(name, {})
    instance = shrunken(name, whole)
    small = instance.build("meta")
    shapes = [(key, tuple(tensor.shape)) for key, tensor in small.state_dict().items()]
    definition = hashlib.sha256(repr((small, shapes, instance.image(small))).encode()).hexdigest()[:12]
    said = {
        "by": "hand" if _by_hand(whole) else "derived",
        "parameters": sum(parameter.numel() for parameter in whole.parameters()),
        "definition": definition,
    }
    if definition in known:
        return json.dumps(said)
    try:
        return json.dumps({**said, **_found(instance, small, proofs)})
    except NasError as refused:
        reason = str(refused)
    except Exception as fault:  # of a model, of its library or of ours, which no rule foresaw
        traceback.print_exc()
        reason = f"{type(fault).__name__}: {(str(fault).strip().splitlines() or [''])[0][:300]}"
    return json.dumps({**said, "by": said["by"] if said["by"] == "hand" else "refused", "reason": reason})


def _by_hand(model: nn.Module) -> bool:
    try:
        family_of(model)
    except ModelError:
        return False
    return True


def _found(instance: Instance, small: nn.Module, proofs: Sequence[str]) -> dict[str, Any]:
    """What is found of one instance; `small` is it without values."""
    start, image = time.process_time(), instance.image(small)
    if sum(parameter.numel() for parameter in small.parameters()) > LARGE:
        verdicts = costs_without_values(small, image)
    else:
        verdicts = list(check(instance.build("cpu"), image, proofs=proofs, at_once=True))
    wrong = [f"{v.kind}: {proof} {what}" for v in verdicts for proof, what in v.found.items() if what not in ("", "-")]
    return {
        "kinds": " ".join(verdict.kind for verdict in verdicts),
        "axes": sum(verdict.axes for verdict in verdicts),
        "wrong": "; ".join(wrong),
        "seconds": round(time.process_time() - start, 1),
    }


def _order(name: str) -> int:
    """Small models have small words in their names."""
    small = (
        "nano",
        "pico",
        "femto",
        "atto",
        "xxtiny",
        "xxs",
        "zepto",
        "tiny",
        "_t0",
        "_xs",
        "_s0",
        "_s",
        "_b0",
        "small",
    )
    return next((place for place, word in enumerate(small) if word in name), len(small))


if __name__ == "__main__":
    main()
