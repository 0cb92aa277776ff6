"""A folder that timm loads by `timm.create_model("local-dir:FOLDER", pretrained=True)`: weights, and the arguments
with which timm builds a model of these sizes, where it has such arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import save_for_hf
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import fx, nn

from nas.deployment.checking import compare
from nas.deployment.deployable import Deployable, tensors
from nas.detectors._base import Detector
from nas.errors import DeploymentError
from nas.system.quiet import quiet


def write(original: Deployable, name: str, arguments: Mapping[str, Any], folder: Path) -> str:
    """Writes a model that was cut out of timm's `name`, built with `arguments`, to an empty folder, lets timm load it
    and compares; returns a sentence about the folder.

    Raises `DeploymentError` where timm cannot build a model of these sizes, or builds another one.
    """
    model: Any = original.module
    if isinstance(model, Detector) or not type(model).__module__.startswith("timm."):
        raise _refusal(f"timm has no {type(model).__name__}")
    if any(isinstance(module, fx.GraphModule) for module in model.modules()):
        raise _refusal("it chooses tokens, or inputs of layers")
    own = {**arguments, **_SIZES.get(type(model), lambda _: {})(model)}
    _check(model, timm.create_model(name, **own))
    model.pretrained_cfg = {**model.pretrained_cfg, "architecture": name}
    with quiet():
        save_for_hf(model, str(folder), model_args=own, safe_serialization=True)
        loaded = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    with torch.no_grad():
        closeness = compare("--timm", original, lambda images: tensors(loaded(images)))
    return f'timm.create_model("local-dir:FOLDER", pretrained=True): {closeness}'


def _check(model: nn.Module, twin: nn.Module) -> None:
    """Raises `DeploymentError`, with the reason, where what timm builds has not the model's parameters."""
    ours, theirs = ({key: tuple(t.shape) for key, t in m.state_dict().items()} for m in (model, twin))
    for key, shape in ours.items():
        if key not in theirs:
            raise _refusal(f"'{key}' is none of timm's parameters (it has factored or int8 matrices, or other blocks)")
        if theirs[key] != shape:
            built = " x ".join(map(str, theirs[key]))
            raise _refusal(
                f"'{key}' is {' x '.join(map(str, shape))}, where its arguments, alike for all blocks, give {built}"
            )
    if missing := [key for key in theirs if key not in ours]:
        raise _refusal(f"it lacks '{missing[0]}'")


def _refusal(reason: str) -> DeploymentError:
    return DeploymentError(
        f"--timm: timm's arguments cannot express this model: {reason}; --onnx and --torch-export can"
    )


def _of_vit(model: Any) -> dict[str, Any]:
    first = model.blocks[0]
    return {
        "embed_dim": model.embed_dim,
        "depth": len(model.blocks),
        "num_heads": first.attn.num_heads,
        "mlp_ratio": _ratio(first.mlp, model.embed_dim),
    }


def _of_swin(model: Any) -> dict[str, Any]:
    first = [layer.blocks[0] for layer in model.layers]
    return {
        "embed_dim": model.embed_dim,
        "depths": [len(layer.blocks) for layer in model.layers],
        "num_heads": [block.attn.num_heads for block in first],
        "head_dim": [block.attn.proj.weight.shape[1] // block.attn.num_heads for block in first],
        "mlp_ratio": _ratio(first[0].mlp, first[0].mlp.fc2.weight.shape[0]),
    }


_SIZES: Mapping[type, Callable[[Any], dict[str, Any]]] = {VisionTransformer: _of_vit, SwinTransformer: _of_swin}
"""The arguments of timm that say sizes, read off the first block (of each stage)."""


def _ratio(mlp: Any, width: int) -> float:
    """Of hidden units to `width`, so that timm, which rounds down, gets as many as there are."""
    hidden = int(mlp.fc1.weight.shape[0])
    return hidden / width if int(width * (hidden / width)) == hidden else (hidden + 0.5) / width
