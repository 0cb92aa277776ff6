"""Whom a supernet's rule draws in each step: distributions over the architectures of a space. `sampling:` in a rule
names a file of this folder.
"""

from __future__ import annotations

from nas import plugins
from nas.documents.markers import Plugged
from nas.errors import TrainingError
from nas.training.sampling._base import Domain, Draw, SubnetSampling

__all__ = ["SAMPLING", "Domain", "Draw", "SubnetSampling", "find", "names"]


def find(name: str) -> type[SubnetSampling]:
    """The sampling of this name: a frozen dataclass whose fields are its options in YAML. `TrainingError` names those
    there are.
    """
    return plugins.find(__name__, name, SubnetSampling, TrainingError)  # type: ignore[type-abstract]


def names() -> list[str]:
    """Names of all samplings."""
    return plugins.names(__name__)


SAMPLING = Plugged("sampling", names, find)
