"""A whole study that names the class of every pixel: each stage, as for any task."""

from __future__ import annotations

from pathlib import Path

from annotated_sets import mask_set

from nas.studies.run.results import BASE, EXTRACT, FINALISTS, RETRAIN
from nas.studies.study import Study

STUDY = """
space:
  model: vit_tiny_patch16_224
  model_args: {{patch_size: 4, embed_dim: 16, depth: 2, num_heads: 2}}
  choices: {{heads: {{size: [1, 2], per: block}}, mlp: {{size: [0.25, 0.5, 1.0], per: block}}}}
task: {{use: segmentation, channels: 8, stages: [2, 3]}}
strategy: {{use: evolution, population: 3, sample: 2, trials: 4}}
data: {{path: {path}, image_size: [16, 24], validation: 0.25}}
limit: {{body_macs: 70%}}
finalists: 2
base: {{epochs: 12, lr: 1e-2, batch: 4, warmup: 0}}
supernet: {{epochs: 1, rule: sandwich, lr: 1e-3, batch: 4, warmup: 0}}
retrain: {{epochs: 2, lr: 1e-3, batch: 4, warmup: 0, loss: adjoined, small_ce: true}}
baseline: 2
latency: {{batches: [1], seconds: 0.01}}
threads: 1
"""


def test_every_stage_names_pixels(tmp_path: Path) -> None:
    root = mask_set(tmp_path / "set", count=12)
    record = Study.from_yaml(STUDY.format(path=root), folder=tmp_path / "run").run(quiet=True)
    history = record.result(BASE).history
    assert history[-1].loss < 0.8 * history[0].loss
    assert list(history[-1].metrics) == ["mean_iou", "pixel_accuracy", "loss"]
    assert record.result(FINALISTS).rounds
    extracted = record.result(EXTRACT).roles["winner"]
    assert extracted.difference == 0
    rows = {row.model: row.test for row in record.result(RETRAIN).rows}
    assert set(rows["winner, retrained"]) == {"mean_iou", "pixel_accuracy", "loss"}
    assert rows["base"]["pixel_accuracy"] > 0.7
