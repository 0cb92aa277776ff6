"""Every fault that a user can cause, as a typed error.

The text of an error is one or two lines: what is wrong, where, what was found, what is allowed, what to do. The command
line prints it without a traceback and exits with code 2. Our own faults are `assert`ed instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from typing_extensions import override

from nas.passwords import hidden


class NasError(Exception):
    """A fault that the user can mend; the base of all that `nas` raises on purpose. No password is in its text."""

    @override
    def __str__(self) -> str:
        return hidden(super().__str__())


class ConfigError(NasError):
    """A YAML file, or an option on the command line, does not say what it must; carries every `Fault` found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


class SpaceError(NasError):
    """An architecture, or a table of them, that its search space does not contain."""


class LimitError(NasError):
    """A limit that no architecture of the space satisfies, or that cannot be read."""


class ModelError(NasError):
    """A model that cannot become a supernet, or that cannot be built."""


class NoFamilyError(ModelError):
    """A model of a class, or a variant, that has no table of axes by hand."""


class CheckpointError(NasError):
    """Weights on disk that are damaged, or that belong to another model."""


class DataError(NasError):
    """A data set that is missing, unreadable or too small for its splits."""


class TaskError(NasError):
    """A task that is unknown, or that cannot do what is asked of it."""


class QuantityError(NasError):
    """A quantity that is unknown, or a value of one that cannot be read."""


class LatencyError(NasError):
    """Times that say nothing, or a table of them that does not fit."""


class FootprintError(NasError):
    """The memory of a space's sub-networks cannot be known before they run."""


class LatencyAwaitedError(LatencyError):
    """Times that somebody else measures, and that are not there yet; the same command, run again, goes on."""


class TrainingError(NasError):
    """Training that cannot go on, such as a loss that is not a number."""


class DeploymentError(NasError):
    """A model that cannot leave in the form that is asked for."""


class StrategyError(NasError):
    """A strategy that is unknown, or that cannot search this problem."""


class MemoryShortageError(NasError):
    """Less memory than what was asked for needs."""


class ClusterError(NasError):
    """A Ray cluster that is not installed, does not answer, or has no room for what is asked of it."""


class ClusterLostError(ClusterError):
    """A Ray cluster that is gone in the midst of work; the same command, run again, goes on."""


class StoreError(NasError):
    """A table of trials that cannot be opened, read or written."""


class RunError(NasError):
    """A run folder that is missing, in use, or lacks the stage asked for."""


@dataclass(frozen=True)
class Fault:
    """One fault of a file: where it is, what was found there, what is allowed.

    `where` is `file:line:column` (or the option's name); `key` is the dotted path of the key, empty for the whole file.
    """

    where: str
    key: str
    found: str
    allowed: str

    def __str__(self) -> str:
        key = f" {self.key}:" if self.key else ""
        return hidden(f"{self.where}:{key} found {self.found}; allowed: {self.allowed}")


def nearest(word: str, allowed: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the nearest allowed word, or an empty string when none is near."""
    close = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""
