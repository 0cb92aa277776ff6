"""Which of timm's transformers and hybrids become supernets: by hand-written tables, derived, or not, and why.

    python -m benchmarks.coverage [MODULE ...]

Each is tried by itself, within bounds: a shrunken instance (two blocks, or one a stage, where its class can be told so)
of random values goes through `nas check`. A row per name in `studies/results/coverage.csv`; what is there is not tried
again. First comes the smallest name of each module, so that an unfinished table says most.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.tables import RESULTS, Rows
from nas.errors import ModelError, NasError
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
SECONDS, GIBIBYTES = 240.0, 12.0
LARGE = 150e6
"""Parameters above which values are not drawn: only axes are derived."""
CLASSES = 10
COLUMNS = ("by", "kinds", "axes", "wrong", "reason", "seconds")


def main() -> None:
    rows = Rows(RESULTS / "coverage.csv", ["model"])
    for module, name in names(sys.argv[1:] or MODULES):
        if rows.has(model=name):
            continue
        try:
            found = json.loads(bounded(tried, name, seconds=SECONDS, gibibytes=GIBIBYTES, task=name))
        except NasError as refused:
            found = {"by": "refused", "reason": str(refused)}
        row = {
            "model": name,
            "module": module,
            "by": "",
            "kinds": "",
            "axes": 0,
            "wrong": "",
            "reason": "",
            "seconds": 0,
        }
        rows.append({**row, **found, "commit": commit()})
        print({**row, **found}, flush=True)


def names(modules: Any) -> Iterator[tuple[str, str]]:
    """Names of timm by module, the smallest of each module first, the others behind all of these."""
    import timm

    known = {module: timm.list_models(module=module) for module in modules}
    first = {module: min(some, key=lambda name: (_order(name), name)) for module, some in known.items() if some}
    yield from first.items()
    yield from ((module, name) for module, some in known.items() for name in some if name != first[module])


def tried(name: str) -> str:
    """In a process of its own: what is found of one model, as JSON."""
    import torch

    from nas.supernets.derived.checking import check
    from nas.supernets.derived.deriving import derive
    from nas.supernets.derived.sources import built_by, image_of
    from nas.supernets.families import family_of
    from nas.supernets.timm_models import outlined

    torch.set_num_threads(1)
    start, by = time.process_time(), "derived"
    try:
        family_of(outlined(name, {"num_classes": CLASSES}))
        by = "hand"
    except ModelError:
        pass
    arguments = _shrunken(f"timm/{name}")
    with torch.device("meta"):
        model = built_by(f"timm/{name}", arguments)
    image = image_of(model, arguments)
    if sum(parameter.numel() for parameter in model.parameters()) > LARGE:
        derivation = derive(model, image)
        kinds, wrong, axes = (
            sorted({a.partition(".")[0] for a in derivation.axes}),
            "not tried: too large",
            len(derivation.axes),
        )
    else:
        proofs = list(check(built_by(f"timm/{name}", arguments), image))
        kinds, axes = [proof.kind for proof in proofs], sum(proof.axes for proof in proofs)
        wrong = "; ".join(
            f"{p.kind}: {w} {what}" for p in proofs for w, what in p.found.items() if what not in ("", "-")
        )
    found: Mapping[str, Any] = {"by": by, "kinds": " ".join(kinds), "axes": axes, "wrong": wrong}
    return json.dumps({**found, "seconds": round(time.process_time() - start, 1)})


def _shrunken(name: str) -> dict[str, Any]:
    """Arguments of a small instance, if its class knows how to be told."""
    import torch

    from nas.supernets.derived.blocks import blocks_of
    from nas.supernets.derived.sources import built_by

    plain = {"num_classes": CLASSES}
    with torch.device("meta"):
        stages = len({index.partition(".")[0] for index in blocks_of(built_by(name, plain))})
        for shrinking in ({"depth": 2}, {"depths": (1,) * stages}, {"depths": (1,) * 4}, {}):
            try:
                built_by(name, {**plain, **shrinking})
            except Exception:  # whatever a class does with depths that are not its own
                continue
            return {**plain, **shrinking}
    return plain


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
