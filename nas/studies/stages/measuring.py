"""The rows of the results table: base, uniform, winner, before and after retraining: test split, costs, latency."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from nas import quantities
from nas.evaluation.per_input import metrics_of_each
from nas.latency import whole_models as latency
from nas.latency.table import LATENCY, NANOSECONDS, LatencyTable
from nas.latency.timing import Forward
from nas.preprocessing import sides
from nas.studies.run.examples import COUNT, FOUND, save_examples
from nas.studies.run.measured import ConfusionFacts, ForeseenTime, LatencyFacts, LocatedFacts
from nas.studies.run.paired import PairedDifference, paired
from nas.studies.run.results import EXTRACT, RETRAIN
from nas.studies.run.rows import BASE_MODEL, RETRAINED, UNIFORM, WINNER, ExtractedResult, RowResult
from nas.studies.stages.workshop import Workshop
from nas.supernets import load
from nas.system.environment import commit


class MeasuredRow(NamedTuple):
    """A row, and which classes of the test split its model took for which, where these are few."""

    row: RowResult
    confusion: list[list[int]] | None
    located: LocatedFacts | None


class MeasuredRows(NamedTuple):
    """The rows, how latency was measured, the confusion of classes, what was found where, how far the winner is from
    uniform's, and latencies as they were predicted and as they are.
    """

    rows: list[RowResult]
    latency: LatencyFacts
    confusion: ConfusionFacts | None
    located: dict[str, LocatedFacts] | None
    against_uniform: dict[str, PairedDifference] | None
    foreseen_by: dict[str, dict[str, ForeseenTime]]


def measure_rows(workshop: Workshop, extracted: Mapping[str, ExtractedResult], *, twins: bool) -> MeasuredRows:
    """One row per model. `twins`: strategy and baseline chose the same architecture."""
    folder, config = workshop.folder.path, workshop.config
    models = {BASE_MODEL: workshop.base_model()}
    for role in (role for role in (UNIFORM, WINNER) if role in extracted):
        source = WINNER if twins else role
        models[role] = load(folder / EXTRACT.name / role)
        models[f"{role}{RETRAINED}"] = load(folder / RETRAIN.name / source)
    image = (workshop.data.channels, *sides(workshop.image_size))
    # Retraining changes no shapes: one of the two models of an architecture is timed.
    timed = {name: model for name, model in models.items() if not name.endswith(RETRAINED)}
    times = latency.measure(
        timed, image, device=workshop.device, batches=config.latency.batches, seconds=config.latency.seconds
    )
    foreseen = {
        quantity: said
        for quantity, table in workshop.study.tables.items()
        if (said := _foreseen(workshop, quantity, table, timed, extracted)) is not None
    }
    measured: dict[str, MeasuredRow] = {}
    for name, model in models.items():
        role = name.removesuffix(RETRAINED)
        digest, costs = (
            ("", workshop.base_costs) if role == BASE_MODEL else (extracted[role].digest, extracted[role].costs)
        )
        measured[name] = row_of(workshop, name, model, digest, costs, times.milliseconds[role])
    facts = LatencyFacts(
        milliseconds={model: dict(by_batch) for model, by_batch in times.milliseconds.items()},
        rounds=dict(times.rounds),
        threads=times.threads,
        device=times.device,
        note=times.note,
    )
    confused = {name: of.confusion for name, of in measured.items() if of.confusion is not None}
    confusion = ConfusionFacts(classes=list(workshop.data.class_names), models=confused) if confused else None
    located = {name: of.located for name, of in measured.items() if of.located is not None}
    if located:
        save_examples(workshop.place(RETRAIN) / FOUND, workshop.data.test.first(COUNT))
    winner, uniform = (f"{role}{RETRAINED}" for role in (WINNER, UNIFORM))
    against = None
    if not twins and uniform in models:
        against = against_uniform(workshop, models[winner], models[uniform])
    return MeasuredRows([of.row for of in measured.values()], facts, confusion, located or None, against, foreseen)


def _foreseen(
    workshop: Workshop,
    quantity: str,
    table: LatencyTable,
    models: Mapping[str, nn.Module],
    extracted: Mapping[str, ExtractedResult],
) -> dict[str, ForeseenTime] | None:
    """Latencies by a table and by the clock, under its conditions; None where its device is not here."""
    if table.quantity != LATENCY or not table.conditions.here:
        return None
    conditions, device = table.conditions, table.conditions.device
    predicted = {role: workshop.base_costs if role == BASE_MODEL else extracted[role].costs for role in models}
    images = device.images(torch.randn(device.batch, *conditions.image))
    with torch.inference_mode():
        copies = [device.prepared(copy.deepcopy(model).cpu().eval()) for model in models.values()]
        passes = [Forward(images, (model,), role) for role, model in zip(models, copies, strict=True)]
        times = device.time(passes, workshop.config.latency.seconds)
    return {
        role: ForeseenTime(
            predicted=predicted[role][quantity], timed=max(1, round(NANOSECONDS * one.milliseconds)), noise=one.noise
        )
        for role, (one,) in zip(models, times, strict=True)
    }


def against_uniform(workshop: Workshop, winner: nn.Module, uniform: nn.Module) -> dict[str, PairedDifference]:
    """Metric -> the winner's values minus those of uniform's, on the pictures of the test split, one by one. A metric
    that is no mean over pictures, such as one of ranks, has no such difference.
    """
    test, task, device, batch = workshop.data.test, workshop.task, workshop.device, workshop.config.eval_batch
    means = [metric.name for metric in task.metrics if metric.averaged]
    if not means:
        return {}
    ours, theirs = (metrics_of_each(model, test, task, device=device, batch=batch) for model in (winner, uniform))
    return {name: paired(ours[name], theirs[name]) for name in means}


def row_of(
    workshop: Workshop, name: str, model: nn.Module, digest: str, costs: Mapping[str, int], times: Mapping[str, float]
) -> MeasuredRow:
    """One row: a model, measured on the validation split, and in detail on the test split. `costs` are the counted ones
    of the architecture `digest`; `times` are milliseconds per batch size.
    """
    config, data, metric = workshop.config, workshop.data, workshop.metric.name
    model = model.to(workshop.device)
    validation = workshop.evaluation(model)
    detailed = data.task.detailed_tally(data.classes)
    test = workshop.evaluation(model, data.test, detailed)
    strategies = {BASE_MODEL: "", UNIFORM: UNIFORM}
    row = RowResult(
        study=config.name,
        model=name,
        strategy=strategies.get(name.removesuffix(RETRAINED), config.strategy_name),
        seed=config.seed,
        digest=digest,
        validation={metric: validation.metrics[metric]},
        test=test.metrics,
        test_images=test.n,
        costs=quantities.with_multiples(costs),
        latency=dict(times),
        commit=commit(),
    )
    confusion = None if test.confusion is None else test.confusion.tolist()
    located = None if test.locating is None else LocatedFacts.of(test.locating, data.class_names, COUNT)
    return MeasuredRow(row, confusion, located)
