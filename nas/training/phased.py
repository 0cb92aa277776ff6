"""Modules that are told when an epoch begins."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Phased(Protocol):
    """A module that runs another network from epoch to epoch."""

    def begin(self, epoch: int) -> None:
        """Get ready for an epoch, counted from 0. It follows from the epoch, and from parameters and buffers as the
        epoch before left them: then a training that was interrupted goes on as it would have.
        """
        ...
