"""Who trains: the loop in this process, or the same loop on several (`nas.training.parallel`)."""

from __future__ import annotations

from typing import Protocol

from nas.training.fit import Runtime
from nas.training.fit_call import FitCall
from nas.training.history import History


class Trainer(Protocol):
    """What is called as `nas.training.fit` is."""

    def __call__(self, call: FitCall, runtime: Runtime) -> History:
        """See `nas.training.fit`."""
        ...
