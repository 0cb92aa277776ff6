"""A fixed architecture, that of a file: what another study found is measured, extracted and retrained by this one, on
other images, at another size, or from other weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, final

from typing_extensions import override

from nas.documents.markers import FilePath
from nas.errors import SpaceError, StrategyError
from nas.numbers import Count
from nas.search.problem import Problem
from nas.search.search import Search
from nas.search.strategy import AskTell
from nas.searchspaces.architecture import Architecture

LARGEST = 2**24
"""Bytes that a file of an architecture may have."""


@final
@dataclass(frozen=True, kw_only=True)
class Fixed(AskTell):
    """Proposes the architecture of a file, whose choices are those of this study's space.

    architecture   the model.json that `nas extract RUN --to DIR` writes, or a JSON object, choice -> value
    """

    architecture: Annotated[str, FilePath(must_exist=False)]
    trials: Count = 1

    guided: ClassVar[bool] = False
    searches: ClassVar[bool] = False
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    @override
    def check(self, problem: Problem) -> None:
        """Raise `StrategyError` when the file holds no architecture of the space, or one that the limit forbids."""
        architecture = self._read(problem)
        if not problem.allows(architecture):
            limit = problem.limit.describe() if problem.limit else ""
            raise StrategyError(
                f"{problem.strategy}: the architecture of {self.architecture} breaks the limit ({limit})"
            )

    @override
    def ask(self, search: Search, number: int) -> Architecture:
        """The same architecture every time."""
        return self._read(search.problem)

    def _read(self, problem: Problem) -> Architecture:
        path = Path(self.architecture)
        try:
            if path.stat().st_size > LARGEST:
                raise ValueError(f"more than {LARGEST >> 20} MiB")
            content = json.loads(path.read_text(encoding="utf-8"))
            # A saved model says beside its weights which architecture it is.
            about = content["about"] if isinstance(content, dict) and "about" in content else {}
            choices = about.get("architecture", content)
            problem.space.check(problem.space.spelled(choices))
        except (OSError, ValueError, TypeError, AttributeError, RecursionError, SpaceError) as refusal:
            reason = (str(refusal).splitlines() or [""])[0] or type(refusal).__name__
            raise StrategyError(
                f"{problem.strategy}: no architecture of this space in {self.architecture} ({reason}); allowed: the "
                "model.json of an extracted model, or a JSON object of choices"
            ) from None
        return problem.space.spelled(choices)
