"""NNI 3.0: the space in parts of its AutoFormer, its random one-shot supernet, its regularised evolution on the shared
weights, in its own engine. An evolution of NNI's has no limit: what is too large scores by how much.
"""

from __future__ import annotations

import logging
import time
import warnings
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.peers.terms import FRESH_LR, TRAINED_LR, Terms, macs

with warnings.catch_warnings(action="ignore"):  # of packages that NNI loads
    import nni
    from nni.nas.evaluator import FunctionalEvaluator
    from nni.nas.execution import SequentialExecutionEngine
    from nni.nas.hub.pytorch.autoformer import TransformerEncoderLayer
    from nni.nas.nn.pytorch import ModelSpace, Repeat
    from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
    from nni.nas.space import RawFormatModelSpace
    from nni.nas.strategy import RandomOneShot, RegularizedEvolution

SHARE_OF_SUPERNET, SHARE_OF_SEARCH = 0.5, 0.15
"""Of the seconds; the rest is for the winner."""
BATCH, WIDTH, TOKENS = 32, 64, 16


class Space(ModelSpace):
    """That of `searchspaces/vit_digits.yaml`."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, WIDTH, kernel_size=2, stride=2)
        self.positions = nn.Parameter(torch.randn(1, TOKENS, WIDTH) * 0.02)
        self.blocks = Repeat(self.block, nni.choice("depth", [3, 4]))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 10)

    def block(self, index: int) -> nn.Module:
        """One of the blocks, with choices of its own."""
        return TransformerEncoderLayer(
            embed_dim=WIDTH,
            num_heads=nni.choice(f"heads_{index}", [1, 2, 3, 4]),
            mlp_ratio=nni.choice(f"mlp_{index}", [1, 2, 3, 4]),
            head_dim=16,
            qkv_bias=True,
            rpe=False,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        return cast(Tensor, self.head(self.norm(self.blocks(tokens)).mean(1)))


class Supernet(nn.Module):
    """Another sub-network in each step of a training."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.space = RandomOneShot().mutate_model(Space())
        self.rng = np.random.RandomState(seed)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a random sub-network."""
        sample = {name: choice.random(random_state=self.rng) for name, choice in self.space.simplify().items()}
        for part in self.space.modules():
            if isinstance(part, BaseSuperNetModule):
                part.resample(memo=sample)
        return cast(Tensor, self.space(images))


def found(terms: Terms, space: Any, models: int) -> nn.Module:
    """The best of so many sub-networks."""

    def measured(model: nn.Module) -> None:
        size = macs(model)
        nni.report_final_result(terms.accuracy(model) if size <= terms.limit else -size / terms.limit)

    strategy = RegularizedEvolution(population_size=min(50, models), sample_size=10, mutation_prob=0.1, seed=terms.seed)
    engine = SequentialExecutionEngine(max_model_count=models)
    strategy(RawFormatModelSpace.from_model(space, FunctionalEvaluator(measured)), engine)
    best = max(engine.list_models(), key=lambda model: model.metric)
    return cast(nn.Module, best.executable_model())


USER_CODE = (Space, Supernet, found)


def winner(terms: Terms) -> nn.Module:
    """What it finds within the limit, trained."""
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore", module="nni")
    torch.manual_seed(terms.seed)
    supernet = Supernet(terms.seed)
    terms.train(supernet, SHARE_OF_SUPERNET * terms.seconds, FRESH_LR)
    spent = time.process_time()
    largest = {name: choice.values[-1] for name, choice in supernet.space.simplify().items()}
    terms.accuracy(supernet.space.freeze(largest))
    each = time.process_time() - spent
    model = found(terms, supernet.space, max(20, int(SHARE_OF_SEARCH * terms.seconds / each)))
    terms.train(model, terms.left, TRAINED_LR)
    return model
