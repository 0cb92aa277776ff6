"""`teacher:` of a recipe: another model, any of timm's, that teaches while this one learns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, final

import torch
from pydantic import Field

from nas.documents.conditions import Absent, Is, IsNot, ReadWith
from nas.documents.markers import FilePath
from nas.errors import ModelError, TrainingError
from nas.numbers import Positive, Share, Unit, whole
from nas.preprocessing import Preprocessing
from nas.supernets import build, model_input
from nas.supernets.checkpoint import load_all_weights
from nas.system.memory import lacks_memory
from nas.training.objectives.taught import Answers, TaughtStep, Teacher
from nas.training.step import Step

OWN = "base"
"""What the study's own base model is called, as a teacher."""
OF_TIMM = ReadWith(IsNot("model", OWN))


@final
@dataclass(frozen=True)
class TeacherSpec:
    """Which model teaches, and how much its word weighs.

    model        timm's name; or base: the study's own base model, as its stage left it
    model_args   with which it is built
    pretrained   with timm's weights, of as many classes as the data have
    checkpoint   with this file of weights; timm's config.json beside it says how its images are prepared
    image_size   side of its images in pixels (default: what `model_args` or timm say); the student's are resized
    answers      soft (its probabilities) or hard (the class that it decides for)
    weight       of the teacher; the targets have the rest
    temperature  of soft answers
    """

    model: Annotated[str, Field(min_length=1)]
    model_args: Annotated[Mapping[str, Any], OF_TIMM] = field(default_factory=dict)
    pretrained: Annotated[bool, ReadWith(Absent("checkpoint")), OF_TIMM] = False
    checkpoint: Annotated[Annotated[str, FilePath()] | None, OF_TIMM] = None
    image_size: Annotated[Annotated[int, whole(1, 4096), Unit("pixels")] | None, OF_TIMM] = None
    answers: Answers = "soft"
    weight: Share = 0.5
    temperature: Annotated[Positive, ReadWith(Is("answers", "soft"))] = 1.0

    @property
    def own(self) -> bool:
        """Whether it is the study's own base model."""
        return self.model == OWN


def teacher(spec: TeacherSpec, model_args: Mapping[str, Any], given: Preprocessing) -> Teacher:
    """The teacher for a student whose inputs were prepared as `given` says; `model_args` are what data and task ask of
    a model (channels, classes). Raises `TrainingError` for weights of other classes or for none, `ModelError` for a
    model that there is not, or for images that it does not take, `CheckpointError` for weights that do not fit.
    """
    if not spec.pretrained and spec.checkpoint is None:
        raise TrainingError(f"teacher: found {spec.model} without weights; allowed: pretrained: true, or a checkpoint")
    model: Any = build(spec.model, {**model_args, **spec.model_args}, pretrained=spec.pretrained)
    config = getattr(model, "pretrained_cfg", None) or {}
    classes, known = model_args.get("num_classes"), config.get("num_classes")
    if spec.pretrained and classes != known:
        raise TrainingError(
            f"teacher: found {spec.model} pretrained for {known} classes, the data have {classes}; allowed: a "
            "checkpoint of a model for these classes"
        )
    own: Preprocessing | None
    if spec.checkpoint is not None:
        load_all_weights(model, Path(spec.checkpoint))
        own = model_input.beside(Path(spec.checkpoint))
    else:
        own = model_input.of_pretrained(model)
    # timm says what images its own weights want; of others, who built them.
    built = model_input.side(spec.model_args.get("img_size"), "teacher.model_args.img_size")
    teaching = Teacher(model, spec.image_size or built or model_input.usual_side(config), given, own)
    _try(teaching, spec.model, model_args.get("in_chans", 3))
    return teaching


def _try(teaching: Teacher, name: str, channels: int) -> None:
    """Raises `ModelError` for a model that does not take such images: before anything trains, not in its first step."""
    try:
        teaching(torch.zeros(1, channels, *teaching.size))
    except (AssertionError, RuntimeError, ValueError) as fault:
        if lacks_memory(fault):
            raise
        reason, (height, width) = (str(fault).splitlines() or [""])[0][:120].rstrip("."), teaching.size
        raise ModelError(
            f"teacher: {name} takes no images of {channels} x {height} x {width} ({reason}); allowed: "
            "what its model_args say (in_chans, img_size), or another image_size"
        ) from fault


def taught(step: Step, spec: TeacherSpec | None, teaching: Teacher | None) -> Step:
    """The step with a teacher beside it, if there is one."""
    if spec is None or teaching is None:
        return step
    return TaughtStep(step, teaching, spec.answers, spec.weight, spec.temperature)
