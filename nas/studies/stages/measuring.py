"""The rows of the results table: base, uniform, winner, before and after retraining: test split, costs, latency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from nas.evaluation import accuracy, latency
from nas.studies.stages.workshop import Workshop
from nas.supernets import load
from nas.system.environment import commit


def measure_rows(
    workshop: Workshop, extracted: Mapping[str, Any], *, twins: bool
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One row per model, and how latency was measured. `twins`: strategy and baseline chose the same architecture."""
    folder, config = workshop.folder.path, workshop.config
    models = {"base": workshop.base_model()}
    for role in ("uniform", "winner"):
        if role in extracted:
            source = "winner" if twins else role
            models[role] = load(folder / "extract" / role)
            models[f"{role}, retrained"] = load(folder / "retrain" / source)
    image = (workshop.data.channels, workshop.image_size, workshop.image_size)
    # Retraining changes no shapes: one of the two models of an architecture is timed.
    timed = {name: model for name, model in models.items() if "retrained" not in name}
    times = latency.measure(
        timed, image, device=workshop.device, batches=config.latency.batches, seconds=config.latency.seconds
    )
    base = {"digest": "", "macs": workshop.cost.base("macs"), "params": workshop.cost.base("params")}
    rows = []
    for name, model in models.items():
        role = name.removesuffix(", retrained")
        counted = base if role == "base" else extracted[role]
        rows.append(row_of(workshop, name, model, counted, times.milliseconds[role]))
    return rows, times.to_json()


def row_of(
    workshop: Workshop, name: str, model: nn.Module, counted: Mapping[str, Any], times: Mapping[str, float]
) -> dict[str, Any]:
    """One row: a model, measured on the validation and the test split. `counted` has digest, macs, params; `times` is
    per batch size.
    """
    config, data = workshop.config, workshop.data
    model = model.to(workshop.device)
    test = accuracy(model, data.test, device=workshop.device)
    strategies = {"base": "", "uniform": "uniform"}
    return {
        "study": config.name,
        "model": name,
        "strategy": strategies.get(name.removesuffix(", retrained"), config.strategy_name),
        "seed": config.seed,
        "digest": counted["digest"],
        "validation_accuracy": accuracy(model, data.validation, device=workshop.device).accuracy,
        "test_accuracy": test.accuracy,
        "test_loss": test.loss,
        "test_images": test.n,
        "macs": counted["macs"],
        "flops": 2 * counted["macs"],
        "params": counted["params"],
        **{f"latency_ms_batch_{batch}": time for batch, time in times.items()},
        "commit": commit(),
    }
