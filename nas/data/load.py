"""From a `DataSpec` to three splits."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from nas import seeds, tasks, words
from nas.data import constants as prepared_by
from nas.data.cache import Shelf
from nas.data.held import HeldSplit
from nas.data.holding import Held, SplitImages, hold, sample
from nas.data.letterbox import Letterbox, Resizer
from nas.data.listing import Listing
from nas.data.loader import Decoder, Loader, suitable_workers
from nas.data.reading import read
from nas.data.repeated import notes_on_repeated
from nas.data.set_aside import ImageIndices, set_aside
from nas.data.skipped import Skipped
from nas.data.source import Labelled, Source, check_range
from nas.data.spec import DataSpec
from nas.data.split import Data, NamedSplit, Split
from nas.data.streamed import StreamedSplit
from nas.errors import DataError
from nas.preprocessing import ImageSize, Preprocessing
from nas.tasks import Facts, Targets, Task, TruthKind

TEST_SHARE, TEST_SEED = 0.2, 0
"""A data set without a test split gets the same one in every study: it must never depend on the study's seed."""
ALL = "all"
"""The split that is the whole of a data set that brings none."""
SHOWN = 8  # names of classes in a note


def inspect_data(spec: DataSpec, listing: Listing | None = None) -> Facts:
    """Facts of the data set, without decoding it. `DataError` when it is missing or unreadable, so call this before
    anything trains. `listing`: see `nas.data.reading.list_images`.
    """
    source = read(spec, listing)
    images = source.train.images
    prepared_by.check_constants(spec, images.channels)
    indices = source.train.indices
    if (truth := _truth(source)) != "class":
        return Facts(images.channels, len(source.classes), None, truth)
    first_of_each_class = indices[np.unique(source.train.labels[indices], return_index=True)[1]]
    return Facts(images.channels, len(source.classes), images.native_size(first_of_each_class))


def _truth(source: Source) -> TruthKind:
    """What is known of each picture."""
    objects = source.train.objects
    return "class" if objects is None else "boxes" if objects.outlines is None else "masks"


def load_data(
    spec: DataSpec,
    *,
    task: Task | None = None,
    image_size: ImageSize,
    seed: int,
    constants: Preprocessing | None = None,
    listing: Listing | None = None,
    kept: Path | None = None,
) -> Data:
    """The data set at `image_size` pixels, in three splits, search-validation carved from train by `seed`, with the
    targets of `task` (without one, of the default). Those of annotated pictures are `nas.tasks.Annotations`.

    Images are prepared by the constants that the spec gives; by `constants`, those of a model that was trained before,
    where it gives none; without either, they are normalised by the statistics of the training split. `listing`: that
    of the set, where it is known (see `nas.data.reading.list_images`). `kept`: a folder for the images of a set of
    pictures that is held on the disk: they stay, and a later start need not decode them.

    `DataError` when the data set is missing, damaged, or too small for its splits; all pictures that cannot be read
    are named at once.
    """
    source = read(spec, listing)
    shelf = None if listing is None or kept is None else Shelf(kept, listing.checksum)
    loaded = _load(source, spec, None, _Wanted(task, image_size, seed, constants, shelf))
    splits = loaded.splits
    return Data(
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        class_names=source.classes,
        channels=source.train.images.channels,
        image_size=image_size,
        name=source.name,
        task=loaded.task,
        preprocessing=loaded.preprocessing,
        notes=loaded.notes,
        category_ids=source.category_ids,
    )


def load_split(
    spec: DataSpec,
    split: str,
    *,
    task: Task | None = None,
    image_size: ImageSize,
    seed: int,
    constants: Preprocessing | None,
    listing: Listing | None = None,
) -> NamedSplit:
    """One split as `load_data` gives it, and nothing of the others is decoded, unless their statistics are needed.
    "all" is the whole of a data set that brings no splits. `listing`: as of `load_data`.

    `DataError` as from `load_data`.
    """
    # Without constants, images are normalised by the statistics of the training split.
    only = None if constants is None and split != ALL else split
    source = read(spec, listing)
    loaded = _load(source, spec, only, _Wanted(task, image_size, seed, constants))
    of = loaded.parts[split]
    notes = loaded.notes
    if split == "test" and source.test is None:
        notes = (*notes, f"{source.name} brings no test split: {len(of.indices)} of its {len(source.train.labels)} "
                 f"images were set aside, the same ones for every study")  # fmt: skip
    kept = loaded.held.parts[split].indices
    unreadable = {of.of.images.name(int(index)) for index in of.indices[of.indices != kept]}

    def names() -> list[str | None]:
        every = (of.of.images.name(int(index)) for index in of.indices)
        return [None if name in unreadable or name in loaded.skipped else name for name in every]

    return NamedSplit(
        split=loaded.splits[split],
        names=names,
        class_names=source.classes,
        channels=source.train.images.channels,
        name=source.name,
        task=loaded.task,
        notes=notes,
        category_ids=source.category_ids,
    )


