"""Changes of valid inputs, by a seeded generator: of a document's values and shape, of a file's bytes."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any

from ruamel.yaml import YAML

NAMES = (
    *("", " ", ".", "..", "../outside/file.txt", "a/b", "/etc/passwd", "~", "~root", "-x", "--set", "%", "%41"),
    *("50%base", "q?a=b#c", "=HYPERLINK(\"http://example.invalid\")", "+1+1", "@SUM(A1)", "[/red]", "[bold]","$x^{$"),
    *("[link=x]y", "\\frac{", "{0}", "{{7*7}}", "%s%n"),
    *("<script>alert(1)</script>", "&amp;", "a\nb", "\r\n", "\t", "\x1b[31mred"),
    *("\x00", "\x7f", "\u202etxt.exe", "\ufeff", "\u200b", "\ud7ff", "ü" * 70, "x" * 300, "𝒩", "nul", "None", "true"),
    *("'; DROP TABLE trials; --", "digest", "accuracy", "macs", "uniform", "winner", "base", "1", "1e9", "0x10", "🙂"),
)  # fmt: skip
"""Strange ones, for files, folders, classes, strategies and studies."""
TEXTS = (
    *NAMES,
    *("sqlite:///other.sqlite", "sqlite:///../outside/file.txt"),
    *("postgresql://u:s3cret@192.0.2.1/x", "mysql://x", "://"),
    *("ray://192.0.2.1:10001", "192.0.2.1:6379", "auto", "http://192.0.2.1/", "file:///etc/passwd", "10%"),
    *("150%", "-5%", "0.5", "-1", "nan", ".nan", ".inf"),
    *("1e400", "9" * 400, "0 * 3", "[1, 2", "{a: 1", "vit_tiny_patch16_224"),
    *("vit_base_patch16_224", "resnet18", "swin_tiny_patch4_window7_224", "hf-hub:x/y", "nas.strategies.uniform"),
    *("evolution", "tpe", "nsga2", "dan", "with_nni", "with_raytune", "os.system", "2026-02-30", "!!python/none"),
)  # fmt: skip
NUMBERS = (
    *(0, 1, -1, 2, 3, 7, 64, 1000, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, 10**12, 10**18, 10**400, -(2**63)),
    *(0.0, -0.0, 0.5, 1.0, 1e-300, 5e-324, 1e300, 1.7e308, math.inf, -math.inf, math.nan, 0.1, 1.5, 99.9, -0.5),
)  # fmt: skip
WHOLE = tuple(number for number in NUMBERS if isinstance(number, int))
KEYS = (
    *("model", "model_args", "choices", "size", "per", "from", "to", "step", "depth", "heads", "mlp", "rank", "keep"),
    *("space", "strategy", "use", "trials", "name", "data", "path", "limit", "macs", "flops", "params", "objectives"),
    *("base", "supernet", "retrain", "epochs", "lr", "warmup", "rule", "loss", "checkpoint", "pretrained", "latency"),
    *("batches", "seconds", "threads", "seed", "store", "ray", "workers", "address", "importance", "baseline", "task"),
    *("img_size", "patch_size", "embed_dim", "num_heads", "warm_start", "accuracy", "min", "max", "digest", "kinds"),
)  # fmt: skip
MARKS = (
    *(b"&a [*a]", b"*a", b"<<: *a", b"!!python/object/apply:os.system ['touch x']", b"!!binary x", b"? ", b"- - - "),
    *(b"---\n", b"...\n", b"%YAML 1.1\n", b"\t", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"{" * 3000, b"[" * 3000),
    *(b"- " * 2000, b"9" * 5000, b"# " + b"x" * 10000, b"\r", b'"', b"'", b": ", b"|\n", b">", b"NaN", b"1e999"),
)  # fmt: skip
"""What a parser may stumble over."""


def value(rng: Random) -> Any:
    """Anything that a file may hold where something else is expected."""
    kind = rng.randrange(10)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind < 6:
        return rng.choice(TEXTS)
    if kind == 6:
        return rng.choice((None, True, False, [], {}, "", [[]], {"": None}, [None]))
    if kind == 7:
        return [value(rng) for _ in range(rng.randrange(4))]
    if kind == 8:
        return {rng.choice(KEYS): value(rng) for _ in range(rng.randrange(1, 4))}
    return _nested(rng, rng.choice((5, 30, 200)))


def _nested(rng: Random, depth: int) -> Any:
    inner: Any = rng.choice(NUMBERS)
    for _ in range(depth):
        inner = [inner] if rng.random() < 0.5 else {rng.choice(KEYS): inner}
    return inner


def like(rng: Random, old: Any) -> Any:
    """Another value of the same type, as a first check lets it pass."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        near = (old + 1, old - 1, old // 2, old * 2, -old, old * 1000)
        return rng.choice(rng.choice((near, WHOLE)))
    if isinstance(old, float):
        return rng.choice(rng.choice(((old * 0.99, old * 2, old / 2, -old, old / 1000, old + 1), NUMBERS)))
    if isinstance(old, str):
        return rng.choice((*TEXTS, *KEYS))
    if isinstance(old, list) and old:
        return rng.choice((old[1:], old[::-1], old * 2, [like(rng, item) for item in old], [like(rng, old[0])]))
    return value(rng)


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a document with each of its keys, or indices."""
    pairs = document.items() if isinstance(document, dict) else enumerate(document)
    for key, inner in list(pairs):
        yield document, key
        if isinstance(inner, (dict, list)):
            yield from places(inner)


def document(rng: Random, original: Any, known: Mapping[str, Sequence[Any]] = MappingProxyType({})) -> Any:
    """A copy with one to three changes; deeper places are as likely as others. `known` are values that keys may have,
    and get as often as others of their type.
    """
    changed = copy.deepcopy(original)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        spots = list(places(changed)) if isinstance(changed, (dict, list)) else []
        if not spots or rng.random() < 0.01:
            return value(rng)
        container, key = rng.choice(spots)
        if rng.random() < 0.4 and known.get(key):
            container[key] = copy.deepcopy(rng.choice(known[key]))
        else:
            _change(rng, container, key, spots)
    return changed


def _change(rng: Random, container: Any, key: Any, spots: list[tuple[Any, Any]]) -> None:
    old = container[key]
    kind = rng.randrange(16)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[rng.choice((*KEYS, *NAMES))] = container.pop(key)
    elif kind == 2 and isinstance(container, dict):
        container[rng.choice(KEYS)] = value(rng)
    elif kind == 3:
        other, place = rng.choice(spots)
        if place in other if isinstance(other, dict) else place < len(other):  # spots are those before this change
            container[key] = copy.deepcopy(other[place])
    elif kind == 4:
        container[key] = rng.choice(([old], {"size": old}, str(old), [old, old], {str(old)[:20]: old}))
    elif kind == 5 and isinstance(container, list):
        container.extend(copy.deepcopy(container[: rng.choice((1, 5))]) * rng.choice((1, 3)))
    elif kind == 6:
        container[key] = value(rng)
    else:
        container[key] = like(rng, old)


def content(rng: Random, original: bytes) -> bytes:
    """Changed bytes of a file."""
    changed = bytearray(original)
    for _ in range(rng.choice((1, 1, 2, 4))):
        start = rng.randrange(len(changed) + 1)
        length = rng.choice((1, 2, 8, 100, len(changed) // 2 + 1))
        kind = rng.randrange(7)
        if kind == 0:
            del changed[start : start + length]
        elif kind == 1:
            del changed[start:]
        elif kind == 2:
            changed[start:start] = rng.choice(MARKS)
        elif kind == 3:
            changed[start:start] = changed[start : start + length]
        elif kind == 4:
            changed[start : start + 8] = rng.choice((0, 1, 2**31, 2**63, 2**64 - 1)).to_bytes(8, "little")
        elif kind == 5:
            changed[start : start + min(length, 100)] = rng.randbytes(min(length, 100))
        elif changed:
            changed[min(start, len(changed) - 1)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def yaml(document: Any) -> str:
    """A document as YAML."""
    stream = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = None
    writer.dump(document, stream)
    return stream.getvalue()
