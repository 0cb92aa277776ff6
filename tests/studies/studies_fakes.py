"""A study small enough for tests, a way to kill it at any moment, and trials by hand."""

from __future__ import annotations

import copy
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor, nn

from nas.importance import Importance, Scored
from nas.search import Search, Strategy, Trial
from nas.searchspaces import Architecture
from nas.strategies.uniform import Uniform
from nas.studies.run.results import EXPLORE, RETRAIN
from nas.studies.study import Study
from nas.supernets import Supernet
from nas.tasks import Batch
from nas.training import FitCall, History, Recipe, StepContext, Workplace, fit

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
finalists: 1
latency: {batches: [1, 2], seconds: 0.01}
threads: 1
seed: 4
name: tiny
"""
"""Eight stages in about a second, one of which has nothing to do; 256 architectures."""


RELAXED = Recipe(epochs=2, lr=1e-2, warmup=1)


def train(supernet: Supernet, work: Workplace) -> History:
    """Trains the largest sub-network; the trajectory that it remembers is made up."""

    def step(batch: Batch, context: StepContext) -> Iterator[Tensor]:
        yield context.criterion(context.module(batch.inputs, supernet.space.largest), batch.targets)

    def watch(_: nn.Module) -> Mapping[str, float]:
        return {"mlp.0": 0.5, "mlp.1": 0.75, "heads.0": 0.5, "heads.1": 1.0, "macs": 0.6}

    return fit(FitCall(supernet, step, work.data, RELAXED, work.seed), replace(work.runtime, evaluate=watch))


def backwards(supernet: Supernet) -> dict[str, Tensor]:
    """Scores that turn the order of all hidden units around."""
    return {axis: torch.arange(n).float() for axis, n in supernet.table.frame.axes.items() if axis.startswith("mlp.")}


@final
@dataclass(frozen=True, kw_only=True)
class Learning(Strategy):
    """Trains a supernet of its own, with its units in another order; its trial is the first that `uniform` draws."""

    trials: Literal[1] = 1

    needs_supernet: ClassVar[bool] = True

    def search(self, search: Search) -> Iterator[Trial]:
        if search.history:
            return
        assert search.supernet is not None
        assert search.work is not None
        supernet = copy.deepcopy(search.supernet)
        supernet.reorder(backwards(supernet))
        search.adopt(supernet, train(supernet, search.work).rows())
        yield from search.evaluate([Uniform().ask(search, 0)])


@final
@dataclass(frozen=True, kw_only=True)
class Trained(Importance):
    """A criterion that trains."""

    def score(self, supernet: Supernet, work: Workplace) -> Scored:
        return Scored(backwards(supernet), train(supernet, work))


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


def outcome(study: Study) -> dict[str, Any]:
    """All that must not depend on how often a run was interrupted."""
    record = study.record
    rows = [replace(row, latency={}) for row in record.result(RETRAIN).rows]
    weights = {
        str(path.relative_to(study.folder.path)): json.loads(path.read_text())["sha256"]
        for path in study.folder.path.glob("*/*/model.json")
    }
    assert {f"{stage}/winner/model.json" for stage in ("extract", "retrain")} <= set(weights)
    trials = study.trials().drop(columns=["seconds"])
    return {
        "rows": rows,
        "weights": weights,
        "trials": trials.to_dict("list"),
        "winner": record.result(EXPLORE).winner,
    }


def unsealed(run: Path) -> None:
    """Takes the checksums from a run, as who edits it on purpose can, and as runs of earlier versions are."""
    # A model's checksum is of its weights, and the report's files have none.
    for path in set(run.rglob("*.json")) - {*run.rglob("model.json"), *run.glob("report/results.json")}:
        content = json.loads(path.read_text())
        dropped = ("sha256", "settings") if path.name == "run.json" else ("sha256", "seal")
        path.write_text(json.dumps({key: value for key, value in content.items() if key not in dropped}))


def run_and_die(
    folder: Path,
    *,
    text: str = TINY,
    writes: int = -1,
    stage: str = "",
    trials: int | None = None,
    overrides: Sequence[str] = (),
) -> None:
    """Runs a study, and kills itself (SIGKILL) just before the n-th file, of the stage if one is named, gets its name,
    or when n trials are stored.
    """
    from nas.studies.store.store import Store
    from nas.studies.study import Study

    seen = {"os.rename": 0, "record": 0}
    record, watched = Store.record, f"{folder / stage}/"  # Python renames its .pyc files, too

    def before(event: str, arguments: Any) -> None:
        if event == "os.rename" and str(arguments[1]).startswith(watched):
            seen[event] += 1
            if seen[event] == writes:
                os.kill(os.getpid(), signal.SIGKILL)

    def recorded(store: Store, run: str, trial: Trial) -> None:
        record(store, run, trial)
        seen["record"] += 1
        if seen["record"] == trials:
            os.kill(os.getpid(), signal.SIGKILL)

    study = Study.from_yaml(text, overrides=overrides, folder=folder)
    sys.addaudithook(before)
    Store.record = recorded  # type: ignore[method-assign, assignment]
    study.run(quiet=True)


def run_and_hold(folder: Path, *, trials: int, overrides: Sequence[str] = ()) -> None:
    """Runs the tiny study until n trials are stored and the next one is measured, and then only shows signs of life."""
    from nas.studies.store import drivers
    from nas.studies.store.store import Store
    from nas.studies.study import Study

    record, stored = Store.record, 0

    def recorded(store: Store, run: str, trial: Trial) -> None:
        nonlocal stored
        if stored == trials:
            (folder / "holding").touch()
            time.sleep(600)
        record(store, run, trial)
        stored += 1

    drivers.BEAT = 0.05
    Store.record = recorded  # type: ignore[method-assign, assignment]
    Study.from_yaml(TINY, overrides=overrides, folder=folder).run(quiet=True)


def claim_and_die(url: str, run: str) -> None:
    """Becomes the driver of a run, and kills itself (SIGKILL)."""
    from nas.studies.store.drivers import Driver
    from nas.studies.store.store import Store

    Store.create(url).drivers.claim(run, Driver(), lambda _: None)
    os.kill(os.getpid(), signal.SIGKILL)


def make_and_die(url: str, statements: int) -> None:
    """Makes a store, and kills itself (SIGKILL) after the n-th statement that writes to it."""
    import sqlalchemy as sa

    from nas.studies.store.store import Store

    seen = 0

    def after(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        nonlocal seen
        seen += text.split()[0] in ("CREATE", "INSERT")
        if seen == statements:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "after_cursor_execute", after)
    Store.create(url)