class _Wanted(NamedTuple):
    """What is asked of images beside their data set, see `load_data`; `shelf`: where those that are held stay."""

    task: Task | None
    image_size: ImageSize
    seed: int
    constants: Preprocessing | None
    shelf: Shelf | None = None


class _Loaded(NamedTuple):
    """Which images of a data set are its splits, and what became of these."""

    parts: dict[str, SplitImages]
    held: Held
    splits: dict[str, Split]
    preprocessing: Preprocessing
    task: Task
    notes: tuple[str, ...]
    skipped: Skipped


def _load(source: Source, spec: DataSpec, only: str | None, wanted: _Wanted) -> _Loaded:
    """The three splits, or one."""
    task = wanted.task or tasks.find(tasks.DEFAULT)()
    truth = _truth(source)
    if truth not in task.learns_from:
        needed = " or ".join(task.learns_from)
        raise DataError(f"{source.name}: its pictures come with {truth}; this task learns from {needed}")
    notes = [*source.notes, *_check(source)]
    prepared_by.check_constants(spec, source.train.images.channels)
    parts = _divide(source, spec, wanted.seed, only)
    annotated = source.train.objects is not None
    resizing = prepared_by.resizing(spec, wanted.constants, wanted.image_size, annotated=annotated)
    held = hold(parts, spec, resizing, wanted.shelf)
    statistics_of = "train" if "train" in parts else ALL
    preprocessing = prepared_by.preprocessing(
        spec,
        wanted.constants,
        source.train.images.channels,
        lambda: held.images[statistics_of] if statistics_of in held.images else sample(parts[statistics_of], resizing),
    )
    decoder = Decoder({name: part.of for name, part in parts.items()}, resizing, preprocessing)
    loader = Loader(decoder, suitable_workers() if spec.workers is None else spec.workers)
    skipped = Skipped()

    def split(name: str) -> Split:
        part, is_held = held.parts[name], name in held.images
        targets = _targets(part, task, source, resizing, held=is_held)
        if is_held:
            assert targets is not None
            return HeldSplit(held.images[name], targets, preprocessing)
        return StreamedSplit(name, part.indices, targets, loader, spec.on_error, skipped)

    notes = [*notes, *held.notes, *notes_on_repeated(held.images)]
    splits = {name: split(name) for name in parts}
    return _Loaded(parts, held, splits, preprocessing, task, tuple(notes), skipped)


def _targets(part: SplitImages, task: Task, source: Source, resizing: Resizer, *, held: bool) -> Targets | None:
    """What is learnt of a split's pictures; None of annotated pictures that come one by one, with theirs."""
    objects = part.of.objects
    if objects is None:
        return task.targets(part.of.labels[part.indices], len(source.classes))
    assert isinstance(resizing, Letterbox)
    return objects.placed(part.indices, resizing) if held else None


def _divide(source: Source, spec: DataSpec, seed: int, only: str | None) -> dict[str, SplitImages]:
    """The three splits, or one: those that the data set brings, and those that are carved from its training images."""
    labels = source.train.labels
    train: ImageIndices = source.train.indices
    carved: dict[str, ImageIndices] = {}

    def own(split: Labelled | None, name: str) -> SplitImages:
        return SplitImages(source.train, carved[name]) if split is None else SplitImages(split, split.indices)

    if only == ALL:
        if len(source.splits) > 1:
            raise DataError(f"split: found all, but {source.name} brings {', '.join(source.splits)}; name one of them")
        return {ALL: SplitImages(source.train, train)}
    # The test split goes first, and by a seed of its own, so that it is the same whatever a study asks after it.
    if source.test is None:
        train, carved["test"] = set_aside(labels, train, round(TEST_SHARE * len(train)), TEST_SEED, "test split")
    if only == "test":
        return {"test": own(source.test, "test")}
    # Then the part that is asked for, by the same seed: studies that differ in theirs are studies of the same images.
    if spec.fraction < 1:
        take, what = round(spec.fraction * len(train)), f"data.fraction = {spec.fraction:g}"
        _, train = set_aside(labels, train, take, TEST_SEED, what)
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
    parts = {
        "train": SplitImages(source.train, train),
        "validation": own(source.validation, "validation"),
        "test": own(source.test, "test"),
    }
    return parts if only is None else {only: parts[only]}


def _check(source: Source) -> list[str]:
    """Raises `DataError` where the splits do not fit together; returns notes on classes that are not measured. Of
    annotated pictures their reader has seen to that.
    """
    notes: list[str] = []
    if source.train.objects is not None:
        return notes
    check_range(source)
    for name, split in source.splits.items():
        if split.images.channels != source.train.images.channels:
            raise DataError(
                f"{source.name}: {name} has {split.images.channels} channels, train has {source.train.images.channels}"
            )
        lacking = np.setdiff1d(np.arange(len(source.classes)), split.labels)
        if len(lacking) and name == "train":
            raise DataError(f"{source.name}: class {source.classes[lacking[0]]} has no training image")
        if len(lacking):
            named = words.some([source.classes[k] for k in lacking], SHOWN)
            notes.append(f"{name} has no image of {len(lacking)} of the {len(source.classes)} classes: {named}")
    return notes
