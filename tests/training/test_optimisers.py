"""Optimisers, schedules and precision of a recipe: they are timm's, and a training that was interrupted goes on to the
same bits with each of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from torch import nn
from training_fakes import make_data, make_net, same_weights

from nas.documents.plugged import plugin_of
from nas.errors import CheckpointError, ConfigError, TrainingError
from nas.testing.relaxed import Bench
from nas.training import FitCall, History, PlainStep, Recipe, Runtime, fit
from nas.training.checkpoint import TrainingIdentity
from nas.training.clipping import clip
from nas.training.optimiser import optimiser
from nas.training.optimiser_options import OPTIMIZER, find, names
from nas.training.precision import Precision
from nas.training.schedule import LearningRate
from nas.training.wrapped import checkpointing

OFFERED = ("sgd", "lamb", "muon", "lion", "adan", "adafactor", "madgradw", "rmsproptf", "nadamw", "radabelief")
VIT: dict[str, Any] = {"img_size": 8, "patch_size": 2, "in_chans": 1, "embed_dim": 16, "depth": 2, "num_heads": 2}


def trained(path: Path | None = None, *, stop: bool = False, **options: Any) -> tuple[nn.Module, History]:
    net, recipe = make_net(), Recipe(**{"epochs": 2, "lr": 1e-3, "batch": 16, "warmup": 0.5, **options})

    def killed(row: Any) -> None:
        if stop:
            raise KeyboardInterrupt

    return net, fit(FitCall(net, PlainStep(), make_data(), recipe, 0), Runtime(checkpoint=path, progress=False,
                    on_epoch=killed))  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        *({"optimizer": name} for name in OFFERED),
        {"optimizer": {"use": "sgd", "momentum": 0.8}, "amp": "float16", "ema": 0.8},
        {"amp": "bfloat16", "clip": 0.1, "clip_mode": "agc"},
        {"schedule": {"use": "step", "decay_epochs": 1}, "clip": 0.01, "clip_mode": "value", "channels_last": True},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_interrupted_and_resumed_ends_with_the_same_bits(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trained(path, stop=True, **options)
    resumed, history = trained(path, **options)
    undisturbed, whole = trained(**options)
    assert same_weights(resumed, undisturbed)
    assert [row.loss for row in history] == [row.loss for row in whole]
    assert not same_weights(undisturbed, make_net())


def test_groups_are_timms_own() -> None:
    model = timm.create_model("vit_tiny_patch16_224", **VIT)
    cases: list[dict[str, Any]] = [{}, {"layer_decay": 0.7}, {"layer_decay": 0.5, "layer_decay_min_scale": 0.3}]
    for case in cases:
        options = {"use": "lamb", "betas": [0.8, 0.9], "eps": 1e-5}
        ours = optimiser(model, Recipe(lr=0.1, optimizer={**options, **case}))
        theirs = create_optimizer_v2(model, "lamb", lr=0.1, weight_decay=0.05, betas=(0.8, 0.9), eps=1e-5, **case)
        assert type(ours) is type(theirs)
        assert len(ours.param_groups) == len(theirs.param_groups) > 1
        for one, other in zip(ours.param_groups, theirs.param_groups, strict=True):
            assert list(map(id, one["params"])) == list(map(id, other["params"]))
            assert {**one, "params": 0} == {**other, "params": 0}


def test_layers_of_a_supernet_learn_as_those_of_its_model() -> None:
    supernet = Bench("vit").supernet
    recipe = Recipe(optimizer={"use": "adamw", "layer_decay": 0.5, "no_weight_decay": ["*.qkv.weight"]})

    def told(module: nn.Module) -> dict[int, tuple[float, float]]:
        groups = optimiser(module, recipe).param_groups
        return {id(p): (group["lr_scale"], group["weight_decay"]) for group in groups for p in group["params"]}

    assert told(supernet) == told(supernet.model)
    blocks = [told(supernet)[id(supernet.model.get_parameter(f"blocks.{i}.attn.qkv.weight"))] for i in (0, 1)]
    assert blocks[1][0] == 2 * blocks[0][0]
    assert blocks[0][1] == 0
    with pytest.raises(TrainingError, match="does not say which layers it has"):
        optimiser(make_net(), Recipe(optimizer={"use": "adamw", "layer_decay": 0.5}))
    with pytest.raises(TrainingError, match=r"no_weight_decay: found 'heda\.\*', which no parameter is called"):
        optimiser(make_net(), Recipe(optimizer={"use": "adamw", "no_weight_decay": ["heda.*"]}))


SCHEDULES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"use": "cosine", "min_lr": 0.01}, {"num_epochs": 10, "min_lr": 0.01}),
    ({"use": "cosine", "cooldown_epochs": 3, "k_decay": 2.0}, {"num_epochs": 7, "k_decay": 2.0}),
    ({"use": "tanh"}, {"num_epochs": 10}),
    ({"use": "poly", "decay_rate": 2.0}, {"num_epochs": 10, "decay_rate": 2.0}),
    ({"use": "step", "decay_epochs": 3}, {"num_epochs": 10, "decay_epochs": 3}),
    ({"use": "multistep", "decay_milestones": [4, 8], "decay_rate": 0.5},
     {"num_epochs": 10, "decay_milestones": [4, 8], "decay_rate": 0.5}),
    ({"use": "constant"}, {"num_epochs": 10}),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs"), SCHEDULES, ids=lambda options: str(options.get("use", "")))
@pytest.mark.parametrize("prefix", [False, True])
def test_rates_are_timms_step_by_step(ours: dict[str, Any], theirs: dict[str, Any], prefix: bool) -> None:
    schedule = {**ours, "warmup_lr": 1e-3, "warmup_prefix": prefix}
    rate = LearningRate(Recipe(epochs=10, lr=0.4, warmup=2, schedule=schedule), 5)
    holder = torch.optim.SGD([torch.zeros(1)], lr=0.4)
    options = {**theirs, "num_epochs": theirs["num_epochs"] - 2 * prefix, "warmup_prefix": prefix}
    scheduler, _ = create_scheduler_v2(
        holder, ours["use"], warmup_epochs=2, warmup_lr=1e-3, step_on_epochs=False, updates_per_epoch=5, **options
    )
    for step in range(50):
        scheduler.step_update(step)
        assert rate(step) == pytest.approx(holder.param_groups[0]["lr"], rel=1e-12)


def test_a_rate_for_so_many_images_is_scaled() -> None:
    assert Recipe(lr=5e-4, lr_base_size=512, batch=256, accumulate=4).peak_lr == pytest.approx(1e-3)
    assert Recipe(lr=1.0, lr_base_size=256, batch=1024, lr_base_scale="sqrt").peak_lr == 2.0
    recipe = Recipe(epochs=4, lr=1.0, lr_base_size=64, batch=32, warmup=0)
    assert LearningRate(recipe, 3)(0) == 0.5


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"use": "adamw", "bata": [0.9, 0.9]}, "unknown key; allowed: .*betas, eps.*did you mean 'betas'"),
        ({"use": "sgd", "eps": 1e-3}, "eps: found an unknown key"),
        ({"use": "adamx"}, "found 'adamx'; allowed: .*did you mean"),
        ({"use": "adamw", "betas": [0.9, 1.5]}, "what adamw takes .*1.5"),
        ({"use": "adamw", "layer_decay": 2}, "above 0, at most 1"),
    ],
)
def test_what_timm_does_not_take_is_refused(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        plugin_of(options, OPTIMIZER)


def test_every_optimiser_that_is_offered_can_be_made_of_its_defaults() -> None:
    assert {"adamw", *OFFERED} <= set(names())
    for name in names():
        plugin_of({"use": name}, OPTIMIZER)
    with pytest.raises(TrainingError, match="no optimizer 'adamv'"):
        find("adamv")


def test_a_checkpoint_of_an_earlier_version_says_less() -> None:
    recipe = Recipe(lr=0.1)
    stored = {
        key: value for key, value in TrainingIdentity({"seed": 1}, recipe).as_json().items() if key != "optimizer"
    }
    assert TrainingIdentity({"seed": 1}, recipe).changes(stored) == []
    assert TrainingIdentity({"seed": 1}, Recipe(lr=0.1, optimizer={"use": "adamw", "eps": 1e-8})).changes(stored) == []
    (change,) = TrainingIdentity({"seed": 1}, Recipe(lr=0.1, optimizer="sgd")).changes(stored)
    assert change.startswith("optimizer")


def test_another_optimiser_does_not_go_on(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trained(path, stop=True)
    with pytest.raises(CheckpointError, match=r"other settings .*optimizer"):
        trained(path, optimizer="sgd")


def test_a_scale_that_never_fits_ends_the_training() -> None:
    precision = Precision("float16", torch.device("cpu"))
    assert precision.scaler is not None
    parameter = nn.Parameter(torch.ones(1))
    sgd = torch.optim.SGD([parameter], lr=1.0)
    for _ in range(40):
        precision.scaled(parameter.sum()).backward()  # type: ignore[no-untyped-call]
        assert parameter.grad is not None
        parameter.grad.fill_(float("inf"))
        precision.unscale(sgd)
        precision.step(sgd)
    assert parameter.item() == 1
    assert precision.lost


def test_clip_modes() -> None:
    net = timm.create_model("vit_tiny_patch16_224", **VIT)
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    assert clip(net, 0.01, "agc") > 1
    weight = net.get_parameter("blocks.0.attn.qkv.weight")
    assert weight.grad is not None
    ratio = weight.grad.norm(dim=1) / weight.detach().norm(dim=1)
    assert float(ratio.max()) == pytest.approx(0.01, rel=1e-3)
    assert torch.equal(net.head.weight.grad, torch.full_like(net.head.weight, 3.0))
    clip(net, 0.5, "value")
    assert float(net.head.weight.grad.max()) == 0.5


@pytest.mark.parametrize("kind", ["vit", "swin"])
def test_activations_computed_twice_give_the_same_gradients(kind: str) -> None:
    supernet = Bench(kind).supernet
    size = supernet.family.image_size(supernet.model)
    channels = next(p for p in supernet.model.parameters() if p.dim() == 4 and p.shape[1] < 4).shape[1]
    images = torch.rand(2, channels, *size, generator=torch.Generator().manual_seed(0))
    gradients = []
    for on in (False, True):
        supernet.zero_grad()
        with checkpointing(supernet, on=on):
            supernet(images, supernet.space.smallest).square().sum().backward()
        gradients.append([p.grad.clone() for p in supernet.parameters() if p.grad is not None])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    with pytest.raises(TrainingError, match="grad_checkpointing"), checkpointing(make_net(), on=True):
        pass


def test_a_supernet_is_not_compiled() -> None:
    bench = Bench("vit")
    call = FitCall(bench.supernet, PlainStep(), bench.data, Recipe(epochs=1, torchcompile=True), 0)
    with pytest.raises(TrainingError, match="torchcompile: found true for a supernet"):
        fit(call, Runtime(progress=False))


def test_where_nothing_compiles_it_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("no C++ compiler\nand much more")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(TrainingError, match=r"nothing compiles here \(no C\+\+ compiler\); allowed: false$"):
        trained(torchcompile=True)
