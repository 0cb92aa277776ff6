"""Matrix products."""

from __future__ import annotations

from typing import Any

from nas.supernets.derived.algebra import fix, unify
from nas.supernets.derived.reading import Call
from nas.supernets.derived.rules._base import broadcast, contract, rule


@rule("mm", "addmm", "bmm", "baddbmm")
def matmul(call: Call) -> Any:
    """The inner dimension of both is one."""
    bias, (left, right) = (None, call.tensors) if len(call.tensors) == 2 else (call.tensors[0], call.tensors[1:])
    a, b = call.of(left), call.of(right)
    unify(a[-1], b[-2])
    if len(a) == 3:
        unify(a[0], b[0])
    contract(call, (a[:-2], [a[-2]], [a[-1]], [b[-1]]), left, right)
    result = [*a[:-1], list(b[-1])]
    if bias is not None:
        broadcast(call.of(bias), result)
    return result


@rule("mv")
def by_vector(call: Call) -> Any:
    """A matrix times a vector."""
    matrix, vector = call.tensors
    (rows, inner), (read,) = call.dims, call.of(vector)
    unify(inner, read)
    contract(call, ([], [rows], [inner], [[]]), matrix, vector)
    return [rows]


@rule("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_fused_attention_overrideable",
      "_scaled_dot_product_efficient_attention", "_scaled_dot_product_flash_attention",
      "_scaled_dot_product_attention_math")  # fmt: skip
def attention(call: Call) -> Any:
    """Queries x keys over the head dimension, then x values over the tokens."""
    query, key, value = call.tensors[:3]
    q, k, v = map(call.of, (query, key, value))
    unify(q[-1], k[-1])
    unify(k[-2], v[-2])
    for places in zip(q[:-2], k[:-2], v[:-2], strict=True):
        unify(places[0], places[1])
        unify(places[0], places[2])
    fix(k[-2], "a softmax runs over it")
    contract(call, (q[:-2], [q[-2]], [q[-1]], [k[-2]]), query, key)
    contract(call, (q[:-2], [q[-2]], [k[-2]], [v[-1]]), query, value)
    result = [*q[:-1], v[-1]]
    return [result, *[None] * (len(call.outputs) - 1)] if isinstance(call.output, tuple) else result
