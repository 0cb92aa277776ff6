"""Small instances of timm's models: what takes long of a model is how many blocks it has, and how wide they are.

A class is told other sizes than its function would tell it, where its forward runs then. Of blocks in a row that are
alike the first ones stay, whatever the class can be told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from itertools import groupby
from typing import Any, final
from unittest.mock import patch

import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas.supernets.derived.blocks import blocks_of
from nas.supernets.derived.sources import image_of
from nas.supernets.timm_models import Unfilled

CLASSES = 10
SIDE = 256
"""Pixels of an image's side above which half of it is tried."""
HEADS, FIRST_HEADS, FIRST_WIDTH = 4, 2, 32
"""Heads of a model of one width; heads and width of the first stage of others."""
DEPTHS = ("depth", "depths", "layers", "stages", "serial_depths", "num_blocks")
WIDTHS = ("embed_dim", "embed_dims", "dims")
"""How classes call the numbers of their blocks, and their widths."""


@final
@dataclass(frozen=True)
class Instance:
    """A model of timm's: its class, what its function tells that otherwise, and the paths of blocks left out."""

    name: str
    cls: type[nn.Module]
    changes: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def build(self, device: str) -> nn.Module:
        """The model."""
        original: Any = self.cls.__init__

        def changed(model: nn.Module, *arguments: Any, **keywords: Any) -> None:
            original(model, *arguments, **{**keywords, **self.changes})

        with torch.device(device), Unfilled(), patch.object(self.cls, "__init__", changed):
            model: nn.Module = timm.create_model(self.name, num_classes=CLASSES)
        # From the last one on: members behind one that goes have other paths then.
        for path in reversed(self.left_out):
            above, _, place = path.rpartition(".")
            del model.get_submodule(above)[int(place)]  # type: ignore[operator]
        return model

    def image(self, model: nn.Module) -> tuple[int, int, int]:
        """Channels, height and width of its images."""
        return image_of(model, self.changes)


def shrunken(name: str, whole: nn.Module) -> Instance:
    """The smallest instance that a class can be told to be, as far as its forward runs, and it has every kind of
    module that the whole model has; `whole` is that one.
    """
    own = Instance(name, type(whole))
    best, side, parts = own, own.image(whole)[1], kinds(whole)
    for blocks in (1, 2):
        wishes = _wishes(told(own), side, blocks)
        # Mostly all of them can be had together.
        if _runs(wished := replace(own, changes=_united(wishes)), parts):
            best = wished
            break
    else:
        for wish in wishes:
            wished = replace(best, changes={**best.changes, **wish})
            best = wished if _runs(wished, parts) else best
    fewer = replace(best, left_out=_surplus(best.build("meta")))
    return fewer if fewer.left_out and _runs(fewer, parts) else best


def kinds(model: nn.Module) -> set[tuple[type[nn.Module], frozenset[str]]]:
    """Classes of its modules, with the names of what they hold: a block with a mask is another one than without."""
    result = set()
    for module in model.modules():
        held = {**module._parameters, **module._buffers}
        result.add((type(module), frozenset(name for name, tensor in held.items() if tensor is not None)))
    return result


def macs(model: nn.Module, image: tuple[int, int, int]) -> int | None:
    """Multiply-accumulates of one image; none where the forward needs values."""
    try:
        with torch.no_grad(), torch.device("meta"), FlopCounterMode(display=False) as counter:
            model.eval().requires_grad_(False)(torch.empty(1, *image))
    except Exception:  # whatever a forward does without values
        return None
    return int(counter.get_total_flops() // 2)


def _wishes(said: Mapping[str, Any], side: int, blocks: int) -> list[dict[str, Any]]:
    """What to try to tell a class in the place of what it is told, in parts that do not need each other; `blocks` are
    those of each stage.
    """
    wishes: list[dict[str, Any]] = []
    for key in DEPTHS:
        if isinstance(said.get(key), int):
            wishes.append({key: 2})
        elif _numbers(said.get(key)):
            wishes.append({key: (blocks,) * len(said[key])})
    if widths := _narrow(said):
        wishes.append(widths)
    if side > SIDE:
        wishes.append({"img_size": side // 2})
    for key, value in said.items():
        if is_dataclass(value) and not isinstance(value, type):
            own = {field.name: getattr(value, field.name) for field in fields(value)}
            wishes += [{key: replace(value, **wish)} for wish in [_united(_wishes(own, 0, blocks))] if wish]
    return wishes


def _narrow(said: Mapping[str, Any]) -> dict[str, Any]:
    """Fewer heads of the same width; or narrower stages, in the same proportions to each other."""
    width, heads = said.get("embed_dim"), said.get("num_heads")
    if isinstance(width, int) and isinstance(heads, int):
        return {"embed_dim": HEADS * (width // heads), "num_heads": HEADS} if heads > HEADS else {}
    widths = {key: said[key] for key in WIDTHS if _numbers(said.get(key))}
    if _numbers(heads):
        first = heads[0]
        widths |= {"num_heads": heads} | ({"embed_dim": (width,)} if isinstance(width, int) else {})
        now = FIRST_HEADS
    elif widths:
        first, now = next(iter(widths.values()))[0], FIRST_WIDTH
    else:
        return {}
    if first <= now or any(number * now % first for numbers in widths.values() for number in numbers):
        return {}
    fewer = {key: tuple(number * now // first for number in numbers) for key, numbers in widths.items()}
    return fewer | ({"embed_dim": fewer["embed_dim"][0]} if isinstance(width, int) else {})


def _united(wishes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: value for wish in wishes for key, value in wish.items()}


def _numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(number, int) for number in value)


def _surplus(model: nn.Module) -> tuple[str, ...]:
    """Paths of blocks that are like the one before: of a model with one row of these all but two, of others all but
    one in each row.
    """
    paths = [path for path in blocks_of(model).values() if path.rpartition(".")[2].isdecimal()]
    rows = [list(row) for _, row in groupby(paths, lambda path: (path.rpartition(".")[0], _definition(model, path)))]
    kept = 2 if len(rows) == 1 else 1
    return tuple(path for row in rows for path in row[kept:])


def _definition(model: nn.Module, path: str) -> str:
    block = model.get_submodule(path)
    shapes = [(name, tuple(t.shape)) for name, t in (*block.named_parameters(), *block.named_buffers())]
    return re.sub(r"drop_prob=[\d.e-]+", "", repr((block, shapes)))  # stochastic depth grows from block to block


def _runs(instance: Instance, parts: set[tuple[type[nn.Module], frozenset[str]]]) -> bool:
    """Whether an instance can be built, has these kinds of modules, and computes something."""
    try:
        model = instance.build("meta")
        with torch.no_grad(), torch.device("meta"):
            model.eval()(torch.empty(1, *instance.image(model)))
    except Exception:  # whatever a constructor does with sizes that its author did not think of
        return False
    return kinds(model) == parts


def told(instance: Instance) -> dict[str, Any]:
    """What the function of a name tells the class."""
    said: dict[str, Any] = {}
    original: Any = instance.cls.__init__

    def recorded(model: nn.Module, *arguments: Any, **keywords: Any) -> None:
        said.update(keywords | dict(zip(("cfg",), arguments, strict=False)))
        original(model, *arguments, **keywords)

    with torch.device("meta"), Unfilled(), patch.object(instance.cls, "__init__", recorded):
        timm.create_model(instance.name, num_classes=CLASSES)
    return said
