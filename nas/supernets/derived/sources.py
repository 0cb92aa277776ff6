"""Models that a user names: of timm, of torchvision, of Hugging Face's transformers, or a function of their own.

timm/NAME, torchvision/NAME (or a class there), hf/CLASS (with the defaults of its configuration), hf/FOLDER (with a
config.json) and package.module:function are models whose axes are derived; a bare name is timm's. The function is
called with the model_args: its code runs, so only a user may name it (see `nas.trusted`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nas.errors import ModelError, NoFamilyError
from nas.supernets.derived.derivation import Derivation
from nas.supernets.derived.libraries import COLOURS, Builder, function, of_hugging_face, of_torchvision
from nas.trusted import is_code

if TYPE_CHECKING:
    from torch import nn

    from nas.supernets.derived.captured import Captured, Graphs

TIMM, TORCHVISION, HUGGING_FACE = "timm/", "torchvision/", "hf/"
KEPT = 2
"""Models of which this process keeps the captured graphs; they hold the tensors of the first one of each."""
MOST_CHANNELS = 4
"""Of a picture: red, green, blue and how opaque it is."""
SIDE = 224
"""Pixels of an image's side, where a model does not say."""
DOWNLOADERS = ("urllib", "http", "requests", "huggingface_hub")
"""How the names of packages begin whose exceptions say that a download failed."""

_GRAPHS: dict[tuple[str, str, str], Graphs] = {}


def is_derived(name: str) -> bool:
    """Whether a name is that of a model whose axes are derived, wherever it stands."""
    return name.startswith((TIMM, TORCHVISION, HUGGING_FACE)) or is_code(name)


def library(name: str) -> str:
    """The package whose version says what a model of that name is."""
    if is_code(name):
        return "torch"
    known = {TORCHVISION: "torchvision", HUGGING_FACE: "transformers"}
    return next((package for prefix, package in known.items() if name.startswith(prefix)), "timm")


def full_name(name: str) -> str:
    """A name with its library: timm's, where it says none."""
    return name if is_derived(name) else f"{TIMM}{name}"


def derived_by(name: str, model_args: Mapping[str, Any], side: int | None) -> Derivation:
    """The axes of the model of a name, on images of so many pixels' side or of its own."""
    from nas.supernets.derived.deriving import derive

    model = without_values(full_name(name), model_args)
    return derive(model, image_of(model, model_args, side))


def without_values(name: str, model_args: Mapping[str, Any]) -> nn.Module:
    """The model of a name, as `built_by` gives it, but for its values, if it can be built without. Raises `ModelError`
    for one that no machine holds.
    """
    import torch

    from nas.supernets.timm_models import PARAMETERS

    try:
        with torch.device("meta"):
            model = built_by(name, model_args)
    except ModelError:  # some need values while they are built
        model = built_by(name, model_args)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if parameters > PARAMETERS:
        raise ModelError(f"'{name}' has {parameters:.2g} parameters; allowed: {PARAMETERS:.2g}")
    return model


def captured_by(name: str, model_args: Mapping[str, Any], *, pretrained: bool = False) -> Captured:
    """The model of a name as one that can become a supernet. Raises `ModelError` as `built_by` does."""
    import torch

    from nas.supernets.derived.captured import Captured

    model = built_by(name, model_args, pretrained=pretrained)
    captured = Captured(model, image_of(model, model_args), model_args.get("num_classes"))
    # Capturing takes long. A model of the same name and arguments has the same graphs, whatever its values are.
    key = (
        name,
        json.dumps(dict(model_args), sort_keys=True, default=str),
        str(next(model.parameters(), torch.empty(0)).device),
    )
    captured.graphs = _GRAPHS.setdefault(key, captured.graphs)
    while len(_GRAPHS) > KEPT:
        del _GRAPHS[next(iter(_GRAPHS))]
    return captured


def built_by(name: str, model_args: Mapping[str, Any], *, pretrained: bool = False) -> nn.Module:
    """The model of a name and its arguments. `img_size` says the size of its images, also of a class that does not ask.
    Raises `ModelError` for a model that there is not, or that does not take the arguments.
    """
    from torch import nn

    from nas.supernets.timm_models import build

    if name.startswith(TIMM):
        bare = name.removeprefix(TIMM)
        try:
            return build(bare, model_args, pretrained=pretrained)
        except NoFamilyError:
            own = {key: value for key, value in model_args.items() if key != "img_size"}
            return build(bare, own, pretrained=pretrained)
    if pretrained:
        raise ModelError(f"'{name}' has no pretrained weights here; allowed: base.checkpoint FILE")
    builder = _builder(name)
    try:
        model = builder(**model_args)
    except Exception as wrong:  # whatever a builder does with arguments that its author did not think of
        reason = (str(wrong).splitlines() or [""])[0] or type(wrong).__name__
        arguments = ", ".join(f"{key}={value}" for key, value in model_args.items()) or "(none)"
        advice = "; it asks for something of a network: have it here before, or build without it"
        raise ModelError(
            f"'{name}' cannot be built with model_args {arguments}: {reason}{advice if _of_network(wrong) else ''}"
        ) from wrong
    if not isinstance(model, nn.Module):
        raise ModelError(f"'{name}' gives a {type(model).__name__}; allowed: a torch.nn.Module")
    return model


def _of_network(wrong: BaseException | None) -> bool:
    """Whether something was not there to be downloaded, as far as libraries say so."""
    seen = set()
    while wrong is not None and wrong not in seen:
        seen.add(wrong)
        if type(wrong).__module__.startswith(DOWNLOADERS) or isinstance(wrong, ConnectionError | TimeoutError):
            return True
        wrong = wrong.__cause__ or wrong.__context__
    return False


def stated_size(model: nn.Module) -> Any:
    """Pixels of an image's side, or of its height and its width, as the model says itself; None where it does not."""
    known: Any = model
    sizes = (getattr(known, "default_cfg", None) or {}).get("input_size")
    return getattr(getattr(known, "config", None), "image_size", None) or (sizes and sizes[1:])


def image_of(model: nn.Module, model_args: Mapping[str, Any], side: int | None = None) -> tuple[int, int, int]:
    """Channels, height and width of the images that a model takes, of so many pixels' side, or as far as it says."""
    known: Any = model
    usual = (getattr(known, "default_cfg", None) or {}).get("input_size") or (_channels(model),)
    channels: Any = model_args.get("in_chans") or getattr(getattr(known, "config", None), "num_channels", usual[0])
    size: Any = side or model_args.get("img_size") or model_args.get("image_size") or stated_size(model) or SIDE
    height, width = (size, size) if isinstance(size, int) else size
    return channels, height, width


def _channels(model: nn.Module) -> int:
    """Of its images, where a model does not say: what its first convolution takes, if pictures have as many."""
    from torch import nn

    first = next((layer.in_channels for layer in model.modules() if isinstance(layer, nn.Conv2d)), COLOURS)
    return first if first <= MOST_CHANNELS else COLOURS


def _builder(name: str) -> Builder:
    if is_code(name):
        return function(name)
    if name.startswith(TORCHVISION):
        return of_torchvision(name.removeprefix(TORCHVISION))
    return of_hugging_face(name.removeprefix(HUGGING_FACE))
