"""`torchrun ... nas run STUDY`: the first process runs the study, and the others take part in its trainings."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import torch
from torch import distributed

from nas.errors import TrainingError
from nas.system.packing import Packed
from nas.training.fit import Runtime
from nas.training.fit import fit as fit_here
from nas.training.fit_call import FitCall
from nas.training.history import History
from nas.training.parallel.assignment import Assignment
from nas.training.ranks import LostRankError, Ranks

PATIENCE = timedelta(days=365)
"""How long the others wait for the next training: a search may lie in between. A rank that dies is noticed at once."""


def launched() -> bool:
    """Whether torchrun started this process, with others."""
    return distributed.is_torchelastic_launched() and int(os.environ["WORLD_SIZE"]) > 1


def lead(work: Callable[[], object]) -> None:
    """Does `work` in the first process; the others serve until it is done. Without torchrun, just does it.

    When `work` fails, the first process ends, and with it the connection, which ends the others: they may be in the
    midst of a training, where no message would reach them.
    """
    if not launched():
        work()
        return
    _join()
    if distributed.get_rank():
        _serve()
        return
    work()
    _announce(None)
    distributed.destroy_process_group()


def fit(call: FitCall, runtime: Runtime) -> History:
    """`fit` on all ranks: called by the first one, which alone evaluates."""
    assignment = Assignment.of(call, replace(runtime, evaluate=None), torch.get_num_threads())
    _announce((assignment.packed(), torch.device(runtime.device).type))
    return fit_here(call, replace(runtime, ranks=Ranks.joined()))


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
        while (announced := ranks.shared(None)) is not None:
            packed, device = announced
            assignment = Assignment.unpacked(packed)
            torch.set_num_threads(assignment.threads)
            with suppress(TrainingError):
                assignment.fit(Runtime(device=device, ranks=ranks))


def _announce(training: tuple[Packed, str] | None) -> None:
    """Sends the others their next training and the kind of device it runs on; None sends them home."""
    Ranks.joined().shared(training)
