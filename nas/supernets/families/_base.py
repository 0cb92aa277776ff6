"""What a family of models must say: its axis table, the sizes of its axes, and the attributes that sizes imply.

Nobody else reads attributes off a model: whoever must know its image size, or the parts of a block, asks its family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from nas.axes import AxisTable, Frame
from nas.supernets.rows import Row, bind, pattern

SizeOf = Callable[[str], int]
MATRICES = ("qkv", "proj", "fc1", "fc2")
"""What transformers call the matrices of a block; those that may be factored, or have fewer bits."""


@final
@dataclass(frozen=True)
class Piece:
    """A part of a model's forward: from images to activations, from activations to activations, or on to its output.

    `reads` are the paths of modules, or names of parameters, that it computes with; "" is the whole model.
    """

    run: Callable[[Tensor], Tensor]
    reads: tuple[str, ...]


@final
@dataclass(frozen=True)
class Readout:
    """What a model's head reads of the last block: single tokens, or a pool of all of them.

    pooling   timm's name of it: "token" reads anchors; "avg", "max" and others pool
    prefix    tokens that belong to no patch (class, distillation and register tokens); they come first
    anchors   how many of the prefix the head reads, first ones: class and distillation tokens, never registers
    unread    how many of these it does not read after all: a detector reads none but its own tokens
    """

    pooling: str
    prefix: int
    anchors: int
    unread: int = 0

    @property
    def pooled(self) -> bool:
        """Whether every token reaches the output."""
        return self.pooling != "token"

    @property
    def protected(self) -> int:
        """First tokens that must stay in every block: what the head reads, or what a pool skips by counting."""
        return self.prefix if self.pooled else self.anchors


@final
@dataclass(frozen=True)
class AttentionParts:
    """The parts of a block that decide its attention weights, softmax(scale q k^T) per head.

    qkv              one layer for queries, keys and values: outputs (3, heads, head_dim), the last varies fastest
    norm             of the block's input, before it
    q_norm, k_norm   over the head dimension
    """

    qkv: nn.Module
    norm: nn.Module
    q_norm: nn.Module
    k_norm: nn.Module
    heads: int
    head_dim: int
    scale: float

    def weights(self, x: Tensor) -> Tensor:
        """Weights on the block's input x (B x N x C), float (B, heads, N, N); rows (queries) sum to 1."""
        shape = (*x.shape[:2], 3, self.heads, self.head_dim)
        query, key, _ = self.qkv(self.norm(x)).reshape(shape).permute(2, 0, 3, 1, 4).unbind(0)
        products: Tensor = self.q_norm(query) * self.scale @ self.k_norm(key).transpose(-2, -1)
        return products.softmax(-1)


