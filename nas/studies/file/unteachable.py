"""What a recipe asks of pictures or targets that cannot be done with these, known before anything trains."""

from __future__ import annotations

from nas.data.transforms import UNCHANGED, Together
from nas.data.transforms.together import ALLOWED
from nas.documents.document import Document
from nas.documents.mistakes import shown
from nas.errors import Fault, TrainingError
from nas.studies.file.config import RECIPES, StudyConfig
from nas.tasks import Facts, Mixing, Task
from nas.training import Recipe


def unteachable(document: Document, config: StudyConfig, task: Task, facts: Facts | None) -> list[Fault]:
    """Augmentations that do not go with what is known of the pictures; smoothing and mixing that the task refuses.
    Nothing is known where the data are not here.
    """
    if facts is None:
        return []
    faults = []
    for stage in RECIPES:
        recipe = getattr(config, stage)
        assert isinstance(recipe, Recipe)
        if recipe.epochs:
            faults += [*_unvaried(document, stage, recipe, facts), *_unlearned(document, stage, recipe, task, facts)]
    return faults


def _unvaried(document: Document, stage: str, recipe: Recipe, facts: Facts) -> list[Fault]:
    augment, annotated = recipe.augmentation, facts.truth != "class"
    if augment == UNCHANGED or isinstance(augment, Together) == annotated:
        return []
    found = f"{shown(recipe.augment)}, which would leave boxes and masks where they were"
    if not annotated:
        found = f"{shown(recipe.augment)}, and the pictures have classes, no boxes"
    return [document.fault((stage, "augment"), found, ALLOWED if annotated else "none, crop, crop+flip, timm")]


def _unlearned(document: Document, stage: str, recipe: Recipe, task: Task, facts: Facts) -> list[Fault]:
    """What the task says itself, where it is asked for anything."""
    faults = []
    try:
        if recipe.smoothing:
            task.criterion(recipe.smoothing)
    except TrainingError as refusal:
        faults.append(_of_task(document, (stage, "smoothing"), refusal))
    try:
        if recipe.mixing != Mixing():
            task.mixer(recipe.mixing, facts.classes)
    except TrainingError as refusal:
        key = "mixup" if recipe.mixing.mixup else "cutmix"
        faults.append(_of_task(document, (stage, key), refusal))
    return faults


def _of_task(document: Document, path: tuple[str, str], refusal: TrainingError) -> Fault:
    """Of "KEYS: found WHAT; allowed: WHAT": the fault names its key itself."""
    found, _, allowed = str(refusal).partition(": ")[2].removeprefix("found ").partition("; allowed")
    return document.fault(path, found, allowed.removeprefix(":").strip())
