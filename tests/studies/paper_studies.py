"""The studies of the papers, and how each is shrunk to seconds: generated images, a small model, one epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from annotated_sets import usual

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "studies" / "papers"
STUDIES = sorted(FOLDER.glob("*.yaml"))

VIT = "{img_size: 32, patch_size: 16, embed_dim: 32, depth: 2, num_heads: 4, drop_path_rate: 0.1}"
SWIN = "{img_size: 32, embed_dim: 16, depths: [1, 1], num_heads: [4, 8], window_size: 4, drop_path_rate: 0.1}"
T2T = "{embed_dim: 32, depth: 2, num_heads: 4, drop_path_rate: 0.1}"
TRAINED_GATES = ("epochs=1", "batch=16")
FEW_TOKENS = ("space.choices.queries.keep=[0.0, 0.5, 1.0]", "strategy.importance.images=16",
              "strategy.training.steps=2", "strategy.grow=2")  # fmt: skip

TINY = "channels: 8, candidates: 20, detections: 5, proposals: 10, samples: 8, anchor_samples: 16, box_width: 16"

SHRUNKEN: Mapping[str, Sequence[str]] = {
    "an_swin_base_imagenet": (f"space.model_args={SWIN}",),
    "dan_swin_base_imagenet100_to_imagenet": (f"space.model_args={SWIN}", "strategy.training.epochs=1"),
    "dan_t2t_14": (f"space.model_args={T2T}", "strategy.training.epochs=1"),
    "mcf_deit_small_imagenet": (f"space.model_args={VIT}", "strategy.importance.images=16",
                                "retrain.importance.images=16", "retrain.epochs=2"),
    "mcf_yolos_small_coco": (f"space.model_args={VIT}", "task.queries=5", "strategy.importance.images=8",
                             "retrain.importance.images=8", "retrain.epochs=2"),
    "patch_slimming_deit_base_imagenet": (f"space.model_args={VIT}", *FEW_TOKENS),
    "patch_slimming_deit_small_imagenet": (f"space.model_args={VIT}", *FEW_TOKENS),
    "patch_slimming_deit_tiny_imagenet": (f"space.model_args={VIT}", *FEW_TOKENS),
    "patch_slimming_t2t_14_imagenet": (f"space.model_args={T2T}", *FEW_TOKENS),
    "sidt_cascade_mask_rcnn_swin_tiny_coco": (
        f"space.model_args={SWIN}", "space.choices.head_dim.size.to=4",
        f"task={{use: detection, head: cascade_mask_rcnn, anchors: [4, 8], canonical: 8, {TINY}}}",
        *(f"strategy.importance.training.{text}" for text in TRAINED_GATES)),
    "sidt_deit_tiny_cifar100": (f"space.model_args={VIT}", "space.choices.head_dim.size.to=8",
                                *(f"strategy.importance.training.{text}" for text in TRAINED_GATES)),
    "sidt_swin_tiny_cifar100": (f"space.model_args={SWIN}", "space.choices.head_dim.size.to=4",
                                *(f"strategy.importance.training.{text}" for text in TRAINED_GATES)),
    "vtp_deit_base_imagenet": (f"space.model_args={VIT}",
                               *(f"strategy.importance.training.{text}" for text in TRAINED_GATES)),
    "vtp_svd_vit_cifar10": ("space.model_args.embed_dim=32", "space.model_args.depth=2", "space.model_args.num_heads=4",
                            "space.model_args.patch_size=16",
                            *(f"strategy.importance.0.training.{text}" for text in TRAINED_GATES)),
}  # fmt: skip


def shrunken(name: str, folder: Path) -> list[str]:
    """Settings that make a study short; its images are written into a folder."""
    path = usual(folder / "coco") if "coco" in name else images(folder)
    return [
        *SHRUNKEN[name],
        f"data={{path: {path}, validation: 0.25, image_size: 32}}",
        "base={epochs: 1, batch: 16}",
        *([] if name.startswith("mcf") else ["retrain.epochs=1"]),
        "retrain.batch=16",
        "latency={batches: [1], seconds: 0.001}",
        "threads=1",
    ]


def images(folder: Path) -> Path:
    """40 images of 4 colours, which are their classes, half as many of them again for the test."""
    path = folder / "images.npz"
    rng = np.random.default_rng(0)
    labels = {"train": np.arange(40) % 4, "test": np.arange(20) % 4}
    arrays = {}
    for split, of in labels.items():
        noise = rng.integers(0, 60, (len(of), 32, 32, 3))
        arrays |= {f"{split}_images": (noise + 45 * of[:, None, None, None]).astype(np.uint8), f"{split}_labels": of}
    np.savez(path, **arrays)
    return path
