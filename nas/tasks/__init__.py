"""Tasks, one file each: what a model is for. A study names one in `task:`; `DEFAULT` is that of a study that does not.

Whoever trains, searches or reports asks the task, and never looks at its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from nas import plugins
from nas.errors import TaskError
from nas.tasks._annotations import Annotations
from nas.tasks._base import Confusing, Criterion, Facts, Mixer, Mixing, MixupMode, Outputs, Tally, Task, TruthKind
from nas.tasks._batch import Batch, TargetObject, Targets, joined, targets_at
from nas.tasks._located import Locating, SeenObject, SeenPicture
from nas.tasks._rle import RunLengths, encoded

__all__ = [
    "DEFAULT",
    "Annotations",
    "Batch",
    "Confusing",
    "Criterion",
    "Facts",
    "Locating",
    "Mixer",
    "Mixing",
    "MixupMode",
    "Outputs",
    "RunLengths",
    "SeenObject",
    "SeenPicture",
    "Tally",
    "TargetObject",
    "Targets",
    "Task",
    "TruthKind",
    "encoded",
    "find",
    "joined",
    "names",
    "presets",
    "targets_at",
]

DEFAULT = "classification"


@cache
def presets() -> Mapping[str, Path]:
    """Options of tasks that have a name, and where their files lie."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "presets").glob("*.yaml"))}


def names() -> list[str]:
    """Names of all tasks: files of this folder, and entry points of the group "nas.tasks"."""
    return plugins.names(__name__)


def find(name: str) -> type[Task]:
    """The task called `name`. Raises `TaskError` when there is none."""
    # mypy: an abstract base is what plug-ins are checked against, not what is made
    return plugins.find(__name__, name, Task, TaskError)  # type: ignore[type-abstract]
