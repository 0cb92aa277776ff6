"""Who trains the modules of a study: this process, workers on Ray, or the processes that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from nas.errors import ClusterError, RunError
from nas.search.adopting import Adopting
from nas.studies.file.config import StageRecipe, StudyConfig
from nas.studies.file.resolve import Resolved
from nas.studies.run.results import BASE, EXPLORE, RETRAIN, SUPERNET, Stage, StageResult
from nas.system.cluster import connected
from nas.training import Trainer, fit
from nas.training.parallel import torchrun

TRAINING = (BASE, SUPERNET, RETRAIN)
"""Stages whose mappings are recipes."""


def recipe(config: StudyConfig, stage: Stage[StageResult]) -> StageRecipe:
    """What the study says of a stage that trains."""
    return {BASE: config.base, SUPERNET: config.supernet, RETRAIN: config.retrain}[stage]


def workers(study: Resolved, stage: Stage[StageResult]) -> int:
    """How many workers the study asks for at a stage; 1 at those that do not train."""
    if stage is EXPLORE:
        return study.strategy.workers if isinstance(study.strategy, Adopting) else 1
    return recipe(study.config, stage).workers if stage in TRAINING else 1


def trainer(study: Resolved, stage: Stage[StageResult]) -> Trainer:
    """Who trains at this stage."""
    if torchrun.launched():
        return torchrun.fit
    if workers(study, stage) == 1:
        return fit
    from nas.training.parallel.ray_train import OnRay

    return OnRay(workers(study, stage), study.config.ray)


@contextmanager
def gathered(study: Resolved, stage: Stage[StageResult]) -> Iterator[None]:
    """The stage's workers stay together until the block ends: Ray starts once for all that the stage trains."""
    if torchrun.launched() or workers(study, stage) == 1:
        yield
        return
    with connected(study.config.ray, workers(study, stage)):
        yield


def check(study: Resolved, stages: Iterable[Stage[StageResult]]) -> None:
    """Raises `RunError` when there is nobody to train at one of these stages, before anything trains."""
    config = study.config
    wanted = {
        "strategy" if stage is EXPLORE else stage.name: workers(study, stage)
        for stage in stages
        if workers(study, stage) > 1
    }
    if torchrun.launched():
        _check_torchrun(config.device, wanted)
        return
    for stage, n in wanted.items():
        if config.ray.address.startswith("ray://"):
            raise RunError(
                f"ray.address: found '{config.ray.address}' for the workers of {stage}, whose checkpoints come back to "
                "a machine of the cluster; allowed: local, auto or HOST:PORT; run nas on a machine of the cluster"
            )
        _check_gpus(config, stage, n)
        try:
            config.ray.check(n)
        except ClusterError as fault:
            raise RunError(f"{stage}.workers: found {n}, but {fault}") from fault


def _check_gpus(config: StudyConfig, stage: str, n: int) -> None:
    gpus, here = config.ray.gpus, torch.cuda.device_count()
    if gpus != int(gpus):
        raise RunError(f"ray.gpus: found {gpus:g}; allowed for {stage}: whole GPUs, which workers cannot share")
    if config.ray.address == "local" and n * gpus > here:
        raise RunError(f"ray.gpus: found {gpus:g} for each of {n} workers of {stage}, but this machine has {here} GPUs")
    if config.device != "cpu" and here and not gpus:
        raise RunError(
            f"ray.gpus: found 0 with device: {config.device} on a machine with GPUs, so that the workers of {stage} "
            "would train without; allowed: ray.gpus: 1, or device: cpu"
        )


def _check_torchrun(device: str, workers_of: dict[str, int]) -> None:
    size, local = (int(os.environ[name]) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    for stage, n in workers_of.items():
        raise RunError(
            f"{stage}.workers: found {n} (workers on Ray) under torchrun, which started {size} processes to train "
            f"with; allowed: 1 under torchrun, or `nas run` without torchrun"
        )
    gpus = torch.cuda.device_count()
    if device.startswith("cuda:") or (device != "cpu" and 0 < gpus < local):
        raise RunError(
            f"device: found '{device}' under torchrun with {local} processes here and {gpus} GPUs; allowed: cpu, or "
            "auto with a GPU for each process"
        )
