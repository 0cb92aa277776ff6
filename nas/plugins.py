"""Plug-in folders: what a user names in YAML is a file in one of our folders, or an entry point of another package.

YAML thus never imports code by its dotted path. A plug-in is a module, or a package, that holds exactly one concrete
subclass of its folder's base class. A module whose name begins with an underscore is the folder's own, and no plug-in.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import TypeVar

from nas.errors import NasError, nearest

T = TypeVar("T")
_HANDED: dict[tuple[str, str], type] = {}
"""(folder, name) -> a class that a Python program has handed over."""


def names(package: str) -> list[str]:
    """Names of the plug-ins of `package` ("nas.strategies"): its modules and packages, and the entry points of that
    group.
    """
    folder = importlib.import_module(package)
    own = [module.name for module in pkgutil.iter_modules(folder.__path__) if not module.name.startswith("_")]
    handed = [name for folder, name in _HANDED if folder == package]
    return sorted({*own, *handed, *(entry.name for entry in installed(package))})


def find(package: str, name: str, base: type[T], error: type[NasError]) -> type[T]:
    """The plug-in class called `name`.

    Raises `error` with the nearest name when there is none, or when a package that the plug-in needs is not installed.
    """
    allowed = names(package)
    if name not in allowed:
        raise error(f"no '{name}' in {package}; there are: {', '.join(allowed)}{nearest(name, allowed)}")
    if (package, name) in _HANDED:
        return _checked(_HANDED[package, name], base, name)
    for entry in installed(package):
        if entry.name == name:
            return _checked(entry.load(), base, name)
    try:
        module = importlib.import_module(f"{package}.{name}")
    except ModuleNotFoundError as absent:
        if absent.name is None or absent.name.startswith("nas."):
            raise
        raise error(
            f"'{name}' needs the package '{absent.name}', which is not installed: pip install 'nas[{absent.name}]'"
        ) from absent
    own = [
        c
        for _, c in inspect.getmembers(module, inspect.isclass)
        if f"{c.__module__}.".startswith(f"{module.__name__}.") and issubclass(c, base) and not inspect.isabstract(c)
    ]
    assert len(own) == 1, f"{module.__name__} must define exactly one concrete {base.__name__}, not {len(own)}"
    return _checked(own[0], base, name)


def name_of(package: str, kind: type, error: type[NasError]) -> str:
    """What YAML calls a plug-in class of `package`. A class of a Python program's own is a plug-in of this process from
    now on, by its name in small letters, such as `my_search`; `error` is raised where there is another of that name.
    """
    if kind.__module__.startswith(f"{package}."):
        return kind.__module__.removeprefix(f"{package}.").partition(".")[0]
    for entry in installed(package):
        if entry.value == f"{kind.__module__}:{kind.__qualname__}":
            return entry.name
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower()
    if (package, name) not in _HANDED and name in names(package):
        raise error(f"{kind.__qualname__}: there is a '{name}' in {package}; give your class another name")
    _HANDED[package, name] = kind
    return name


def installed(package: str) -> tuple[EntryPoint, ...]:
    """Entry points of the group `package`: the plug-ins that other packages bring."""
    return tuple(_select(tuple(sys.path))(group=package))


@lru_cache(maxsize=8)
def _select(_path: tuple[str, ...]) -> Callable[..., EntryPoints]:
    """What selects among all entry points. Finding them takes tens of milliseconds, and they do not change but with the
    path.
    """
    return entry_points().select


def _checked(found: object, base: type[T], name: str) -> type[T]:
    assert inspect.isclass(found), f"plug-in '{name}' must be a class"
    assert issubclass(found, base), f"plug-in '{name}' must be a subclass of {base.__name__}"
    return found
