"""Search spaces and limits as results say them. Neither torch nor frames are needed for it, nor loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.studies.run.described import LimitFacts, SpaceFacts

if TYPE_CHECKING:
    from nas.searchspaces import Limit, SearchSpace
    from nas.supernets import Cost


def describe_space(space: SearchSpace, cost: Cost) -> SpaceFacts:
    """Choices, how many architectures there are, the least and the greatest costs."""
    least, greatest = cost.ends
    return SpaceFacts(
        model=space.model,
        model_args=dict(space.model_args),
        choices={name: list(choice.values) for name, choice in space.items()},
        kinds={name: choice.kind for name, choice in space.items()},
        architectures=str(space.size),
        least=least,
        greatest=greatest,
        notes=list(space.notes),
    )


def describe_limit(limit: Limit | None) -> LimitFacts:
    """The bounds, also in words, and the share of the space within them."""
    if limit is None:
        return LimitFacts(bounds={}, text="none", share=1.0)
    bounds = {cost: (_finite(low), _finite(high)) for cost, (low, high) in limit.bounds.items()}
    return LimitFacts(bounds=bounds, text=limit.describe(), share=limit.share)


def _finite(value: float) -> float | None:
    """JSON knows no infinity: None."""
    return float(value) if abs(value) != float("inf") else None
