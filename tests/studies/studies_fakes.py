"""A study small enough for tests, a way to kill it at any moment, and trials by hand."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.searchspaces import Architecture
from nas.strategies import Trial

TINY = """
space:
  model: vit_tiny_patch16_224
  model_args: {img_size: 8, patch_size: 4, embed_dim: 16, depth: 2, num_heads: 2, class_token: false, global_pool: avg}
  choices:
    heads: {size: [1, 2], per: block}
    mlp: {size: {from: 8, to: 64, step: 8}, per: block}
strategy: {use: evolution, trials: 12, population: 2, sample: 1}
data: {name: digits, train_images: 300}
limit: {macs: 70%}
base: {epochs: 2}
supernet: {epochs: 2}
retrain: {epochs: 2}
latency: {batches: [1, 2], seconds: 0.01}
threads: 1
seed: 4
name: tiny
"""
"""Seven stages in about a second; 256 architectures."""


def trial(number: int = 0, accuracy: float | None = 0.5, **changes: Any) -> Trial:
    """A trial of a space of two choices; without accuracy, a failed one."""
    values: dict[str, Any] = {
        "number": number,
        "architecture": Architecture({"heads.0": 1 + number % 2, "mlp.0": 0.25}),
        "metrics": {} if accuracy is None else {"accuracy": accuracy, "loss": 1 - accuracy},
        "costs": {"macs": 1000 + 10 * number, "params": 100},
        "strategy": "evolution",
        "seed": 3,
        "seconds": 0.25,
        "state": "failed" if accuracy is None else "done",
        "error": "RuntimeError: no luck" if accuracy is None else None,
        "notes": {"parent": [1, 2]},
    }
    return Trial(**{**values, **changes})


def run_and_die(folder: Path, *, writes: int, trials: int | None = None, overrides: Sequence[str] = ()) -> None:
    """Runs the tiny study, and kills itself (SIGKILL) just before the n-th file gets its name, or when n trials are
    stored.
    """
    from nas.studies.store import Store
    from nas.studies.study import Study

    seen = {"os.rename": 0, "record": 0}
    record = Store.record

    def before(event: str, arguments: Any) -> None:
        if event == "os.rename" and str(arguments[1]).startswith(str(folder)):  # Python renames its .pyc files, too
            seen[event] += 1
            if seen[event] == writes:
                os.kill(os.getpid(), signal.SIGKILL)

    def recorded(store: Store, run: str, trial: Trial) -> None:
        record(store, run, trial)
        seen["record"] += 1
        if seen["record"] == trials:
            os.kill(os.getpid(), signal.SIGKILL)

    study = Study.from_yaml(TINY, overrides=overrides, folder=folder)
    sys.addaudithook(before)
    Store.record = recorded  # type: ignore[method-assign, assignment]
    study.run(quiet=True)


def make_and_die(url: str, statements: int) -> None:
    """Makes a store, and kills itself (SIGKILL) after the n-th statement that writes to it."""
    import sqlalchemy as sa

    from nas.studies.store import Store

    seen = 0

    def after(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        nonlocal seen
        seen += text.split()[0] in ("CREATE", "INSERT")
        if seen == statements:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "after_cursor_execute", after)
    Store.create(url)
