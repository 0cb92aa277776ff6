"""What a study says about its images: the `data:` mapping of its YAML file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, final

from pydantic import ConfigDict, Field

from nas.data.subset import POLICIES, ClassFile, Names
from nas.documents.conditions import Absent, IsNot, ReadWith
from nas.documents.markers import FilePath, MayChange
from nas.numbers import Unit, above, whole
from nas.preprocessing import CropShare, Interpolation, Mean, Std

SplitFolders = Literal["auto", "none"]
Cache = Literal["auto", "memory", "disk", "none"]
OnError = Literal["stop", "skip"]
_Side = Annotated[int, whole(1, 4096), Unit("pixels")]


@final
@dataclass(frozen=True)
class DataSpec:
    """Which images, and how they are split.

    name           "digits" (embedded in scikit-learn), or one of torchvision's: see `nas.data.readers.vision.SETS`
    path           a folder of class folders, or of shards: WebDataset's (.tar), or Hugging Face's (.arrow, .parquet);
                   one such shard; or a .npz file in the MedMNIST layout; with a torchvision `name`: the folder that
                   holds its files. Or a folder of annotated pictures: COCO's (annotations/instances_train.json ...),
                   or Pascal VOC's (Annotations/, JPEGImages/, ImageSets/Main/)
    train, val, test
                   of annotated pictures in COCO's layout: the annotation files, below `path` (default: those that are
                   found)
    image_size     pixels; images are resized to it (default: the model's input size). Of annotated pictures also
                   [height, width]: they are scaled until they fit, and the rest is grey
    validation     share of the training images that is set aside for the search before anything trains; stratified,
                   seeded. Unused where the data set brings its own validation split
    train_images   use only so many training images, a stratified draw by the study's seed, made before `validation` is
                   carved from them (default: all)
    split_folders  of a folder: whether train/, val/ and test/ in it (in any case) are splits (auto), or classes like
                   all others (none)
    classes        of a folder with splits: every split has the same classes (same), or those of train/ count (train):
                   other splits may lack some, and what else they have is left out. Or a part of the classes, numbered
                   in this order: "first 100", a list of names, or a file with a name a line
    fraction       use only this part of the training images, stratified; it does not depend on the study's seed, so
                   that studies with several seeds have the same images. Test images, and validation images of the data
                   set's own, are all used
    val_labels     of a folder whose val/ has no class folders, as ImageNet's: the file that says which class each
                   picture has, in lines of "picture class" (LOC_val_solution.csv, val.txt), or of classes alone
    target_key     of Arrow and Parquet files: the column with the classes (default: the one that the file says)
    cache          where images are, once they are resized: memory; disk (a file that is mapped into memory; of a set of
                   pictures it stays in the run's folder, and a later start reads it); none (they are decoded anew
                   whenever they are looked at, by `workers`); auto: of each split, memory up to 2 GiB, else none
    workers        processes that decode images of splits that are not held; 0: the training's own (default: as many as
                   there are cores, at most 16)
    on_error       when a picture cannot be read: stop, or skip it: the next one of its split stands in for it
    mean, std      by which images are normalised, of pixels in 0 ... 1: one value, or one per channel (default: those
                   of the pretrained model, else the statistics of the training split)
    crop_pct, interpolation
                   by which images are resized, see `nas.preprocessing` (default: those of the pretrained model, else 1
                   and bilinear)
    """

    name: str | None = None
    path: Annotated[
        Annotated[str, FilePath(must_exist=False), MayChange()] | None, ReadWith(IsNot("name", "digits"))
    ] = None
    train: Annotated[str | None, ReadWith(Absent("name"))] = None
    val: Annotated[str | None, ReadWith(Absent("name"))] = None
    test: Annotated[str | None, ReadWith(Absent("name"))] = None
    image_size: _Side | tuple[_Side, _Side] | None = None
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.15
    train_images: Annotated[int, whole(2, 1_000_000_000), Unit("images")] | None = None
    split_folders: SplitFolders = "auto"
    classes: Annotated[str | Names, ClassFile()] = "same"
    fraction: Annotated[float, above(0, 1)] = 1.0
    val_labels: Annotated[Annotated[str, FilePath(must_exist=False), MayChange()] | None, ReadWith(Absent("name"))] = (
        None
    )
    target_key: Annotated[str | None, ReadWith(Absent("name"))] = None
    cache: Cache = "auto"
    workers: Annotated[Annotated[int, whole(0, 256), Unit("processes")] | None, MayChange()] = None
    on_error: Annotated[OnError, MayChange(), ReadWith(IsNot("name", "digits"))] = "stop"
    mean: Annotated[Mean, Field(min_length=1)] | None = None
    std: Annotated[Std, Field(min_length=1)] | None = None
    crop_pct: CropShare | None = None
    interpolation: Interpolation | None = None

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    @property
    def question(self) -> str:
        """What is asked of whoever lists the set: a listing answers it."""
        options = {
            "split_folders": self.split_folders,
            "classes": self.classes if self.classes in POLICIES else "train",
            "target_key": self.target_key,
            "val_labels": self.val_labels is not None,
            **({"annotations": self.annotations} if self.annotations else {}),
        }
        return json.dumps(options)

    @property
    def annotations(self) -> dict[str, str]:
        """Split -> its annotation file, as far as they are named here."""
        files = {"train": self.train, "validation": self.val, "test": self.test}
        return {role: file for role, file in files.items() if file is not None}

    @property
    def constants(self) -> dict[str, Any]:
        """The constants of the preprocessing that are given here, by name."""
        names = ("mean", "std", "crop_pct", "interpolation")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}
