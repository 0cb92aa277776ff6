"""Which columns of an Arrow or Parquet file hold pictures and classes, as Hugging Face's library writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from nas.errors import DataError

PICTURES = ("image", "img", "jpg", "jpeg", "png", "picture")
LABELS = ("label", "labels", "fine_label", "cls", "class", "target")
"""How the columns are mostly called: of several that could be meant, the first of these is."""


class PictureColumn(NamedTuple):
    """A column with encoded pictures: its bytes are one field of it (`nested`), or itself."""

    name: str
    nested: bool

    @property
    def path(self) -> str:
        """By which Parquet calls the bytes."""
        return f"{self.name}.bytes" if self.nested else self.name

    def of(self, content: pa.StructArray | pa.BinaryArray) -> pa.BinaryArray:
        """The bytes, of the column's content."""
        return content.field("bytes") if self.nested else content


class LabelColumn(NamedTuple):
    """A column with classes, as numbers or names, and what the file says that numbers are called."""

    name: str
    classes: Sequence[str] | None


def pictures_of(schema: pa.Schema, where: str) -> PictureColumn:
    """The column with pictures. Raises `DataError` where there is none, or several could be meant."""
    names = [field.name for field in schema if _holds_pictures(field.type)]
    name = _chosen(names, PICTURES, f"{where}: a column of encoded pictures (bytes)", schema)
    return PictureColumn(name, bool(pa.types.is_struct(schema.field(name).type)))


def labels_of(schema: pa.Schema, key: str | None, where: str) -> LabelColumn:
    """The column with classes: `key`, where the study says which. Raises as `pictures_of` does."""
    features = _features(schema)
    able = [field.name for field in schema if _is_label(field.type)]
    if key is not None:
        name = _chosen([one for one in able if one == key], (), f"{where}: data.target_key: {key}", schema)
    else:
        said = [one for one in able if features.get(one, {}).get("_type") == "ClassLabel"]
        name = _chosen(said or able, LABELS, f"{where}: a column of classes (data.target_key: NAME)", schema)
    names = features.get(name, {}).get("names")
    valid = isinstance(names, list) and len(names) >= 2 and all(isinstance(one, str) for one in names)
    return LabelColumn(name, names if valid else None)


def _features(schema: pa.Schema) -> Mapping[str, Mapping[str, Any]]:
    """What the file says of its columns: name -> type and, of classes, their names."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _holds_pictures(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(part.name == "bytes" and _is_binary(part.type) for part in kind)
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_label(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _chosen(candidates: Sequence[str], usual: Sequence[str], what: str, schema: pa.Schema) -> str:
    if len(candidates) == 1:
        return candidates[0]
    if expected := [name for name in usual if name in candidates]:
        return expected[0]
    columns = ", ".join(candidates[:8] or [f"{field.name} ({field.type})"[:60] for field in schema][:8])
    raise DataError(f"{what}: {'several' if candidates else 'none'}; found: {columns}")
