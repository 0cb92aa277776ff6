"""`nas show`: what a search space, a study or a run is about, before anything trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from nas import words
from nas.documents.document import read
from nas.errors import ConfigError, Fault
from nas.searchspaces.axis_names import dimension
from nas.studies.run.record import Record
from nas.studies.run.typed_json import plain
from nas.studies.store.drivers import Driver

Shown = tuple[str, Mapping[str, Any], Mapping[str, Any] | None]
"""Title, the space as `describe_space` gives it, and the limit (text, share, bounds) where there is one."""


def show(console: Console, path: Path, overrides: Sequence[str]) -> None:
    """Prints choices, number of architectures, least and greatest costs, notes; for a study also the share within its
    limit.

    Raises `ConfigError` for a file that is neither a search space nor a study, and whatever its reading raises.
    """
    if path.is_dir():
        record = Record.open(path)
        prepared = record.result("prepare")
        _print(console, record.name, prepared["space"], prepared["limit"])
        console.print(f"finished       {', '.join(record.finished)}", highlight=False, soft_wrap=True)
        for line in _running(record.driver()):
            console.print(line, highlight=False, soft_wrap=True)
        return
    document = read(path)
    keys = document.data if isinstance(document.data, dict) else {}
    if "space" in keys:
        _print(console, *_study(path, overrides))
    elif "choices" in keys or "model" in keys:
        _print(console, *_space(path, overrides))
    else:
        allowed = "a search space (model, choices), a study (space, strategy, data) or the folder of a run"
        raise ConfigError([*document.faults, Fault(str(path), "", f"the keys {', '.join(keys) or 'none'}", allowed)])


def _space(path: Path, overrides: Sequence[str]) -> Shown:
    from nas.searchspaces import SearchSpace
    from nas.studies.file.presets import pairs
    from nas.studies.stages.prepare import describe_space
    from nas.supernets.of_space import cost_of

    space = SearchSpace.from_document(read(path).override(pairs(overrides)))
    return str(path), plain(describe_space(space, cost_of(space))), None


def _study(path: Path, overrides: Sequence[str]) -> Shown:
    from nas.studies.file.resolve import resolve
    from nas.studies.stages.prepare import describe_space

    study = resolve(path, overrides)
    described = {"text": study.limit.describe(), "share": study.limit.share} if study.limit else None
    return study.config.name, plain(describe_space(study.space, study.cost)), described


def _running(driver: Driver | None) -> list[str]:
    """Who runs a study, and the trials under way."""
    if driver is None:
        return []
    seen = f"last sign of life {words.seconds(driver.age)} ago"
    state = f"stale, {seen}; run the study again to continue it" if driver.stale else seen
    lines = [f"driver         {driver}, stage {driver.stage or 'none yet'}, {state}"]
    for trial in driver.under_way:
        fate = "will be measured again" if driver.stale else f"for {words.seconds(trial.seconds + driver.age)}"
        lines.append(f"under way      {trial.strategy} {trial.number}, {trial.digest}, {fate}")
    return lines


def _print(console: Console, title: str, space: Mapping[str, Any], limit: Mapping[str, Any] | None) -> None:
    table = Table(title=f"{title}: {space['model']}", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
                  pad_edge=False)  # fmt: skip
    for column in ("choice", "kind", "values"):
        table.add_column(column)
    for names, values in _grouped(space["choices"]):
        table.add_row(_span(names), space["kinds"][names[0]], ", ".join(f"{value:g}" for value in values))
    console.print(table)
    say = [f"architectures  {words.architectures(space['architectures'])}"]
    for end in ("least", "greatest"):
        macs, params = space[end]["macs"], space[end]["params"]
        say.append(
            f"{end:13}  {words.amount(macs)} MACs ({words.amount(2 * macs)} FLOPs), {words.amount(params)} parameters"
        )
    if limit is not None:
        say.append(f"limit          {limit['text']}: {words.share(limit['share'])} of all architectures")
    say += [f"note           {note}" for note in space["notes"]]
    for line in say:
        console.print(line, highlight=False, soft_wrap=True)


def _grouped(choices: Mapping[str, Sequence[float]]) -> list[tuple[list[str], Sequence[float]]]:
    """Choices of one family with the same values, one after the other, together."""
    groups: list[tuple[list[str], Sequence[float]]] = []
    for name, values in choices.items():
        if groups and groups[-1][1] == values and dimension(groups[-1][0][0]) == dimension(name):
            groups[-1][0].append(name)
        else:
            groups.append(([name], values))
    return groups


def _span(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]} ({len(names)})"
