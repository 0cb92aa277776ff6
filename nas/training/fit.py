"""The one training loop: it fits whatever a step minimises, for a plain module and for a supernet alike.

Read `fit`, then `_Run.epoch`, `_Run._update` and `_Run._descend`. Randomness follows from (seed, epoch, step), so a
run that was killed and started again with the same arguments ends with the same bits as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import final

import torch
from timm.utils.model_ema import ModelEmaV3
from torch import nn

from nas import seeds
from nas.data.parts import Part
from nas.errors import TrainingError
from nas.evaluation.evaluate import evaluating
from nas.supernets.finite import not_finite
from nas.system.memory import memory_for
from nas.tasks import Batch
from nas.training import checkpoint
from nas.training.bar import Bar
from nas.training.clipping import clip
from nas.training.compiled import compiled
from nas.training.fit_call import FitCall
from nas.training.history import Epoch, History
from nas.training.optimiser import PACE, optimiser
from nas.training.optimiser_state import OptimiserState
from nas.training.phased import Phased
from nas.training.precision import Precision
from nas.training.ranks import Ranks
from nas.training.schedule import LearningRate
from nas.training.step import StepContext
from nas.training.synchronised import BatchNorms
from nas.training.wrapped import channels_last, checkpointing, dropping

SMALLER = "set a smaller batch (times accumulate, the same images make an optimiser step), or grad_checkpointing: true"
"""What helps where a training does not fit."""


@final
@dataclass(frozen=True)
class Runtime:
    """Where and how a run takes place; nothing here changes what is learnt (but for the arithmetic of the device).

    device       "cpu", "cuda" ...
    checkpoint   file to write after every epoch and to resume from; None = neither
    permit       called before a checkpoint is written; what it raises ends the training, and nothing is written
    refresh      called with the module before every epoch, before every evaluation and at the end: for what follows
                 from the weights, such as a supernet's rank bases (`lambda m: m.refresh()`)
    evaluate     called with the module (the average, if there is one), in eval mode, after every epoch; its numbers go
                 into the history
    on_epoch     called with each finished epoch, after its checkpoint is on the disk
    title        what the progress bar says
    progress     show a bar, if the output is a terminal
    ranks        processes that train together, of which this is one: each makes the same call, but only the first has
                 a checkpoint and evaluates
    """

    device: torch.device | str = "cpu"
    checkpoint: Path | None = None
    permit: Callable[[], object] | None = None
    refresh: Callable[[nn.Module], object] | None = None
    evaluate: Callable[[nn.Module], Mapping[str, float]] | None = None
    on_epoch: Callable[[Epoch], object] | None = None
    title: str = "training"
    progress: bool = True
    ranks: Ranks = field(default_factory=Ranks)

    def allow(self) -> None:
        """Asks `permit`, if there is one."""
        if self.permit is not None:
            self.permit()


def fit(call: FitCall, runtime: Runtime = Runtime()) -> History:
    """Trains `call.module` in place on `call.data.train`, and returns its history; the module ends in eval mode, with
    the averaged weights if `call.recipe.ema`.

    A finished checkpoint is loaded, and nothing trains again. Raises `TrainingError` when the loss, a gradient or,
    after an epoch, a weight is not a finite number (the last good checkpoint stays), or the task cannot follow the
    recipe; `MemoryShortageError` for a batch that does not fit; and `CheckpointError` when the checkpoint is damaged,
    from another run, or cannot be written.
    """
    with memory_for(f"train in batches of {call.recipe.batch}", SMALLER):
        return _fitted(call, runtime)


def _fitted(call: FitCall, runtime: Runtime) -> History:
    module, epochs = call.module, call.recipe.epochs
    module.to(runtime.device)
    run = _Run(call, runtime)
    history = run.resumed()
    with run.switched(), Bar(runtime.title, epochs, len(history), runtime.progress) as bar:
        for epoch in range(len(history), epochs):
            row = run.epoch(epoch, bar)
            history = History((*history, row))
            if runtime.checkpoint:
                runtime.allow()
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

    def __init__(self, call: FitCall, runtime: Runtime) -> None:
        self.module, self.step, self.data, self.recipe = call.module, call.step, call.data, call.recipe
        self.seed, self.runtime = call.seed, runtime
        recipe, task = call.recipe, call.data.task
        self.device = torch.device(runtime.device)
        self.precision = Precision(recipe.amp, self.device)
        self.optimiser = optimiser(self.module, recipe)
        self.augmentation = recipe.augmentation
        self.average: ModelEmaV3 | None = None
        if recipe.ema is not None:
            self.average = ModelEmaV3(self.module, decay=recipe.ema, use_warmup=recipe.ema_warmup)
        if task is not None:
            task.criterion(recipe.smoothing)  # what the task cannot do is said before anything trains
        self.mixer = task.mixer(recipe.mixing, self.data.classes) if task is not None else None
        if self.mixer is not None and runtime.ranks.size > 1 and recipe.mixing.mode != "batch":
            raise TrainingError(
                f"augment.mixup_mode: found {recipe.mixing.mode} on {runtime.ranks.size} workers, each of which "
                "draws for its own part of a batch; allowed: batch, or one worker"
            )
        # The last batch of an epoch may be smaller, and so may the last group of accumulated batches.
        self.batches = -(-len(self.data.train) // recipe.batch)
        self.updates = -(-self.batches // recipe.accumulate)
        images = len(self.data.train)
        sizes = (min(recipe.batch, images), images - (self.batches - 1) * recipe.batch)
        self.norms = BatchNorms.of(self.module, runtime.ranks, sizes, sync=recipe.sync_bn)
        self.rate = LearningRate(recipe, self.updates)
        self.forward = compiled(self.module) if recipe.torchcompile else self.module
        facts = {"seed": self.seed, "data": self.data.name, "images": len(self.data.train)}
        self.progress = checkpoint.Progress(
            module=self.module,
            optimiser=OptimiserState(self.optimiser),
            average=self.average.module if self.average is not None else None,
            identity=checkpoint.TrainingIdentity(facts, recipe),
            precision=self.precision,
        )

    def resumed(self) -> History:
        """The epochs that are done, with the state that they left, on all ranks."""
        path, ranks = self.runtime.checkpoint, self.runtime.ranks
        history = checkpoint.resume(path, self.progress) if path else History()
        # Only the first rank has the file; the others get its state, which may be that of no epoch at all.
        history, state = ranks.shared((history, checkpoint.state(self.progress) if history else {}))
        if state and ranks.rank:
            checkpoint.restore(state, self.progress)
        return history

    @contextmanager
    def switched(self) -> Iterator[None]:
        """Torch and the module as the recipe wants them while they are trained."""
        recipe = self.recipe
        with (
            _deterministic(self.device),
            checkpointing(self.module, on=recipe.grad_checkpointing),
            channels_last(self.module, on=recipe.channels_last),
            dropping(self.module, recipe.drop_path),
        ):
            yield

    def epoch(self, epoch: int, bar: Bar) -> Epoch:
        """One pass over the training split, and the evaluation after it."""
        start = time.perf_counter()
        self.module.train()
        if isinstance(self.module, Phased):
            self.module.begin(epoch)
        # Ranks begin an epoch alike, whatever their buffers saw in the one before.
        self.runtime.ranks.level(self.module)
        _refresh(self.runtime, self.module)
        total, rate, last = 0.0, 0.0, 0
        # Dropout differs from rank to rank: each has a part of the batch of its own.
        with _seeded(seeds.derive(self.seed, seeds.MODULE, epoch, self.runtime.ranks.rank), self.device):
            for update, group in enumerate(self._groups(epoch)):
                rate = self.rate(epoch * self.updates + update)
                loss = self._update(group, epoch, update, rate)
                total += loss * sum(self._inputs(update, len(group)))
                bar.advance((update + 1) / self.updates, loss)
                last = update
        # A loss that is computed with such weights is not a number either; but after the last step there is none.
        if broken := not_finite(dict(self.module.named_parameters())):
            raise self._diverged(broken, epoch, last * self.recipe.accumulate, rate)
        metrics = self._evaluate()
        bar.finish(metrics)
        return Epoch(epoch + 1, total / len(self.data.train), rate, time.perf_counter() - start, metrics)

    def _groups(self, epoch: int) -> Iterator[list[Batch]]:
        """This rank's part of the batches of an epoch, `accumulate` at a time; the last group may have fewer."""
        seed, recipe, ranks = seeds.derive(self.seed, seeds.SHUFFLE, epoch), self.recipe, self.runtime.ranks
        batches = self.data.train.batches(
            recipe.batch, seed=seed, device=self.device, augment=self.augmentation, part=Part(ranks.rank, ranks.size)
        )
        while group := list(islice(batches, recipe.accumulate)):
            yield group

    def _inputs(self, update: int, batches: int) -> list[int]:
        """How many inputs the batches of an update have on all ranks together; the last one of an epoch has what is
        left.
        """
        firsts = [(update * self.recipe.accumulate + position) * self.recipe.batch for position in range(batches)]
        return [min(self.recipe.batch, len(self.data.train) - first) for first in firsts]

    def _shared(self, group: list[Batch], update: int) -> list[Batch]:
        """This rank's parts of batches, each with its share of what the loss of the whole batch is divided by, where
        that is not the number of inputs. All ranks ask each other here, also those whose part is empty.
        """
        ranks, task = self.runtime.ranks, self.data.task
        weights = [task.weight(batch) for batch in group] if task is not None and ranks.size > 1 else [None]
        known = [weight for weight in weights if weight is not None]
        if len(known) < len(weights):
            return group
        totals = ranks.total(torch.tensor(known, dtype=torch.float64, device=self.device)).tolist()
        sizes = self._inputs(update, len(group))
        return [
            replace(batch, share=total * len(batch) / size)
            for batch, total, size in zip(group, totals, sizes, strict=True)
        ]

    def _update(self, group: list[Batch], epoch: int, update: int, rate: float) -> float:
        """One optimiser step at learning rate `rate`; returns the mean loss of all ranks' inputs."""
        self.optimiser.zero_grad(set_to_none=True)
        first = update * self.recipe.accumulate  # the group's first batch, counted within the epoch
        losses = [0.0] * len(group)
        # A rank's part of a batch weighs as much as its share of all inputs of the group: accumulated batches of
        # different sizes, on several ranks, then have the gradient of one large batch.
        inputs = sum(self._inputs(update, len(group)))
        for position, batch in enumerate(self._shared(group, update)):
            share = len(batch) / inputs
            losses[position] = self._descend(batch, share, self._context(epoch, first + position))
            if not math.isfinite(losses[position]):
                break  # the other ranks wait for this one's gradients, and then all of them know
        # From here on, all ranks have the same gradients and losses, and do the same.
        losses = self.runtime.ranks.summed(self.module, losses)
        for position, loss in enumerate(losses):
            if not math.isfinite(loss):
                raise self._diverged(f"the loss is {loss}", epoch, first + position, rate)
        self.precision.unscale(self.optimiser)
        self._clip(epoch, update, rate)
        for parameters in self.optimiser.param_groups:
            parameters["lr"] = rate * parameters.get(PACE, 1.0)
        self.precision.step(self.optimiser)
        if self.precision.lost:
            raise self._diverged("gradients overflow at every scale", epoch, first, rate)
        if self.average is not None:
            self.average.update(self.module, step=epoch * self.updates + update + 1)
        return sum(losses)

    def _descend(self, batch: Batch, share: float, context: StepContext) -> float:
        """Adds the gradients of this rank's part of one batch; returns its loss times `share` of the optimiser step.

        A loss that is not a number is returned at once.
        """
        # All ranks draw the same mixture. It pairs inputs, and parts are made of such pairs (`nas.data.parts.rows_of`):
        # a part is mixed as it would be in the whole batch.
        if self.mixer is not None:
            batch = self.mixer(batch, seeds.derive(self.seed, seeds.MIXING, context.epoch, context.step))
        total = 0.0
        # Each part of the loss is differentiated before the step computes the next one, which frees its activations.
        # Only the forward pass is under autocast.
        losses = iter(self.step(batch, context) if len(batch) else ())
        while True:
            with self.precision.autocast(), self.norms():
                loss = next(losses, None)
            if loss is None:
                return total
            value = float(loss.detach()) * share
            total += value
            if self.norms.spoilt(value):
                return math.nan if math.isfinite(total) else total
            with self.norms():
                torch.autograd.backward(self.precision.scaled(loss * share))

    def _clip(self, epoch: int, update: int, rate: float) -> None:
        if self.recipe.clip is None:
            return
        norm = clip(self.module, self.recipe.clip, self.recipe.clip_mode)
        # A scale that was too great is no fault of the training: the step is skipped.
        if not math.isfinite(norm) and self.precision.scaler is None:
            raise self._diverged(f"the gradient's norm is {norm}", epoch, update * self.recipe.accumulate, rate)

    def _diverged(self, symptom: str, epoch: int, step: int, rate: float) -> TrainingError:
        kept = (
            f"; the checkpoint of epoch {epoch} is kept in {self.runtime.checkpoint}"
            if self.runtime.checkpoint and epoch
            else ""
        )
        return TrainingError(
            f"{self.runtime.title}: {symptom} in epoch {epoch + 1}, step {step + 1} of {self.batches}{kept}; "
            f"the learning rate was {rate:.3g}: lower lr ({self.recipe.lr:g}), lengthen warmup "
            f"({self.recipe.warmup:g}) or set clip ({self.recipe.clip})"
        )

    def _context(self, epoch: int, step: int) -> StepContext:
        progress = (epoch * self.batches + step) / (self.recipe.epochs * self.batches)
        return StepContext(
            module=self.forward,
            data_task=self.data.task,
            smoothing=self.recipe.smoothing,
            seed=self.seed,
            epoch=epoch,
            step=step,
            steps=self.batches,
            progress=progress,
        )

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
