"""What the user trusts, whoever names it: hosts and files that folders name, and code that models are built by.

A model "package.module:function" is what that function returns: its code runs. The user may name one, on the command
line or in a study; a run's folder, a saved model or an architecture's file may not, since they come from anybody.
"""

from __future__ import annotations

import os

from nas.errors import ModelError

VARIABLE = "NAS_TRUST"
"""Environment variable: hosts, with or without a port, files, and functions that are trusted whichever folder names
them; commas between them.
"""

_NAMED: set[str] = set()
"""Functions that the user named since this process began."""


def listed() -> frozenset[str]:
    """What stands in the environment variable."""
    return frozenset(entry.strip() for entry in os.environ.get(VARIABLE, "").split(",")) - {""}


def is_code(model: object) -> bool:
    """Whether the name of a model is that of a user's function."""
    return isinstance(model, str) and ":" in model


def trust_code(model: object) -> None:
    """Remember that the user named a model; of others than functions nothing is to be remembered."""
    if isinstance(model, str) and is_code(model):
        _NAMED.add(model)


def require_trusted_code(model: str) -> None:
    """Raises `ModelError` for a function that the user has not named."""
    if is_code(model) and model not in _NAMED | listed():
        raise ModelError(
            f"'{model}' is code, and a folder or file names it that may be of others; allowed in a study of your own, "
            f"with --trust, or with the function in {VARIABLE}"
        )
