"""Bytes that a pass really took on this machine's processor, as torch's allocator counted them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile


@torch.inference_mode()
def peak_of_pass(model: nn.Module, images: Tensor) -> int:
    """The most bytes that the allocator gave out during a pass of a model in evaluation mode, and that were not given
    back yet; what operations need within themselves is among them. Weights and images are not.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        model(images)
    kineto = profiler.profiler
    assert kineto is not None
    assert kineto.kineto_results is not None
    events = [event for event in kineto.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


def held_bytes(model: nn.Module) -> int:
    """Of the weights and buffers of a model, each storage once."""
    storages = {
        tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes()
        for tensor in (*model.parameters(), *model.buffers())
    }
    return sum(storages.values())
