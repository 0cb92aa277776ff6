"""Two processes that train together, and what they train."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from test_fit_supernet import make_supernet
from torch import Tensor, distributed, nn
from training_fakes import make_data, make_net

from nas.errors import StoreError
from nas.importance import Anew
from nas.importance.l1_gates import L1Gates, L1Step
from nas.importance.magnitude import Magnitude
from nas.search import Strategy
from nas.searchspaces import SearchSpace
from nas.strategies.dan import Dan, DanStep
from nas.strategies.threshold import Threshold
from nas.strategies.tolerance.strategy import Tolerance
from nas.strategies.tolerance.tuning import Tuning
from nas.supernets import Supernet, build
from nas.tasks import Batch
from nas.testing.relaxed import Bench
from nas.training import (
    AdjoinedStep,
    DistilledStep,
    FitCall,
    PlainStep,
    Recipe,
    Runtime,
    Step,
    StepContext,
    Workplace,
    fit,
)  # fmt: skip
from nas.training.objectives.gradual import Gradual
from nas.training.objectives.relaxation import Relaxation
from nas.training.objectives.separate_norms import SeparateNorms
from nas.training.objectives.taught import TaughtStep
from nas.training.parallel import torchrun
from nas.training.ranks import Ranks
from nas.training.rules import find
from nas.training.rules.sandwich import Sandwich

RECIPE = Recipe(epochs=2, lr=1e-2, batch=8, accumulate=2, warmup=1, mixup=0.4, cutmix=0.3, augment="crop", clip=None)
IMAGES = 25
"""The last step takes a batch of 8 and one of a single image: of two ranks, the first then has none."""
UNEVEN = 53
"""For networks with a batch norm, which a part of one image would stop: the last batch has 5."""
PRELOADED = [
    "nas.supernets",
    "nas.training",
    "nas.testing.relaxed",
    "nas.strategies.tolerance.strategy",
    "nas.detectors.rcnn",
]
"""What takes long to import: the server of processes does so once."""
CLIPPED = {"uniform": replace(RECIPE, clip=0.05, ema=0.8)}
"""Apart, since a gradient that is cut to a length has lost its own."""


def together(function: Callable[..., Any], folder: Path, *given: Any, size: int = 2) -> list[Any]:
    """Calls function(ranks, *given) in `size` processes of one gloo group; what each returned, or raised."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    processes = [context.Process(target=_rank, args=(function, folder, rank, size, given)) for rank in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert not process.is_alive(), "a rank waits for ever"
    found = [folder / f"rank{rank}.pt" for rank in range(size)]
    return [torch.load(path, weights_only=False) if path.exists() else None for path in found]


def _rank(function: Callable[..., Any], folder: Path, rank: int, size: int, given: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=size)
    try:
        found = function(Ranks.joined(), *given)
    except Exception as fault:
        found = fault
    torch.save(found, folder / f"rank{rank}.pt")


@dataclass(frozen=True)
class Exact:
    """A step in double precision, so that only mistakes differ, not roundings."""

    step: Step

    def __call__(self, batch: Batch, context: StepContext) -> Iterator[Tensor]:
        targets = batch.targets
        assert isinstance(targets, Tensor)
        targets = targets.double() if targets.is_floating_point() else targets
        yield from self.step(Batch(batch.inputs.double(), targets), context)


def trainee(kind: str) -> tuple[nn.Module, Step]:
    """What a stage of a study trains, and what it minimises."""
    supernet = make_supernet()
    small, large = supernet.space.smallest, supernet.space.largest
    if kind in ("uniform", "sandwich", "adjoined"):
        return supernet, find(kind)().step(supernet.space)
    if kind == "sized":
        rule = Sandwich(targets=0.5, sampling="sized", opening=0.5)
        return supernet, rule.step(supernet.space, None, supernet.cost)
    if kind == "gradual":
        return Gradual(SeparateNorms(supernet), small), AdjoinedStep(small, large, small_ce=True)
    if kind == "distilled":
        return supernet.extract(small), DistilledStep(supernet.extract(large).double())
    if kind == "taught":
        return supernet.extract(small), TaughtStep(PlainStep(), supernet.extract(large).double().eval(), "hard")
    if kind in ("dan", "sidt", "vtp"):
        return relaxed(kind)
    if kind == "reordered":
        narrow = make_supernet(GATED)
        votes = Anew(Magnitude(), Workplace(make_data(IMAGES).without_test()))
        return Gradual(narrow, narrow.space.smallest, votes), PlainStep()
    return supernet.model, PlainStep()


