"""torchvision's data sets by name, read from where their files lie. Nothing is ever downloaded: a study must not
change with the network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from torchvision import datasets

from nas.data.images import Pictures, Pixels
from nas.data.readers._walk import is_left_behind
from nas.data.source import Labelled, Source, class_names, labelled
from nas.errors import DataError


@final
@dataclass(frozen=True)
class VisionSet:
    """A data set of torchvision's: its class, where its files lie below the folder, and the keywords that ask for each
    split.
    """

    build: Callable[..., Any]
    lies_in: str
    splits: dict[str, dict[str, Any]]


_TRAIN_TEST = {"train": {"train": True}, "test": {"train": False}}

SETS = {
    "cifar10": VisionSet(datasets.CIFAR10, "cifar-10-batches-py", _TRAIN_TEST),
    "cifar100": VisionSet(datasets.CIFAR100, "cifar-100-python", _TRAIN_TEST),
    "mnist": VisionSet(datasets.MNIST, "MNIST/raw", _TRAIN_TEST),
    "fashionmnist": VisionSet(datasets.FashionMNIST, "FashionMNIST/raw", _TRAIN_TEST),
    "flowers102": VisionSet(
        datasets.Flowers102,
        "flowers-102",
        {"train": {"split": "train"}, "validation": {"split": "val"}, "test": {"split": "test"}},
    ),
    "oxfordiiitpet": VisionSet(
        datasets.OxfordIIITPet, "oxford-iiit-pet", {"train": {"split": "trainval"}, "test": {"split": "test"}}
    ),
    "food101": VisionSet(datasets.Food101, "food-101", {"train": {"split": "train"}, "test": {"split": "test"}}),
    "eurosat": VisionSet(datasets.EuroSAT, "eurosat/2750", {"train": {}}),
    "imagenette": VisionSet(
        datasets.Imagenette, "imagenette2", {"train": {"split": "train"}, "test": {"split": "val"}}
    ),
}
"""The data sets that `name` knows besides "digits"."""


def read(name: str, root: Path) -> Source:
    """Opens the data set below `root`; a set of one split only (eurosat) is split by us."""
    known = SETS[name]
    splits = {
        split: _labelled(_open(name, root, keywords), f"{name} {split}") for split, keywords in known.splits.items()
    }
    names = class_names(splits["train"].labels, name)
    return Source(name, names, splits["train"], splits.get("validation"), splits.get("test"))


def _open(name: str, root: Path, keywords: dict[str, Any]) -> Any:
    known = SETS[name]
    try:
        return known.build(root=str(root), download=False, **keywords)
    except ModuleNotFoundError as absent:
        raise DataError(f"{name} needs the package '{absent.name}': pip install {absent.name}") from None
    except Exception as fault:  # on damaged files its readers raise anything, even AssertionError
        reason = (str(fault).splitlines() or [""])[0].split(" You can use download=True")[0].rstrip(".")
        raise DataError(
            f"{name}: {reason or 'damaged files'} ({type(fault).__name__}); "
            f"its files must lie in {root / known.lies_in} (data.path: {root}), and nothing is downloaded"
        ) from None


def _labelled(dataset: Any, where: str) -> Labelled:
    labels = _labels(dataset)
    pixels = getattr(dataset, "data", None)
    if pixels is not None:
        return labelled(Pixels(np.asarray(pixels)), labels, where)
    strangers = [name for name in getattr(dataset, "class_to_idx", ()) if is_left_behind(str(name))]
    if strangers:
        raise DataError(f"{where}: torchvision takes the folder {strangers[0]} for a class; remove it")
    files = _files(dataset)
    root = Path(dataset.root)
    kept = [i for i, file in enumerate(files) if not any(map(is_left_behind, file.relative_to(root).parts))]
    return labelled(Pictures([files[i] for i in kept]), np.asarray(labels)[kept], where)


def _files(dataset: Any) -> list[Path]:
    """The pictures' files, undecoded; torchvision keeps them under four names."""
    for attribute in ("_image_files", "_images"):
        if hasattr(dataset, attribute):
            return [Path(file) for file in getattr(dataset, attribute)]
    samples = dataset.samples if hasattr(dataset, "samples") else dataset._samples
    return [Path(file) for file, _ in samples]


def _labels(dataset: Any) -> Any:
    """Class numbers without decoding a picture; torchvision keeps them under three names."""
    for attribute in ("targets", "_labels"):
        if hasattr(dataset, attribute):
            return np.asarray(getattr(dataset, attribute))
    return np.array([label for _, label in dataset._samples])
