"""A model measured on the pictures of a split, without a run: what `nas evaluate` and `nas.evaluate` do."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas import quantities
from nas.data import NamedSplit, list_images, load_split
from nas.documents.document import read
from nas.errors import RunError, nearest
from nas.evaluation.evaluate import evaluating, evaluation_of
from nas.preprocessing import shown_size, sides
from nas.studies.file.config import DEVICE, DEVICES
from nas.studies.measure.measurement import Measurement
from nas.studies.measure.pictures import DataLike, pictures
from nas.studies.measure.subjects import NamedWeights, run_of, subject_of
from nas.studies.run.folder import RunFolder
from nas.studies.run.results import PREPARE
from nas.studies.stages.workshop import device_called
from nas.system.memory import memory_for
from nas.system.terminal import Terminal, Words
from nas.tasks import Batch, Tally
from nas.training.precision import Amp, Precision

SPLITS: Mapping[str, str] = {
    "test": "test",
    "val": "validation",
    "validation": "validation",
    "train": "train",
    "all": "all",
}
"""What a user calls a split -> what it is called here."""
BATCH = 256
"""Images that are looked at together, unless the user says otherwise."""


def evaluate(  # noqa: PLR0913  (one per option of the command)
    model: str | Path | nn.Module,
    data: DataLike | None = None,
    *,
    split: str = "test",
    checkpoint: str | Path | None = None,
    pretrained: bool = False,
    overrides: Sequence[str] | Mapping[str, str] = (),
    batch: int = BATCH,
    device: str = "auto",
    amp: str | None = None,
    predictions: bool = False,
    progress: bool = False,
    trust: bool = False,
) -> Measurement:
    """Measures a model on a split ("test", "val", "train"; "all" of a data set that brings no splits).

    model        a folder that `nas extract` wrote, or timm; a run's, for its retrained winner; a module; or timm's name
                 of a model, whose weights are those of the file `checkpoint`, or timm's, if `pretrained`
    data         a folder of class folders, an .npz file, "digits", a study's YAML file, or what stands there behind
                 `data:`; None for a run's own
    overrides    such as "data.image_size=64" or "model_args.img_size=64"
    amp          "bfloat16" or "float16" for the forward pass; None is float32
    predictions  keep a row per image
    progress     show a bar on a terminal
    trust        as of `Study.open`, where the model is a run

    Images are prepared as the model's weights want them, unless `data` says otherwise. Raises `NasError` for what a
    user can mend: a model or data that there are not, other classes or channels, pictures that cannot be read.
    """
    if split not in SPLITS:
        raise RunError(f"split: found '{split}'; allowed: {', '.join(SPLITS)}{nearest(split, SPLITS)}")
    if batch < 1:
        raise RunError(f"batch: found {batch}; allowed: 1 or more")
    if not re.fullmatch(DEVICE, device):
        raise RunError(f"device: found '{device}'; allowed: {DEVICES}")
    where = device_called(device)
    precision = Precision(_amp(amp), where)
    weights = NamedWeights(None if checkpoint is None else Path(checkpoint), pretrained)
    run = run_of(model, trust=trust) if data is None else None
    said = pictures(data, None if run is None else read(run.study_file), overrides)
    subject = subject_of(model, weights, said.model_args, said.data.image_size)
    asked = said.data.image_size
    if asked is not None and sides(asked) != sides(subject.size):
        takes = f"{subject.title} takes {shown_size(subject.size)} pixels"
        raise RunError(f"data.image_size: found {shown_size(asked)}; {takes}")
    looked_at = load_split(
        said.data,
        SPLITS[split],
        task=subject.task,
        image_size=subject.size,
        seed=said.seed,
        constants=subject.constants,
        listing=list_images(said.data, None if run is None else _index(run)),
    )
    module = subject.model(looked_at)
    counts = _counted(module, (looked_at.channels, *sides(subject.size)))
    started = time.perf_counter()
    enough = memory_for(f"measure in batches of {batch}", "set a smaller batch (--batch)")
    with enough, evaluating(module.to(where)), torch.inference_mode():
        batches = _shown(looked_at.split.batches(batch, device=where), len(looked_at.split), progress)
        tally, rows = _looked_at(module, batches, looked_at, precision, predictions)
    seconds = time.perf_counter() - started
    evaluation = evaluation_of(tally)
    return Measurement(
        model=subject.title,
        data=looked_at.name,
        split=split,
        classes=list(looked_at.class_names),
        images=evaluation.n,
        image_size=subject.size,
        prepared=looked_at.split.preprocessing,
        metrics=evaluation.metrics,
        costs=quantities.with_multiples(counts),
        confusion=None if evaluation.confusion is None else evaluation.confusion.tolist(),
        device=where.type,
        amp=amp,
        seconds=seconds,
        notes=[*looked_at.notes, *subject.notes(looked_at)],
        predictions=_table(looked_at, rows) if predictions else None,
        quantities=subject.task.detailed_metrics(len(looked_at.class_names)),
        results=evaluation.locating.results(looked_at.category_ids) if predictions and evaluation.locating else None,
    )


def _index(run: RunFolder) -> Path | None:
    """What a run has listed of its images, which need not be looked for again where nothing has changed. Raises
    `RunError` where that was changed.
    """
    if not run.done(PREPARE):
        return None
    run.verify(PREPARE)
    return run.index


def _amp(name: str | None) -> Amp:
    match name:
        case None:
            return False
        case "bfloat16" | "float16":
            return name
    raise RunError(f"amp: found '{name}'; allowed: bfloat16, float16")


def _looked_at(
    module: nn.Module, batches: Iterable[Batch], split: NamedSplit, precision: Precision, predictions: bool
) -> tuple[Tally, list[dict[str, Any]]]:
    """The task's detailed tally, and a row per image if they are asked for."""
    tally, rows = split.task.detailed_tally(len(split.class_names)), list[dict[str, Any]]()
    for batch in batches:
        with precision.autocast():
            outputs = module(split.task.measured_inputs(batch, tally))
        tally = tally.after(outputs, batch.targets)
        if predictions:
            rows += split.task.predictions(outputs, batch.targets, split.class_names)
    return tally, rows


def _table(split: NamedSplit, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    named = zip(split.names(), rows, strict=True)
    return pd.DataFrame([{"image": name, **row} for name, row in named if name is not None])


def _counted(module: nn.Module, image: tuple[int, int, int]) -> dict[str, int]:
    """MACs of one image, as torch counts them, and parameters."""
    first = next(module.parameters())
    with evaluating(module), torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *image, device=first.device))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return {"macs": counter.get_total_flops() // 2, "params": parameters}


def _shown(batches: Iterator[Batch], images: int, progress: bool) -> Iterator[Batch]:
    """The batches, with a bar of progress beside them."""
    console = Terminal(stderr=True)
    columns = (Words("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not (progress and console.is_terminal)) as bar:
        task = bar.add_task("images", total=images)
        for batch in batches:
            yield batch
            bar.update(task, advance=len(batch))
