"""What 8 bits take beside 32, by one thread and of one image: the digits' ViT, DeiT-Ti and DeiT-B at 224 with all
matrices of their blocks in int8, and with none, in turns, in onnxruntime, which computes int8, and in eager torch,
which rounds and computes floats. What else ran meanwhile is said: load.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import torch

from benchmarks.latency import FOLDER, RUNTIME, TORCH
from nas.latency.devices import Device, options_of
from nas.latency.timing import Forward
from nas.searchspaces import Architecture, SearchSpace
from nas.supernets import Supernet, build
from nas.supernets.of_space import image_of

DIGITS = FOLDER / "vit_digits_bits.yaml"
WIDE = "model: {model}\nchoices:\n  bits: {{bits: [8, 32], per: model}}\n"
SUBJECTS: Sequence[tuple[str, str, Sequence[Device]]] = (
    ("the digits' ViT", DIGITS.read_text(), (RUNTIME, TORCH)),
    ("DeiT-Ti", WIDE.format(model="deit_tiny_patch16_224"), (RUNTIME, TORCH)),
    ("DeiT-B", WIDE.format(model="deit_base_patch16_224"), (RUNTIME,)),
)
SECONDS = 20.0
"""For each pair."""


def measure() -> Iterator[dict[str, object]]:
    torch.set_num_threads(1)
    for name, text, devices in SUBJECTS:
        supernet = _supernet(SearchSpace.from_yaml(text))
        for device in devices:
            yield _of_pair(name, supernet, device)


def _supernet(space: SearchSpace) -> Supernet:
    return Supernet(build(space.model, space.model_args), space).eval()


def _of_pair(name: str, supernet: Supernet, device: Device) -> dict[str, object]:
    """Both take turns; the ratio is of 8 bits to 32."""
    space = supernet.space
    pair = [
        Architecture({name: bits if choice.kind == "bits" else choice.values[-1] for name, choice in space.items()})
        for bits in (8, 32)
    ]
    images = torch.randn(device.batch, *image_of(space))
    with torch.inference_mode():
        passes = [Forward(images, (supernet.extract(one).eval(),), one.digest) for one in pair]
        (narrow,), (whole,) = device.time(passes, SECONDS)
    noise = max(narrow.noise, whole.noise)
    return {
        "what": f"{name} on {options_of(device)['use']}, batch 1: milliseconds with all bits 8 (seconds_a) and 32 "
        f"(seconds_b) as a ratio; noise {100 * noise:.1f} %, load {os.getloadavg()[0]:.1f}",
        "unit": "",
        "ratio": round(narrow.milliseconds / whole.milliseconds, 4),
        "seconds_a": round(narrow.milliseconds / 1e3, 7),
        "seconds_b": round(whole.milliseconds / 1e3, 7),
    }
