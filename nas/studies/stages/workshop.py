"""A run while it is under way: the study, its folder, and the things that several stages need, each made when first
asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import final

import torch
from pydantic import JsonValue
from torch import nn

from nas import training
from nas.data import Data, Split, index, load_data
from nas.errors import RunError
from nas.evaluation import Evaluation, Evaluator, Watch, evaluate
from nas.importance import Anew
from nas.latency.table import LATENCY, packed_tables
from nas.preprocessing import MODEL, ImageSize, Preprocessing
from nas.quantities import Quantity
from nas.search import Trial
from nas.searchspaces import Architecture, Limit, SearchSpace
from nas.studies.callbacks import Callbacks
from nas.studies.file.config import RetrainSpec, StageRecipe
from nas.studies.file.resolve import Resolved
from nas.studies.run.described import DataFacts, SplitSizes
from nas.studies.run.folder import TRIALS, RunFolder, write_bytes
from nas.studies.run.identity import Identity
from nas.studies.run.prior import read_prior
from nas.studies.run.results import (
    BASE,
    PREPARE,
    Stage,
    StageResult,
)
from nas.studies.run.typed_json import plain
from nas.studies.run.weights import WEIGHTS, load_weights
from nas.studies.stages import trainers
from nas.studies.stages.supernets import Supernets
from nas.studies.store.heartbeat import Activity, Lease
from nas.studies.store.store import Store
from nas.supernets import Blueprint, Cost, Supernet, build, model_input
from nas.supernets.model_input import ModelInput
from nas.supernets.timm_models import outlined
from nas.system.database import sqlite_url
from nas.tasks import Tally, Task
from nas.training import FitCall, History, Step, Workplace
from nas.training.objectives.gradual import Holder
from nas.training.objectives.taught import Teacher
from nas.training.teacher import taught, teacher

OTHERWISE = "allowed: the same ones, at another place by --set data.path=..."
CHECKPOINT = "training.safetensors"
"""What a stage that trains continues from, until it is done."""
ORDERING = "importance.safetensors"
"""What a criterion that trains continues from, until the stage `supernet` is done."""


NOBODY = Callbacks()
"""Who hears what happens where no program asks."""


@final
class Workshop:
    """What stages work with. `show` says whether progress may be drawn on the terminal, `lease` that this process
    drives the run: with one, nothing is written once another process has taken the run over. `settings`
    is the checksum of what study.yaml says, where it has one. `callbacks` hear what happens.
    """

    def __init__(
        self,
        study: Resolved,
        folder: RunFolder,
        identity: Identity,
        *,
        show: bool,
        callbacks: Callbacks = NOBODY,
    ) -> None:
        self.study = study
        self.config = study.config
        self.folder = folder
        self.run_id = identity.id
        self.settings = identity.settings[-1] if identity.settings else None
        self.label = identity.label(study.config.name)
        self.show = show
        self.callbacks = callbacks
        self.activity = Activity()
        self.lease: Lease | None = None
        self.device = device_called(study.config.device)

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return self.study.space

    @property
    def choices(self) -> Mapping[str, Sequence[int | float]]:
        """Choice -> its values."""
        return {name: choice.values for name, choice in self.space.items()}

    @property
    def task(self) -> Task:
        """What the study's models are for."""
        return self.study.task

    @property
    def metric(self) -> Quantity:
        """The task's first metric: the one that is told and compared where a single one is."""
        return self.task.metrics[0]

    @cached_property
    def image_size(self) -> ImageSize:
        """Pixels to which images are resized: what the study says, else the model's own input."""
        return self.study.image_size

    @cached_property
    def constants(self) -> Preprocessing | None:
        """By which the weights that the base model starts from want their pictures prepared; None where it starts from
        nothing, or where nobody knows. A run keeps to what it was prepared with.
        """
        prepared, start = self.folder.result(PREPARE), self.config.base
        if prepared is not None:
            recorded = prepared.preprocessing
            return recorded if recorded is not None and MODEL in recorded.source else None
        if start.checkpoint:
            return model_input.beside(Path(start.checkpoint))
        return (
            model_input.of_pretrained(outlined(self.space.model, self.space.model_args)) if start.pretrained else None
        )

    @cached_property
    def data(self) -> Data:
        """The images in three splits. Raises `RunError` when the run was prepared with others."""
        data = load_data(
            self.config.data,
            task=self.task,
            image_size=self.image_size,
            seed=self.config.seed,
            constants=self.constants,
            listing=self.study.listing,
            kept=self.folder.cache,
        )
        prepared, now = self.folder.result(PREPARE), describe_data(data)
        if prepared is not None and prepared.data != now:
            before, after = plain(prepared.data), plain(now)
            differ = [f"{key} {before[key]}, now {after[key]}" for key in after if before[key] != after[key]]
            raise RunError(f"{self.folder}: the run began with other images ({'; '.join(differ)}); {OTHERWISE}")
        if prepared is not None:
            self._check_listing()
        return data

    def keep_listing(self) -> None:
        """Keeps what was listed of the images, for the stage that is prepared; see `RunFolder.index`."""
        listing, path = self.study.listing, self.place(PREPARE) / self.folder.index.name
        if listing is not None:
            write_bytes(path, index.packed(listing))
        else:
            path.unlink(missing_ok=True)  # of a start that was killed, with other images

    def keep_tables(self) -> None:
        """Keeps the study's tables, for the stage that is prepared; see `RunFolder.latency_table`."""
        others = dict(self.study.tables)
        single = others.pop(LATENCY, None)
        for path, content in (
            (self.folder.latency_table, None if single is None else single.content),
            (self.folder.other_tables, packed_tables(others) if others else None),
        ):
            if content is not None:
                write_bytes(self.place(PREPARE) / path.name, content)
            else:
                (self.place(PREPARE) / path.name).unlink(missing_ok=True)  # of a start that was killed

    def _check_listing(self) -> None:
        """Raises `RunError` where the pictures are others than those that the run was prepared with."""
        now, path = self.study.listing, self.folder.index
        if now is None or not path.is_file():  # runs of earlier versions have kept none
            return
        before = index.read(path)
        if before.checksum != now.checksum:
            raise RunError(f"{self.folder}: the run began with other images ({before.differences(now)}); {OTHERWISE}")

    @property
    def cost(self) -> Cost:
        """What architectures cost, without allocating the model."""
        return self.study.cost

    @property
    def base_costs(self) -> dict[str, int]:
        """The costs of the whole model."""
        return self.cost.bases

    @property
    def limit(self) -> Limit | None:
        """The study's limit."""
        return self.study.limit

    @cached_property
    def prior(self) -> list[Trial]:
        """Trials of earlier runs that the strategy may learn from."""
        return read_prior(self.folder.prior_file) if self.config.warm_start else []

    @property
    def store_url(self) -> str:
        """Where the trials are."""
        return self.config.store or sqlite_url(self.folder.path / TRIALS)

    def store(self) -> Store:
        """The table of trials, to write to it; made anew when it is missing. Only for stages up to `explore`: what the
        later ones are about would be gone with the table.
        """
        return Store.create(self.store_url, driver=self.lease.driver if self.lease else None)

    def check_lease(self) -> None:
        """Raises `StoreError` when another process has taken over the run. Called before anything is written."""
        if self.lease is not None:
            self.lease.check()

    def place(self, stage: Stage[StageResult]) -> Path:
        """The folder of a stage, to write to; see `check_lease`."""
        self.check_lease()
        return self.folder.stage(stage.name)

    def new_model(self) -> nn.Module:
        """The whole model, initialised from the study's seed, or with timm's pretrained weights."""
        return self.fresh_model(pretrained=self.config.base.pretrained)

    def fresh_model(self, *, pretrained: bool = False) -> nn.Module:
        """The whole model, initialised from the study's seed, unless timm's weights are asked for."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            return build(self.space.model, self.space.model_args, pretrained=pretrained)

    def base_model(self) -> nn.Module:
        """The model as the stage `base` left it."""
        self.folder.verify(BASE)
        model = build(self.space.model, self.space.model_args)
        load_weights(self.folder.path / BASE.name / WEIGHTS, model)
        return model.to(self.device).eval()

    @property
    def supernets(self) -> Supernets:
        """The supernets that the run has so far."""
        return Supernets(self.folder, self.space, self.config.strategy_name, self.device, self.check_lease, self.cost)

    def workplace(self, stage: Stage[StageResult], title: str, checkpoint: Path) -> Workplace:
        """What a strategy or a criterion may train on, at a stage: no test split, and a checkpoint of its own."""
        runtime = self.training(title, checkpoint, None)
        trainer = trainers.trainer(self.study, stage)
        return Workplace(self.data.without_test(), self.config.seed, runtime, trainer, self.config.eval_batch)

    def scorer(self) -> Anew | None:
        """By what a gradual retraining puts the units of each block in order anew; None where they stay as they are."""
        if self.config.retrain.importance == RetrainSpec.importance:
            return None
        runtime = training.Runtime(device=self.device, progress=False)
        return Anew(self.study.reordering, Workplace(self.data.without_test(), self.config.seed, runtime))

    def blueprint(self, supernet: Supernet, architecture: Architecture, about: Mapping[str, JsonValue]) -> Blueprint:
        """How to rebuild an extracted model, and what to know to use it."""
        data = self.data
        known = {
            "study": self.config.name,
            "seed": self.config.seed,
            "digest": architecture.digest,
            "input": ModelInput(data.channels, data.image_size, data.preprocessing).as_json(),
            **self.task.about(data.class_names),
        }
        return supernet.blueprint(architecture, {**known, **about})

    def fit(
        self,
        stage: Stage[StageResult],
        module: nn.Module,
        step: Step,
        runtime: training.Runtime,
        recipe: StageRecipe | None = None,
    ) -> History:
        """Trains by the recipe of a stage, or by another, on as many workers as that of the stage says.

        Their number is no part of the recipe that a checkpoint belongs to: a training can go on with another one.
        """
        recipe = replace(recipe or trainers.recipe(self.config, stage), workers=1)
        step = taught(step, recipe.teacher, self.teacher_of(stage))
        call = FitCall(module, step, self.data, recipe, self.config.seed)
        return trainers.trainer(self.study, stage)(call, runtime)

    def teacher_of(self, stage: Stage[StageResult]) -> Teacher | None:
        """The teacher of a stage's recipe, None where it has none. Raises what `nas.training.teacher.teacher` does."""
        spec = trainers.recipe(self.config, stage).teacher
        if spec is None:
            return None
        if spec.own:
            return Teacher(self.base_model(), self.image_size, self.data.preprocessing)
        facts = self.study.facts
        assert facts is not None, "a study runs with its data"
        return teacher(spec, self.task.model_args(facts), self.data.preprocessing)

    def evaluation(self, model: nn.Module, split: Split | None = None, tally: Tally | None = None) -> Evaluation:
        """A model measured on a split, without one on search-validation; see `nas.evaluation.evaluate`."""
        split = self.data.validation if split is None else split
        return evaluate(model, split, self.task, device=self.device, batch=self.config.eval_batch, tally=tally)

    def evaluator(self, supernet: Supernet, split: Split | None = None) -> Evaluator:
        """What measures sub-networks on a split, without one on search-validation."""
        split = self.data.validation if split is None else split
        return Evaluator(supernet, split, self.task, device=self.device, batch=self.config.eval_batch)

    def watch(self, architecture: Architecture | None = None) -> Watch:
        """What measures a module, or one of its sub-networks, on search-validation after each epoch."""
        return Watch(self.data.validation, self.task, architecture, self.config.eval_batch)

    def training(
        self, title: str, checkpoint: Path, evaluate: Callable[[nn.Module], Mapping[str, float]] | None
    ) -> training.Runtime:
        """Where and how a training takes place: on this device, with a checkpoint after each epoch."""
        return training.Runtime(
            device=self.device,
            checkpoint=checkpoint,
            permit=self.check_lease,
            refresh=refresh,
            evaluate=evaluate,
            on_epoch=partial(self.callbacks.on_epoch, title) if self.callbacks.all else None,
            title=title,
            progress=self.show,
        )


def describe_data(data: Data) -> DataFacts:
    """What is known of the images."""
    return DataFacts(
        name=data.name,
        classes=data.classes,
        channels=data.channels,
        image_size=data.image_size,
        images=SplitSizes(train=len(data.train), validation=len(data.validation), test=len(data.test)),
    )


def refresh(module: nn.Module) -> None:
    """Makes anew what follows from the weights of a module that was trained."""
    if isinstance(module, Holder):
        module.refresh()


def device_called(name: str) -> torch.device:
    """cpu, cuda, cuda:1 ...; "auto" is a GPU where there is one. Raises `RunError` where there is none."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise RunError(f"device: found '{name}', but torch sees no GPU here; allowed: cpu, auto")
    return torch.device(name)
