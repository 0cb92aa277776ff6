"""Markers: what a field says of its value beside the type, so that whoever reads a study need not know its key.

They stand in `Annotated` on the fields of options, of a study's as of a plug-in's: `path: Annotated[str | None,
FilePath()]`. `nas.documents.fields.marked` finds them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, final

from typing_extensions import override

from nas.documents.lookup import Lookup
from nas.documents.text import Plain
from nas.errors import NasError
from nas.system.database import check_password, host, located, sqlite_path

P_co = TypeVar("P_co", covariant=True)


class Marker:
    """The base of all markers."""


class Reaching(Marker):
    """The value may be that of another machine, or of a file that is written."""

    @abstractmethod
    def reached(self, value: Plain, folder: Path) -> Sequence[str]:
        """What using the value of a study that lies in `folder` reaches outside of it: hosts, and files that are
        written. Raises `StoreError` for what is no URL.
        """


@final
@dataclass(frozen=True)
class MayChange(Marker):
    """The value may change while a run is continued: where files lie, who computes, how long is measured at the end."""


@final
@dataclass(frozen=True)
class MayChangeBefore(Marker):
    """The value may change until the stage that it belongs to begins anew: by it a training fits into memory."""


@final
@dataclass(frozen=True)
class Formerly(Marker):
    """The key came later, and its default is no more what was done without it: a run that was begun before goes on with
    this value.
    """

    value: Plain


@final
@dataclass(frozen=True)
class FileOrMapping(Marker):
    """A mapping, or the path of a YAML file that holds it."""


@final
@dataclass(frozen=True)
class QuantityBounds(Marker):
    """A mapping: a counted quantity -> the most of it, or [least, most]."""


@final
@dataclass(frozen=True)
class QuantityGoals(Marker):
    """A mapping whose keys are quantities, or metrics of the study's task."""


class Located(Marker):
    """A path or a URL, which is made absolute, so that a run can be continued from anywhere."""

    @abstractmethod
    def locate(self, text: str, lookup: Lookup) -> str | None:
        """The absolute form of a value; None for what is missing. Raises `StoreError` for what is no URL."""


@final
@dataclass(frozen=True)
class FilePath(Located):
    """A file or a folder. With `must_exist=False`, whoever opens it says that it is missing."""

    must_exist: bool = True

    @override
    def locate(self, text: str, lookup: Lookup) -> str | None:
        path = lookup.find(text)
        if path is None:
            return None if self.must_exist else text
        return str(path.resolve())


@final
@dataclass(frozen=True)
class RunPath(Located):
    """The folder of a run. Whoever reads the run says that it is missing."""

    @override
    def locate(self, text: str, lookup: Lookup) -> str:
        return str(lookup.absolute(text))


@final
@dataclass(frozen=True)
class DatabaseUrl(Located, Reaching):
    """The URL of a database: of a server, or of an SQLite file, which need not exist yet. It holds no password, since
    it is kept in the run's folder.
    """

    @override
    def locate(self, text: str, lookup: Lookup) -> str:
        check_password(text)
        file = sqlite_path(text)
        return text if file is None else located(text, lookup.absolute(str(file)))

    @override
    def reached(self, value: Plain, folder: Path) -> Sequence[str]:
        if not isinstance(value, str):
            return ()
        server = host(value)
        return _outside(sqlite_path(value), folder) if server is None else (server,)


@final
@dataclass(frozen=True)
class JournalOrUrl(Located, Reaching):
    """The URL of a database, or the path of a journal, as Optuna's storages may be."""

    @override
    def locate(self, text: str, lookup: Lookup) -> str:
        return DatabaseUrl().locate(text, lookup) if "://" in text else str(lookup.absolute(text))

    @override
    def reached(self, value: Plain, folder: Path) -> Sequence[str]:
        if isinstance(value, str) and "://" in value:
            return DatabaseUrl().reached(value, folder)
        return _outside(Path(value), folder) if isinstance(value, str) else ()


@final
@dataclass(frozen=True)
class OnCluster(Reaching):
    """A mapping with the `address` of a Ray cluster, and the `storage` that its machines share."""

    @override
    def reached(self, value: Plain, folder: Path) -> Sequence[str]:
        if not isinstance(value, dict):
            return ()
        address, storage = value.get("address", "local"), value.get("storage")
        hosts = () if address in ("local", "auto") else (str(address).removeprefix("ray://"),)
        return (*hosts, *(_outside(Path(str(storage)), folder) if storage else ()))


def _outside(path: Path | None, folder: Path) -> Sequence[str]:
    """The path where it lies outside a folder."""
    return () if path is None or path.resolve().is_relative_to(folder.resolve()) else (str(path),)


@final
@dataclass(frozen=True)
class Plugged(Marker, Generic[P_co]):
    """A plug-in: its name, a preset's file, or a mapping with `use:` (either of the two) and its options.

    what     what faults call it
    names    the names that there are
    find     the class of a name; raises a `NasError` for one that cannot be used
    titled   whether the mapping may have a `name:` for tables, by default the preset's file name
    presets  presets that are called by name, and their files
    """

    what: str
    names: Callable[[], Sequence[str]]
    find: Callable[[str], type[P_co]]
    titled: bool = False
    presets: Callable[[], Mapping[str, Path]] = dict

    @property
    def allowed(self) -> tuple[str, ...]:
        """What `use:` may say, beside a file."""
        return (*self.names(), *self.presets())

    @property
    def beside(self) -> tuple[str, ...]:
        """Keys of the mapping that are no options of the plug-in."""
        return ("use", "name") if self.titled else ("use",)

    def kind(self, value: Plain) -> type[P_co] | None:
        """The class that a value names, None when it names none that can be used."""
        use = value.get("use") if isinstance(value, dict) else value
        if not isinstance(use, str) or use not in self.names():
            return None
        try:
            return self.find(use)
        except NasError:
            return None
