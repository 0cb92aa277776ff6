"""torch.compile, where it can work."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nas.errors import TrainingError
from nas.supernets import Supernet


def compiled(module: nn.Module) -> nn.Module:
    """A module that computes as this one, with its parameters, compiled when it first runs. Raises `TrainingError`
    where there is no compiler, and for what runs other sub-networks from step to step: each would be compiled anew.
    """
    if any(isinstance(part, Supernet) for part in module.modules()):
        raise TrainingError(
            "torchcompile: found true for a supernet, whose sub-networks change from step to step; allowed: false"
        )
    try:
        torch.compile(torch.neg)(torch.zeros(2, device=next(module.parameters()).device))
    except Exception as fault:  # of any kind: torch wraps what its compilers, and theirs, raise
        reason = (str(fault).strip().splitlines() or [""])[0][:200] or type(fault).__name__
        raise TrainingError(
            f"torchcompile: found true, but nothing compiles here ({reason}); allowed: false"
        ) from fault
    twin: Any = torch.compile(module)
    assert isinstance(twin, nn.Module)
    return twin
