"""What a study file may say: one frozen dataclass per mapping of its YAML; `nas.studies.file.resolve` makes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, final

from pydantic import AfterValidator, Field

from nas import importance, quantities, search, tasks
from nas.data import DataSpec
from nas.documents.conditions import Above, Absent, Is, IsNot, Offers, Present, ReadWith
from nas.documents.markers import (
    DatabaseUrl,
    FileOrMapping,
    FilePath,
    Formerly,
    MayChange,
    OnCluster,
    Plugged,
    QuantityBounds,
    QuantityGoals,
    RunPath,
)
from nas.evaluation import EVAL_BATCH
from nas.latency import devices
from nas.numbers import BatchSize, Positive, Share, Unit, Workers, above, whole
from nas.ready_made import ready_made
from nas.system.cluster import Cluster
from nas.training import Recipe, RetrainLoss, rules
from nas.training.recipe import TRAINED
from nas.training.teacher import TeacherSpec


def _matching(pattern: str, allowed: str) -> AfterValidator:
    """Text of a certain form, with words of ours for what is allowed."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(allowed)
        return text

    return AfterValidator(check)


def _filled(allowed: str) -> AfterValidator:
    """A list or a mapping that is not empty, with words of ours for what is allowed."""

    def check(value: Sized) -> Sized:
        if not len(value):
            raise ValueError(allowed)
        return value

    return AfterValidator(check)


def _another(teacher: TeacherSpec | None) -> TeacherSpec | None:
    if teacher is not None and teacher.own:
        raise ValueError("a model of timm's: the base model cannot teach itself")
    return teacher


def _seed(value: int) -> int:
    if not 0 <= value < 2**31:
        raise ValueError("a whole number from 0 to 2147483647")
    return value


T = TypeVar("T")
Name = Annotated[str, Field(min_length=1)]
WrittenAmount = float | str
"""A value of a quantity: a number, one with a unit such as "1.2 G", or a share of the whole base model's, "50%"."""
Bounds = Mapping[str, WrittenAmount | tuple[WrittenAmount | None, WrittenAmount | None]]
"""Counted quantity -> the most of it; or the least and the most, null for an open end."""
Plugin = Name | Mapping[str, Any]
"""A name, a preset's file, or a mapping with `use:` (either of the two) and options."""


def strategy_presets() -> Mapping[str, Path]:
    """Presets that come with nas, by name, but for those that are called as what they use."""
    strategies = search.names()
    return {name: file for name, file in ready_made("strategies").items() if name not in strategies}


STRATEGY = Plugged("strategy", search.names, search.find, titled=True, presets=strategy_presets)
RULE = Plugged("rule", rules.names, rules.find)
IMPORTANCE = Plugged("importance", importance.names, importance.find)
TASK = Plugged("task", tasks.names, tasks.find, presets=tasks.presets)
TIMED_ON = devices.DEVICE
RECIPES = ("base", "supernet", "retrain")
"""Keys whose mappings are recipes."""
DEVICE, DEVICES = r"auto|cpu|cuda(:\d+)?", "auto, cpu, cuda, cuda:1 ..."
"""What a device is called: as a pattern, and in words."""
BASELINE = "uniform"
"""The strategy that runs beside every other one."""
BASELINE_TRIALS = 100
"""Least of the baseline, unless the study says otherwise, where the strategy has a single trial to compare."""
ADJOINED, DISTILLED = ReadWith(Is("loss", "adjoined")), ReadWith(Is("loss", "distilled"))
ON_WORKERS = ReadWith(
    *(Above(f"/{stage}.workers", 1) for stage in RECIPES),
    Offers("strategy", "trains_on_workers", "a strategy that trains, with workers above 1"),
)


@dataclass(frozen=True)
class StageRecipe(Recipe):
    """What the stages that train have in common, beside the recipe.

    workers   processes on Ray that train together: each runs its part of every batch, and the gradients are summed, so
              that the result is that of one, but for rounding and for what is random in the module (dropout)
    teacher   another model that teaches while this one learns, see `nas.training.teacher.TeacherSpec`
    """

    workers: Annotated[Workers, MayChange()] = 1
    teacher: Annotated[TeacherSpec | None, TRAINED] = None


@final
@dataclass(frozen=True)
class BaseSpec(StageRecipe):
    """`base:` how the whole model is trained, or where its weights come from.

    pretrained   start from timm's pretrained weights (timm looks for them in its own cache, or fetches them)
    checkpoint   start from this file of weights (safetensors or torch), whose classifier may be of other classes, and
                 whose images may have had another size; timm's config.json beside it says how images are prepared
    epochs       of training after that; 0 takes the weights as they are
    """

    pretrained: Annotated[bool, ReadWith(Absent("checkpoint"))] = False
    checkpoint: Annotated[str, FilePath()] | None = None
    teacher: Annotated[TeacherSpec | None, TRAINED, AfterValidator(_another)] = None


