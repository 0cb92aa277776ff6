"""WebDataset's shards, and other tar archives of pictures. They are read in place: nothing is unpacked.

A sample is what is called alike up to the first dot: 000017.jpg with its class, a number, in 000017.cls. In archives
without any .cls, the class of a picture is the folder that it is in, or else the archive, of which there is then one
per class.

timm reads shards in one order only, and keeps what an archive holds in a pickle: neither serves here.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from nas.data.decoding import ENDINGS
from nas.data.listing import EntriesBuilder, Listing
from nas.data.readers import _shards
from nas.data.readers._walk import File, Walk
from nas.data.source import class_names
from nas.data.spec import DataSpec
from nas.errors import DataError

LONGEST_LABEL = 100
"""Bytes of a class's number."""
BLOCK = tarfile.BLOCKSIZE


class _Sample(NamedTuple):
    """A picture in an archive: its name, where its bytes are, and what says its class."""

    shard: File
    name: str
    offset: int
    size: int
    label: str | None

    @property
    def folder(self) -> str:
        """The folder that it is in, or the archive."""
        return PurePosixPath(self.name).parent.name or PurePosixPath(self.shard.name).stem


def listing(walk: Walk, spec: DataSpec, shards: Mapping[str, Sequence[File]]) -> Listing:
    """The pictures of the shards of each split; none is decoded. Raises `DataError` for a shard that is damaged."""
    samples = {role: [sample for shard in files for sample in _samples(walk, shard)] for role, files in shards.items()}
    every = [sample for of_split in samples.values() for sample in of_split]
    labels = [sample.label for sample in every]
    numbered = any(label is not None for label in labels)
    if numbered:
        classes = class_names(np.array([_number(walk, sample) for sample in samples.get("train", ())]), str(walk.root))
    else:
        classes = tuple(sorted({sample.folder for sample in samples.get("train", ())}))
        if len(classes) < 2:
            raise DataError(
                f"{walk.root}: the pictures in its archives have no classes; needed: a number in a .cls beside each, "
                "a folder per class in the archives, or an archive per class"
            )
    positions = {name: number for number, name in enumerate(classes)}
    splits: dict[str, EntriesBuilder] = {}
    for role, of_split in samples.items():
        pictures = splits[role] = EntriesBuilder()
        for sample in of_split:
            label = _number(walk, sample) if numbered else _position(walk, sample, positions)
            pictures.add(walk.position(sample.shard.path), sample.name, label, size=sample.size, offset=sample.offset)
    return _shards.assembled(walk, spec, "tar", splits, classes)


def _samples(walk: Walk, shard: File) -> Iterator[_Sample]:
    """The pictures of one archive, in its order."""
    path = walk.root / shard.path
    walk.position(shard.path)  # noted before it is read
    pictures: list[tarfile.TarInfo] = []
    labels: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # else it keeps all of them
                if not member.isreg() or member.issparse():
                    continue
                key, ending = _divided(member.name)
                if PurePosixPath(member.name).suffix.lower() in ENDINGS:
                    pictures.append(member)
                elif ending == "cls" and member.size <= LONGEST_LABEL:
                    content = archive.extractfile(member)
                    labels[key] = content.read().decode("utf-8", "replace").strip() if content else ""
            end = archive.offset
        with path.open("rb") as file:
            file.seek(end)
            if file.read(BLOCK) != bytes(BLOCK):  # where tarfile saw no header, an archive must have zeros
                raise tarfile.ReadError("unexpected end of data")
    except (tarfile.TarError, OSError, ValueError, OverflowError) as fault:
        count = f", after {len(pictures)} pictures" if pictures else ""
        reason = getattr(fault, "strerror", None) or fault
        raise DataError(
            f"{path}: cut short, or no tar archive ({reason}{count}); fetch it again, or, if it is compressed, unpack "
            "it to a plain .tar"
        ) from None
    for member in pictures:
        key, ending = _divided(member.name)
        if not labels or f".{ending}" in ENDINGS:  # of a sample 17.jpg, 17.mask.png is no picture of its class
            yield _Sample(shard, member.name.replace("\0", "?"), member.offset_data, member.size, labels.get(key))


def _divided(name: str) -> tuple[str, str]:
    """What all files of a sample are called alike, and the rest of the name, in lower case."""
    path = PurePosixPath(name)
    stem, *endings = path.name.split(".", 1)
    return str(path.with_name(stem)) if stem else name, "".join(endings).lower()


def _number(walk: Walk, sample: _Sample) -> int:
    text = sample.label
    if text is None or not text.removeprefix("-").isdecimal() or len(text) > 9:
        found = "no .cls beside it" if text is None else f"'{text[:20]}' in its .cls"
        raise DataError(f"{walk.root / sample.shard.path}: {sample.name} has {found}; needed: the number of its class")
    return int(text)


def _position(walk: Walk, sample: _Sample, positions: Mapping[str, int]) -> int:
    if sample.folder not in positions:
        raise DataError(
            f"{walk.root / sample.shard.path}: {sample.name} is of a class that train lacks: {sample.folder}"
        )
    return positions[sample.folder]
