"""Training rules, criteria and strategies on detectors: they learn from the detector's own loss."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detector_spaces import SIDE, SIZES, TASKS, VIT, space_of

from nas import Limit, SearchSpace, Supernet, importance, search
from nas.data import Data, HeldSplit
from nas.detectors import Detector
from nas.errors import CheckpointError, ConfigError, StrategyError, TaskError
from nas.evaluation import Evaluator, evaluate
from nas.preprocessing import Preprocessing
from nas.search import Objective, Problem, Search, Strategy
from nas.strategies.tolerance.tuning import Tuning
from nas.supernets import build
from nas.tasks import Annotations, Batch, Facts
from nas.tasks.detection import Detection
from nas.training import AdjoinedStep, DistilledStep, Epoch, FitCall, PlainStep, Recipe, Runtime, Step, fit, rules
from nas.training.workplace import Workplace

COUNT = 8
SHORT = Recipe(epochs=1, lr=1e-3, warmup=0, batch=4)
CUT = {"mlp": {"size": [0.5, 1.0]}, "head_dim": {"size": [4, 8], "per": "model"}}


@cache
def data(kind: str) -> Data:
    """Noise with an object in the middle of each picture."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (COUNT, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    by = Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3)
    split = HeldSplit(images, TASKS[kind].example_targets(Facts(3, 3, SIDE), COUNT), by)
    return Data(split, split, split, ("a", "b", "c"), 3, SIDE, "noise", TASKS[kind], by).without_test()


def space(kind: str, choices: Mapping[str, Any] = CUT) -> SearchSpace:
    model, sizes = ("swin_tiny_patch4_window7_224", SIZES) if kind == "swin" else VIT
    args = {**sizes, "img_size": SIDE, **TASKS[kind].model_args(Facts(3, 3, SIDE))}
    return space_of(model, args, choices)


def supernet(kind: str, choices: Mapping[str, Any] = CUT) -> Supernet:
    torch.manual_seed(0)
    own = space(kind, choices)
    return Supernet(build(own.model, own.model_args), own)


def trained(module: torch.nn.Module, step: Step, kind: str) -> dict[str, torch.Tensor]:
    """The weights after an epoch, of which some must have changed."""
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    history = fit(FitCall(module, step, data(kind), SHORT, 0), Runtime(progress=False))
    assert np.isfinite(history[-1].loss)
    after = dict(module.state_dict())
    assert any(not torch.equal(before[name], tensor) for name, tensor in after.items())
    return after


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("rule", ["sandwich", "adjoined", "uniform"])
def test_rules_train_a_supernet(kind: str, rule: str) -> None:
    net = supernet(kind)
    trained(net, rules.find(rule)(random=1).step(net.space), kind)


