"""Which pictures a model is measured on, as a user says it: a path, a name, a study's file, or a study's `data:`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from nas.data import DataSpec
from nas.data.readers import vision
from nas.documents.document import TEXT, Document, in_order, pairs, parse, read
from nas.documents.fields import marked
from nas.documents.lookup import Lookup
from nas.documents.markers import Located
from nas.documents.ties import untied
from nas.errors import ConfigError, DataError

YAML = (".yaml", ".yml")
NAMES = ("digits", *vision.SETS)
NEEDED = "a folder of class folders, an .npz file, digits, a study's YAML file, or what stands there behind data:"

DataLike = str | Path | Mapping[str, Any]
"""What `NEEDED` says; a mapping is what stands behind `data:`."""


@final
@dataclass(frozen=True, kw_only=True)
class MeasuredData:
    """What is said of the pictures, and of the model that looks at them.

    data         see `nas.data.spec.DataSpec`
    seed         by which a validation split is carved from train, as in a study of this seed
    model_args   with which a model of timm's is built
    """

    data: DataSpec
    seed: int = 0
    model_args: Mapping[str, Any] = field(default_factory=dict)


def pictures(data: DataLike | None, own: Document | None, overrides: Sequence[str] | Mapping[str, str]) -> MeasuredData:
    """What `data` says, changed by `overrides` such as "data.image_size=64"; without it, what the `own` document of a
    run says.

    Raises `ConfigError` with every fault, `DataError` where nobody says anything.
    """
    document = _document(data) if data is not None else own
    if document is None:
        raise DataError(f"data: missing; needed: {NEEDED}")
    document = _relevant(document).override(pairs(overrides))
    lookup = Lookup.beside(document.name)
    for path, marker in marked(MeasuredData, document.data):
        text = document.get(path)
        if isinstance(marker, Located) and isinstance(text, str) and text:
            document = document.replaced(path, marker.locate(text, lookup))
    said = parse(document, MeasuredData)
    if faults := untied(document, MeasuredData, ()):
        raise ConfigError(in_order(faults))
    return said


def _document(data: DataLike) -> Document:
    """A document with the key `data`."""
    if isinstance(data, Mapping):
        return Document(TEXT, {"data": dict(data)}, {})
    text = str(data)
    if text.lstrip().startswith("{"):
        return _below(read(text))
    if Path(text).suffix.lower() in YAML:
        document = read(Path(text))
        is_study = isinstance(document.data, dict) and "data" in document.data
        return document if is_study else _below(document)
    named = text in NAMES and not Path(text).exists()
    return Document("data", {"data": {"name" if named else "path": text}}, {})


def _below(document: Document) -> Document:
    """What the document says, as `data:` of another one."""
    places = {("data", *path): place for path, place in document.places.items()}
    return Document(document.name, {"data": document.data}, places, document.faults)


def _relevant(document: Document) -> Document:
    """Of a study, the keys that are read here."""
    assert isinstance(document.data, dict)
    kept = {key: value for key, value in document.data.items() if key in ("data", "seed")}
    return Document(document.name, kept, document.places, document.faults)
