"""Model families: one file each, with the axis table of a timm class. Chosen by the model's type, never by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas import plugins
from nas.errors import ModelError, NoFamilyError
from nas.searchspaces.axis_names import dimension
from nas.supernets.families._base import Family, Piece, Readout

if TYPE_CHECKING:
    from torch import nn

__all__ = ["NO_FEATURES", "Family", "Piece", "Readout", "families", "family_of", "known_by_hand"]

NO_FEATURES = (
    "features_only=True leaves no head to train by; build the whole model, and ask the extracted one for its features: "
    "nas.load(FOLDER).forward_intermediates(images)"
)
"""Why a model of feature maps is refused."""


def families() -> list[Family]:
    """One instance of every family, our own and those of other packages (entry points of this group)."""
    return [plugins.find(__name__, name, Family, ModelError)() for name in plugins.names(__name__)]  # type: ignore[type-abstract]


def known_by_hand(model: nn.Module) -> bool:
    """Whether a family has a table for the class of a model, so that its axes need not be derived."""
    return any(type(model) in family.classes for family in families())


def _empty(family: Family, model: nn.Module) -> str:
    """Why there is nothing to choose from, if there is not."""
    axes, elastic = family.frame(model).axes, {*family.elastic(model), "channels", "patches"}
    empty = [axis for axis, units in axes.items() if units < 1 and dimension(axis) in elastic]
    return f"it has no {empty[0]}" if empty else ""


def family_of(model: nn.Module) -> Family:
    """The family whose class `model` is, or whose class the body of a detector is. Raises ModelError, with the reason,
    for a model that no family supports: a NoFamilyError where its axes could be derived.
    """
    known = families()
    for family in known:
        if type(model) in family.classes:
            # The types of parts come first: what else is asked of a model relies on them.
            other = f"{type(model).__name__} is supported, but not this variant:"
            if reason := family.foreign_part(model):
                raise NoFamilyError(f"{other} {reason}")
            if reason := family.hollow(model):
                raise ModelError(f"{other} {reason}")
            if reason := family.refusal(model):
                raise NoFamilyError(f"{other} {reason}")
            if reason := _empty(family, model):
                raise ModelError(f"{other} {reason}")
            return family
    from nas.detectors import Detector  # loaded for what is no plain model

    if isinstance(model, Detector):
        from nas.supernets.families._within import Within

        return Within(family_of(model.body))
    if _gives_features(model):
        raise ModelError(f"{type(model).__name__} cannot become a supernet: {NO_FEATURES}")
    supported = ", ".join(
        cls.__name__ for family in known if family.further_examples or family.examples for cls in family.classes
    )
    raise NoFamilyError(
        f"{type(model).__name__} cannot become a supernet; supported (timm classes): {supported}; of others axes are "
        "derived: model: timm/NAME"
    )


def _gives_features(model: nn.Module) -> bool:
    """Whether `model` is what timm makes of one with features_only=True."""
    from timm.models import FeatureDictNet, FeatureHookNet
    from timm.models._features import FeatureGetterNet
    from timm.models._features_fx import FeatureGraphNet

    return isinstance(model, FeatureDictNet | FeatureGetterNet | FeatureGraphNet | FeatureHookNet)
