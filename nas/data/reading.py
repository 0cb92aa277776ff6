"""From a `DataSpec` to the labelled images that it names, by the reader of their kind."""

from __future__ import annotations

import contextlib
from pathlib import Path

from nas.data import index
from nas.data.listed import source_of
from nas.data.listing import Listing
from nas.data.readers import digits, folder, npz, vision
from nas.data.readers._walk import Walk
from nas.data.source import Source
from nas.data.spec import DataSpec
from nas.errors import DataError, nearest


def list_images(spec: DataSpec, kept: Path | None = None) -> Listing | None:
    """The listing of a set of pictures; None of a set that is read otherwise.

    `kept` is a file with an earlier listing: where it is of the same set, and nothing has changed there since, nothing
    is listed anew. `DataError` when the set is missing or unreadable.
    """
    path = located(spec)
    if spec.name is not None or not path.is_dir():
        return None
    if kept is not None:
        with contextlib.suppress(DataError):  # a run checks its files' seals, and says so
            earlier = index.read(kept)
            if earlier.question == spec.question and earlier.is_of(path):
                return earlier
    return folder.listing(Walk(path), spec)


def read(spec: DataSpec, listing: Listing | None = None) -> Source:
    """The data set, undecoded. `listing`: what `list_images` gave, where it was asked before."""
    path = located(spec)
    if spec.name == "digits":
        return digits.read()
    if spec.name is not None:
        return vision.read(spec.name, path)
    listing = listing or list_images(spec)
    return npz.read(path) if listing is None else source_of(listing, path)


def located(spec: DataSpec) -> Path:
    """The path of the data set, present and of a kind that we read ("." for the embedded digits)."""
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
    if spec.name is None and not is_folder and not (is_file and path.suffix.lower() == ".npz"):
        raise DataError(f"data.path: {path} is neither a .npz file nor a folder of class folders")
    return path
