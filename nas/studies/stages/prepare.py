"""prepare: everything that can be wrong is found here, before anything trains: data, limit, store."""

from __future__ import annotations

from typing import Any

from nas.searchspaces import SearchSpace
from nas.studies.run.record import plain_bounds
from nas.studies.stages.workshop import Workshop, describe_data
from nas.supernets import Cost


def run(workshop: Workshop) -> dict[str, Any]:
    """Loads the data, checks the limit, makes the table of trials; the result describes the study's frame."""
    limit, data = workshop.limit, workshop.data
    with workshop.store() as store:
        store.clear(workshop.run_id)
    return {
        "space": describe_space(workshop.space, workshop.cost),
        "base": {metric: workshop.cost.base(metric) for metric in ("macs", "params")},
        "limit": {
            "bounds": plain_bounds(limit.bounds) if limit else {},
            "text": limit.describe() if limit else "none",
            "share": limit.share if limit else 1.0,
        },
        "data": describe_data(data),
        "device": workshop.device.type,
    }


def describe_space(space: SearchSpace, cost: Cost) -> dict[str, Any]:
    """A search space as plain data: its choices, how many architectures, the least and the greatest costs."""
    ends = {"least": space.smallest, "greatest": space.largest}
    return {
        "model": space.model,
        "model_args": dict(space.model_args),
        "choices": {name: list(choice.values) for name, choice in space.items()},
        "kinds": {name: choice.kind for name, choice in space.items()},
        "architectures": str(space.size),
        **{end: cost.counts(architecture) for end, architecture in ends.items()},
        "notes": list(space.notes),
    }
