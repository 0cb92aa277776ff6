"""A teacher beside any step: whoever learns from the targets learns from the teacher, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.preprocessing import Preprocessing
from nas.tasks import Batch, Criterion, Outputs, Targets
from nas.training.step import Step, StepContext
from nas.training.wrapped import within

Answers = Literal["soft", "hard"]


@final
class Teacher(nn.Module):
    """A frozen model that sees the student's inputs as its own: of its image size, and normalised by its constants.

    `given` are the constants of the student's inputs, `own` those of the teacher's (None: the same), `size` is the side
    of its images in pixels, or their height and width.
    """

    def __init__(
        self, model: nn.Module, size: int | tuple[int, int], given: Preprocessing, own: Preprocessing | None = None
    ) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.size = (size, size) if isinstance(size, int) else size
        self.same = own is None
        for name, constants in (("given", given), ("own", own or given)):
            for key in ("mean", "std"):
                values = torch.tensor(getattr(constants.for_channels(len(given.mean)), key))
                self.register_buffer(f"{name}_{key}", values[:, None, None])

    def train(self, mode: bool = True) -> Teacher:  # noqa: ARG002
        """It stays in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, inputs: Tensor) -> Outputs:
        """Outputs for the student's inputs (B x C x H x W)."""
        images = inputs
        if tuple(images.shape[-2:]) != self.size:
            images = functional.interpolate(images, size=self.size, mode="bicubic", antialias=True)
        if not self.same:
            pixels = images * self.get_buffer("given_std") + self.get_buffer("given_mean")
            images = (pixels - self.get_buffer("own_mean")) / self.get_buffer("own_std")
        return self.model(images)


@final
@dataclass(frozen=True)
class TaughtStep:
    """A step whose criterion is (1 - weight) criterion(outputs, targets) + weight lesson(outputs, teacher's).

    The lesson is the task's divergence from the teacher's outputs at `temperature` (soft; Hinton et al. 2015), or the
    criterion against what the teacher decides (hard). A model with a distillation token has two heads, the second of
    which alone gets the lesson, and the first the targets (DeiT, arXiv 2012.12877); everything else sees their mean, as
    the trained model does.
    """

    step: Step
    teacher: nn.Module
    answers: Answers = "soft"
    weight: float = 0.5
    temperature: float = 1.0

    def __call__(self, batch: Batch, context: StepContext) -> Iterator[Tensor]:
        """Yields the parts of the wrapped step's loss."""
        # The teacher may have come from another process, on the CPU.
        taught = context.task.detached(self.teacher.to(batch.inputs.device)(batch.inputs))
        plain = context.criterion

        def criterion(outputs: Outputs, targets: Targets) -> Tensor:
            first, second = getattr(outputs, "heads", (outputs, outputs))
            loss = (1 - self.weight) * plain(first, targets)
            return loss + self.weight * self._lesson(second, taught, context)

        two_heads: Any = within(context.module, "set_distilled_training")[0]
        if two_heads is not None:
            two_heads.set_distilled_training(True)
        try:
            yield from self.step(batch, replace(context, module=_Mean(context.module), own_criterion=criterion))
        finally:
            if two_heads is not None:
                two_heads.set_distilled_training(False)

    def _lesson(self, outputs: Outputs, taught: Outputs, context: StepContext) -> Tensor:
        task = context.task
        if self.answers == "soft":
            return task.divergence(taught, outputs, self.temperature)
        criterion: Criterion = task.criterion()
        return criterion(outputs, task.decided(taught))


@final
class _Mean(nn.Module):
    """Runs a module; of the outputs of two heads, the mean, which carries both along as `heads`."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *arguments: Any) -> Outputs:
        outputs = self.module(*arguments)
        if not isinstance(outputs, tuple):
            return outputs
        mean = (outputs[0] + outputs[1]) / 2
        mean.heads = outputs  # with the tensor, so that its graph is freed with it
        return mean
