"""Double precision all the way: some forwards norm, or take exponentials, in single precision whatever they are given.
Then outputs that should be the same differ by its rounding, which hides what the proofs look for.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from typing_extensions import override


@final
class InDouble(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Under it what is in double precision stays so where it would be cast to less."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keywords = dict(kwargs or {})
        less = keywords.get("dtype") in (torch.float32, torch.float16, torch.bfloat16)
        if func is torch.ops.aten._to_copy.default and less and args[0].dtype == torch.double:
            keywords["dtype"] = torch.double
        return func(*args, **keywords)
