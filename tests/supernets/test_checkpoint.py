"""Checkpoints that a user brings: right ones load and say what was mapped, wrong ones leave the model."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nas.errors import CheckpointError
from nas.supernets import build, load_weights
from nas.supernets.checkpoint import load_own_weights

ARGS = {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2, "num_classes": 3}
NAME = "vit_tiny_patch16_224"
State = dict[str, Tensor]


def model(seed: int = 0, name: str = NAME, **args: Any) -> nn.Module:
    torch.manual_seed(seed)
    return build(name, {**ARGS, **args})


def state(seed: int = 1, name: str = NAME, **args: Any) -> State:
    return dict(model(seed, name, **args).state_dict())


def loaded(content: object, path: Path, **args: Any) -> tuple[State, tuple[str, ...]]:
    torch.save(content, path / "a.pth")
    target = model(**args)
    notes = load_weights(target, path / "a.pth")
    return dict(target.state_dict()), notes


def same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def prefixed(prefix: str) -> State:
    return {prefix + name: tensor for name, tensor in state().items()}


@pytest.mark.parametrize(
    ("content", "notes"),
    [
        (state(), ()),
        ({"model": state(), "epoch": 3}, ("weights under 'model'",)),
        ({"state_dict": state(), "optimizer": {}, "args": argparse.Namespace(lr=1.0)}, ("weights under 'state_dict'",)),
        ({"model": state(2), "model_ema": state()}, ("weights under 'model_ema'",)),
        ({"state_dict": state(2), "state_dict_ema": state()}, ("weights under 'state_dict_ema'",)),
        (
            {"model": {"state_dict": prefixed("module.")}},
            ("weights under 'model.state_dict'", "names without 'module.'"),
        ),
        (prefixed("module."), ("names without 'module.'",)),
        (prefixed("_orig_mod."), ("names without '_orig_mod.'",)),
        (prefixed("model."), ("names without 'model.'",)),
        (prefixed("encoder."), ("names without 'encoder.'",)),
        (prefixed("module._orig_mod.backbone."), ("names without 'module._orig_mod.backbone.'",)),
        (
            {f"model.{k}": v for k, v in state(2).items()} | {f"ema_model.{k}": v for k, v in state().items()},
            ("names without 'ema_model.'", f"left out: {len(state())} entries, first 'model.cls_token'"),
        ),
        (
            {**prefixed("model."), "criterion.weight": torch.ones(3)},
            ("names without 'model.'", "left out: 1 entries, first 'criterion.weight'"),
        ),
    ],
)
def test_what_training_scripts_write(tmp_path: Path, content: object, notes: tuple[str, ...]) -> None:
    got, said = loaded(content, tmp_path)
    assert same(got, state())
    assert said == notes


def test_safetensors(tmp_path: Path) -> None:
    save_file(prefixed("module."), tmp_path / "a.safetensors")
    target = model()
    assert load_weights(target, tmp_path / "a.safetensors") == ("names without 'module.'",)
    assert same(dict(target.state_dict()), state())


def test_half_precision(tmp_path: Path) -> None:
    got, notes = loaded({name: tensor.half() for name, tensor in state().items()}, tmp_path)
    assert {tensor.dtype for tensor in got.values()} == {torch.float32}
    assert torch.equal(got["head.weight"], state()["head.weight"].half().float())
    assert notes == ("float16 -> float32",)


def test_a_backbone_with_a_head_beside_it(tmp_path: Path) -> None:
    backbone = {name: tensor for name, tensor in state().items() if not name.startswith("head.")}
    head = {name: tensor for name, tensor in state().items() if name.startswith("head.")}
    got, _ = loaded({**{f"backbone.{name}": tensor for name, tensor in backbone.items()}, **head}, tmp_path)
    assert same(got, state())
    got, notes = loaded(backbone, tmp_path)
    assert torch.equal(got["head.weight"], model().get_parameter("head.weight"))
    assert notes == ("classifier missing: it starts anew",)


@pytest.mark.parametrize("name", [NAME, "deit_tiny_distilled_patch16_224"])
def test_a_classifier_of_other_classes_stays_new(tmp_path: Path, name: str) -> None:
    got, notes = loaded(state(name=name, num_classes=7), tmp_path, name=name)
    assert torch.equal(got["head.weight"], model(name=name).get_parameter("head.weight"))
    assert torch.equal(got["pos_embed"], state(name=name, num_classes=7)["pos_embed"])
    assert notes == ("classifier of 7 classes, the model has 3: it starts anew",)


def test_another_image_size_is_resampled_as_timm_does(tmp_path: Path) -> None:
    wanted = model(1, img_size=32)
    wanted.set_input_size((16, 16))  # type: ignore[operator]
    got, notes = loaded(state(img_size=32), tmp_path)
    assert torch.equal(got["pos_embed"], wanted.get_parameter("pos_embed"))
    assert notes == ("resampled pos_embed: (1, 17, 16) -> (1, 5, 16)",)


def test_tables_of_relative_positions_are_resampled(tmp_path: Path) -> None:
    name = "swin_tiny_patch4_window7_224"
    sizes = {"embed_dim": 8, "depths": (1, 1), "num_heads": (1, 2), "num_classes": 3}
    big, small = (
        build(name, {**sizes, "img_size": size, "window_size": window}) for size, window in ((56, 7), (32, 4))
    )
    torch.save({"model": big.state_dict()}, tmp_path / "a.pth")
    notes = load_weights(small, tmp_path / "a.pth")
    assert notes[1] == ("resampled layers.0.blocks.0.attn.relative_position_bias_table and 1 more: (169, 1) -> (49, 1)")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("norm.bias"), r"it lacks 1 entries, first 'norm\.bias'"),
        (lambda s: s.update({"other.bias": torch.zeros(2)}), r"it also holds 1 entries, first 'other\.bias'"),
        (
            lambda s: s.update({"norm.bias": torch.zeros(7), "norm.weight": torch.zeros(7)}),
            r"'norm\.weight' is \(7,\) there, \(16,\) in the model, and 1 more",
        ),
        (lambda s: s.update({"pos_embed": torch.zeros(1, 12, 16)}), "not of this VisionTransformer"),
        (lambda s: s.update({"head.bias": torch.tensor(0.0)}), r"'head\.bias' is|lacks|classes"),
        (lambda s: s["head.weight"].index_fill_(0, torch.tensor([0]), float("nan")), r"'head\.weight' has 16 of 48"),
        (lambda s: s["cls_token"].fill_(float("inf")), r"'cls_token' has 16 of 16 values that are NaN or infinite"),
    ],
)
def test_foreign_or_broken(tmp_path: Path, change: Callable[[State], object], message: str) -> None:
    content = {name: tensor.clone() for name, tensor in state().items()}
    change(content)
    torch.save(content, tmp_path / "a.pth")
    target = model()
    if "classes" in message:  # a classifier that is none is left out
        assert "classifier" in load_weights(target, tmp_path / "a.pth")[0]
        return
    with pytest.raises(CheckpointError, match=message):
        load_weights(target, tmp_path / "a.pth")
    assert same(dict(target.state_dict()), state(0))


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_damaged(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04not weights")
    with pytest.raises(CheckpointError, match="damaged"):
        load_weights(model(), tmp_path / name)


@pytest.mark.parametrize("content", [{}, [1], {"model": {"a": 1}}, {"model": 3}])
def test_no_weights(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="holds no state dict"):
        load_weights(model(), tmp_path / "a.pth")


def test_code_is_not_run(tmp_path: Path) -> None:
    torch.save(model(), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="damaged, or not only weights"):
        load_weights(model(), tmp_path / "a.pth")


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_weights(model(), tmp_path / "a.pth")


def test_files_of_our_own_are_loaded_as_they_are(tmp_path: Path) -> None:
    """Nothing is mapped in a file of a run: one that does not fit is damaged."""
    save_file(state(), tmp_path / "a.safetensors")
    target = model()
    load_own_weights(target, tmp_path / "a.safetensors")
    assert same(dict(target.state_dict()), state())
    for other in (prefixed("module."), state(num_classes=7)):
        save_file(other, tmp_path / "a.safetensors")
        with pytest.raises(CheckpointError, match="not of this"):
            load_own_weights(target, tmp_path / "a.safetensors")


def test_timm_loads_what_we_map(tmp_path: Path) -> None:
    """Names of the family's own timm filter: DeiT-III's older ones."""
    name = "deit3_small_patch16_224"
    old = {key.replace("ls1.gamma", "gamma_1").replace("ls2.gamma", "gamma_2"): value
           for key, value in state(name=name).items()}  # fmt: skip
    assert "blocks.0.gamma_1" in old
    got, _ = loaded(old, tmp_path, name=name)
    assert same(got, state(name=name))
