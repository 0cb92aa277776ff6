"""From a `DataSpec` to the labelled images that it names, by the reader of their kind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nas.data import index, own
from nas.data.annotated import AnnotatedSet
from nas.data.listed import source_of
from nas.data.listing import Listing, unchanged
from nas.data.readers import _shards, coco, digits, folder, masks, npz, tar, vision, voc
from nas.data.readers._walk import File, Walk
from nas.data.source import Source
from nas.data.spec import DataSpec
from nas.data.subset import subset
from nas.errors import DataError, nearest

SHARDS = (".tar", ".arrow", ".parquet")
"""How files with many pictures end."""


def list_images(spec: DataSpec, kept: Path | None = None) -> Listing | None:
    """The listing of a set of pictures; None of a set that is read otherwise.

    `kept` is a file with an earlier listing: where it is of the same set, and nothing has changed there since, nothing
    is listed anew. `DataError` when the set is missing or unreadable.
    """
    path = located(spec)
    if spec.name is not None or (path.suffix.lower() == ".npz" and path.is_file()):
        return None
    if kept is not None:
        with contextlib.suppress(DataError):  # a run checks its files' seals, and says so
            earlier = index.read(kept)
            if earlier.question == spec.question and earlier.is_of(_root(path)):
                return earlier
    return _listed(path, spec)


def _listed(path: Path, spec: DataSpec) -> Listing:
    """Annotated pictures, shards where there are any, else class folders."""
    if (found := annotated(path, spec)) is not None:
        return found.listing(spec.question)
    walk = Walk(_root(path))
    if not path.is_dir():
        ending, shards = path.suffix.lower(), {"train": [walk.file(path.name)]}
    else:
        kinds = ((ending, _shards.found(walk, ending)) for ending in SHARDS)
        ending, shards = next((kind for kind in kinds if kind[1]), ("", {}))
    if spec.val_labels is not None and shards:
        raise DataError(f"data.val_labels: not read with shards, which say their classes; {path} has {ending}")
    if spec.target_key is not None and ending in ("", ".tar"):
        what = ending or "class folders"
        raise DataError(f"data.target_key: not read with {what}; {path} has no .arrow or .parquet files")
    return _reader(ending)(walk, spec, shards) if shards else folder.listing(walk, spec)


def _reader(ending: str) -> Callable[[Walk, DataSpec, Mapping[str, Sequence[File]]], Listing]:
    if ending == ".tar":
        return tar.listing
    from nas.data.readers import hugging_face  # Arrow takes its time

    return hugging_face.arrow if ending == ".arrow" else hugging_face.parquet


_READ: dict[tuple[Path, str], AnnotatedSet] = {}


def annotated(path: Path, spec: DataSpec) -> AnnotatedSet | None:
    """The annotated pictures below `path`, None where it holds others. What was read last is kept, as long as nothing
    changes there: their files take their time. Raises `DataError` as the readers do.
    """
    if spec.name is not None or not path.is_dir():
        return None
    last = _READ.get((path, spec.question))
    if last is not None and unchanged(path, last.containers):
        return last
    walk = Walk(path)
    if files := coco.files(walk, spec.annotations):
        found = coco.annotated(walk, files)
    elif voc.is_one(walk):
        found = voc.annotated(walk)
    elif masks.is_one(walk):
        found = masks.annotated(walk)
    else:
        return None
    for key, unread in {"val_labels": spec.val_labels, "target_key": spec.target_key}.items():
        if unread is not None:
            raise DataError(f"data.{key}: not read with annotated pictures, and {path} has annotations")
    _READ.clear()
    _READ[path, spec.question] = found
    return found


def _root(path: Path) -> Path:
    """The folder below which a set lies: itself, or that of a single file."""
    return path if path.is_dir() else path.parent


def read(spec: DataSpec, listing: Listing | None = None) -> Source:
    """The data set, undecoded, with the classes that are asked for. `listing`: what `list_images` gave, where it was
    asked before.
    """
    return subset(_read(spec, listing), spec.classes)


def _read(spec: DataSpec, listing: Listing | None) -> Source:
    path = located(spec)
    if own.is_own(spec.name):
        return own.own_source(str(spec.name))
    if spec.name == "digits":
        return digits.read()
    if spec.name is not None:
        return vision.read(spec.name, path)
    if (listing is None or listing.objects) and (found := annotated(path, spec)) is not None:
        return found.source(path)
    listing = listing or list_images(spec)
    return npz.read(path) if listing is None else source_of(listing, _root(path))


def located(spec: DataSpec) -> Path:
    """The path of the data set, present and of a kind that we read ("." for the embedded digits)."""
    if own.is_own(spec.name):
        return Path()
    allowed = ["digits", *vision.SETS]
    if spec.name is not None and spec.name not in allowed:
        raise DataError(
            f"data.name: no '{spec.name}'; there are: {', '.join(allowed)}{nearest(spec.name, allowed)}; "
            "for files of your own give data.path alone"
        )
    if spec.name == "digits":
        return Path()
    if spec.path is None:
        needs = (
            "the folder that holds its files"
            if spec.name
            else "a .npz file or a folder of class folders (or data.name, such as digits)"
        )
        raise DataError(f"data.path: missing; needed: {needs}")
    try:
        path = Path(spec.path).expanduser()
        there, is_folder, is_file = path.exists(), path.is_dir(), path.is_file()
    except (OSError, ValueError, RuntimeError) as fault:  # too long, a zero byte in it, the home of nobody
        raise DataError(f"data.path: {spec.path[:100]!r} is no path ({fault})") from None
    if not there:
        raise DataError(f"data.path: {path} does not exist")
    known = (".npz", *SHARDS)
    if spec.name is None and not is_folder and not (is_file and path.suffix.lower() in known):
        raise DataError(f"data.path: {path} is neither a folder nor a file that ends with {', '.join(known)}")
    return voc.home(path)
