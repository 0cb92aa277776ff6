"""Which of timm's transformers and hybrids become supernets: by hand-written tables, derived, or not, and why.

    python -m benchmarks.coverage [MODULE ...]

Each is tried by itself, within bounds: a shrunken instance (two blocks, or one a stage; few heads; half the side of
large images; where its class can be told so) of random values goes through `nas check`, all kinds of axes at once.
Names whose shrunken instances are alike, such as those of one model in several sizes, are tried once: `tried` says by
which name. A row per name in `nas/supernets/timm_names.csv`, which `nas models` shows; what is there is not tried
again. First comes the smallest name of each module, so that an unfinished table says most.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from unittest.mock import patch

import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.tables import Rows
from nas.errors import ModelError, NasError
from nas.supernets import timm_names
from nas.supernets.derived.proof import PROOFS
from nas.supernets.derived.sources import image_of
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
CLASSES = 10
SIDE = 256
"""Pixels of an image's side above which half of it is tried."""
HEADS = 4
BRIEFLY = ("order", "costs", "gradients")
"""Proofs of all names but the first of each module, which goes through all of them."""


def main() -> None:
    torch.set_num_threads(1)  # what is forked must have no threads
    weights = Counter(name.partition(".")[0] for name in timm.list_pretrained())
    rows = Rows(timm_names.FILE, ["model"])
    for module, name in names(sys.argv[1:] or MODULES):
        if not rows.has(model=name):
            row = {"model": name, "module": module, **dict.fromkeys(timm_names.FOUND, ""), "weights": weights[name]}
            rows.append({**row, **_row(name, module, rows), "commit": commit()})
            print(rows.frame.iloc[-1].to_dict(), flush=True)


def _row(name: str, module: str, rows: Rows) -> Mapping[str, Any]:
    """What is known of a name: of its definition, and of another name with the same one, or of itself."""
    try:
        known = json.loads(bounded(defined, name, seconds=SECONDS, gibibytes=GIBIBYTES, task=name, method="fork"))
    except NasError as refused:
        return {"by": "refused", "reason": str(refused)}
    frame = rows.frame
    if "definition" in frame and (same := frame[frame["definition"] == known["definition"]]).size:
        others = same.iloc[0].fillna("")
        by = known["by"] if known["by"] == "hand" else others["by"]
        return {**known, **{key: others[key] for key in ("kinds", "axes", "wrong", "reason", "tried")}, "by": by}
    first = not frame.size or module not in set(frame["module"])
    arguments = name, json.dumps(known.pop("changes")), list(PROOFS if first else BRIEFLY)
    try:
        found = bounded(tried, *arguments, seconds=SECONDS, gibibytes=GIBIBYTES, task=name, method="fork")
    except NasError as refused:
        return {
            **known,
            "tried": name,
            "by": known["by"] if known["by"] == "hand" else "refused",
            "reason": str(refused),
        }
    return {**known, "tried": name, **json.loads(found)}


def names(modules: Any) -> Iterator[tuple[str, str]]:
    """Names of timm by module, the smallest of each module first, the others behind all of these."""
    known = {module: timm.list_models(module=module) for module in modules}
    first = {module: min(some, key=lambda name: (_order(name), name)) for module, some in known.items() if some}
    yield from first.items()
    yield from ((module, name) for module, some in known.items() for name in some if name != first[module])


def defined(name: str) -> str:
    """In a process of its own: what is known of a name without values, as JSON."""
    from nas.supernets.families import family_of
    from nas.supernets.timm_models import outlined

    model = outlined(name, {})
    try:
        family_of(model)
        by = "hand"
    except ModelError:
        by = "derived"
    changes = _shrinking(name, model)
    small = _built(name, changes, "meta")
    shapes = [(key, tuple(tensor.shape)) for key, tensor in small.state_dict().items()]
    text = repr((small, shapes, image_of(small, changes)))
    return json.dumps({
        "by": by,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "macs": _macs(model, image_of(model, {})),
        "definition": hashlib.sha256(text.encode()).hexdigest()[:12],
        "changes": changes,
    })  # fmt: skip


def tried(name: str, changes: str, proofs: list[str]) -> str:
    """In a process of its own: what is found of one model, as JSON."""
    from nas.supernets.derived.checking import check, costs_without_values

    start, own = time.process_time(), json.loads(changes)
    model = _built(name, own, "meta")
    image = image_of(model, own)
    if sum(parameter.numel() for parameter in model.parameters()) > LARGE:
        verdicts = costs_without_values(model, image)
    else:
        verdicts = list(check(_built(name, own, "cpu"), image, proofs=proofs, at_once=True))
    wrong = [f"{v.kind}: {proof} {what}" for v in verdicts for proof, what in v.found.items() if what not in ("", "-")]
    found = {
        "kinds": " ".join(verdict.kind for verdict in verdicts),
        "axes": sum(verdict.axes for verdict in verdicts),
        "wrong": "; ".join(wrong),
    }
    return json.dumps({**found, "seconds": round(time.process_time() - start, 1)})


def _built(name: str, changes: Mapping[str, Any], device: str) -> nn.Module:
    """A timm model, whose class is told other sizes than its function would tell it."""
    with torch.device("meta"):
        cls = type(timm.create_model(name, num_classes=CLASSES))
    original: Any = cls.__init__

    def changed(self: nn.Module, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **{**keywords, **changes})

    with torch.device(device), patch.object(cls, "__init__", changed):
        return timm.create_model(name, num_classes=CLASSES)


def _told(name: str, model: nn.Module) -> dict[str, Any]:
    """What the function of a name tells the class."""
    told: dict[str, Any] = {}
    original: Any = type(model).__init__

    def recorded(self: nn.Module, *arguments: Any, **keywords: Any) -> None:
        told.update(keywords)
        original(self, *arguments, **keywords)

    with torch.device("meta"), patch.object(type(model), "__init__", recorded):
        timm.create_model(name, num_classes=CLASSES)
    return told


def _macs(model: nn.Module, image: tuple[int, int, int]) -> int | None:
    """Multiply-accumulates of one image; none where the forward needs values."""
    try:
        with torch.no_grad(), torch.device("meta"), FlopCounterMode(display=False) as counter:
            model.eval().requires_grad_(False)(torch.empty(1, *image))
    except Exception:  # whatever a forward does without values
        return None
    return int(counter.get_total_flops() // 2)


def _shrinking(name: str, model: nn.Module) -> dict[str, Any]:
    """What a class is told otherwise for a small instance, as far as it can be, and its forward runs."""
    told, side, changes = _told(name, model), image_of(model, {})[1], {}
    wishes: list[dict[str, Any]] = []
    for key in ("depth", "depths", "layers"):
        if isinstance(told.get(key), int):
            wishes.append({key: 2})
        elif isinstance(told.get(key), list | tuple) and all(isinstance(number, int) for number in told[key]):
            wishes.append({key: (1,) * len(told[key])})
    width, heads = told.get("embed_dim"), told.get("num_heads")
    if isinstance(width, int) and isinstance(heads, int) and heads > HEADS:
        wishes.append({"embed_dim": HEADS * (width // heads), "num_heads": HEADS})
    if side > SIDE:
        wishes.append({"img_size": side // 2})
    for wish in wishes:
        if _runs(name, {**changes, **wish}):
            changes |= wish
    return changes


def _runs(name: str, changes: Mapping[str, Any]) -> bool:
    try:
        model = _built(name, changes, "meta")
    except Exception:  # whatever a constructor does with sizes that its author did not think of
        return False
    return _macs(model, image_of(model, changes)) is not None


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
