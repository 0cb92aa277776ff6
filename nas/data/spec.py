"""What a study says about its images: the `data:` mapping of its YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, final

from pydantic import ConfigDict, Field

from nas.documents.conditions import IsNot, ReadWith
from nas.documents.markers import FilePath, MayChange
from nas.numbers import whole
from nas.preprocessing import CropShare, Interpolation, Mean, Std

SplitFolders = Literal["auto", "none"]
Classes = Literal["same", "train"]


@final
@dataclass(frozen=True)
class DataSpec:
    """Which images, and how they are split.

    name           "digits" (embedded in scikit-learn), or one of torchvision's: see `nas.data.readers.vision.SETS`
    path           a .npz file in the MedMNIST layout, or a folder of class folders;
                   with a torchvision `name`: the folder that holds its files
    image_size     pixels; images are resized to it once, when they are loaded (default: the model's input size)
    validation     share of the training images that is set aside for the search before anything trains; stratified,
                   seeded. Unused where the data set brings its own validation split
    train_images   use only so many training images, a stratified draw made before `validation` is carved from them
                   (default: all)
    split_folders  of a folder: whether train/, val/ and test/ in it (in any case) are splits (auto), or classes like
                   all others (none)
    classes        of a folder with splits: every split has the same classes (same), or those of train/ count (train):
                   other splits may lack some, and what else they have is left out
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
    image_size: Annotated[int, whole(1, 4096)] | None = None
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.15
    train_images: Annotated[int, whole(2, 1_000_000_000)] | None = None
    split_folders: SplitFolders = "auto"
    classes: Classes = "same"
    mean: Annotated[Mean, Field(min_length=1)] | None = None
    std: Annotated[Std, Field(min_length=1)] | None = None
    crop_pct: CropShare | None = None
    interpolation: Interpolation | None = None

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    @property
    def constants(self) -> dict[str, Any]:
        """The constants of the preprocessing that are given here, by name."""
        names = ("mean", "std", "crop_pct", "interpolation")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}