@final
@dataclass(frozen=True)
class SupernetSpec(StageRecipe):
    """`supernet:` how the sub-networks learn to be good with shared weights.

    rule           what sub-networks learn from: a name (uniform, sandwich, inplace, adjoined), or a mapping with `use:`
                   and its options; among them, which run in a step, see `nas.training.rules.SupernetRule`
    within_limit   draw random sub-networks only from those within the study's limit
    """

    rule: Annotated[Plugin, RULE, TRAINED] = "sandwich"
    within_limit: Annotated[
        bool,
        TRAINED,
        ReadWith(Present("/limit")),
        ReadWith(Offers("rule", "bounded", "a sampling that keeps to a limit, such as uniform")),
    ] = False
    # Sub-networks change from step to step: each would be compiled anew.
    torchcompile: Annotated[bool, ReadWith()] = False


@final
@dataclass(frozen=True)
class RetrainSpec(StageRecipe):
    """`retrain:` how the winner learns again; the uniform baseline's winner gets the same.

    loss                  adjoined (with the largest network of the supernet), distilled (from the base model) or plain
    detach, small_ce      switches of the adjoined loss, see `nas.training.adjoined_loss`
    separate_norms        in adjoined retraining, the winner learns norm parameters of its own
    weight, temperature   of the distilled loss, see `nas.training.distillation_loss`
    gradual               one block is cut per epoch, the last one first, and what is left learns meanwhile; the epochs
                          after that recover (MCF's schedule)
    importance            of a gradual retraining: the criterion (ffn_votes, magnitude) by which the units of a block
                          are put in order anew before it is cut, on the network as it then is; by default they stay in
                          the order that the search left
    """

    loss: RetrainLoss = "adjoined"
    detach: Annotated[bool, ADJOINED] = False
    small_ce: Annotated[bool, ADJOINED] = False
    separate_norms: Annotated[bool, ADJOINED] = False
    weight: Annotated[Share, DISTILLED] = 0.5
    temperature: Annotated[Positive, DISTILLED] = 1.0
    gradual: Annotated[bool, TRAINED] = False
    importance: Annotated[Plugin, IMPORTANCE, ReadWith(Is("gradual", True))] = "given"
    torchcompile: Annotated[bool, ReadWith(Is("loss", "plain", "distilled")), ReadWith(Is("gradual", False))] = False


TimedBatch = Annotated[int, whole(1, 16_384), Unit("images")]
"""Images in one batch that is timed: more need tens of gigabytes, and are no faster for each image."""


Named = Mapping[Annotated[str, _matching(quantities.TABLE, "small letters, digits and _, at most 32")], T]
"""Name of a table -> what it is."""


@dataclass(frozen=True)
class TablesSpec:
    """What every architecture of the space takes on a device, or on several.

    table     a file of `nas bench STUDY --to FILE`: what was measured on a device. With it the quantity that this
              stands under can be bounded and wanted; the run keeps a copy
    device    in place of a table: the device of which `nas bench STUDY --device DEVICE` has measured one on this
              machine, and remembers it
    tables    several such files, each with a name: with `tables: {phone: phone.json}` under latency, `latency.phone`
              can be bounded and wanted
    devices   several such devices, each with a name
    """

    table: Annotated[Name, FilePath(must_exist=False)] | None = None
    device: Annotated[Plugin, TIMED_ON, ReadWith(Absent("table"))] | None = None
    tables: Named[Annotated[Name, FilePath(must_exist=False)]] = field(default_factory=dict)
    devices: Named[Annotated[Plugin, TIMED_ON]] = field(default_factory=dict)


@final
@dataclass(frozen=True)
class LatencySpec(TablesSpec):
    """`latency:` how long models take, once they are there, and before; see `TablesSpec`.

    batches   batch sizes at which base and winners are timed at the end
    seconds   that each size may take, about
    """

    batches: Annotated[tuple[TimedBatch, ...], _filled("a list of batch sizes, such as [1, 64]")] = (1, 64)
    seconds: Annotated[float, above(0, 3600), Unit("seconds")] = 3.0


@final
@dataclass(frozen=True)
class MemorySpec:
    """`memory:` what a pass needs at its fullest moment, in float32 on a processor: weights, images and all that is
    alive beside them, known of every architecture before it runs.

    batch   images that a model sees together
    """

    batch: TimedBatch = 1


