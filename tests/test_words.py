"""One word, one thing: no name of a public class or type stands for two things in `nas`."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import nas

MODULES = {str(path): path.read_text() for path in sorted(Path(nas.__file__).parent.rglob("*.py"))}


def words(source: str) -> Iterator[str]:
    """Names of the public classes of a module, and of the types that it names: `Table = NDArray[...]`."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign) and not _is_variable(node.value):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        else:
            continue
        yield from (name for name in names if name[0].isupper() and not name.isupper())


def homonyms(modules: Mapping[str, str]) -> dict[str, list[str]]:
    """Words that several modules define, and which."""
    places: dict[str, list[str]] = defaultdict(list)
    for module, source in modules.items():
        for word in words(source):
            places[word].append(module)
    return {word: modules for word, modules in places.items() if len(modules) > 1}


def _is_variable(value: ast.expr) -> bool:
    """`R_co = TypeVar("R_co")`: a letter that means what its own module says."""
    return isinstance(value, ast.Call) and ast.unparse(value.func) in ("TypeVar", "ParamSpec")


def test_no_word_stands_for_two_things() -> None:
    assert not homonyms(MODULES)


def test_a_homonym_is_found() -> None:
    modules = {
        "a": "class Step: ...\nclass _Row: ...\nT_co = TypeVar('T_co')\nSIZES = (1, 2)",
        "b": "Step = Callable[[int], int]\nclass _Row: ...\nT_co = TypeVar('T_co')\nSIZES = (3,)",
    }
    assert homonyms(modules) == {"Step": ["a", "b"]}
    assert sum(1 for source in MODULES.values() for _ in words(source)) > 200
