"""The loop, the rules and the evaluator on a real supernet, with matrices whose ranks are chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training_fakes import make_data, same_weights

from nas.errors import TrainingError
from nas.evaluation import Evaluator, evaluate
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet, build, outline
from nas.training import AdjoinedStep, FitCall, History, Recipe, Runtime, fit
from nas.training.rules import SupernetRule, find
from nas.training.rules.sandwich import Sandwich
from nas.training.wrapped import dropping

NAME = "vit_tiny_patch16_224"
ARGUMENTS: dict[str, Any] = {
    "img_size": 4, "patch_size": 2, "in_chans": 1, "num_classes": 3, "embed_dim": 16, "depth": 2, "num_heads": 4,
    "class_token": False, "global_pool": "avg",
}  # fmt: skip
SPACE = f"""
model: {NAME}
choices:
  heads: {{size: [1, 2, 4]}}
  fc1_rank: {{rank: [0.25, 0.5, 1.0], of: [fc1]}}
"""
RECIPE = Recipe(epochs=3, lr=5e-3, batch=8, warmup=1, ema=0.5)


def make_supernet(text: str = SPACE) -> Supernet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        space = SearchSpace.from_yaml(text, model_args=ARGUMENTS, outline=outline(NAME, ARGUMENTS))
        return Supernet(build(NAME, ARGUMENTS), space)


def smallest_accuracy(module: nn.Module) -> dict[str, float]:
    assert isinstance(module, Supernet)
    small, data = module.subnet(module.space.smallest), make_data()
    return {"smallest": evaluate(small, data.validation, data.task).metrics["accuracy"]}


def train(
    rule: str | SupernetRule,
    path: Path | None,
    stop_after: int | None = None,
    recipe: Recipe = RECIPE,
    images: int = 45,
) -> tuple[Supernet, History]:
    net = make_supernet()

    def stop(row: Any) -> None:
        if row.epoch == stop_after:
            raise KeyboardInterrupt

    runtime = Runtime(
        checkpoint=path,
        refresh=lambda m: m.refresh(),  # type: ignore[operator]
        evaluate=smallest_accuracy,
        on_epoch=stop,
        progress=False,
    )
    step = (find(rule)() if isinstance(rule, str) else rule).step(net.space, None, net.cost)
    return net, fit(FitCall(net, step, make_data(images), recipe, 0), runtime)


EVERYTHING = Sandwich(random=2, targets=0.5, sampling={"use": "sized", "bands": 3}, opening=0.8, gradients="projected")
"""All that is not the default."""


@pytest.mark.parametrize("rule", ["uniform", "sandwich", "adjoined", "inplace", EVERYTHING])
def test_an_interrupted_supernet_ends_with_the_same_bits(tmp_path: Path, rule: str | SupernetRule) -> None:
    path, recipe = tmp_path / "supernet.safetensors", replace(RECIPE, drop_path=0.3)
    with pytest.raises(KeyboardInterrupt):
        train(rule, path, stop_after=1, recipe=recipe)
    resumed, history = train(rule, path, recipe=recipe)
    undisturbed, whole = train(rule, None, recipe=recipe)
    assert same_weights(resumed, undisturbed)
    assert [(row.loss, row.metrics) for row in history] == [(row.loss, row.metrics) for row in whole]


def test_the_sandwich_trains_largest_and_smallest_and_the_winner_is_retrained() -> None:
    test, task = make_data().test, make_data().task
    untrained = Evaluator(make_supernet(), test, task)
    net, _ = train("sandwich", None, recipe=Recipe(epochs=8, lr=1e-2, batch=16, warmup=2), images=150)
    measure = Evaluator(net, test, task)
    for architecture in (net.space.largest, net.space.smallest):
        assert measure(architecture).metrics["loss"] < 0.6 * untrained(architecture).metrics["loss"]
    before = measure(net.space.smallest)
    step = AdjoinedStep(net.space.smallest, net.space.largest, small_ce=True)
    recipe = Recipe(epochs=5, lr=5e-3, batch=16, warmup=1)
    fit(FitCall(net, step, make_data(150), recipe, 0), Runtime(progress=False))
    after = measure(net.space.smallest)
    assert after.metrics["loss"] < before.metrics["loss"]
    assert after == evaluate(net.extract(net.space.smallest), test, task)


def test_blocks_drop_their_branches_the_more_the_deeper_they_lie() -> None:
    net = make_supernet()
    blocks: Any = net.model.get_submodule("blocks")
    before = [type(block.drop_path1) for block in blocks]
    with dropping(net, 0.4):
        assert [[block.drop_path1.drop_prob, block.drop_path2.drop_prob] for block in blocks] == [[0, 0], [0.4, 0.4]]
        small, images = net.subnet(net.space.largest), torch.randn(64, 1, 4, 4)
        assert not torch.equal(small.train()(images), small.eval()(images))
    assert [type(block.drop_path1) for block in blocks] == before
    refused = pytest.raises(TrainingError, match=r"found 0\.1, which Linear does not offer")
    with refused, dropping(nn.Linear(2, 2), 0.1):
        pass


def test_what_is_left_out_is_random_in_training_and_seeded() -> None:
    dropped, plain = replace(RECIPE, drop_path=0.5), RECIPE
    first, again, without = (train("sandwich", None, recipe=recipe)[0] for recipe in (dropped, dropped, plain))
    assert same_weights(first, again)
    assert not same_weights(first, without)
