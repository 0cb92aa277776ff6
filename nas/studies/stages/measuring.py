"""The rows of the results table: base, uniform, winner, before and after retraining: test split, costs, latency."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from nas import quantities
from nas.evaluation import evaluate, latency
from nas.studies.run.results import EXTRACT, RETRAIN, LatencyFacts
from nas.studies.run.rows import BASE_MODEL, RETRAINED, UNIFORM, WINNER, ExtractedResult, RowResult
from nas.studies.stages.workshop import Workshop
from nas.supernets import load
from nas.system.environment import commit


def measure_rows(
    workshop: Workshop, extracted: Mapping[str, ExtractedResult], *, twins: bool
) -> tuple[list[RowResult], LatencyFacts]:
    """One row per model, and how latency was measured. `twins`: strategy and baseline chose the same architecture."""
    folder, config = workshop.folder.path, workshop.config
    models = {BASE_MODEL: workshop.base_model()}
    for role in (role for role in (UNIFORM, WINNER) if role in extracted):
        source = WINNER if twins else role
        models[role] = load(folder / EXTRACT.name / role)
        models[f"{role}{RETRAINED}"] = load(folder / RETRAIN.name / source)
    image = (workshop.data.channels, workshop.image_size, workshop.image_size)
    # Retraining changes no shapes: one of the two models of an architecture is timed.
    timed = {name: model for name, model in models.items() if not name.endswith(RETRAINED)}
    times = latency.measure(
        timed, image, device=workshop.device, batches=config.latency.batches, seconds=config.latency.seconds
    )
    rows = []
    for name, model in models.items():
        role = name.removesuffix(RETRAINED)
        digest, costs = (
            ("", workshop.base_costs) if role == BASE_MODEL else (extracted[role].digest, extracted[role].costs)
        )
        rows.append(row_of(workshop, name, model, digest, costs, times.milliseconds[role]))
    return rows, LatencyFacts(
        milliseconds={model: dict(by_batch) for model, by_batch in times.milliseconds.items()},
        rounds=dict(times.rounds),
        threads=times.threads,
        device=times.device,
        note=times.note,
    )


def row_of(
    workshop: Workshop, name: str, model: nn.Module, digest: str, costs: Mapping[str, int], times: Mapping[str, float]
) -> RowResult:
    """One row: a model, measured on the validation and the test split. `costs` are the counted ones of the architecture
    `digest`; `times` are milliseconds per batch size.
    """
    config, data, metric = workshop.config, workshop.data, workshop.metric.name
    model = model.to(workshop.device)
    validation = evaluate(model, data.validation, data.task, device=workshop.device)
    test = evaluate(model, data.test, data.task, device=workshop.device)
    strategies = {BASE_MODEL: "", UNIFORM: UNIFORM}
    return RowResult(
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