def relaxed(kind: str) -> tuple[Relaxation, Step]:
    """What gradient strategies, and criteria that train, give to the loop."""
    supernet = make_supernet(GATED)
    if kind == "dan":
        preferences = {name: torch.zeros(len(choice.values)) for name, choice in supernet.space.items()}
        relaxation = Relaxation(supernet, preferences, 20.0)
        return relaxation, DanStep(Dan(), relaxation, 0.5)
    gates = {axis: torch.ones(supernet.table.frame.axes[axis]) for axis in sorted(supernet.space.axes)}
    relaxation = Relaxation(supernet, gates, 10.0)
    return relaxation, L1Step(L1Gates(gamma=1e-2, where="produced" if kind == "sidt" else "consumed"), relaxation)


KINDS = (
    *("uniform", "sandwich", "adjoined", "sized", "gradual", "reordered", "distilled", "taught", "plain"),
    *("dan", "sidt", "vtp"),
)
GATED = (
    "{model: vit_tiny_patch16_224, choices: {heads: {size: [1, 2, 4], per: block}, mlp: {size: [32, 64], per: block}}}"
)


def refreshed(module: nn.Module) -> None:
    refresh = getattr(module, "refresh", None)
    if refresh is not None:
        refresh()


def trained(ranks: Ranks) -> dict[str, Any]:
    """For each kind: losses of the epochs, gradients of the last step, weights in the end."""
    found = {}
    for kind in KINDS:
        module, step = trainee(kind)
        runtime = Runtime(ranks=ranks, progress=False, refresh=refreshed)
        recipe = CLIPPED.get(kind, RECIPE)
        history = fit(FitCall(module.double(), Exact(step), make_data(IMAGES), recipe, 0), runtime)
        gradients = {name: parameter.grad for name, parameter in module.named_parameters()}
        found[kind] = [row.loss for row in history], gradients, module.state_dict()
    return found


TUNED = Recipe(epochs=2, lr=1e-3, batch=16, warmup=0)
SEARCHES: dict[str, tuple[str, Strategy]] = {
    "dan": ("vit", Dan(training=TUNED)),
    "sidt": ("vit", Threshold(importance={"use": "l1_gates", "training": TUNED})),
    "vtp": ("vit", Threshold(importance={"use": "l1_gates", "where": "consumed", "training": TUNED})),
    "patch_slimming": (
        "tokens",
        Tolerance(grow=8, training=Tuning(batch=16, steps=3), importance={"use": "patch_impact", "images": 16}),
    ),
}
"""Strategies that train, each with the bench that it is tried on."""


def searched(ranks: Ranks) -> dict[str, Any]:
    """What strategies find, and the weights that they leave, where the first rank searches and the others serve."""
    if ranks.rank:
        torchrun._serve()
        return {}
    found = {}
    for name, (kind, strategy) in SEARCHES.items():
        bench = Bench(kind)
        if ranks.size > 1:
            bench.search.work = replace(bench.work, trainer=torchrun.fit)
        (trial,) = bench.run(strategy)
        found[name] = trial.architecture, dict(trial.metrics), bench.adopted.state_dict()
    if ranks.size > 1:
        torchrun._announce(None)
    return found


def sampled(ranks: Ranks) -> list[str]:
    """The sub-networks that run in training by the sandwich rule, in order."""
    supernet = make_supernet()
    seen: list[str] = []
    supernet.register_forward_pre_hook(lambda _, given: seen.append(given[1].digest))
    step = Sandwich(sampling="fair", opening=0.5, gradients="projected").step(supernet.space)
    fit(FitCall(supernet, step, make_data(48), RECIPE, 0), Runtime(ranks=ranks, progress=False))
    return seen


@dataclass(frozen=True)
class Spoilt:
    """Becomes not a number on one rank, in the last batch but one."""

    rank: int

    def __call__(self, batch: Batch, context: StepContext) -> Iterator[Tensor]:
        loss = context.criterion(context.module(batch.inputs), batch.targets)
        last = context.epoch == 1 and context.step == context.steps - 2
        yield loss * float("nan") if last and self.rank == Ranks.joined().rank else loss


def spoilt(ranks: Ranks, folder: Path) -> None:
    path = folder / "spoilt.safetensors" if ranks.rank == 0 else None
    runtime = Runtime(ranks=ranks, progress=False, checkpoint=path)
    recipe = Recipe(epochs=2, batch=8, accumulate=3)
    fit(FitCall(make_net(), Spoilt(1), make_data(UNEVEN), recipe, 0), runtime)


