"""In which numbers a training computes: autocast of the forward pass, and the scale that float16's gradients need."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, final

import torch
from torch import Tensor

from nas.errors import TrainingError
from nas.training.optimiser_state import as_tensor

Amp = bool | Literal["bfloat16", "float16"]
"""True: bfloat16 on a GPU that has it, float32 elsewhere. False: float32."""
LEAST = 2.0**-16
"""A scale below it says that gradients are no numbers, however small they are made: 32 steps in a row were skipped."""
SCALER = "scaler"


@final
class Precision:
    """The arithmetic of one training. All methods but `autocast` do nothing, or what is ordinary, without a scale.

    With float16 the loss is scaled up before it is differentiated, since small gradients would be 0; a step whose
    gradients overflow is skipped, and the scale halved (Micikevicius et al., arXiv 1710.03740).
    """

    def __init__(self, amp: Amp, device: torch.device) -> None:
        """Raises `TrainingError` for numbers that the device has not."""
        has_bfloat16 = device.type != "cuda" or torch.cuda.is_bf16_supported()
        if amp == "bfloat16" and not has_bfloat16:
            raise TrainingError(f"amp: found 'bfloat16', which {device} does not have; allowed: float16, false")
        on_gpu = amp is True and device.type == "cuda" and has_bfloat16
        self.dtype = torch.bfloat16 if on_gpu or amp == "bfloat16" else torch.float16 if amp == "float16" else None
        self._device = device
        self.scaler = torch.amp.GradScaler(device.type) if self.dtype is torch.float16 else None

    def autocast(self) -> AbstractContextManager[Any]:
        """For the forward pass."""
        return nullcontext() if self.dtype is None else torch.autocast(self._device.type, dtype=self.dtype)

    def scaled(self, loss: Tensor) -> Tensor:
        """What is differentiated in place of the loss."""
        return loss if self.scaler is None else self.scaler.scale(loss)

    def unscale(self, optimiser: torch.optim.Optimizer) -> None:
        """Brings the gradients to their own size."""
        if self.scaler is not None:
            self.scaler.unscale_(optimiser)

    def step(self, optimiser: torch.optim.Optimizer) -> None:
        """One step, unless the gradients overflowed."""
        if self.scaler is None:
            optimiser.step()
            return
        self.scaler.step(optimiser)
        self.scaler.update()

    @property
    def lost(self) -> bool:
        """Whether gradients overflow at any scale."""
        return self.scaler is not None and self.scaler.get_scale() < LEAST

    def tensors(self) -> dict[str, Tensor]:
        """The scale and what it follows from, exactly, for a checkpoint."""
        state = self.scaler.state_dict() if self.scaler is not None else {}
        return {f"{SCALER}.{key}": as_tensor(value) for key, value in state.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Puts what `tensors` gave, found among others, into the scale."""
        if self.scaler is not None:
            start = f"{SCALER}."
            state = {name.removeprefix(start): v.item() for name, v in tensors.items() if name.startswith(start)}
            self.scaler.load_state_dict(state)