@pytest.mark.parametrize("kind", ["swin", "yolos"])
def test_an_extracted_detector_learns_again(kind: str) -> None:
    """Plainly, beside the whole, or from it; twice the same."""
    net = supernet(kind)
    small = net.space.smallest
    trained(net, AdjoinedStep(small, net.space.largest), kind)
    trained(net.extract(small), DistilledStep(net.extract(net.space.largest)), kind)
    first, second = (trained(net.extract(small), PlainStep(), kind) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("kind", ["swin", "yolos"])
def test_a_training_that_was_stopped_ends_with_the_same_bits(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after its first epoch, and then by a full disk: proposals are drawn as if nothing had happened."""
    recipe, path = replace(SHORT, epochs=3), tmp_path / "training.safetensors"

    def run(checkpoint: Path | None, stop_after: int = 0) -> dict[str, torch.Tensor]:
        def stop(row: Epoch) -> None:
            if row.epoch == stop_after:
                raise KeyboardInterrupt

        net = supernet(kind)
        call = FitCall(net, rules.find("uniform")().step(net.space), data(kind), recipe, 0)
        fit(call, Runtime(progress=False, checkpoint=checkpoint, on_epoch=stop))
        return dict(net.state_dict())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(KeyboardInterrupt):
        run(path, stop_after=1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CheckpointError, match=r"epoch 2 .*No space left on device"):
            run(path)
    resumed, whole = run(path), run(None)
    assert all(torch.equal(resumed[name], tensor) for name, tensor in whole.items())


def test_a_candidate_is_measured_as_its_extracted_detector() -> None:
    net = supernet("swin").eval()
    small = net.space.smallest
    measured = Evaluator(net, data("swin").validation, TASKS["swin"], batch=4)(small)
    extracted = evaluate(net.extract(small), data("swin").validation, TASKS["swin"], batch=4)
    assert measured.metrics == extracted.metrics
    assert measured.n == COUNT


def searched(kind: str, strategy: Strategy, choices: Mapping[str, Any] = CUT) -> Supernet:
    """The supernet that a strategy leaves after its search for 80 % of the body's MACs."""
    net = supernet(kind, choices)
    adopted: list[Supernet] = []
    limit = Limit(net.cost, body_macs="80%")
    problem = Problem(
        space=net.space,
        objectives=(Objective("loss", maximise=False),),
        strategy="tried",
        seed=0,
        trials=1,
        limit=limit,
    )
    live = Search(
        problem=problem,
        measure=lambda architecture: (
            Evaluator(adopted[0].eval(), data(kind).validation, TASKS[kind])(architecture).metrics
        ),
        counts=net.cost.counts,
        record=lambda _: None,
        history=[],
        supernet=net,
        work=Workplace(data(kind), 0, Runtime(progress=False)),
        adopt=lambda one, _: adopted.append(one),
    )
    (trial,) = strategy.search(live)
    assert trial.state == "done"
    assert limit.allows(trial.architecture)
    assert isinstance(adopted[0].model, Detector)
    return adopted[0]


@pytest.mark.parametrize("kind", ["swin", "yolos"])
def test_gates_learn_from_the_loss_of_detection(kind: str) -> None:
    """SiDT: where units are produced; VTP: where they are consumed."""
    for where in ("produced", "consumed"):
        criterion = importance.find("l1_gates")(training=SHORT, where=where, gamma=0.0, gate_lr=0.01)
        scored = criterion.score(supernet(kind), Workplace(data(kind), 0, Runtime(progress=False)))
        assert scored.scores
        assert all(len(scores.unique()) > 1 for scores in scored.scores.values())


@pytest.mark.parametrize(("name", "options"), [("taylor", {}), ("ffn_votes", {"soft": True})])
@pytest.mark.parametrize("kind", ["swin", "yolos"])
def test_criteria_score_by_pictures(kind: str, name: str, options: Mapping[str, Any]) -> None:
    net = supernet(kind)
    scored = importance.find(name)(images=COUNT, **options).score(
        net, Workplace(data(kind), 0, Runtime(progress=False))
    )
    assert all(len(scores.unique()) > 1 for axis, scores in scored.scores.items() if axis.startswith("mlp"))


def test_every_detection_token_votes() -> None:
    """The class token has no say, and five tokens of a picture cast more votes than one."""
    net = supernet("yolos")
    votes, _ = importance.find("ffn_votes")(soft=True).votes(net, Workplace(data("yolos"), 0, Runtime(progress=False)))
    layer = net.model.get_submodule("body.blocks.0.mlp.fc1")
    seen: list[torch.Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        net.model.eval()(next(data("yolos").train.batches(COUNT)).inputs)
    handle.remove()
    wanted = layer.weight.abs() * seen[0][:, 1:6].abs().sum((0, 1))
    torch.testing.assert_close(votes["body.blocks.0.mlp.fc1"], wanted)


def test_a_detector_names_no_class_of_an_image() -> None:
    with pytest.raises(StrategyError, match="a detector names no class of an image"):
        importance.find("ffn_votes")(critical=0.5, critical_by="top_class").check(space("yolos"))


@pytest.mark.parametrize("kind", ["swin", "yolos"])
def test_dan_mixes_sub_networks_of_detectors(kind: str) -> None:
    searched(kind, search.find("dan")(training=SHORT, trials=1, target=None), {"mlp": {"size": [0.5, 1.0]}})


def test_patch_slimming_keeps_detection_tokens() -> None:
    """However few tokens a block computes, its five detection tokens are among them; none is dropped for good where
    positions are added to all of them again.
    """
    queries = {"queries": {"keep": [0.0, 0.25, 0.75, 1.0], "per": "block"}}
    with pytest.raises(ConfigError, match="drop: found true: positions are added to all tokens between blocks"):
        space("yolos", {"queries": {**queries["queries"], "drop": True}})
    slimming = search.find("tolerance")(
        tolerance=0.5, grow=1, training=Tuning(steps=1, batch=4), importance={"use": "patch_impact", "images": COUNT}
    )
    net = searched("yolos", slimming, queries)
    kept = net.selection.kept(net.space.sizes(net.space.smallest))
    assert len(kept) == 2
    for positions in kept.values():
        assert set(range(1, 6)) <= set(positions.tolist())
        assert len(positions) < 10


def test_masks_must_be_there() -> None:
    task = Detection(head="mask_rcnn")
    batch = next(data("swin").train.batches(2))
    assert isinstance(batch.targets, Annotations)
    with pytest.raises(TaskError, match="the data have no masks"):
        task.learning_inputs(Batch(batch.inputs, replace(batch.targets, masks=None)))
