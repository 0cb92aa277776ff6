"""What a family of models must say: its axis table, the sizes of its axes, and the attributes that sizes imply."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from nas.supernets.axes import AxisTable, Frame, Row, bind

SizeOf = Callable[[str], int]


@final
@dataclass(frozen=True)
class Piece:
    """A part of a model's forward: from images to activations, from activations to activations, or on to logits.

    `reads` are the paths of modules, or names of parameters, that it computes with; "" is the whole model.
    """

    run: Callable[[Tensor], Tensor]
    reads: tuple[str, ...]


class Family(ABC):
    """A timm class (or several that share a forward) as a table of axes.

    `rows` name the axes of every parameter, `products` the multiply-accumulates that belong to none, `block` is the
    pattern of a block's module path, and `elastic` lists the axes (without their index) that a search space may choose.
    """

    classes: ClassVar[tuple[type[nn.Module], ...]]
    block: ClassVar[str]
    rows: ClassVar[tuple[Row, ...]]
    products: ClassVar[tuple[str, ...]]
    examples: ClassVar[tuple[tuple[str, Mapping[str, Any]], ...]]
    """Small models (timm name, model_args), one for each supported variant; the conformance suite tries them."""

    @abstractmethod
    def refusal(self, model: nn.Module) -> str:
        """Why this variant of the class is not supported; empty when it is."""

    @abstractmethod
    def frame(self, model: nn.Module) -> Frame:
        """The axes of `model` and their sizes."""

    @abstractmethod
    def elastic(self, model: nn.Module) -> frozenset[str]:
        """Axes, without their index, that a search space may choose on `model`."""

    @abstractmethod
    def reshape(self, model: nn.Module, blocks: Mapping[str, nn.Module], size: SizeOf) -> None:
        """Set the attributes of `model` and its remaining `blocks` (by index) that follow from the sizes of axes."""

    def token_order(self, model: nn.Module) -> list[int]:
        """Token positions in the order in which they stay when tokens are dropped, always kept ones first."""
        raise NotImplementedError(f"{type(self).__name__} has no elastic tokens")

    def partial(self, block: nn.Module, index: tuple[int, ...], device: torch.device) -> nn.Module:
        """`block` computed only for the tokens at `index`; the others pass it by, and serve as keys and values."""
        raise NotImplementedError(f"{type(self).__name__} computes all tokens of a block")

    def steps(self, model: nn.Module) -> list[Piece]:
        """The forward of a model, or of one carved from it, in steps: run one after the other, they give its very bits.

        Sub-networks that agree in their first steps share what these compute (`nas.evaluation.reuse`). A family that
        does not say has a single step, which is shared by nobody.
        """
        return [Piece(model, ("",))]

    def table(self, model: nn.Module, chosen: Container[str] = ()) -> AxisTable:
        """The axis table of `model` for a space that chooses the axes `chosen`, see `AxisTable.choosing`."""
        return bind(self.rows, self.products, self.block, self.frame(model), model).choosing(chosen)
