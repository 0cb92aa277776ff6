"""`torchrun ... nas run STUDY`: the first process runs the study, and the others take part in its trainings."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import torch
from torch import distributed, nn

from nas.data.split import Trainable
from nas.errors import TrainingError
from nas.training.fit import Runtime
from nas.training.fit import fit as fit_here
from nas.training.history import History
from nas.training.parallel.fit_call import FitCall
from nas.training.ranks import LostRankError, Ranks
from nas.training.recipe import Recipe
from nas.training.step import Step

PATIENCE = timedelta(days=365)
"""How long the others wait for the next training: a search may lie in between. A rank that dies is noticed at once."""


def launched() -> bool:
    """Whether torchrun started this process, with others."""
    return distributed.is_torchelastic_launched() and int(os.environ["WORLD_SIZE"]) > 1


def lead(work: Callable[[], object]) -> None:
    """Does `work` in the first process; the others serve until it is done. Without torchrun, just does it.

    When `work` fails, the first process ends, and with it the connection, which ends the others: they may be in the
    midst of a training, and could not be told.
    """
    if not launched():
        work()
        return
    _join()
    if distributed.get_rank():
        _serve()
        return
    work()
    _tell(None)
    distributed.destroy_process_group()


def fit(module: nn.Module, step: Step, data: Trainable, recipe: Recipe, *, seed: int, runtime: Runtime) -> History:
    """`fit` on all ranks: called by the first one."""
    device = torch.device(runtime.device).type
    job = FitCall(module, step, data, recipe, seed, runtime.refresh, None, runtime.title, torch.get_num_threads())
    _tell((job.packed(), device))
    return fit_here(module, step, data, recipe, seed=seed, runtime=replace(runtime, ranks=Ranks.joined()))


def _join() -> None:
    """Joins torchrun's processes, each with a GPU of its own where there are enough."""
    gpu = int(os.environ["LOCAL_RANK"])
    if gpu < torch.cuda.device_count():
        torch.cuda.set_device(gpu)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)


def _serve() -> None:
    """Takes part in one training after the other. What goes wrong in one is said by the first rank."""
    ranks = Ranks.joined()
    with suppress(LostRankError):
        while (told := ranks.shared(None)) is not None:
            packed, device = told
            job = FitCall.unpacked(packed)
            torch.set_num_threads(job.threads)
            with suppress(TrainingError):
                job.fit(Runtime(device=device, ranks=ranks))


def _tell(what: object) -> None:
    Ranks.joined().shared(what)
