"""Which packages are installed, beside the versions that `nas` supports, and what each extra brings."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import final

from packaging.requirements import Requirement

EXTRAS = {
    "": "what every study needs",
    "optuna": "Optuna's samplers: tpe, gp, nsga2, nsga3 and others; nas export --optuna",
    "ray": "searches and trainings on several GPUs and machines",
    "detection": "average precision of boxes and masks",
    "onnx": "nas export --onnx, --int8 and --script",
    "docs": "the site: make site",
    "nni": "NNI's searchers, which are archived upstream",
    "dev": "tests and tools of who changes nas itself",
}
"""Extra ("": none) -> what it brings."""


@final
@dataclass(frozen=True)
class InstalledPackage:
    """A package that nas, or one of its extras, wants: the version that is there ("" for none), and the supported."""

    name: str
    extra: str
    there: str
    supported: str
    good: bool


def packages() -> list[InstalledPackage]:
    """All of them, those that every study needs first."""
    wanted = [Requirement(text) for text in requires("nas") or ()]
    return [_package(one, extra) for extra in EXTRAS for one in wanted if _belongs(one, extra)]


def lacking(found: Sequence[InstalledPackage], extra: str) -> list[InstalledPackage]:
    """Packages of an extra that are missing, or whose versions are not supported."""
    return [package for package in found if package.extra == extra and not package.good]


def python() -> str:
    """The version of Python, and on what it runs."""
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}"


def _belongs(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    if marker is None:
        return not extra
    return marker.evaluate({"extra": extra}) and not (extra and marker.evaluate({"extra": ""}))


def _package(requirement: Requirement, extra: str) -> InstalledPackage:
    supported = str(requirement.specifier) or "any"
    try:
        there = version(requirement.name)
    except PackageNotFoundError:
        return InstalledPackage(requirement.name, extra, "", supported, False)
    good = requirement.specifier.contains(there, prereleases=True)
    return InstalledPackage(requirement.name, extra, there, supported, good)
