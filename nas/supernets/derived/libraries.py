"""What builds a model that is not timm's. All are asked in timm's words: `in_chans`, `num_classes` and `img_size`,
which follow from the data of a study; how a library calls these is said here.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import ModelError, nearest
from nas.trusted import require_trusted_code

if TYPE_CHECKING:
    from torch import nn

Builder = Callable[..., Any]
CHANNELS, CLASSES, SIDE = "in_chans", "num_classes", "img_size"
OF_DATA = (CHANNELS, CLASSES, SIDE)
COLOURS = 3
OF_CONFIGURATIONS = {CHANNELS: "num_channels", CLASSES: "num_labels", SIDE: "image_size"}
"""How transformers' configurations call them."""


def function(name: str) -> Builder:
    """The user's "package.module:function". What the data say is handed to it as far as it takes that."""
    require_trusted_code(name)
    module, _, attribute = name.partition(":")
    # A file of the user's lies where they are, as for `python -m`.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        builder: Any = getattr(importlib.import_module(module), attribute)
    except Exception as wrong:  # their module may do anything
        raise ModelError(f"'{name}' cannot be imported: {type(wrong).__name__}: {wrong}") from wrong
    if not callable(builder):
        raise ModelError(f"'{name}' is a {type(builder).__name__}; allowed: a function that returns a model")
    takes = _parameters(builder)
    return lambda **arguments: builder(
        **{key: value for key, value in arguments.items() if takes is None or key in takes or key not in OF_DATA}
    )


def of_torchvision(name: str) -> Builder:
    """A model by its name, or of a class, such as VisionTransformer. Its first convolution reads as many channels as
    are asked for, as timm's do; the side of images is told to a class that wants it.
    """
    from torch import nn
    from torchvision import models

    known: Any = getattr(models, name, None)
    if name in models.list_models():
        builder, kind = _without_weights(name), inspect.signature(models.get_model_builder(name)).return_annotation
    elif isinstance(known, type) and issubclass(known, nn.Module):
        builder = kind = known
    else:
        raise ModelError(f"torchvision has no model '{name}'{nearest(name, models.list_models())}")
    takes = _parameters(kind) or {}

    def build(**arguments: Any) -> nn.Module:
        channels, side = arguments.pop(CHANNELS, COLOURS), arguments.pop(SIDE, None)
        if side is not None and "image_size" in takes:
            arguments["image_size"] = side
        if side is not None and "input_size" in takes:
            arguments["input_size"] = (side, side) if isinstance(side, int) else tuple(side)
        model: nn.Module = builder(**arguments)
        if channels != COLOURS:
            _read_channels(model, channels)
        return model

    return build


def of_hugging_face(name: str) -> Builder:
    """A model by its class, with the defaults of its configuration, or by a folder with a config.json."""
    try:
        import transformers
    except ModuleNotFoundError as absent:
        raise ModelError(f"'hf/{name}' needs transformers: pip install transformers") from absent
    if (Path(name) / "config.json").is_file():
        own = transformers.AutoConfig.from_pretrained(name, local_files_only=True, trust_remote_code=False)
        make, kind, known = transformers.AutoModelForImageClassification.from_config, own.__class__, own.to_dict()
    else:
        make = getattr(transformers, name, None)
        kind, known = getattr(make, "config_class", None), {}
        if kind is None:
            raise ModelError(f"transformers has no model '{name}', and there is no {name}/config.json")

    def build(**arguments: Any) -> Any:
        defaults = kind()
        words = {key: word for key, word in OF_CONFIGURATIONS.items() if hasattr(defaults, word)}
        own = {words.get(key, key): value for key, value in arguments.items() if key in words or key not in OF_DATA}
        return make(kind.from_dict({**known, **own}))

    return build


def _without_weights(name: str) -> Builder:
    from torchvision import models

    return lambda **arguments: models.get_model(name, weights=None, **arguments)


def _parameters(builder: Any) -> Mapping[str, Any] | None:
    """The parameters that a function or a class names; None where it takes any, or does not say."""
    try:
        parameters = inspect.signature(builder).parameters
    except (TypeError, ValueError):
        return None
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    return None if takes_any else parameters


def _read_channels(model: nn.Module, channels: int) -> None:
    """Put another convolution in the place of the first one that reads colours."""
    from torch import nn

    layers = ((path, layer) for path, layer in model.named_modules() if isinstance(layer, nn.Conv2d))
    path, old = next((path, layer) for path, layer in layers if layer.in_channels == COLOURS)
    shape: Any = {key: getattr(old, key) for key in ("kernel_size", "stride", "padding", "dilation")}
    model.set_submodule(path, nn.Conv2d(channels, old.out_channels, bias=old.bias is not None, **shape))
