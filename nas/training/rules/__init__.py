"""Rules by which a supernet is trained: which sub-networks run in a step, and what each is taught. `rule:` in YAML
names a file of this folder.
"""

from __future__ import annotations

from nas import plugins
from nas.errors import TrainingError
from nas.training.rules._base import SupernetRule

__all__ = ["SupernetRule", "find", "names"]


def find(name: str) -> type[SupernetRule]:
    """The rule of this name: a frozen dataclass whose fields are its options in YAML. `TrainingError` names those
    there are.
    """
    return plugins.find(__name__, name, SupernetRule, TrainingError)  # type: ignore[type-abstract]


def names() -> list[str]:
    """Names of all rules."""
    return plugins.names(__name__)