def interrupted(ranks: Ranks, path: Path, after: int | None) -> Any:
    """Weights and rows of a training that stops after some epochs, or goes on to its end. With dropout and a batch
    norm, whose statistics are of what a rank saw.
    """
    net = make_net()

    def stop(row: Any) -> None:
        if row.epoch == after:
            raise RuntimeError("enough")

    runtime = Runtime(
        ranks=ranks, progress=False, checkpoint=None if ranks.rank else path, on_epoch=stop,
        evaluate=None if ranks.rank else lambda m: {"bias": float(m.head.bias.sum())},
    )  # fmt: skip
    recipe = Recipe(epochs=4, lr=1e-2, batch=8, warmup=1, mixup=0.4, ema=0.8, augment="crop")
    history = fit(FitCall(net, PlainStep(), make_data(UNEVEN), recipe, 0), runtime)
    return net.state_dict(), [(row.loss, row.lr, row.metrics) for row in history]


CONVOLUTIONAL = (
    "{model: vit_c_1gf, choices: {embed: {size: [0.5, 1.0]}}, model_args: {img_size: 4, in_chans: 1, num_classes: 3, "
    "embed_dim: 16, depth: 1, num_heads: 2, stem_channels: [4], stem_strides: [2]}}"
)


def normed(ranks: Ranks) -> dict[str, Any]:
    """Losses, weights and running statistics of what has synchronised batch norms: a network with a norm of torch's,
    ViT_C with those of timm's stem, and sub-networks of it.
    """
    space = SearchSpace.from_yaml(CONVOLUTIONAL)
    plain = make_net(dropout=0.0), PlainStep()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, supernet = (build(space.model, space.model_args) for _ in range(2))
    kinds: dict[str, tuple[nn.Module, Step]] = {
        "network": plain,
        "vit_c": (model, PlainStep()),
        "supernet": (Supernet(supernet, space), find("uniform")().step(space)),
    }
    found = {}
    for kind, (module, step) in kinds.items():
        recipe, runtime = replace(RECIPE, sync_bn=True), Runtime(ranks=ranks, progress=False)
        history = fit(FitCall(module.double(), Exact(step), make_data(UNEVEN), recipe, 0), runtime)
        found[kind] = [row.loss for row in history], module.state_dict()
    return found


def spoilt_norms(ranks: Ranks) -> None:
    """One rank's loss is no number, where the other waits for the gradients of its statistics."""
    recipe = Recipe(epochs=2, batch=8, accumulate=3, sync_bn=True)
    runtime = Runtime(ranks=ranks, progress=False)
    fit(FitCall(make_net(), Spoilt(1), make_data(UNEVEN), recipe, 0), runtime)


def halved(ranks: Ranks) -> dict[str, Tensor]:
    """Weights after a training in float16, whose scale all ranks must change alike: at first it is too great."""
    recipe = Recipe(epochs=2, lr=1e-2, batch=8, optimizer="sgd", amp="float16", warmup=0)
    net = make_net(dropout=0.0)
    net.norm = nn.Identity()  # type: ignore[assignment]  # of what a rank saw
    fit(FitCall(net, Steep(), make_data(UNEVEN), recipe, 0), Runtime(ranks=ranks, progress=False))
    return net.state_dict()


@dataclass(frozen=True)
class Steep:
    """So steep that float16 overflows until its scale is halved a few times."""

    def __call__(self, batch: Batch, context: StepContext) -> Iterator[Tensor]:
        yield context.criterion(context.module(batch.inputs) * 64, batch.targets)


def deserted(ranks: Ranks) -> None:
    """The second rank dies."""

    def step(batch: Batch, context: StepContext) -> Iterator[Tensor]:
        if ranks.rank and context.step == 2:
            os._exit(9)
        yield from PlainStep()(batch, context)

    runtime = Runtime(ranks=ranks, progress=False)
    fit(FitCall(make_net(), step, make_data(UNEVEN), RECIPE, 0), runtime)


def usurped(ranks: Ranks, path: Path) -> str:
    """The first rank leads, as under torchrun, and loses its run in the first epoch."""

    def permit() -> None:
        raise StoreError("another process has taken over")

    if ranks.rank:
        torchrun._serve()
        return "went home"
    runtime = Runtime(progress=False, checkpoint=path, permit=permit)
    torchrun.fit(FitCall(make_net(), PlainStep(), make_data(UNEVEN), RECIPE, 0), runtime)
    return "trained"


@dataclass(frozen=True)
class Ominous:
    """Kills the second rank in the second epoch, once (afterwards, `scene` is there), and in the third makes its loss
    no number.
    """

    step: Step
    scene: Path

    def __call__(self, batch: Batch, context: StepContext) -> Iterator[Tensor]:
        now = (context.epoch, context.step) if Ranks.joined().rank else None
        if now == (1, 2) and not self.scene.exists():
            self.scene.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        for part in self.step(batch, context):
            yield part * float("nan") if now == (2, 1) else part
