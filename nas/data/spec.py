"""What a study says about its images: the `data:` mapping of its YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from pydantic import ConfigDict, Field

from nas.documents.markers import FilePath, MayChange


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
    """

    name: str | None = None
    path: Annotated[str, FilePath(must_exist=False), MayChange()] | None = None
    image_size: Annotated[int, Field(ge=1)] | None = None
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.15
    train_images: Annotated[int, Field(ge=2)] | None = None

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
