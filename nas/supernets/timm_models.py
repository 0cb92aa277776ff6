"""Models of timm: built by name, with values or without, and compared with what a name and its arguments say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

import timm
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nas.axes.sizes import parts_of
from nas.detectors import ARGUMENT
from nas.errors import CheckpointError, ModelError, NoFamilyError, nearest
from nas.quantities import Matrix
from nas.searchspaces import Outline
from nas.searchspaces.axis_names import dimension
from nas.supernets.derived.sources import captured_by, is_derived
from nas.supernets.families import NO_FEATURES, family_of
from nas.supernets.models import t2t as t2t  # registers its models in timm
from nas.supernets.models import vit_c as vit_c
from nas.supernets.own import is_own, own_model

NOT_SHAPES = frozenset(
    {
        "checkpoint_path",
        "pretrained",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "cache_dir",
        "scriptable",
        "features_only",
    }
)
"""Arguments of `timm.create_model` that load files or wrap the model, instead of saying what it is."""
FILLING = frozenset({Tensor.uniform_, Tensor.normal_, Tensor.erfinv_, Tensor.mul_, Tensor.add_, Tensor.clamp_})
"""What draws from a truncated normal distribution, as timm's models start from."""
BLOCKS = 256
"""Most blocks of a model, or of one of its stages: building one takes milliseconds, and its axes grow with them."""
SIZE = 2**24
"""Most of every other size that an argument says."""
LARGE, SHARE = 10**8, 1000
"""Parameters that a model may have whatever its weights are, and that it may have for each byte of them: an extracted
model has a small part of them.
"""
PARAMETERS = 10**10
"""Most parameters of a model; the largest of timm's have half as many."""


def build(model: str, model_args: Mapping[str, Any], *, pretrained: bool = False) -> nn.Module:
    """A timm model by name; where the arguments describe a detector, that one around it; and by the name of one whose
    axes are derived (see `nas.supernets.derived.sources`), that one captured. Raises ModelError for an unknown name, or
    arguments that its class does not take.
    """
    if is_own(model):
        return own_model(model, model_args)
    if is_derived(model):
        return captured_by(model, model_args, pretrained=pretrained)
    if ARGUMENT in model_args:
        return _detector(model, model_args, pretrained=pretrained)
    if not timm.is_model(model):
        raise ModelError(f"timm {timm.__version__} has no model '{model}'{nearest(model, timm.list_models())}")
    if model_args.get("features_only"):
        raise ModelError(f"model_args: {NO_FEATURES}")
    if wrong := NOT_SHAPES & set(model_args):
        raise ModelError(
            f"model_args may not hold {', '.join(sorted(wrong))}: they say what a model is, not what to load"
        )
    _refuse_endless(model_args)
    try:
        built: nn.Module = timm.create_model(model, pretrained=pretrained, **model_args)
    except OSError as wrong_file:
        raise ModelError(
            f"timm finds no pretrained weights of '{model}' here: {_first_line(wrong_file)}"
        ) from wrong_file
    except Exception as wrong_args:  # whatever a constructor does with arguments that its author did not think of
        arguments = ", ".join(f"{key}={value}" for key, value in model_args.items())
        reason = _first_line(wrong_args)
        # A class that is not told the size of its images has no table by hand; deriving its axes needs no telling.
        refusal = NoFamilyError if "img_size" in model_args and "'img_size'" in reason else ModelError
        raise refusal(f"timm cannot build '{model}' with model_args {arguments or '(none)'}: {reason}") from wrong_args
    return built


def _detector(model: str, model_args: Mapping[str, Any], *, pretrained: bool) -> nn.Module:
    """A detector around a timm model, which has no head of its own then."""
    from nas.detectors.building import around, body_args, spec_of

    described = model_args[ARGUMENT]
    spec = spec_of(described)
    own = {key: value for key, value in model_args.items() if key != ARGUMENT} | body_args(spec)
    try:
        body = build(model, own, pretrained=pretrained)
    except ModelError as refused:
        if "reg_tokens" in own and "reg_tokens" in str(refused).rpartition(":")[2]:
            raise ModelError(
                f"{ARGUMENT}.head: found {spec.head}, and {model} takes no detection tokens; allowed: ViT and DeiT, or "
                "a head on maps"
            ) from refused
        raise
    return around(body, described)


