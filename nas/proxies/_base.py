"""What a proxy is: a score of architectures that costs less than training them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from nas import seeds
from nas.data import Data
from nas.evaluation.evaluate import evaluating
from nas.searchspaces import Architecture
from nas.supernets import Supernet, build
from nas.system.memory import memory_for
from nas.tasks import Batch

IMAGES = 64
"""Of the batch that scores look at; the papers take 32 to 128."""


@final
@dataclass(frozen=True, eq=False)
class Evidence:
    """What proxies may look at.

    supernet   with trained weights
    data       without its test split; training images are what scores at initialisation look at
    truth      digest -> what retrained architectures reach, more is better. For predictors, which are shown all but the
               architecture that they predict
    """

    supernet: Supernet
    data: Data
    seed: int = 0
    truth: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert not len(self.data.test), "no score may see the test split"

    @cached_property
    def untrained(self) -> Supernet:
        """The same model with fresh weights, drawn by the seed; sub-networks have slices of them."""
        space = self.supernet.space
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return Supernet(build(space.model, space.model_args), space).eval()

    @cached_property
    def batch(self) -> Batch:
        """`IMAGES` training images with their targets, drawn by the seed."""
        return next(self.data.train.batches(IMAGES, seed=seeds.derive(self.seed, seeds.SAMPLING)))

    @cached_property
    def one_output(self) -> bool:
        """Whether the study's models put out one tensor, and not several as detectors do."""
        with evaluating(self.supernet), torch.inference_mode():
            return isinstance(self.supernet(self.batch.inputs[:1], self.supernet.space.smallest), Tensor)


@dataclass(frozen=True, kw_only=True)
class Proxy(ABC):
    """Scores architectures. Subclasses are frozen dataclasses without options: a name says all."""

    def refusal(self, evidence: Evidence) -> str:  # noqa: ARG002  (for overriding ones)
        """Why it cannot score the study's models, as a clause; empty where it can."""
        return ""

    @abstractmethod
    def scores(self, evidence: Evidence, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """One score per architecture, the greater the better. NaN where a score is not defined."""


@dataclass(frozen=True, kw_only=True)
class AtStart(Proxy):
    """Scores a sub-network by itself, as it is before any training."""

    @abstractmethod
    def score(self, network: nn.Module, evidence: Evidence) -> float:
        """Of one extracted sub-network with fresh weights, in evaluation mode; it may be changed."""

    @final
    @override
    def scores(self, evidence: Evidence, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        def of(architecture: Architecture) -> float:
            network = evidence.untrained.extract(architecture)
            with evaluating(network), torch.enable_grad():
                return self.score(network, evidence)

        with memory_for(f"score sub-networks on {IMAGES} images"):
            return np.array([of(architecture) for architecture in architectures], np.float64)


@dataclass(frozen=True, kw_only=True)
class OfSummedOutputs(AtStart):
    """Scores by gradients of the sum of all that a sub-network puts out, which must be one tensor."""

    @final
    @override
    def refusal(self, evidence: Evidence) -> str:
        return "" if evidence.one_output else "it sums what a model puts out, and the study's put out several tensors"


@dataclass(frozen=True, kw_only=True)
class CountedProxy(Proxy):
    """A counted quantity: the larger, the better. What any other score must beat."""

    @property
    @abstractmethod
    def quantity(self) -> str:
        """Its name in `nas.quantities`."""

    @final
    @override
    def scores(self, evidence: Evidence, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        return evidence.supernet.cost.of(self.quantity, architectures).astype(np.float64)
