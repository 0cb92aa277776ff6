"""Memory of sub-networks as a study bounds it against what torch's allocator gives out for each, extracted: of how many
both are equal to the byte, and the greatest difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from nas.footprint.measured import held_bytes, peak_of_pass
from nas.footprint.memory import memory_of
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet, build
from nas.supernets.of_space import image_of

SPACES = {"vit_digits": 64, "deit_tiny": 8, "swin_tiny_alpha": 1}
"""Ready-made spaces, and images in a batch."""
ARCHITECTURES = 10
FOLDER = Path(__file__).parents[1] / "searchspaces"


def measure() -> Iterator[dict[str, object]]:
    for name, batch in SPACES.items():
        space = SearchSpace.from_yaml(FOLDER / f"{name}.yaml")
        memory = memory_of(space, batch).additive
        supernet = Supernet(build(space.model, space.model_args), space).eval()
        images, rng = torch.randn(batch, *image_of(space)), np.random.default_rng(0)
        differences = []
        for architecture in (space.sample(rng) for _ in range(ARCHITECTURES)):
            model = supernet.extract(architecture).eval()
            really = held_bytes(model) + images.nbytes + peak_of_pass(model, images)
            differences.append(int(memory(space.as_table(architecture))[0]) - really)
        what = f"memory of {name}, batch {batch}"
        equal = f"{what}: of {ARCHITECTURES} random sub-networks, those equal to the allocator's to the byte"
        yield {"what": equal, "unit": "", "value": differences.count(0)}
        yield {"what": f"{what}: greatest difference", "unit": "B", "value": max(map(abs, differences))}
