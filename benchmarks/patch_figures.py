"""Figures 3, 6 and 7 of Patch Slimming (arXiv 2106.02852), of the base model of a run.

    python -m benchmarks.patch_figures runs/sidt_deit_tiny_cifar100 [--blocks 2 6 10] [--images 256] [--to DIR]

similarity.csv   mean cosine between two patches after each block (figure 3)
one_layer.csv    test accuracy where a single block computes a part of its tokens, the rest of the model as it was, no
                 retraining: by impact in every block (figure 6), by each measure in `--blocks` (figure 7), which are
                 counted from 0: the paper's layers 3, 7 and 11
Both are drawn beside, as SVG. The model must classify by a class token.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas import Study
from nas.data import Split
from nas.evaluation import evaluate
from nas.evaluation.evaluate import evaluating
from nas.importance._recording import calibration, outputs_recorded
from nas.importance.patch_impact import PatchImpact
from nas.searchspaces import SearchSpace
from nas.studies.report.plots import axes_of, in_style, svg
from nas.studies.stages.workshop import Workshop
from nas.supernets import Supernet
from nas.system.environment import commit
from nas.tasks import Task
from nas.training.workplace import Workplace

Measure = Literal["impact", "attention", "random"]
MEASURES: tuple[Measure, ...] = ("impact", "attention", "random")
RATES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of the patches of a block that are not computed."""


@torch.no_grad()
def similarity(net: Supernet, work: Workplace, images: int, batch: int = 64) -> dict[str, float]:
    """Block -> mean cosine between the features of two different patches after it, over pairs and images."""
    blocks = {net.model.get_submodule(path): index for index, path in net.table.frame.blocks.items()}
    prefix, device = net.family.readout(net.model).prefix, next(net.model.parameters()).device
    sums, seen = dict.fromkeys(blocks.values(), 0.0), 0
    with evaluating(net.model):
        for pictures in calibration(work, images, batch):
            with outputs_recorded(blocks) as outputs:
                net.model(pictures.to(device))
            seen += len(pictures)
            for block, features in outputs.items():
                sums[blocks[block]] += float(mean_cosine(features[:, prefix:]).sum())
    return {index: total / seen for index, total in sums.items()}


def mean_cosine(features: Tensor) -> Tensor:
    """Of each image, over all pairs of different patches: features (B x N x C), result (B)."""
    directions, patches = functional.normalize(features, dim=-1), features.shape[1]
    # The squared length of their sum is the sum over all pairs, and of each with itself, which is 1.
    return (directions.sum(1).square().sum(-1) - patches) / (patches * (patches - 1))


def kept(scores: Tensor, rate: float, anchors: int) -> tuple[int, ...]:
    """Positions that are computed, ascending: the first `anchors`, and the best of the others but for a share."""
    others = scores[anchors:]
    best = others.topk(math.ceil(round((1 - rate) * len(others), 6))).indices + anchors
    return (*range(anchors), *sorted(best.tolist()))


def one_layer(
    net: Supernet, work: Workplace, split: Split, task: Task, impact: PatchImpact, blocks: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Rows of the accuracy at each rate, one block at a time; the model is as it was afterwards."""
    model, frame, metric = net.model, net.table.frame, task.metrics[0].name
    anchors, device = net.family.readout(model).anchors, next(model.parameters()).device
    impacts = impact.impacts(net, work, {list(frame.blocks)[-1]: range(anchors)})
    for block in blocks:
        path, scores = frame.blocks[block], impacts[block].mean(0)
        whole = model.get_submodule(path)
        for rate in (0.0, *RATES):
            computed = kept(scores, rate, anchors)
            try:
                if rate:
                    model.set_submodule(path, net.family.partial(whole, computed, device))
                accuracy = evaluate(model, split, task, device=device).metrics[metric]
            finally:
                model.set_submodule(path, whole)
            yield {
                "block": int(block),
                "measure": impact.measure,
                "rate": rate,
                "computed": len(computed),
                metric: accuracy,
            }


def net_of(model: nn.Module, name: str, args: dict[str, Any]) -> Supernet:
    """The model as a supernet that chooses how many tokens its blocks compute."""
    choices = "choices: {queries: {keep: [0.5, 1.0], per: block}}"
    return Supernet(model, SearchSpace.from_yaml(f"{{model: {name}, {choices}}}", model_args=args)).eval()


@in_style
def curves(table: pd.DataFrame, metric: str) -> str:
    """A panel for each measure, a line for each of its blocks."""
    measures = list(dict.fromkeys(table["measure"]))
    figure, axes = axes_of(3.3 * len(measures), 2.9, 1, len(measures))
    for axis, measure in zip(axes[0], measures, strict=True):
        for block, rows in table[table["measure"] == measure].groupby("block"):
            axis.plot(rows["rate"], rows[metric], linewidth=1.3, marker=".", label=f"block {block}")
        axis.set_title(measure, fontsize=8)
        axis.set_xlabel("share of patches that is not computed")
        axis.set_ylabel(f"test {metric}")
        axis.legend(fontsize=5.5)
    return svg(figure)


@in_style
def bars(table: pd.DataFrame) -> str:
    """Similarity by depth."""
    figure, axes = axes_of(4.5, 2.6)
    axes[0, 0].bar(table["block"], table["similarity"])
    axes[0, 0].set_xlabel("block")
    axes[0, 0].set_ylabel("mean cosine of patches")
    return svg(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="folder of a run whose base is trained")
    parser.add_argument("--blocks", type=int, nargs="+", default=[2, 6, 10])
    parser.add_argument("--images", type=int, default=256, help="that scores and similarities look at")
    parser.add_argument("--to", type=Path, default=Path("runs") / "patch_figures")
    arguments = parser.parse_args()
    study = Study.open(arguments.run)
    workshop = Workshop(study.resolved, study.folder, study.record.identity, show=False)
    data, space = workshop.data, workshop.space
    net = net_of(workshop.base_model(), space.model, dict(space.model_args))
    work = Workplace(data.without_test(), study.resolved.config.seed)
    every = list(net.table.frame.blocks)
    similar = similarity(net, work, arguments.images)
    rows: list[dict[str, Any]] = []
    for measure in MEASURES:
        impact = PatchImpact(images=arguments.images, measure=measure)
        blocks = every if measure == "impact" else [b for b in every if int(b) in arguments.blocks]
        rows += one_layer(net, work, data.test, workshop.task, impact, blocks)
    first = pd.DataFrame({"block": map(int, similar), "similarity": similar.values()}).assign(commit=commit())
    second = pd.DataFrame(rows).assign(commit=commit())
    arguments.to.mkdir(parents=True, exist_ok=True)
    first.to_csv(arguments.to / "similarity.csv", index=False)
    second.to_csv(arguments.to / "one_layer.csv", index=False)
    (arguments.to / "similarity.svg").write_text(bars(first), encoding="utf-8")
    (arguments.to / "one_layer.svg").write_text(curves(second, workshop.task.metrics[0].name), encoding="utf-8")
    print(first.to_string(index=False))
    print(second.to_string(index=False))


if __name__ == "__main__":
    main()
