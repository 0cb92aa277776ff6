"""Modules of a Python program as models: known by a name in this process alone, and to nobody who reads a run later."""

from __future__ import annotations

import copy
import hashlib
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nas.errors import ModelError
from nas.trusted import is_code

if TYPE_CHECKING:
    import torch
    from torch import nn

OWN = "own/"
"""How their names begin."""
_MODULES: dict[str, nn.Module] = {}
_CAPTURED: dict[tuple[str, tuple[int, int, int], torch.device], nn.Module] = {}


def is_own(name: str) -> bool:
    """Whether a name is that of a module of some Python program."""
    return name.startswith(OWN)


def own_name(module: nn.Module) -> str:
    """A name for the module, by which studies of this process find it, weights included. Modules that are built alike
    have the same name, in every process.
    """
    shapes = [(name, tuple(tensor.shape)) for name, tensor in module.state_dict().items()]
    code = sorted({_source(type(part)) for part in module.modules()})
    digest = hashlib.sha256(repr((repr(module), shapes, code)).encode()).hexdigest()
    name = f"{OWN}{type(module).__name__}-{digest[:12]}"
    _MODULES[name] = module
    for known in [known for known in _CAPTURED if known[0] == name]:
        del _CAPTURED[known]  # it may have other weights now
    return name


def of_user(name: object) -> bool:
    """Whether a model is a user's own: a module of a Python program, or what a function of theirs returns."""
    return isinstance(name, str) and (is_own(name) or is_code(name))


def says_image_size(name: str, model_args: Mapping[str, Any]) -> bool:
    """Whether a user's own model says how large its images are; also where there is none of that name."""
    from nas.supernets.derived.sources import stated_size, without_values
    from nas.supernets.families import known_by_hand

    try:
        module = _MODULES.get(name) if is_own(name) else without_values(name, model_args)
    except ModelError:  # told where the model is asked for
        return True
    return module is None or known_by_hand(module) or stated_size(module) is not None


def own_module(name: str) -> nn.Module:
    """A copy of the module of that name. Raises `ModelError` where this process knows none."""
    import torch

    if name not in _MODULES:
        raise ModelError(
            f"'{name}' is a module of a Python program; only there, where it is handed to nas.Study(model=...), can "
            "its run go on, and be loaded"
        )
    module = copy.deepcopy(_MODULES[name])
    default = torch.get_default_device()
    return module.to(default) if default.type == "meta" else module  # what is outlined has no values


def own_model(name: str, model_args: Mapping[str, Any]) -> nn.Module:
    """The module of that name as one that can become a supernet: itself where a family knows its class, else captured
    on images as the arguments say.
    """
    from nas.supernets.derived.captured import Captured
    from nas.supernets.derived.sources import image_of
    from nas.supernets.families import known_by_hand

    module = own_module(name)
    if known_by_hand(module):
        return module
    image, device = image_of(module, model_args), next(iter(module.parameters())).device
    if (name, image, device) not in _CAPTURED:
        _CAPTURED[name, image, device] = Captured(module, image, model_args.get("num_classes"))
    return copy.deepcopy(_CAPTURED[name, image, device])  # copies share the graph, which takes long to capture


def _source(kind: type) -> str:
    """The code of a class that is the program's own, so that another forward is another model."""
    if kind.__module__.startswith(("torch.", "timm.", "torchvision.")):
        return ""
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # typed in, or built in
        return ""
