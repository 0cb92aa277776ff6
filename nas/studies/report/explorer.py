"""What the page's explorer draws from: trials as columns, choices with their values, and what an architecture's file
holds. It is data in the page, read by `explorer.js`, which shows all of it as text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from nas.quantities import Quantity
from nas.searchspaces.axis_names import dimension, index
from nas.studies.report.findings import Findings
from nas.studies.run.found import found_by
from nas.system.terminal import literally

MOST = 100_000
"""Trials in the page at most: the front, those with a role, and of the others an even sample over their numbers. What
is drawn of them is the script's business.
"""


def explorer(findings: Findings) -> dict[str, Any]:
    """The data, plain. Empty where no trial was measured."""
    done = findings.trials[findings.trials["state"] == "done"].drop_duplicates(["strategy", "digest"])
    metric = findings.quantity(findings.record.objectives[0].metric)
    axes = [
        q for q in (*findings.record.task.metrics, *findings.costs) if q.name in done and done[q.name].notna().all()
    ]
    # A trial that has several roles has the first one, the winner's.
    roles = {(found.strategy, found.digest): role for role, found in reversed(findings.roles.items())}
    kept = done[chosen(done, findings.front, list(roles))]
    file = asdict(found_by(findings.record))
    return {
        "all": len(done),
        "strategies": list(dict.fromkeys(kept["strategy"])),
        "own": findings.record.strategy,
        "axes": [_axis(quantity, findings) for quantity in axes],
        "first": {"x": findings.drawn_cost.name, "y": metric.name},
        "choices": [_choice(name, values, findings) for name, values in findings.record.choices.items()],
        "trials": {
            "strategy": _places(kept["strategy"], list(dict.fromkeys(kept["strategy"]))),
            "number": kept["number"].tolist(),
            "digest": kept["digest"].tolist(),
            "role": [roles.get(pair, "") for pair in zip(kept["strategy"], kept["digest"], strict=True)],
            "values": {q.name: kept[q.name].tolist() for q in axes},
            "chosen": {name: _places(kept[name], values) for name, values in findings.record.choices.items()},
        },
        "file": {key: file[key] for key in ("format", "study", "space", "data", "commit")},
    }


def chosen(done: pd.DataFrame, front: pd.DataFrame, roles: Sequence[tuple[str, str]]) -> np.ndarray:
    """Which trials go into the page, as a mask: all, or, of more than `MOST`, the front, those with a role, and an even
    sample.
    """
    if len(done) <= MOST:
        return np.ones(len(done), dtype=bool)
    pairs = pd.MultiIndex.from_frame(done[["strategy", "digest"]])
    named = pairs.isin(roles) | done["digest"].isin(front["digest"]).to_numpy()
    others = np.flatnonzero(~named)
    named[others[np.linspace(0, len(others) - 1, MOST - named.sum()).astype(int)]] = True
    return np.asarray(named)


def in_page(data: Mapping[str, Any]) -> str:
    """Data as JSON inside of a <script>: no character of it ends the element, or begins another."""
    text = json.dumps(_literally(data), allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _axis(quantity: Quantity, findings: Findings) -> dict[str, Any]:
    """A metric or a cost, as the page shows it."""
    low, high = findings.record.bounds.get(quantity.name, (-np.inf, np.inf))
    return {
        "name": quantity.name,
        "title": quantity.title,
        "label": quantity.axis_label,
        "unit": quantity.axis_unit,
        "scale": quantity.axis_scale,
        "more": quantity.maximise,
        "cost": quantity.origin != "measured",
        "base": findings.prepared.base.get(quantity.name),
        "least": low if np.isfinite(low) else None,
        "most": high if np.isfinite(high) else None,
    }


def _choice(name: str, values: Sequence[float], findings: Findings) -> dict[str, Any]:
    """A choice: its dimension and block, its values as JSON writes them, and which share of the whole each is."""
    settings = findings.record.settings["space"]
    assert isinstance(settings, dict), "settings are complete"
    says = settings["choices"].get(dimension(name), {})
    shares = [min(values) / value for value in values] if "divide" in says else [v / max(values) for v in values]
    return {
        "name": name,
        "dimension": dimension(name),
        "block": index(name),
        "values": [json.dumps(value) for value in values],
        "shares": [round(share, 4) for share in shares],
    }


def _places(column: pd.Series, values: Sequence[object]) -> list[int]:
    """Values as their places in a list."""
    place = {value: at for at, value in enumerate(values)}
    return [place[value] for value in column]


def _literally(value: Any) -> Any:
    """Texts without marks that turn the writing, as everywhere in the page."""
    if isinstance(value, str):
        return literally(value)
    if isinstance(value, Mapping):
        return {_literally(key): _literally(inner) for key, inner in value.items()}
    if not isinstance(value, list | tuple) or set(map(type, value)) <= {int, float}:  # columns may be long
        return value
    return [_literally(inner) for inner in value]
