"""Which classes of Hugging Face's transformers become supernets: all proofs of `nas check`, on small configurations.

    python -m benchmarks.hugging_face [CLASS ...]

Needs transformers, which the project does not. Each class is tried in a process of its own, within bounds; a row for it
in `studies/results/hugging_face.csv`, and what is there is not tried again.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from torch import nn

from benchmarks.tables import RESULTS, Rows
from nas.errors import NasError
from nas.supernets.derived.checking import check
from nas.supernets.derived.program import capture
from nas.supernets.derived.sources import HUGGING_FACE, built_by, image_of
from nas.system.bounded import bounded
from nas.system.environment import commit

SECONDS, GIBIBYTES = 900.0, 8.0
PLAIN: Mapping[str, Any] = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40, "image_size": 32,
    "patch_size": 8,
}  # fmt: skip
WINDOWS: Mapping[str, Any] = {
    "image_size": 32, "patch_size": 2, "embed_dim": 12, "depths": [1, 1], "num_heads": [2, 3], "window_size": 4,
}  # fmt: skip
PYRAMID: Mapping[str, Any] = {
    "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 3, 4], "image_size": 64,
}  # fmt: skip
CLASSES: Mapping[str, Mapping[str, Any]] = {
    "BeitForImageClassification": PLAIN,
    "BitForImageClassification": {"embedding_size": 32, "hidden_sizes": [128, 256], "depths": [1, 1], "image_size": 64},
    "CLIPVisionModel": PLAIN,
    "ConvNextForImageClassification": {"hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1], "image_size": 32},
    "ConvNextV2ForImageClassification": {"hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1], "image_size": 32},
    "CvtForImageClassification": {
        "embed_dim": [8, 12, 16], "num_heads": [1, 2, 2], "depth": [1, 2, 3], "image_size": 64,
    },
    "DINOv3ConvNextModel": {"hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1], "image_size": 32},
    "DINOv3ViTModel": PLAIN,
    "Data2VecVisionForImageClassification": PLAIN,
    "DeiTForImageClassification": PLAIN,
    "Dinov2ForImageClassification": {**PLAIN, "mlp_ratio": 2},
    "Dinov2WithRegistersForImageClassification": {**PLAIN, "mlp_ratio": 2},
    "FocalNetForImageClassification": {"embed_dim": 8, "depths": [1, 1, 1, 1], "image_size": 64},
    "HieraForImageClassification": {"embed_dim": 8, "depths": [1, 1, 1, 1], "image_size": [64, 64]},
    "IJepaForImageClassification": PLAIN,
    "LevitForImageClassification": {
        "hidden_sizes": [16, 24], "num_attention_heads": [2, 3], "depths": [1, 1], "key_dim": [8, 8],
        "mlp_ratio": [2, 2], "attention_ratio": [2, 2], "down_ops": [["Subsample", 8, 2, 4, 2, 2], [""]],
        "image_size": 64,
    },
    "MobileViTForImageClassification": {
        "hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 16, 16, 24, 32, 64], "image_size": 64,
    },
    "MobileViTV2ForImageClassification": {"width_multiplier": 0.25, "image_size": 64},
    "PoolFormerForImageClassification": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "image_size": 64},
    "PvtForImageClassification": PYRAMID,
    "PvtV2ForImageClassification": PYRAMID,
    "RegNetForImageClassification": {
        "embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 1], "groups_width": 8,
    },
    "ResNetForImageClassification": {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 1]},
    "SegformerForImageClassification": {**PYRAMID, "decoder_hidden_size": 16},
    "Siglip2VisionModel": PLAIN,
    "SiglipVisionModel": PLAIN,
    "SwiftFormerForImageClassification": {
        "depths": [1, 1, 1, 1], "embed_dims": [8, 16, 24, 32], "image_size": 64,
    },
    "SwinForImageClassification": WINDOWS,
    "Swinv2ForImageClassification": WINDOWS,
    "ViTForImageClassification": PLAIN,
    "ViTMAEModel": PLAIN,
    "ViTMSNForImageClassification": PLAIN,
}  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)  # what is forked must have no threads
    capture(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), (3, 2, 2))  # what is imported now, no fork imports
    rows, at = Rows(RESULTS / "hugging_face.csv", ["class"]), commit()
    for name in sys.argv[1:] or CLASSES:
        if not rows.has(**{"class": name}):
            row = {"class": name, "verdict": "", "kinds": "", "axes": 0, "reason": "", **_row(name)}
            rows.append({**row, "transformers": transformers.__version__, "commit": at})
            print(row, flush=True)


def _row(name: str) -> Mapping[str, Any]:
    try:
        said = bounded(tried, name, seconds=SECONDS, gibibytes=GIBIBYTES, task=name, method="fork")
    except NasError as refused:
        return {"verdict": "refused", "reason": str(refused)}
    row: dict[str, Any] = json.loads(said)
    return row


def tried(name: str) -> str:
    """In a process of its own: a row as JSON."""
    start = time.process_time()
    try:
        arguments = dict(CLASSES[name])
        model = built_by(f"{HUGGING_FACE}{name}", arguments)
        proofs = list(check(model, image_of(model, arguments), at_once=True))
    except NasError:
        raise
    except Exception:
        traceback.print_exc()  # of transformers, torch or ours: to be looked at
        raise
    wrong = [f"{p.kind}: {proof} {what}" for p in proofs for proof, what in p.found.items() if what not in ("", "-")]
    return json.dumps({
        "verdict": "wrong" if wrong else "holds",
        "kinds": " ".join(proof.kind for proof in proofs),
        "axes": sum(proof.axes for proof in proofs),
        "reason": "; ".join(wrong),
        "seconds": round(time.process_time() - start, 1),
    })  # fmt: skip


if __name__ == "__main__":
    main()
