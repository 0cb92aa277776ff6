"""Patch Slimming: the fewest tokens of each block that leave the next block as it was."""

from nas.strategies.tolerance.strategy import Tolerance

__all__ = ["Tolerance"]
