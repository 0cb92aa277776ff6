"""Who trains the modules of a study: this process, workers on Ray, or the processes that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Protocol

import torch

from nas.errors import ClusterError, RunError
from nas.studies.file.config import StageRecipe, StudyConfig
from nas.studies.run.results import BASE, RETRAIN, SUPERNET, Stage, StageResult
from nas.training import FitCall, History, Runtime, fit
from nas.training.parallel import torchrun

TRAINING = (BASE, SUPERNET, RETRAIN)
"""Stages that can train on several workers, by the key `workers` of their mappings."""


class Trainer(Protocol):
    """What is called as `nas.training.fit` is."""

    def __call__(self, call: FitCall, runtime: Runtime) -> History:
        """See `nas.training.fit`."""
        ...


def recipe(config: StudyConfig, stage: Stage[StageResult]) -> StageRecipe:
    """What the study says of a stage that trains."""
    return {BASE: config.base, SUPERNET: config.supernet, RETRAIN: config.retrain}[stage]


def workers(config: StudyConfig, stage: Stage[StageResult]) -> int:
    """How many workers the study asks for at a stage; 1 at those that do not train."""
    return recipe(config, stage).workers if stage in TRAINING else 1


def trainer(config: StudyConfig, stage: Stage[StageResult]) -> Trainer:
    """Who trains at this stage."""
    if torchrun.launched():
        return torchrun.fit
    if workers(config, stage) == 1:
        return fit
    from nas.training.parallel.ray_train import OnRay

    return OnRay(workers(config, stage), config.ray)


def check(config: StudyConfig, stages: Iterable[Stage[StageResult]]) -> None:
    """Raises `RunError` when there is nobody to train at one of these stages, before anything trains."""
    wanted = {stage.name: workers(config, stage) for stage in stages if workers(config, stage) > 1}
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
