"""A stem that stays whole, whatever it is made of: the network under a `HybridEmbed`, such as a ResNet.

Its sizes are numbers, no axes. How often each of its weights is applied follows from one run without values.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nas.supernets.families._conv_stem import PATH
from nas.supernets.rows import Row

PROJECTION = (
    Row("patch_embed.proj.weight", "embed features patch_height patch_width", at="patches"),
    Row("patch_embed.proj.bias", "embed"),
)


def rows(embed: Any) -> tuple[Row, ...]:
    """A row for each parameter of its network, by its name."""
    positions = _positions(embed)
    return tuple(
        Row(f"{PATH}.{name}", " ".join(map(str, parameter.shape)) or "1", at=str(positions.get(name, "")))
        for name, parameter in embed.backbone.named_parameters()
    )


def axes(embed: Any) -> dict[str, int]:
    """What is cut into patches behind it."""
    projected = isinstance(embed.proj, nn.Conv2d)
    height, width = embed.proj.kernel_size if projected else (0, 0)
    features = embed.proj.in_channels if projected else 0
    sizes = {"features": features, "patch_height": height, "patch_width": width}
    return {**sizes, "channels": embed.in_chans, "patches": embed.num_patches}


def _positions(embed: Any) -> dict[str, int]:
    """Name of a weight -> outputs per channel of its layer, for one image."""
    network: nn.Module = embed.backbone
    positions: dict[str, int] = {}

    def counting(path: str, channels: int) -> Any:
        def count(_: nn.Module, __: Any, output: Tensor) -> None:
            positions[f"{path}.weight" if path else "weight"] = output.numel() // channels

        return count

    layers = {path: layer for path, layer in network.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)}
    handles = [layer.register_forward_hook(counting(path, layer.weight.shape[0])) for path, layer in layers.items()]
    # Statistics of norms that the run would change are meta, too.
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    meta = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
    try:
        with torch.no_grad():
            image = torch.empty(1, embed.in_chans, *embed.img_size, device="meta")
            torch.func.functional_call(network, meta, (image,))
    finally:
        for handle in handles:
            handle.remove()
    return positions