def outlined(model: str, model_args: Mapping[str, Any]) -> nn.Module:
    """A timm model that has shapes and no values: nothing is allocated, but for a model of others that cannot be built
    without. Raises as `build` does, and for a model that no
    machine holds.
    """
    try:
        with torch.device("meta"), Unfilled():
            outlined = build(model, model_args)
    except ModelError:
        if not is_derived(model):
            raise
        outlined = build(model, model_args)  # some need values while they are built
    parameters = sum(parameter.numel() for parameter in outlined.parameters())
    if parameters > PARAMETERS:
        raise ModelError(f"{model} with these model_args has {parameters:.2g} parameters; allowed: {PARAMETERS:.2g}")
    return outlined


def require_weights(model: str, model_args: Mapping[str, Any], weights: Path) -> None:
    """Raises `CheckpointError` for a model that is far too large to have left these weights, whole or extracted: what
    somebody's file says must not fill the memory. Raises as `build` does.
    """
    parameters = sum(parameter.numel() for parameter in outlined(model, model_args).parameters())
    size = weights.stat().st_size
    if parameters > max(LARGE, SHARE * size):
        raise CheckpointError(
            f"{weights}: {size:,} bytes cannot be of {model} with {parameters:.2g} parameters, as is said of them; "
            "take another copy of both"
        )


@final
class Unfilled(TorchFunctionMode):
    """Under it, tensors without values are not filled, which changes nothing and takes most of the time of building."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if function in FILLING and isinstance(args[0], Tensor) and args[0].is_meta:
            return args[0]
        return function(*args, **(kwargs or {}))


def outline_of(model: nn.Module, name: str) -> Outline:
    """The axes of a model that exists."""
    family = family_of(model)
    frame, elastic = family.frame(model), family.elastic(model)
    chosen = {axis for axis in frame.axes if dimension(axis) in elastic}
    entries = family.table(model, frame.axes).entries.values()
    matrices = {entry.rank: Matrix(entry.rank, *entry.dims) for entry in entries if entry.rank in chosen}
    sides = {axis for m in matrices.values() for atom in (*m.outputs, *m.inputs) for axis in parts_of(atom)}
    chosen |= {axis for axis in sides if not axis.isdecimal()}
    chosen |= {parent for axis in chosen for parent in frame.within.get(axis, "").split()}

    def of_chosen(mapping: Mapping[str, Any]) -> dict[str, Any]:
        return {axis: value for axis, value in mapping.items() if axis in chosen}

    parts = of_chosen(frame.axes), of_chosen(frame.protected), of_chosen(frame.within)
    return Outline(name, *parts, elastic, matrices, family.fixed(model))


def differs(model: nn.Module, name: str, model_args: Mapping[str, Any]) -> str:
    """How `model` differs from what timm builds by that name and these arguments; empty when it does not."""
    fresh = outlined(name, model_args)
    for what, of in (("shape", _shapes), ("setting", _settings)):
        here, there = of(model), of(fresh)
        for key in {**here, **there}:
            if here.get(key) != there.get(key):
                return f"{what} {key} = {here.get(key)}, by the space {there.get(key)}"
    return ""


def _refuse_endless(model_args: Mapping[str, Any]) -> None:
    """Raise ModelError for sizes that a constructor would work on without end."""
    for name, value in model_args.items():
        most = BLOCKS if name in ("depth", "depths") else SIZE
        sizes = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(size, int | float) and not abs(size) <= most for size in sizes):
            raise ModelError(f"model_args: '{name}' is {value}; allowed: sizes up to {most}")


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _settings(model: nn.Module) -> dict[str, Any]:
    """Plain attributes of all modules, but for those of a mode or of training."""
    passing = {
        "training",
        "grad_checkpointing",
        "fused_attn",
        "distilled_training",
        "p",
        "drop_prob",
        "weight_init_mode",
    }
    return {
        f"{path}.{key}".removeprefix("."): value
        for path, module in model.named_modules()
        for key, value in vars(module).items()
        if not key.startswith("_") and key not in passing and isinstance(value, bool | int | float | str)
    }


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
