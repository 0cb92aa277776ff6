"""prepare: everything that can be wrong is found here, before anything trains: data, limit, store."""

from __future__ import annotations

from nas.searchspaces import SearchSpace
from nas.studies.run.record import plain_bounds
from nas.studies.run.results import LimitFacts, PrepareResult, SpaceFacts
from nas.studies.stages.workshop import Workshop, describe_data
from nas.supernets import Cost


def run(workshop: Workshop) -> PrepareResult:
    """Loads the data, checks the limit, makes the table of trials; the result describes the study's frame."""
    limit, data, space = workshop.limit, workshop.data, workshop.space
    with workshop.store() as store:
        store.clear(workshop.run_id)
    return PrepareResult(
        space=describe_space(space, workshop.cost),
        base=workshop.base_costs,
        limit=LimitFacts(
            bounds=plain_bounds(limit.bounds) if limit else {},
            text=limit.describe() if limit else "none",
            share=limit.share if limit else 1.0,
        ),
        data=describe_data(data),
        device=workshop.device.type,
    )


def describe_space(space: SearchSpace, cost: Cost) -> SpaceFacts:
    """A search space as plain data: its choices, how many architectures, the least and the greatest costs."""
    return SpaceFacts(
        model=space.model,
        model_args=dict(space.model_args),
        choices={name: list(choice.values) for name, choice in space.items()},
        kinds={name: choice.kind for name, choice in space.items()},
        architectures=str(space.size),
        least=cost.counts(space.smallest),
        greatest=cost.counts(space.largest),
        notes=list(space.notes),
    )
