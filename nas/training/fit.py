"""The one training loop: it fits whatever a step minimises, for a plain module and for a supernet alike.

Read `fit`, then `_epoch`, then `_descend`. Randomness follows from (seed, epoch, step), so a run that was killed and
started again with the same arguments ends with the same bits as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn

from nas import seeds
from nas.data.split import Trainable
from nas.errors import TrainingError
from nas.evaluation.evaluate import evaluating
from nas.training import checkpoint
from nas.training.bar import Bar
from nas.training.history import Epoch, History
from nas.training.losses import cross_entropy
from nas.training.mixing import mix, mixer
from nas.training.optimiser import adamw, learning_rate
from nas.training.ranks import Ranks
from nas.training.recipe import Recipe
from nas.training.step import Step, StepContext


@final
@dataclass(frozen=True)
class Runtime:
    """Where and how a run takes place; nothing here changes what is learnt (but for the arithmetic of the device).

    device       "cpu", "cuda" ...
    checkpoint   file to write after every epoch and to resume from; None = neither
    refresh      called with the module before every epoch, before every evaluation and at the end: for what follows
                 from the weights, such as a supernet's rank bases (`lambda m: m.refresh()`)
    evaluate     called with the module (the average, if there is one), in eval mode, after every epoch; its numbers go
                 into the history
    on_epoch     called with each finished epoch, after its checkpoint is on the disk
    title        what the progress bar says
    progress     show a bar, if the output is a terminal
    ranks        processes that train together, of which this is one: each calls `fit` with the same module, step, data,
                 recipe and seed, but only the first has a checkpoint and evaluates
    """

    device: torch.device | str = "cpu"
    checkpoint: Path | None = None
    refresh: Callable[[nn.Module], object] | None = None
    evaluate: Callable[[nn.Module], Mapping[str, float]] | None = None
    on_epoch: Callable[[Epoch], object] | None = None
    title: str = "training"
    progress: bool = True
    ranks: Ranks = field(default_factory=Ranks)


def fit(
    module: nn.Module,
    step: Step,
    data: Trainable,
    recipe: Recipe,
    *,
    seed: int,
    runtime: Runtime = Runtime(),
) -> History:
    """Trains `module` in place on `data.train`, and returns its history; the module ends in eval mode, with the
    averaged weights if `recipe.ema`.

    A finished checkpoint is loaded, and nothing trains again. Raises `TrainingError` when the loss or a gradient is
    not a number (the last good checkpoint stays) and `CheckpointError` when the checkpoint is damaged, from another
    run, or cannot be written.
    """
    module.to(runtime.device)
    run = _Run(module, step, data, recipe, seed, runtime)
    history = run.resumed()
    with _deterministic(run.device), Bar(runtime.title, recipe.epochs, len(history), runtime.progress) as bar:
        for epoch in range(len(history), recipe.epochs):
            row = run.epoch(epoch, bar)
            history = History((*history, row))
            if runtime.checkpoint:
                checkpoint.save(runtime.checkpoint, run.progress, history)
            if runtime.on_epoch:
                runtime.on_epoch(row)
    if run.average is not None:
        module.load_state_dict(run.average.module.state_dict())
    _refresh(runtime, module)
    module.eval()
    return history


@final
class _Run:
    """The moving parts of one training run."""

    def __init__(
        self, module: nn.Module, step: Step, data: Trainable, recipe: Recipe, seed: int, runtime: Runtime
    ) -> None:
        self.module, self.step, self.data, self.recipe, self.seed, self.runtime = (
            module,
            step,
            data,
            recipe,
            seed,
            runtime,
        )
        self.device = torch.device(runtime.device)
        self.optimiser = adamw(module, recipe)
        self.average = ModelEmaV3(module, decay=recipe.ema, use_warmup=True) if recipe.ema is not None else None
        self.mixup = mixer(recipe, data.classes)
        self.criterion = cross_entropy(recipe.smoothing)
        self.batches = -(-len(data.train) // recipe.batch)
        self.updates = -(-self.batches // recipe.accumulate)
        identity = {"seed": seed, "data": data.name, "images": len(data.train), **asdict(recipe)}
        average = self.average.module if self.average is not None else None
        self.progress = checkpoint.Progress(module, self.optimiser, average, identity)

    def resumed(self) -> History:
        """The epochs that are done, with the state that they left, on all ranks."""
        path, ranks = self.runtime.checkpoint, self.runtime.ranks
        history = checkpoint.resume(path, self.progress) if path else History()
        history, state = ranks.shared((history, checkpoint.state(self.progress) if history else {}))
        if state and ranks.rank:
            checkpoint.restore(state, self.progress)
        return history

    def epoch(self, epoch: int, bar: Bar) -> Epoch:
        """One pass over the training split, and the evaluation after it."""
        start = time.perf_counter()
        self.module.train()
        self.runtime.ranks.level(self.module)
        _refresh(self.runtime, self.module)
        total, rate = 0.0, 0.0
        with _seeded(seeds.derive(self.seed, seeds.MODULE, epoch, self.runtime.ranks.rank), self.device):
            for update, group in enumerate(self._groups(epoch)):
                rate = learning_rate(self.recipe, epoch * self.updates + update, self.updates)
                loss = self._update(group, epoch, update, rate)
                total += loss * sum(len(images) for images, _ in group)
                bar.advance((update + 1) / self.updates, loss)
        metrics = self._evaluate()
        bar.finish(metrics)
        return Epoch(epoch + 1, total / len(self.data.train), rate, time.perf_counter() - start, metrics)

    def _groups(self, epoch: int) -> Iterator[list[tuple[Tensor, Tensor]]]:
        """The batches of an epoch, `accumulate` at a time."""
        seed = seeds.derive(self.seed, seeds.SHUFFLE, epoch)
        group = []
        for batch in self.data.train.batches(
            self.recipe.batch, seed=seed, device=self.device, augment=self.recipe.augment
        ):
            group.append(batch)
            if len(group) == self.recipe.accumulate:
                yield group
                group = []
        if group:
            yield group

    def _update(self, group: list[tuple[Tensor, Tensor]], epoch: int, update: int, rate: float) -> float:
        """One optimiser step at learning rate `rate`; returns the mean loss of the images in `group`."""
        self.optimiser.zero_grad(set_to_none=True)
        images_in_group = sum(len(images) for images, _ in group)
        losses = [0.0] * len(group)
        for place, (images, labels) in enumerate(group):
            step = update * self.recipe.accumulate + place
            losses[place] = self._descend(images, labels, len(images) / images_in_group, self._context(epoch, step))
            if not math.isfinite(losses[place]):
                break  # the other ranks wait for this one's gradients, and then all of them know
        losses = self.runtime.ranks.summed(self.module, losses)
        for place, loss in enumerate(losses):
            if not math.isfinite(loss):
                raise self._diverged(f"the loss is {loss}", epoch, update * self.recipe.accumulate + place)
        self._clip(epoch, update)
        for parameters in self.optimiser.param_groups:
            parameters["lr"] = rate * parameters["pace"]
        self.optimiser.step()
        if self.average is not None:
            self.average.update(self.module, step=epoch * self.updates + update + 1)
        return sum(losses)

    def _descend(self, images: Tensor, labels: Tensor, share: float, context: StepContext) -> float:
        """Adds the gradients of this rank's part of one batch; returns its loss times `share` of the optimiser step.

        A loss that is not a number is returned at once.
        """
        targets = labels
        if self.mixup is not None:
            images, targets = mix(
                self.mixup, images, labels, seeds.derive(self.seed, seeds.MIXING, context.epoch, context.step)
            )
        images, targets, mine = self.runtime.ranks.part(images, targets)  # after mixing, which pairs images of a batch
        share, loss = share * mine, 0.0
        parts = iter(self.step(images, targets, context) if len(images) else ())
        while True:
            with self._autocast():
                part = next(parts, None)
            if part is None:
                return loss
            value = float(part.detach()) * share
            loss += value
            if not math.isfinite(value):
                return loss
            torch.autograd.backward(part * share)

    def _clip(self, epoch: int, update: int) -> None:
        if self.recipe.clip is None:
            return
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), self.recipe.clip)
        if not torch.isfinite(norm):
            raise self._diverged(f"the gradient's norm is {float(norm)}", epoch, update * self.recipe.accumulate)

    def _diverged(self, what: str, epoch: int, step: int) -> TrainingError:
        kept = (
            f"; the checkpoint of epoch {epoch} is kept in {self.runtime.checkpoint}"
            if self.runtime.checkpoint and epoch
            else ""
        )
        return TrainingError(
            f"{self.runtime.title}: {what} in epoch {epoch + 1}, step {step + 1} of {self.batches}{kept}; "
            f"lower lr ({self.recipe.lr:g}), lengthen warmup ({self.recipe.warmup:g}) or set clip ({self.recipe.clip})"
        )

    def _context(self, epoch: int, step: int) -> StepContext:
        progress = (epoch * self.batches + step) / (self.recipe.epochs * self.batches)
        return StepContext(self.module, self.criterion, self.seed, epoch, step, self.batches, progress)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.device.type == "cuda" and self.recipe.amp and torch.cuda.is_bf16_supported():
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return nullcontext()

    def _evaluate(self) -> dict[str, float]:
        if self.runtime.evaluate is None:
            return {}
        measured: nn.Module = self.average.module if self.average is not None else self.module
        _refresh(self.runtime, measured)
        with evaluating(measured):
            return dict(self.runtime.evaluate(measured))


def _refresh(runtime: Runtime, module: nn.Module) -> None:
    if runtime.refresh is not None:
        runtime.refresh(module)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seeds torch for one epoch (dropout, stochastic depth), and gives the caller its generators back afterwards."""
    devices = [torch.cuda.current_device() if device.index is None else device.index] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def _deterministic(device: torch.device) -> Iterator[None]:
    """Asks torch for one order of summation on the CPU.

    There, the gradient of an indexed table (Swin's relative positions) is otherwise summed by threads in any order. A
    GPU is left alone: it would cost speed, and some kernels have no deterministic form.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
