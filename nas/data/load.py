"""From a `DataSpec` to three splits in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nas import seeds, tasks
from nas.data.images import CHUNK
from nas.data.readers import digits, folder, npz, vision
from nas.data.set_aside import ImageIndices, set_aside
from nas.data.source import Labelled, Source
from nas.data.spec import DataSpec
from nas.data.split import Data, Split
from nas.errors import DataError, nearest
from nas.tasks import Facts, Task

TEST_SHARE, TEST_SEED = 0.2, 0
"""A data set without a test split gets the same one in every study: it must never depend on the study's seed."""


def inspect_data(spec: DataSpec) -> Facts:
    """Facts of the data set, without decoding it. `DataError` when it is missing or unreadable, so call this before
    anything trains.
    """
    source = _read(spec, _checked(spec))
    images = source.train.images
    first_of_each_class = np.unique(source.train.labels, return_index=True)[1]
    return Facts(images.channels, len(source.classes), images.native_size(first_of_each_class))


def load_data(spec: DataSpec, *, task: Task | None = None, image_size: int, seed: int) -> Data:
    """The data set at `image_size` pixels, in three splits, search-validation carved from train by `seed`, with the
    targets of `task` (without one, of the default).

    `DataError`, in one line, when the data set is missing, damaged, or too small for its splits.
    """
    task = task or tasks.find(tasks.DEFAULT)()
    source = _read(spec, _checked(spec))
    _check(source)
    train, held_out = _divide(source, spec, seed)
    images = source.train.images.read(train, image_size)  # once: they also give mean and deviation
    mean, std = _statistics(images)

    def split(of: Labelled, indices: ImageIndices | None) -> Split:
        indices = np.arange(len(of.labels)) if indices is None else indices
        pixels = images if indices is train else of.images.read(indices, image_size)
        return Split(pixels, task.targets(of.labels[indices], len(source.classes)), mean, std)

    return Data(
        train=split(source.train, train),
        validation=split(source.validation or source.train, held_out["validation"]),
        test=split(source.test or source.train, held_out["test"]),
        class_names=source.classes,
        channels=source.train.images.channels,
        image_size=image_size,
        name=source.name,
        task=task,
    )


def _divide(source: Source, spec: DataSpec, seed: int) -> tuple[ImageIndices, dict[str, ImageIndices | None]]:
    """Indices of the images to train on, and of those that are carved from train/ (None for a split that the data set
    brings).
    """
    labels = source.train.labels
    # The test split goes first, and by a seed of its own, so that it is the same whatever a study asks after it.
    train: ImageIndices = np.arange(len(labels))
    carved: dict[str, ImageIndices | None] = {"test": None, "validation": None}
    if source.test is None:
        train, carved["test"] = set_aside(labels, train, round(TEST_SHARE * len(train)), TEST_SEED, "test split")
    # Then the study's draw of training images, and of these the search-validation split.
    draw = seeds.derive(seed, seeds.SPLITTING)
    if spec.train_images is not None and spec.train_images != len(train):
        if spec.train_images > len(train):
            raise DataError(f"data.train_images: {spec.train_images} asked, {source.name} has {len(train)}")
        _, train = set_aside(labels, train, spec.train_images, draw, "data.train_images")
    if source.validation is None:
        train, carved["validation"] = set_aside(
            labels, train, round(spec.validation * len(train)), draw, f"data.validation = {spec.validation:g}"
        )
    return train, carved


def _checked(spec: DataSpec) -> Path:
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
    path = Path(spec.path).expanduser()
    if not path.exists():
        raise DataError(f"data.path: {path} does not exist")
    if spec.name is None and not path.is_dir() and path.suffix != ".npz":
        raise DataError(f"data.path: {path} is neither a .npz file nor a folder of class folders")
    return path


def _read(spec: DataSpec, path: Path) -> Source:
    if spec.name == "digits":
        return digits.read()
    if spec.name is not None:
        return vision.read(spec.name, path)
    return folder.read(path) if path.is_dir() else npz.read(path)


def _check(source: Source) -> None:
    for name, split in source.splits.items():
        if split.images.channels != source.train.images.channels:
            raise DataError(
                f"{source.name}: {name} has {split.images.channels} channels, train has {source.train.images.channels}"
            )
        low, high = int(split.labels.min()), int(split.labels.max())
        if low < 0 or high >= len(source.classes):
            raise DataError(
                f"{source.name}: {name} has the label {low if low < 0 else high}; "
                f"its classes are 0 to {len(source.classes) - 1}"
            )
    empty = np.setdiff1d(np.arange(len(source.classes)), source.train.labels)
    if len(empty):
        raise DataError(
            f"{source.name}: class {source.classes[empty[0]]} has no training image; "
            "classes are counted from 0 without gaps"
        )


def _statistics(images_NCHW: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation per channel, pixels in 0 ... 1. Exact sums in int64, in chunks, so that a mapped file is read
    once.
    """
    total = torch.zeros(images_NCHW.shape[1], dtype=torch.int64)
    squares = torch.zeros_like(total)
    for chunk in torch.split(images_NCHW, CHUNK):
        values = chunk.to(torch.int64)
        total += values.sum((0, 2, 3))
        squares += values.square().sum((0, 2, 3))
    pixels = images_NCHW.numel() // images_NCHW.shape[1]
    mean = total.double() / pixels
    std = (squares.double() / pixels - mean.square()).clamp_min(0).sqrt()
    std = torch.where(std > 0, std, 255.0)  # a channel of one value carries nothing: shift it, do not divide by zero
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())
