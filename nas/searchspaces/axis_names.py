"""How axes are named: DIMENSION or DIMENSION.INDEX, made and taken apart here and nowhere else.

The dimension says what is counted ("heads", "mlp", "tokens"), the index where: "3" is block 3 of a ViT, "2.5" is block
5 in stage 2 of a Swin, and "2", in a model that has stages, is the whole stage 2. An axis that a model has once, such
as "embed" of a ViT, has no index. Choices are named alike, by the key that makes them and the same index.

Some dimensions mean more than a width, and whoever treats them apart asks for them by the words of this file.
"""

from __future__ import annotations

EMBED = "embed"
HEADS = "heads"
HEAD_DIM = "head_dim"
VALUE_DIM = "value_dim"
"""Dimensions of a head's values, where its queries and keys have others."""
MLP = "mlp"
DEPTH = "depth"
"""Of one unit: 1 while the block is there, 0 when it is skipped."""
TOKENS, QUERIES = "tokens", "queries"
"""Tokens that a block sees, and those that it computes."""
FFN_TOKENS = "ffn_tokens"
"""Tokens that a block's feed-forward network runs on."""
POSITIONS = frozenset({TOKENS, QUERIES, FFN_TOKENS})
"""Dimensions whose units are places in the image. They are selected, never permuted."""

_RANK, _BITS = "_rank", "_bits"


def dimension(axis: str) -> str:
    """What an axis counts: "heads" of "heads.2.5"."""
    return axis.partition(".")[0]


def index(axis: str) -> str:
    """Where an axis is: "2.5" of "heads.2.5", empty for an axis that the model has once."""
    return axis.partition(".")[2]


def axis_name(dimension: str, index: str = "") -> str:
    """The axis of a dimension at an index; the way back from `dimension` and `index`."""
    return f"{dimension}.{index}" if index else dimension


def position(index: str) -> tuple[int, ...]:
    """An index as numbers, so that block "2.10" comes after block "2.9"."""
    return tuple(int(part) for part in index.split(".")) if index else ()


def stage(index: str) -> str:
    """The index of the stage that a block lies in: "2" of "2.5"."""
    return index.partition(".")[0]


def rank_of(matrix: str) -> str:
    """The dimension of the rank of a matrix: "fc1_rank" of "fc1"."""
    return f"{matrix}{_RANK}"


def ranked_matrix(dimension: str) -> str:
    """The matrix whose rank a dimension is: "fc1" of "fc1_rank", empty for a dimension that is no rank."""
    return dimension.removesuffix(_RANK) if is_rank(dimension) else ""


def is_rank(dimension: str) -> bool:
    """Whether a dimension is the rank of a matrix. Its units are directions, in the order in which they were found."""
    return dimension.endswith(_RANK)


def bits_of(matrix: str) -> str:
    """The dimension of the bits of a matrix, and of what it is applied to: "fc1_bits" of "fc1"."""
    return f"{matrix}{_BITS}"


def is_bits(dimension: str) -> bool:
    """Whether a dimension counts the bits of numbers. Its units have no order, and are 8 or all."""
    return dimension.endswith(_BITS)


def rounded_matrix(dimension: str) -> str:
    """The matrix whose bits a dimension counts: "fc1" of "fc1_bits", empty for a dimension that counts none."""
    return dimension.removesuffix(_BITS) if is_bits(dimension) else ""


def is_position(axis: str) -> bool:
    """Whether the units of an axis are places in the image."""
    return dimension(axis) in POSITIONS
