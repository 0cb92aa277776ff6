"""Values that are not finite numbers: a model with one of them gives nothing, and a training never recovers."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def not_finite(tensors: Mapping[str, Tensor]) -> str:
    """What is wrong with the first tensor that has NaN or infinity in it, in words; empty when all are finite."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not (finite := tensor.isfinite()).all():
            return f"'{name}' has {int((~finite).sum())} of {tensor.numel()} values that are NaN or infinite"
    return ""
