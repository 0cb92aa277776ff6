"""How a model wants its pictures: read from what timm knows of its pretrained weights, or from the file beside a
checkpoint; carried in saved models, and given back as timm's `pretrained_cfg`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, final

from pydantic import TypeAdapter, ValidationError
from torch import nn

from nas.errors import CheckpointError, ModelError
from nas.preprocessing import MODEL, ImageSize, Preprocessing, sides, size_of

USUAL_SIZE = 224
CONFIG = "config.json"
"""What timm writes beside weights that it saves (`timm.models.save_for_hf`)."""
KEPT = ("architecture", "first_conv", "classifier", "pool_size", "fixed_input_size")
"""Keys of a `pretrained_cfg` that are true of any model of that class; others say where timm's own weights lie, and
what they were measured with.
"""

_PREPROCESSING = TypeAdapter(Preprocessing)
_NAMES = {field.name for field in fields(Preprocessing)} - {"source"}


@final
@dataclass(frozen=True)
class ModelInput:
    """The images of a saved model: channels, height and width in pixels, and the constants that made them."""

    channels: int
    size: ImageSize
    preprocessing: Preprocessing

    def as_json(self) -> dict[str, Any]:
        """Plain data, all on one level."""
        size = self.size if isinstance(self.size, int) else list(self.size)
        return {"channels": self.channels, "size": size, **asdict(self.preprocessing)}

    @classmethod
    def of_json(cls, data: Mapping[str, Any], where: Path) -> ModelInput:
        """What `as_json` gave. Raises `CheckpointError`, which names the file `where`, for anything else."""
        channels, size = data.get("channels"), data.get("size")
        both: list[Any] = size if isinstance(size, list) and len(size) == 2 else [size]
        if not all(type(number) is int and number > 0 for number in (channels, *both)):
            raise CheckpointError(f"{where}: damaged at 'about.input': channels and size are {(channels, size)}")
        constants = _preprocessing(data, f"{where}: damaged at 'about.input", str(data.get("source", "data")))
        return cls(data["channels"], size_of(both[0], both[-1]), constants)

    def give(self, model: nn.Module) -> None:
        """Let `timm.data.resolve_data_config(model=model)` say how pictures are prepared for `model`."""
        timm_model: Any = model
        known = getattr(timm_model, "pretrained_cfg", None) or {}
        constants = {name: getattr(self.preprocessing, name) for name in sorted(_NAMES)}
        timm_model.pretrained_cfg = timm_model.default_cfg = {
            **{key: known[key] for key in KEPT if key in known},
            "input_size": (self.channels, *sides(self.size)),
            "num_classes": getattr(timm_model, "num_classes", None),
            **constants,
        }


def of_pretrained(model: nn.Module) -> Preprocessing:
    """By which timm's pretrained weights of `model` want their pictures prepared. Raises `CheckpointError`."""
    timm_model: Any = model
    return of_config(timm_model.pretrained_cfg)


def of_config(config: Mapping[str, Any]) -> Preprocessing:
    """What a `pretrained_cfg` says. Raises `CheckpointError` where it says less, or what nobody can follow."""
    return _preprocessing(config, "timm's pretrained_cfg: found '", MODEL)


def beside(checkpoint: Path) -> Preprocessing | None:
    """The constants in the configuration that lies beside a checkpoint, None where there is none.

    Raises `CheckpointError` for one that is damaged.
    """
    config = read_config(checkpoint.parent).get("pretrained_cfg")
    if not isinstance(config, Mapping) or not {"mean", "std"} <= config.keys():
        return None  # another program's, which says nothing of pictures
    return _preprocessing(config, f"{checkpoint.parent / CONFIG}: found 'pretrained_cfg", MODEL)


def read_config(folder: Path) -> Mapping[str, Any]:
    """The configuration that timm writes beside weights, empty where there is none, or none of timm's.

    Raises `CheckpointError` for one that is damaged.
    """
    path = folder / CONFIG
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as wrong:
        raise CheckpointError(f"{path}: damaged ({wrong}); mend it, or take it away") from wrong
    return content if isinstance(content, dict) else {}


def usual_side(config: Mapping[str, Any]) -> int:
    """Side in pixels of the images that a `pretrained_cfg` says. Raises `ModelError` where they are no squares."""
    return side(list(config.get("input_size") or (USUAL_SIZE,))[-2:], "timm's input_size") or USUAL_SIZE


def side(size: object, where: str) -> int | None:
    """Of a square in pixels that is given by one number or by two; None where nothing is given. Raises `ModelError`,
    which names the key `where`, for what is none.
    """
    sides = [*size] if isinstance(size, list | tuple) else [size]
    numbers = [one for one in sides if type(one) is int and one > 0]
    if size is None:
        return None
    if len(numbers) != len(sides) or len(sides) > 2 or len(set(numbers)) != 1:
        raise ModelError(f"{where}: found {size}; allowed: pixels of a square")
    return numbers[0]


def _preprocessing(config: Mapping[str, Any], where: str, source: str) -> Preprocessing:
    known = {name: config[name] for name in _NAMES if config.get(name) is not None}
    try:
        return _PREPROCESSING.validate_python({**known, "source": source})
    except ValidationError as wrong:
        first = wrong.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{where}.{key}' = {first['input']!r} ({first['msg']})") from wrong
