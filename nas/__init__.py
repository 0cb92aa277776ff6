"""Find the vision transformer that fits your budget, inside one you already have.

The public names are loaded on first use, so that `import nas` and search spaces stay quick and free of torch.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.errors import NasError
    from nas.searchspaces import Architecture, Limit, SearchSpace
    from nas.studies import Study
    from nas.studies.callbacks import Callback
    from nas.studies.measure.evaluate import evaluate
    from nas.supernets import Supernet, load

__all__ = ["Architecture", "Callback", "Limit", "NasError", "SearchSpace", "Study", "Supernet", "evaluate", "load"]
__version__ = version("nas")

_HOMES = {
    "Architecture": "nas.searchspaces",
    "Callback": "nas.studies.callbacks",
    "Limit": "nas.searchspaces",
    "NasError": "nas.errors",
    "SearchSpace": "nas.searchspaces",
    "Study": "nas.studies",
    "Supernet": "nas.supernets",
    "evaluate": "nas.studies.measure.evaluate",
    "load": "nas.supernets",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nas' has no attribute '{name}'; there are: {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