@final
@dataclass(frozen=True)
class StudyConfig:
    """A whole study file.

    space        a search space's file, the name of one that comes with nas (deit_tiny), or the space itself
    strategy     how to explore it: a name, a preset's file, or a mapping with `use:` (either of the two), options, and
                 a `name:` for tables
    data         which images
    task         what the model is for: a name, or a mapping with `use:` and options
    limit        most MACs, FLOPs (2 x MACs), parameters, memory ("200 MiB"), latency ("3 ms", see `LatencySpec`), or
                 whatever else `nas.quantities` knows before a model runs: a number, "1.2 G", "50%" of the whole base
                 model, or [least, most]; several at once. Of what is better the more there is, such as throughput,
                 a number is the least
    energy       what tables say of energy (`nas bench STUDY --energy`), see `TablesSpec`
    memory       of what batch memory is told: see `MemorySpec`. Where it is bounded or wanted, it need not be said
    baseline     trials of the uniform baseline (default: as many as the strategy's, and at least 100 for strategies
                 that need the supernet, which yield one trial only); 0: none, and nothing to retrain beside the winner
    finalists    how many of the search's architectures are trained for a while before a winner is named, see
                 `nas.studies.stages.finalists`; 1: the best trial wins. Read where there is a limit, a retraining, a
                 strategy that measures several architectures, and a metric as the first objective; elsewhere the best
                 trial wins
    objectives   what the search measures, the one that picks the winner first: metrics of the task and quantities, and
                 whether more (max) or less (min) of each is wanted (default: the task's first metric)
    importance   order of the units before the supernet trains, so that small sizes keep the best: a name, or a mapping
                 with `use:`
    warm_start   folders of earlier runs with the same choices, whose trials the strategy may learn from before its
                 first proposal (tpe, gp, nsga2 ..., evolution). Their metrics were measured on other weights, and serve
                 as a hint only: they are no trials of this run, and what it proposes is measured here
    eval_batch   images that a model sees together where it is measured; a matter of memory and time, and of roundings
    seed         of everything that is random
    name         of the run, and of its folder runs/NAME (default: the file's name)
    folder       of the run, in place of runs/NAME
    store        URL of the database for the trials (default: an SQLite file in the run's folder)
    device       cpu, cuda, cuda:1 ...; auto takes a GPU where there is one
    threads      of the processor (default: what torch takes)
    ray          where the workers of the stages base, supernet and retrain, and of a strategy that trains, are: see
                 `nas.system.cluster.Cluster`
    """

    space: Annotated[Mapping[str, Any], FileOrMapping()]
    strategy: Annotated[Mapping[str, Any], STRATEGY]
    data: DataSpec
    task: Annotated[Plugin, TASK] = tasks.DEFAULT
    limit: Annotated[Bounds, QuantityBounds()] = field(default_factory=dict)
    baseline: Annotated[
        Annotated[int, whole(0, 1_000_000), Unit("trials")] | None, ReadWith(IsNot("strategy", BASELINE))
    ] = None
    finalists: Annotated[
        Annotated[int, whole(1, 64), Unit("architectures")],
        Formerly(1),
        ReadWith(Present("limit"), off=1),
        ReadWith(Above("/retrain.epochs", 0), off=1),
        ReadWith(Offers("strategy", "competes", "a strategy that measures several architectures"), off=1),
    ] = 5
    objectives: Annotated[
        Mapping[str, Literal["max", "min"]],
        _filled("at least one objective, such as {accuracy: max}"),
        QuantityGoals(),
    ] = field(default_factory=dict)
    importance: Annotated[Plugin, IMPORTANCE] = "given"
    base: BaseSpec = BaseSpec()
    supernet: SupernetSpec = SupernetSpec()
    retrain: RetrainSpec = RetrainSpec()
    latency: Annotated[LatencySpec, MayChange()] = LatencySpec()
    energy: TablesSpec = TablesSpec()
    memory: MemorySpec | None = None
    warm_start: Annotated[
        tuple[Annotated[Name, RunPath()], ...],
        ReadWith(
            Offers("strategy", "takes_prior", "a strategy that learns from earlier runs, such as tpe or evolution")
        ),
    ] = ()
    eval_batch: Annotated[BatchSize, MayChange()] = EVAL_BATCH
    seed: Annotated[int, AfterValidator(_seed)] = 0
    name: Annotated[
        str, _matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "letters, digits, dots, - and _, at most 64")
    ] = "study"
    folder: Annotated[Name, MayChange()] | None = None
    store: Annotated[Name, DatabaseUrl()] | None = None
    device: Annotated[str, _matching(DEVICE, DEVICES)] = "auto"
    threads: Annotated[int, whole(1, 1024), Unit("threads"), MayChange()] | None = None
    ray: Annotated[Cluster, MayChange(), OnCluster(), ON_WORKERS] = field(default_factory=Cluster)

    @property
    def strategy_name(self) -> str:
        """What the strategy's trials are called: its preset's file name, its `name:`, or what it uses."""
        return str(self.strategy.get("name", self.strategy["use"]))

    @property
    def run_folder(self) -> Path:
        """Where the run lies, unless its user says otherwise."""
        return Path(self.folder or Path("runs") / self.name)
