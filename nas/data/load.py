"""From a `DataSpec` to three splits."""

from __future__ import annotations

import numpy as np

from nas import seeds, tasks
from nas.data import constants as prepared_by
from nas.data.held import HeldSplit
from nas.data.holding import SplitImages, hold, sample
from nas.data.listing import Listing
from nas.data.loader import Decoder, Loader, suitable_workers
from nas.data.reading import read
from nas.data.repeated import notes_on_repeated
from nas.data.set_aside import ImageIndices, set_aside
from nas.data.skipped import Skipped
from nas.data.source import Labelled, Source
from nas.data.spec import DataSpec
from nas.data.split import Data, Split
from nas.data.streamed import StreamedSplit
from nas.errors import DataError
from nas.preprocessing import Preprocessing
from nas.tasks import Facts, Task

TEST_SHARE, TEST_SEED = 0.2, 0
"""A data set without a test split gets the same one in every study: it must never depend on the study's seed."""
SHOWN = 8  # names of classes in a note


def inspect_data(spec: DataSpec, listing: Listing | None = None) -> Facts:
    """Facts of the data set, without decoding it. `DataError` when it is missing or unreadable, so call this before
    anything trains. `listing`: see `nas.data.reading.list_images`.
    """
    source = read(spec, listing)
    images = source.train.images
    prepared_by.check_constants(spec, images.channels)
    first_of_each_class = np.unique(source.train.labels, return_index=True)[1]
    return Facts(images.channels, len(source.classes), images.native_size(first_of_each_class))


def load_data(
    spec: DataSpec,
    *,
    task: Task | None = None,
    image_size: int,
    seed: int,
    constants: Preprocessing | None = None,
    listing: Listing | None = None,
) -> Data:
    """The data set at `image_size` pixels, in three splits, search-validation carved from train by `seed`, with the
    targets of `task` (without one, of the default).

    Images are prepared by the constants that the spec gives; by `constants`, those of a model that was trained before,
    where it gives none; without either, they are normalised by the statistics of the training split. `listing`: that
    of the set, where it is known (see `nas.data.reading.list_images`).

    `DataError` when the data set is missing, damaged, or too small for its splits; all pictures that cannot be read
    are named at once.
    """
    task = task or tasks.find(tasks.DEFAULT)()
    source = read(spec, listing)
    notes = [*source.notes, *_check(source)]
    prepared_by.check_constants(spec, source.train.images.channels)
    parts = _divide(source, spec, seed)
    resizing = prepared_by.resizing(spec, constants, image_size)
    held = hold(parts, spec, resizing)
    train = parts["train"]
    preprocessing = prepared_by.preprocessing(
        spec,
        constants,
        train.of.images.channels,
        lambda: held.images["train"] if "train" in held.images else sample(train, resizing),
    )
    decoder = Decoder({name: part.of.images for name, part in parts.items()}, image_size, preprocessing)
    loader = Loader(decoder, suitable_workers() if spec.workers is None else spec.workers)
    skipped = Skipped()

    def split(name: str) -> Split:
        part = held.parts[name]
        targets = task.targets(part.of.labels[part.indices], len(source.classes))
        if name in held.images:
            return HeldSplit(held.images[name], targets, preprocessing)
        return StreamedSplit(name, part.indices, targets, loader, spec.on_error, skipped)

    return Data(
        train=split("train"),
        validation=split("validation"),
        test=split("test"),
        class_names=source.classes,
        channels=source.train.images.channels,
        image_size=image_size,
        name=source.name,
        task=task,
        preprocessing=preprocessing,
        notes=(*notes, *held.notes, *notes_on_repeated(held.images)),
    )


def _divide(source: Source, spec: DataSpec, seed: int) -> dict[str, SplitImages]:
    """The three splits: those that the data set brings, and those that are carved from its training images."""
    labels = source.train.labels
    train: ImageIndices = np.arange(len(labels))
    carved: dict[str, ImageIndices] = {}
    # The test split goes first, and by a seed of its own, so that it is the same whatever a study asks after it.
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

    def own(split: Labelled | None, name: str) -> SplitImages:
        return (
            SplitImages(source.train, carved[name])
            if split is None
            else SplitImages(split, np.arange(len(split.labels)))
        )

    return {
        "train": SplitImages(source.train, train),
        "validation": own(source.validation, "validation"),
        "test": own(source.test, "test"),
    }


def _check(source: Source) -> list[str]:
    """Raises `DataError` where the splits do not fit together; returns notes on classes that are not measured."""
    notes = []
    for name, split in source.splits.items():
        if split.images.channels != source.train.images.channels:
            raise DataError(
                f"{source.name}: {name} has {split.images.channels} channels, train has {source.train.images.channels}"
            )
        highest = int(split.labels.max())
        if highest >= len(source.classes):
            raise DataError(
                f"{source.name}: {name} has the label {highest}; its classes are 0 to {len(source.classes) - 1}"
            )
        lacking = np.setdiff1d(np.arange(len(source.classes)), split.labels)
        if len(lacking) and name == "train":
            raise DataError(f"{source.name}: class {source.classes[lacking[0]]} has no training image")
        if len(lacking):
            named = ", ".join(source.classes[k] for k in lacking[:SHOWN]) + (", ..." if len(lacking) > SHOWN else "")
            notes.append(f"{name} has no image of {len(lacking)} of the {len(source.classes)} classes: {named}")
    return notes
