"""Which saving is real: DeiT-Ti at 60 % of its MACs by tokens, widths, inputs or ranks; its time over the whole one's.

Forward at batch 32. Every space has one choice for all blocks, taken at its largest value within the limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from benchmarks.pairs import ratio
from nas.searchspaces import Limit, SearchSpace
from nas.supernets import Supernet, build

MODEL = "deit_tiny_patch16_224"
BATCH, PAIRS = 32, 9
FINE = "{from: 0.25, to: 1.0, step: 0.015625}, per: model"
CHOICES: Mapping[str, str] = {
    "tokens, dropped": "{queries: {keep: {from: 1, to: 197, step: 1}, drop: true, per: model}}",
    "tokens, carried": "{queries: {keep: {from: 1, to: 197, step: 1}, per: model}}",
    "widths": f"{{width: {{size: {FINE}, of: [head_dim, mlp]}}}}",
    "inputs": f"{{inputs: {{size: {FINE}, of: [qkv_in, proj_in, fc1_in, fc2_in]}}}}",
    "ranks": f"{{rank: {{rank: {FINE}, of: [qkv, proj, fc1, fc2]}}}}",
}


def measure() -> Iterator[dict[str, object]]:
    images = torch.randn(BATCH, 3, 224, 224)
    for name, choices in CHOICES.items():
        torch.manual_seed(0)
        space = SearchSpace.from_yaml(f"{{model: {MODEL}, choices: {choices}}}")
        net = Supernet(build(MODEL, {}), space).eval()
        architecture = space.nearest(space.largest, Limit(net.cost, macs="60%"))
        whole, small = net.extract(space.largest).eval(), net.extract(architecture).eval()
        share = net.cost.counts(architecture)["macs"] / net.cost.base("macs")
        with torch.inference_mode():
            yield {
                "what": f"DeiT-Ti by {name}, {share:.3f} of the MACs",
                "unit": "time / whole model's",
                **ratio(lambda: small(images), lambda: whole(images), PAIRS),  # noqa: B023
            }
