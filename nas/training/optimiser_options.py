"""`optimizer:` of a recipe: timm's optimisers by name, each with the options that its constructor takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, make_dataclass
from functools import cache
from types import NoneType
from typing import Annotated, Any, ClassVar, get_args

import torch
from timm.optim import (  # type: ignore[attr-defined]  # timm re-exports without __all__
    create_optimizer_v2,
    get_optimizer_info,
    list_optimizers,
)

from nas.documents.conditions import Present, ReadWith
from nas.documents.markers import Plugged
from nas.errors import TrainingError, nearest
from nas.numbers import Share, above, number, whole

OURS = ("params", "lr", "weight_decay", "maximize", "capturable", "differentiable", "verbose")
"""What constructors take and the recipe, or the loop, decides."""
UNFIT = ("adahessian", "kron", "kronc", "kronw")
"""They need second derivatives, or keep what is no tensor and no number, so that a checkpoint could not hold it."""
DUMMY = (2, 2)
"""Shape of the parameter on which options are tried."""


@dataclass(frozen=True, kw_only=True)
class OptimiserOptions:
    """What can be said of every optimiser; its own options, under timm's names, are fields of a subclass.

    no_weight_decay         more parameters without weight decay, beside vectors and what the model itself names: timm's
                            names, or patterns of them such as "*.qkv.weight"
    filter_bias_and_bn      no weight decay for vectors: biases, norms, scales
    layer_decay             each layer learns at this share of the next one's rate, the head at the whole rate
    layer_decay_min_scale   least share of the rate that a layer has
    """

    no_weight_decay: tuple[str, ...] = ()
    filter_bias_and_bn: bool = True
    layer_decay: Annotated[float, above(0, 1)] | None = None
    layer_decay_min_scale: Annotated[Share, ReadWith(Present("layer_decay"))] = 0.0

    name: ClassVar[str]
    """timm's."""

    def __post_init__(self) -> None:
        try:
            create_optimizer_v2([torch.zeros(DUMMY)], self.name, lr=1.0, **self.own)
        except (ValueError, AssertionError, TypeError, RuntimeError, KeyError) as refusal:
            reason = (str(refusal).splitlines() or [""])[0] or type(refusal).__name__
            raise ValueError(f"what {self.name} takes ({reason})") from None

    @property
    def own(self) -> Mapping[str, Any]:
        """The options that the optimiser's constructor takes."""
        shared = OptimiserOptions.__dataclass_fields__
        return {key: value for key, value in asdict(self).items() if key not in shared}


@cache
def names() -> list[str]:
    """Timm's names of the optimisers that can be used here, those of other packages left out."""
    usable = (name for name in map(str, list_optimizers()) if inspect.isclass(get_optimizer_info(name).opt_class))
    return [name for name in usable if name not in UNFIT]


@cache
def find(name: str) -> type[OptimiserOptions]:
    """The options of an optimiser, a frozen dataclass. Raises `TrainingError` for a name that there is not."""
    if name not in names():
        raise TrainingError(f"no optimizer '{name}'; allowed: {', '.join(names())}{nearest(name, names())}")
    info, options = get_optimizer_info(name), []
    optimiser: Any = info.opt_class
    for key, parameter in inspect.signature(optimiser).parameters.items():
        foreign = key in OURS or (key == "eps" and not info.has_eps) or (key == "betas" and not info.has_betas)
        default = (info.defaults or {}).get(key, 0.9 if key == "momentum" and info.has_momentum else parameter.default)
        hint = None if foreign else _hint(default, parameter.annotation)
        if hint is not None:
            options.append((key, hint, field(default=default)))
    space = {"name": name, "__module__": __name__}
    return make_dataclass(name, options, bases=(OptimiserOptions,), namespace=space, frozen=True, kw_only=True)


OPTIMIZER = Plugged("optimizer", names, find)


def _hint(default: object, annotation: object) -> Any:
    """The type of an option in YAML, by its default and by what the constructor says; None for what YAML cannot say."""
    kinds = get_args(annotation) or (annotation,)
    hint: Any = None
    if isinstance(default, bool) or (default is None and bool in kinds):
        hint = bool
    elif isinstance(default, tuple):
        hint = tuple[(_NUMBER,) * len(default)]  # type: ignore[misc]  # as many as there are
    elif isinstance(default, int | float) or (default is None and float in kinds):
        hint = Annotated[int, whole(0, 1_000_000)] if kinds == (int,) else _NUMBER
    elif isinstance(default, str):
        hint = str
    optional = default is None or NoneType in kinds
    return hint if hint is None or not optional else hint | None


_NUMBER = Annotated[float, number(-1e9, 1e9)]
