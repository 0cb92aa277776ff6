"""whittle (two-stage search for language models): its importance, pruning and extraction take its own copy of litgpt's
GPT, and know no other model.
"""

from __future__ import annotations

from torch import nn

from benchmarks.peers.terms import Terms, UnsuitedError

USER_CODE = ""


def winner(_: Terms) -> nn.Module:
    """There is none."""
    try:
        import whittle
    except ModuleNotFoundError as missing:
        raise UnsuitedError(
            f"installed, but wants {missing.name}, a package for language models: importance, pruning and extraction "
            "take its GPT alone, no model of images"
        ) from missing
    raise UnsuitedError(f"whittle {whittle.__version__}: importance and extraction take litgpt's GPT alone")
