"""Kinds of made inputs: each writes its files into a folder, and says which commands read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from fuzz import checkpoints, documents, folders, images
from fuzz.examples import Examples
from fuzz.sandbox import Command

Kind = Callable[[Random, Path, Examples], Sequence[Command]]

KINDS: dict[str, tuple[Kind, int]] = {
    "space": (documents.space, 3),
    "study": (documents.study, 4),
    "variant": (documents.variant, 2),
    "setting": (documents.setting, 4),
    "name": (documents.name, 1),
    "archive": (images.archive, 2),
    "pictures": (images.pictures, 1),
    "run": (folders.run_folder, 6),
    "trials": (folders.trials, 4),
    "model": (folders.model_folder, 3),
    "checkpoint": (checkpoints.checkpoint, 2),
}
"""Each with how often it is made: those that answer at once more than those that train."""
