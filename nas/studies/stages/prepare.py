"""prepare: everything that can be wrong is found here, before anything trains: data, limit, store."""

from __future__ import annotations

from typing import Any

from nas.searchspaces import SearchSpace
from nas.studies.record import plain_bounds
from nas.studies.session import Session, describe_data
from nas.supernets import Cost


def run(session: Session) -> dict[str, Any]:
    """Loads the data, checks the limit, makes the table of trials; the result describes the study's frame."""
    limit, data = session.limit, session.data
    with session.store() as store:
        store.clear(session.run_id)
    return {
        "space": describe_space(session.space, session.cost),
        "base": {metric: session.cost.base(metric) for metric in ("macs", "params")},
        "limit": {
            "bounds": plain_bounds(limit.bounds) if limit else {},
            "text": limit.describe() if limit else "none",
            "share": limit.share if limit else 1.0,
        },
        "data": describe_data(data),
        "device": session.device.type,
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
        **{end: {"macs": int(cost.macs(a)[0]), "params": int(cost.params(a)[0])} for end, a in ends.items()},
        "notes": list(space.notes),
    }
