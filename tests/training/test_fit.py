"""The training loop: what it minimises, with which learning rate, and that the same seed gives the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from training_fakes import distance, make_data, make_net, noting, same_weights

from nas.errors import TrainingError
from nas.evaluation import evaluate
from nas.tasks import Batch
from nas.tasks.classification import Classification
from nas.training import Epoch, FitCall, History, PlainStep, Recipe, Runtime, Step, StepContext, fit
from nas.training.checkpoint import epochs_done
from nas.training.optimiser import optimiser
from nas.training.schedule import LearningRate

RECIPE = Recipe(epochs=3, lr=1e-2, batch=8, warmup=1, smoothing=0.1)


def trained(recipe: Recipe = RECIPE, seed: int = 0, n: int = 45, **runtime: Any) -> tuple[nn.Module, History]:
    net = make_net()
    return net, fit(FitCall(net, PlainStep(), make_data(n), recipe, seed), Runtime(progress=False, **runtime))


def test_it_learns() -> None:
    net, history = trained(Recipe(epochs=8, lr=1e-2, batch=8, warmup=1))
    assert evaluate(net, make_data().test, Classification()).metrics["accuracy"] == 1.0
    assert history[-1].loss < 0.5 * history[0].loss
    assert [row.epoch for row in history] == list(range(1, 9))
    assert not net.training


EVERYTHING = [
    RECIPE,
    Recipe(epochs=2, batch=8, augment="crop+flip"),
    Recipe(epochs=2, batch=8, mixup=0.8, cutmix=1.0),
    Recipe(epochs=2, batch=8, ema=0.9, accumulate=3),
]


@pytest.mark.parametrize("recipe", EVERYTHING, ids=["plain", "augment", "mix", "ema"])
def test_the_same_seed_gives_the_same_bits(recipe: Recipe) -> None:
    torch.manual_seed(5)
    one, first = trained(recipe)
    torch.manual_seed(6)  # the caller's generators have no say
    np.random.seed(6)  # noqa: NPY002
    two, second = trained(recipe)
    other, _ = trained(recipe, seed=1)
    assert same_weights(one, two)
    assert [row.loss for row in first] == [row.loss for row in second]
    assert not same_weights(one, other)


def test_the_callers_generators_and_settings_are_left_alone() -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = torch.rand(3), np.random.rand(3)  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    trained(EVERYTHING[2])
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])  # noqa: NPY002
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_step_runs_under_deterministic_algorithms() -> None:
    seen = []

    def step(batch: Batch, context: StepContext) -> Iterator[Tensor]:
        seen.append(torch.are_deterministic_algorithms_enabled())
        yield context.criterion(context.module(batch.inputs), batch.targets)

    fit(FitCall(make_net(), step, make_data(), Recipe(epochs=1), 0), Runtime(progress=False))
    assert seen
    assert all(seen)


def test_accumulated_batches_equal_one_large_batch() -> None:
    data = make_data(45)  # 45 = 16 + 16 + 13, and 13 = 8 + 5: the last group is smaller
    nets = []
    for recipe in (Recipe(epochs=2, batch=16, warmup=0), Recipe(epochs=2, batch=8, accumulate=2, warmup=0)):
        net = make_net(dropout=0.0)
        net.norm = nn.Identity()  # type: ignore[assignment]  # batch statistics would differ
        history = fit(FitCall(net, PlainStep(), data, recipe, 0), Runtime(progress=False))
        nets.append((net, history))
    assert distance(list(nets[0][0].parameters()), list(nets[1][0].parameters())) < 1e-5
    assert nets[0][1][-1].loss == pytest.approx(nets[1][1][-1].loss, rel=1e-5)


def test_parts_of_a_loss_add_up() -> None:
    def halves(batch: Batch, context: StepContext) -> Iterator[Tensor]:
        for _ in range(2):
            yield context.criterion(context.module(batch.inputs), batch.targets) / 2

    nets = [make_net(dropout=0.0) for _ in range(2)]
    steps: list[Step] = [PlainStep(), halves]
    for net, step in zip(nets, steps, strict=True):
        net.norm = nn.Identity()  # type: ignore[assignment]
        fit(FitCall(net, step, make_data(), RECIPE, 0), Runtime(progress=False))
    assert distance(list(nets[0].parameters()), list(nets[1].parameters())) < 1e-5


def test_progress_and_steps_run_from_0_to_1() -> None:
    seen: list[StepContext] = []

    def step(batch: Batch, context: StepContext) -> Iterator[Tensor]:
        seen.append(context)
        yield context.criterion(context.module(batch.inputs), batch.targets)

    fit(FitCall(make_net(), step, make_data(20), Recipe(epochs=2, batch=8), 3), Runtime(progress=False))
    assert [(c.epoch, c.step, c.steps, c.seed) for c in seen] == [(e, s, 3, 3) for e in range(2) for s in range(3)]
    assert [c.progress for c in seen] == pytest.approx([k / 6 for k in range(6)])


def test_learning_rate_by_hand() -> None:
    recipe = Recipe(epochs=10, lr=1.0, warmup=2)
    rates = [LearningRate(recipe, 2)(step) for step in range(20)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[12] == pytest.approx(0.5)  # half-way through the cosine of 16 steps
    assert all(a > b for a, b in pairwise(rates[4:]))
    assert 0 < rates[-1] < 0.01
    _, history = trained(Recipe(epochs=2, batch=8, lr=1.0, warmup=1))
    assert [row.lr for row in history] == pytest.approx(
        [6 / 7, LearningRate(Recipe(epochs=2, lr=1.0, warmup=1), 6)(11)]
    )


def test_a_shortened_run_still_reaches_its_peak_and_decays() -> None:
    rates = [LearningRate(Recipe(epochs=2, lr=1.0, warmup=5), 4)(step) for step in range(8)]
    assert max(rates) == 1.0
    assert rates[-1] < 0.2


def test_what_does_not_decay() -> None:
    arguments: dict[str, Any] = {
        "img_size": 8,
        "patch_size": 2,
        "in_chans": 1,
        "embed_dim": 16,
        "depth": 1,
        "num_heads": 2,
    }
    vit = timm.create_model("vit_tiny_patch16_224", **arguments)
    wrapped = nn.ModuleDict({"model": vit})  # a supernet wraps timm's model like this
    names = {id(parameter): name for name, parameter in wrapped.named_parameters()}
    groups = optimiser(wrapped, Recipe()).param_groups
    undecayed = {names[id(p)] for group in groups if group["weight_decay"] == 0 for p in group["params"]}
    decayed = {names[id(p)] for group in groups if group["weight_decay"] > 0 for p in group["params"]}
    assert undecayed | decayed == set(names.values())
    assert {"model.cls_token", "model.pos_embed", "model.norm.weight", "model.blocks.0.attn.qkv.bias"} <= undecayed
    assert {"model.patch_embed.proj.weight", "model.blocks.0.attn.qkv.weight", "model.head.weight"} <= decayed


def test_clipping_bounds_the_gradient() -> None:
    norms = []

    def step(batch: Batch, context: StepContext) -> Iterator[Tensor]:
        yield 1e4 * context.criterion(context.module(batch.inputs), batch.targets)

    net = make_net()
    observe = torch.optim.AdamW.step

    def watched(self: torch.optim.AdamW, closure: None = None) -> None:
        norms.append(float(torch.stack([p.grad.norm() for p in net.parameters() if p.grad is not None]).norm()))
        observe(self, closure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", watched)
        fit(FitCall(net, step, make_data(), Recipe(epochs=1, batch=8, clip=0.5), 0), Runtime(progress=False))
    assert norms
    assert max(norms) <= 0.5 + 1e-4


def test_ema_is_what_remains_and_what_is_evaluated() -> None:
    measured: list[nn.Module] = []
    net, history = trained(
        Recipe(epochs=3, batch=8, ema=0.5), evaluate=lambda m: noting(measured, m, {"mode": float(m.training)})
    )
    plain, _ = trained(Recipe(epochs=3, batch=8))
    assert not same_weights(net, plain)
    assert same_weights(net, measured[-1])
    assert all(m is not net for m in measured)
    assert [row.metrics for row in history] == [{"mode": 0.0}] * 3


def test_hooks_come_in_order(tmp_path: Path) -> None:
    events: list[str] = []

    def say(what: str) -> Callable[..., dict[str, float]]:
        return lambda *_: noting(events, what, {})

    path = tmp_path / "run.safetensors"
    trained(
        Recipe(epochs=2, batch=8),
        checkpoint=path,
        refresh=say("refresh"),
        evaluate=say("evaluate"),
        on_epoch=lambda row: events.append(f"epoch {row.epoch} {path.exists()}"),
    )
    once = ["refresh", "refresh", "evaluate"]
    assert events == [*once, "epoch 1 True", *once, "epoch 2 True", "refresh"]


def test_a_loss_that_is_no_number_names_the_place_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    def step(batch: Batch, context: StepContext) -> Iterator[Tensor]:
        loss = context.criterion(context.module(batch.inputs), batch.targets)
        yield loss * float("nan") if (context.epoch, context.step) == (1, 2) else loss

    path = tmp_path / "run.safetensors"
    net = make_net()
    with pytest.raises(
        TrainingError, match=r"the loss is nan in epoch 2, step 3 of 6; the checkpoint of epoch 1 is kept"
    ):
        fit(FitCall(net, step, make_data(), RECIPE, 0), Runtime(progress=False, checkpoint=path))
    assert all(torch.isfinite(p).all() for p in net.parameters())
    resumed = make_net()
    history = fit(FitCall(resumed, PlainStep(), make_data(), RECIPE, 0), Runtime(progress=False, checkpoint=path))
    assert len(history) == 3
    undisturbed, _ = trained()
    assert same_weights(resumed, undisturbed)


def test_a_gradient_that_is_no_number() -> None:
    def step(batch: Batch, context: StepContext) -> Iterator[Tensor]:
        yield context.module(batch.inputs).mul(0).sum().sqrt()  # the root's slope at 0 is infinite, times 0

    with pytest.raises(TrainingError, match="gradient's norm is nan in epoch 1, step 1"):
        fit(FitCall(make_net(), step, make_data(), RECIPE, 0), Runtime(progress=False))


def test_weights_that_are_no_numbers_after_the_last_step(tmp_path: Path) -> None:
    """No loss is computed with them any more: they are looked at before the checkpoint is replaced."""

    def step(batch: Batch, context: StepContext) -> Iterator[Tensor]:
        yield context.criterion(context.module(batch.inputs), batch.targets)
        if (context.epoch, context.step) == (1, context.steps - 1):
            with torch.no_grad():
                next(context.module.parameters()).fill_(float("inf"))

    path = tmp_path / "run.safetensors"
    said = (
        r"training: '.*' has \d+ of \d+ values that are NaN or infinite in epoch 2, step 6 of 6; the checkpoint of "
        r"epoch 1 is kept in .*; the learning rate was 0\.\d+: lower lr \(0\.01\)"
    )
    with pytest.raises(TrainingError, match=said):
        fit(FitCall(make_net(), step, make_data(), RECIPE, 0), Runtime(progress=False, checkpoint=path))
    assert epochs_done(path) == 1


def test_no_epochs_no_change() -> None:
    net, history = trained(Recipe(epochs=0))
    assert same_weights(net, make_net())
    assert len(history) == 0


def test_silent_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    fit(FitCall(make_net(), PlainStep(), make_data(), RECIPE, 0))
    assert capfd.readouterr() == ("", "")


def test_bar_on_a_terminal(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    runtime = Runtime(title="base", evaluate=lambda _: {"top1": 0.5})
    fit(FitCall(make_net(), PlainStep(), make_data(), RECIPE, 0), runtime)
    out, err = capfd.readouterr()
    assert out == ""
    for text in ("base", "epoch", "loss", "top1 0.500"):
        assert text in err


def test_history_survives_json() -> None:
    history = History((Epoch(1, 0.5, 1e-3, 2.0, {"accuracy": 0.25}), Epoch(2, 0.25, 1e-4, 3.0)))
    assert History.from_rows(history.rows()) == history
    assert history.seconds == 5.0


@pytest.mark.parametrize(
    "content",
    [
        {"epoch": 3},
        {"epochs": -1},
        {"lr": 0},
        {"smoothing": 1},
        {"augment": "flip"},
        {"ema": 1.0},
        {"batch": 0},
        {"lr": "x"},
    ],
)
def test_recipe_is_checked_strictly(content: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(content))):
        TypeAdapter(Recipe).validate_python(content)
