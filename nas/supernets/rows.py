"""The rows of a family: patterns that name the axes of each kind of parameter, and what binds them to one model.

A family writes one `Row` per kind of parameter::

    Row("blocks.{i}.attn.qkv.weight", "(3 heads.{i} head_dim.{i}) qkv_in.{i}", at="tokens.{i}")

Dimensions are separated by blanks, a parenthesis packs several axes into one dimension (the last varies fastest, as in
einops), and a number is a fixed size. `at` names what the matrix is applied to: a weight with `at` costs its size times
that many multiply-accumulates. Binding the patterns to the parameters of one model gives its `nas.axes.AxisTable`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.axes import AxisTable, Dim, Entry, Frame, Product
from nas.errors import ModelError
from nas.searchspaces import axis_names

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Row:
    """One line of a family's table: a pattern of parameter names, and the names of the axes.

    `rank` names the axis along which the matrix may be factored; such a matrix may also have fewer bits, by an axis of
    the same name. `query` names the axis whose size sets the softmax
    scale: where it shrinks, the parameter's query part is multiplied by the root of the ratio, so that a plain module
    with its own scale computes with the base model's. `queries` names the axis of tokens whose query is computed, where
    those may be fewer than `at`, the tokens whose key and value are. `matrix` is the pattern of the matrix whose bias
    the parameter is, where that is not the weight beside it. `adds` says that what it writes is all that a branch adds
    to the stream: a norm behind the branch.
    """

    parameter: str
    axes: str
    at: str = ""
    rank: str = ""
    query: str = ""
    queries: str = ""
    matrix: str = ""
    adds: bool = False


def bind(rows: tuple[Row, ...], products: tuple[str, ...], block: str, frame: Frame, model: nn.Module) -> AxisTable:
    """The table of `model`: each parameter bound to the one row whose pattern it matches.

    `products` are patterns such as "2 queries.{i} tokens.{i} heads.{i} head_dim.{i}", one of each per block, or once
    where they name no block's axis; `block` is the pattern of a block's path ("blocks.{i}"). Raises ModelError for a
    parameter that no row names, or whose shape is not the product of its axes.
    """
    kind = type(model).__name__
    patterns = [(row, pattern(row.parameter)) for row in rows]
    inside = pattern(block + ".{rest}")
    entries = {}
    for name, parameter in model.named_parameters():
        # A pattern with its numbers: "blocks.{i}.attn.qkv.weight" matches "blocks.3.attn.qkv.weight" with i = 3.
        matches = [(row, match.groupdict()) for row, names in patterns if (match := names.fullmatch(name))]
        if len(matches) != 1:
            raise ModelError(f"{kind}: {len(matches)} rows of the axis table name parameter '{name}'; one must")
        row, bound = matches[0]
        # The block that it lies in: all numbers of the block's own pattern, in their order, "2.5" for stage 2, block 5.
        located = inside.fullmatch(name)
        index = ".".join(value for key, value in located.groupdict().items() if key != "rest") if located else ""
        # The same numbers go into the names of axes: "heads.{i}" is "heads.3" here.
        fields = [field.format(**bound) for field in (row.at, row.rank, row.query, row.queries, row.matrix)]
        at, rank, query, queries, matrix = fields
        dims, bits = parse(row.axes.format(**bound)), _bits(rank, frame)
        entries[name] = entry = Entry(name, dims, index, at, rank, query, queries, matrix, row.adds, bits)
        # A table that is wrong for this model is found here, not in the bits of a sub-network.
        expected = tuple(math.prod(frame.full(atom) for atom in dim) for dim in entry.dims)
        if expected != tuple(parameter.shape):
            raise ModelError(f"{kind}: parameter '{name}' is {tuple(parameter.shape)}, its axes {row.axes} {expected}")
    # Products have no parameter to be found by: those with a pattern's key are written once per block.
    keys = re.findall(r"{(\w+)}", block)
    bound_products = [
        (index, product.format(**dict(zip(keys, index.split("."), strict=True))))
        for index in frame.blocks
        for product in products
        if "{" in product
    ] + [("", product) for product in products if "{" not in product]
    # "2 queries.3 tokens.3 ...": the first word is the factor, the others are axes.
    counted = tuple(Product(index, int(text.split()[0]), tuple(text.split()[1:])) for index, text in bound_products)
    return AxisTable(frame, entries, counted, normed=_bare_norms(model, patterns, frame))


def _bare_norms(model: nn.Module, patterns: Sequence[tuple[Row, re.Pattern[str]]], frame: Frame) -> frozenset[str]:
    """Axes of norms that have no weight, where a row would name one."""
    norms = ((path, module) for path, module in model.named_modules() if "normalized_shape" in vars(module))
    bare = [path for path, norm in norms if norm._parameters.get("weight") is None]
    found = [(row, match) for path in bare for row, names in patterns if (match := names.fullmatch(f"{path}.weight"))]
    axes = {atom for row, match in found for dim in parse(row.axes.format(**match.groupdict())) for atom in dim}
    return frozenset(axes & frame.axes.keys())


def _bits(rank: str, frame: Frame) -> str:
    """The axis of the bits of the matrix that a rank factors; empty where the model has none."""
    matrix = axis_names.ranked_matrix(axis_names.dimension(rank))
    axis = axis_names.axis_name(axis_names.bits_of(matrix), axis_names.index(rank))
    return axis if axis in frame.axes else ""


def parse(axes: str) -> tuple[Dim, ...]:
    """Dimensions of an expression: "(3 heads.0 head_dim.0) embed" is (("3", "heads.0", "head_dim.0"), ("embed",))."""
    tokens = re.findall(r"\(([^()]*)\)|([^\s()]+)", axes)
    return tuple(tuple(packed.split()) if packed else (single,) for packed, single in tokens)


def pattern(template: str) -> re.Pattern[str]:
    """A regular expression that binds {name} to a number, and {rest} to anything."""
    escaped = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
    return re.compile(re.sub(r"{(\w+)}", lambda m: f"(?P<{m[1]}>{'.+' if m[1] == 'rest' else '[0-9]+'})", escaped))
