"""Search spaces: what may be chosen of a model, its YAML, and counting and drawing what a limit allows. No torch."""

from nas.searchspaces.architecture import Architecture, Value
from nas.searchspaces.choices._base import Choice, ChoiceKind
from nas.searchspaces.counting.factors import Additive, Factor
from nas.searchspaces.limit import CostModel, Limit
from nas.searchspaces.outline import Outline
from nas.searchspaces.space import SearchSpace

__all__ = [
    "Additive",
    "Architecture",
    "Choice",
    "ChoiceKind",
    "CostModel",
    "Factor",
    "Limit",
    "Outline",
    "SearchSpace",
    "Value",
]
