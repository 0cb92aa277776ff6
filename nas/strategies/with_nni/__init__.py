"""NNI's searchers as a strategy, and a whole experiment of NNI's."""

from nas.strategies.with_nni.strategy import WithNni

__all__ = ["WithNni"]
