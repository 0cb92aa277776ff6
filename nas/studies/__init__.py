"""Studies: a model, data, a search space, a strategy and a limit, from a YAML file to a retrained winner and a report.

`Study` is loaded on first use, so that what only reads a run's folder (`nas.studies.run.record`) stays free of torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas.studies.study import Study

__all__ = ["Study"]


def __getattr__(name: str) -> type[Study]:
    if name != "Study":
        raise AttributeError(f"module 'nas.studies' has no attribute '{name}'; there is: Study")
    from nas.studies.study import Study

    return Study
