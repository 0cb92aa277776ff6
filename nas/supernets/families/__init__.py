"""Model families: one file each, with the axis table of a timm class. Chosen by the model's type, never by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas import plugins
from nas.errors import ModelError
from nas.supernets.families.base import Family

if TYPE_CHECKING:
    from torch import nn

NOT_PLUGINS = ("base",)


def families() -> list[Family]:
    """One instance of every family, our own and those of other packages (entry points of this group)."""
    return [plugins.find(__name__, name, Family, ModelError)() for name in plugins.names(__name__)]  # type: ignore[type-abstract]


def family_of(model: nn.Module) -> Family:
    """The family whose class `model` is. Raises ModelError, with the reason, for a model that no family supports."""
    known = families()
    for family in known:
        if type(model) in family.classes:
            if reason := family.refusal(model):
                raise ModelError(f"{type(model).__name__} is supported, but not this variant: {reason}")
            return family
    supported = ", ".join(cls.__name__ for family in known for cls in family.classes)
    raise ModelError(f"{type(model).__name__} cannot become a supernet; supported (timm classes): {supported}")