class Family(ABC):
    """A timm class (or several that share a forward) as a table of axes.

    `rows` name the axes of every parameter, `products` the multiply-accumulates that belong to none, and `block` is the
    pattern of a block's module path.
    """

    classes: ClassVar[tuple[type[nn.Module], ...]]
    parts: ClassVar[Mapping[str, tuple[type[nn.Module], ...]]] = {}
    """Paths of modules and the types, exact, that the table is true of, outer modules first. A model with another type
    there is refused before any other question is asked, so that `refusal` and `frame` may rely on them.
    """
    block: ClassVar[str]
    rows: ClassVar[tuple[Row, ...]]
    products: ClassVar[tuple[str, ...]]
    examples: ClassVar[tuple[tuple[str, Mapping[str, Any]], ...]]
    """Small models (timm name, model_args), one for each supported variant; the conformance suite tries them."""
    further_examples: ClassVar[tuple[tuple[str, Mapping[str, Any]], ...]] = ()
    """Others, which differ from these in a part or two; it tries few architectures of them."""
    after_blocks: str
    """Path of the module that reads what the last block gives."""

    def foreign_part(self, model: nn.Module) -> str:
        """A module of `model` that has another type than `parts` says; empty when there is none."""
        for path, types in self.parts.items():
            wanted = pattern(path)
            for name, module in model.named_modules():
                if wanted.fullmatch(name) and type(module) not in types:
                    supported = " or ".join(cls.__name__ for cls in types)
                    return f"{name} is a {type(module).__name__} where {supported} is supported"
        return ""

    def hollow(self, model: nn.Module) -> str:  # noqa: ARG002
        """What a model of the family's class is without, so that there is nothing to choose from; empty if nothing."""
        return ""

    @abstractmethod
    def refusal(self, model: nn.Module) -> str:
        """Why this variant of the class is not supported; empty when it is."""

    @abstractmethod
    def feed_forward(self, model: nn.Module) -> tuple[str, ...]:
        """Paths, inside a block, of the linear layers of its feed-forward network: the last one reads the hidden units,
        the others write them, or gates that multiply them.
        """

    @abstractmethod
    def frame(self, model: nn.Module) -> Frame:
        """The axes of `model` and their sizes."""

    @abstractmethod
    def elastic(self, model: nn.Module) -> frozenset[str]:
        """Dimensions (axes without their index) that a search space may choose on `model`."""

    def fixed(self, model: nn.Module) -> Mapping[str, str]:  # noqa: ARG002
        """Dimensions that are elastic in other models of this class -> why not in this one, as a clause."""
        return {}

    @abstractmethod
    def reshape(self, model: nn.Module, blocks: Mapping[str, nn.Module], size: SizeOf) -> None:
        """Set the attributes of `model` and its remaining `blocks` (by index) that follow from the sizes of axes."""

    def mix(self, model: nn.Module, gates: Mapping[str, Tensor]) -> None:
        """Let blocks (by index) give their gate's share of what they compute, and for the rest what they are given.
        For families whose models run as a graph (`AxisTable.as_graph`).
        """
        raise NotImplementedError(f"{type(self).__name__} folds gates of blocks into what they write")

    def plain(self, carved: nn.Module) -> nn.Module:
        """A sub-network in classes of timm's and torch's alone, which it has already where its model has."""
        return carved

    def refuse(self, extracted: nn.Module) -> None:  # noqa: B027  (most models answer for themselves)
        """Let an extracted model refuse what its class would do otherwise, and it cannot."""

    @abstractmethod
    def image_size(self, model: nn.Module) -> tuple[int, int]:
        """Height and width, in pixels, of the images that `model` takes."""

    @abstractmethod
    def grid(self, model: nn.Module) -> tuple[int, int]:
        """Rows and columns of the patches that `model` cuts an image into."""

    @abstractmethod
    def readout(self, model: nn.Module) -> Readout:
        """What the head of `model` reads."""

    def classifier(self, model: nn.Module) -> tuple[str, ...]:
        """Names of the parameters that decide how many classes `model` tells apart; its head's, as timm says."""
        timm_model: Any = model
        heads = timm_model.get_classifier()
        heads = heads if isinstance(heads, tuple) else (heads,)
        paths = {path for path, module in model.named_modules() if any(module is head for head in heads)}
        return tuple(name for name in model.state_dict() if name.rpartition(".")[0] in paths)

    def around(self, model: nn.Module) -> tuple[str, ...]:  # noqa: ARG002
        """Names of what is around the part that has a family: a file of that part alone lacks all of it."""
        return ()

    def names(self, model: nn.Module) -> Collection[str]:
        """Names that a checkpoint of `model` may have, behind any prefix."""
        return model.state_dict()

    def adapted(self, model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:  # noqa: ARG002
        """`weights` of a checkpoint with the names and, where `model` takes images of another size, the shapes that
        `model` has. What belongs to another model may raise anything.
        """
        return dict(weights)

    def attention(self, block: nn.Module) -> AttentionParts:
        """The parts of a block's attention. For families with elastic tokens: criteria order tokens by it."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its attention is made of")

    def token_order(self, model: nn.Module) -> list[int]:
        """Token positions in the order in which they stay when tokens are dropped, always kept ones first."""
        raise NotImplementedError(f"{type(self).__name__} has no elastic tokens")

    def partial(self, block: nn.Module, index: tuple[int, ...], device: torch.device) -> nn.Module:
        """`block` computed only for the tokens at `index`; the others pass it by, and serve as keys and values."""
        raise NotImplementedError(f"{type(self).__name__} computes all tokens of a block")

    def fed(self, block: nn.Module, index: tuple[int, ...], device: torch.device) -> nn.Module:
        """`block` with its feed-forward network run for the tokens at `index`; the others keep what attention gave."""
        raise NotImplementedError(f"{type(self).__name__} feeds all tokens of a block")

    def steps(self, model: nn.Module) -> list[Piece]:
        """The forward of a model, or of one carved from it, in steps: run one after the other, they give its very bits.

        Sub-networks that agree in their first steps share what these compute (`nas.evaluation.reuse`). A family that
        does not say has a single step, which is shared by nobody.
        """
        return [Piece(model, ("",))]

    def rows_of(self, model: nn.Module) -> tuple[Row, ...]:  # noqa: ARG002  (for overriding ones)
        """The rows that name the parameters of `model`."""
        return self.rows

    def table(self, model: nn.Module, chosen: Container[str] = ()) -> AxisTable:
        """The axis table of `model` for a space that chooses the axes `chosen`, see `AxisTable.choosing`."""
        return bind(self.rows_of(model), self.products, self.block, self.frame(model), model).choosing(chosen)
