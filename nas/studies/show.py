"""`nas show`: what a search space, a study or a run is about, before anything trains.

A search space must be shown at once: what only studies and runs need is imported where they are shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from rich import box
from rich.table import Table
from rich.text import Text

from nas import quantities, words
from nas.documents.document import pairs, read
from nas.errors import ConfigError, Fault
from nas.ready_made import file_of
from nas.searchspaces.axis_names import dimension
from nas.studies.run.describe import describe_limit, describe_space
from nas.studies.run.described import LimitFacts, SpaceFacts
from nas.system.terminal import Terminal
from nas.trusted import trust_code

if TYPE_CHECKING:
    from nas.studies.store.drivers import Driver


MOST = 24
"""Values of a choice that are all shown."""


@final
@dataclass(frozen=True, kw_only=True)
class ShownFacts:
    """What is known of a space, a study or a run, before anything trains.

    lines      what else is said of it
    finished   stages of a run that are done
    driver     who runs it
    """

    title: str
    space: SpaceFacts
    limit: LimitFacts | None = None
    lines: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()
    driver: Driver | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def facts_of(path: Path, overrides: Sequence[str], *, trust: bool = False) -> ShownFacts:
    """What lies at a path. Nothing is connected to, but for the database of a run, with `trust`.

    Raises `ConfigError` for a file that is neither a search space nor a study, and whatever its reading raises.
    """
    if path.is_dir():
        return _of_run(path, trust)
    path = file_of(path, "searchspaces", "studies")
    document = read(path)
    keys = document.data if isinstance(document.data, dict) else {}
    if "space" in keys:
        return _of_study(path, overrides, trust)
    if "choices" in keys or "model" in keys:
        return _of_space(path, overrides)
    allowed = "a search space (model, choices), a study (space, strategy, data) or the folder of a run"
    raise ConfigError([*document.faults, Fault(str(path), "", f"the keys {', '.join(keys) or 'none'}", allowed)])


def _of_run(path: Path, trust: bool) -> ShownFacts:
    from nas.studies.run.record import Record
    from nas.studies.run.results import PREPARE

    record = Record.open(path, trust=trust)
    prepared, driver = record.result(PREPARE), record.driver()
    lines = (f"finished       {', '.join(record.finished)}", *_running(driver))
    return ShownFacts(
        title=record.name,
        space=prepared.space,
        limit=prepared.limit,
        lines=lines,
        finished=record.finished,
        driver=driver,
    )


def _of_study(path: Path, overrides: Sequence[str], trust: bool) -> ShownFacts:
    from nas.studies.file.resolve import resolve
    from nas.studies.run.rates import scaled_rates
    from nas.studies.stages.starting import absent

    study = resolve(path, overrides, trust=trust, without_files=True)
    limit = describe_limit(study.limit) if study.limit else None
    lines = [f"learning rate  {rate}" for rate in scaled_rates(study.settings)]
    lines += [f"weights        {weights}" for weights in absent(study)]
    if study.facts is None:
        where = study.config.data.path or "data.path is not given"
        lines = [
            f"data           not here ({where}): classes and channels are those that the space gives the model",
            *lines,
        ]
    space = describe_space(study.space, study.cost)
    return ShownFacts(title=study.config.name, space=space, limit=limit, lines=tuple(lines))


def _of_space(path: Path, overrides: Sequence[str]) -> ShownFacts:
    from nas.searchspaces import SearchSpace
    from nas.supernets.of_space import cost_of

    document = read(path).override(pairs(overrides))
    trust_code(document.get(("model",)))
    space = SearchSpace.from_document(document)
    return ShownFacts(title=str(path), space=describe_space(space, cost_of(space)))


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


def show(console: Terminal, shown: ShownFacts) -> None:
    """Prints choices, number of architectures, least and greatest costs, the share within a limit, notes."""
    space, limit = shown.space, shown.limit
    console.print(Text(f"{shown.title}: {space.model}", style="bold"))  # a table's own title is cut to its width
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("choice", "kind", "values"):
        table.add_column(column)
    for names, values in _grouped(space.choices):
        table.add_row(_span(names), space.kinds[names[0]], _listed(values))
    console.print(table)
    lines = [
        f"architectures  {words.architectures(space.architectures)}",
        f"least          {quantities.in_words(space.least)}",
        f"greatest       {quantities.in_words(space.greatest)}",
    ]
    if limit is not None:
        lines.append(f"limit          {limit.text}: {words.share(limit.share)} of all architectures")
    for line in (*lines, *(f"note           {note}" for note in _told_once(space.notes)), *shown.lines):
        console.say(line)


def _grouped(choices: Mapping[str, Sequence[float]]) -> list[tuple[list[str], Sequence[float]]]:
    """Choices of one dimension with the same values, one after the other, together."""
    groups: list[tuple[list[str], Sequence[float]]] = []
    for name, values in choices.items():
        if groups and groups[-1][1] == values and dimension(groups[-1][0][0]) == dimension(name):
            groups[-1][0].append(name)
        else:
            groups.append(([name], values))
    return groups


def _told_once(notes: Sequence[str]) -> Iterator[str]:
    """Notes that say the same of one choice after the other ("alpha.0.0: ... heads.0.0 = 3"), together."""
    for said, alike in groupby(notes, lambda note: re.sub(r"(?<=[a-z_])(\.\d+)+\b", "", note)):
        first, *more = alike
        names = [note.partition(": ")[0] for note in (first, *more)]
        yield f"{_span(names)}: {said.partition(': ')[2]}" if more else first


def _listed(values: Sequence[float]) -> str:
    """All values; of very many the first and last ones, and how many there are."""
    shown = [f"{value:g}" for value in values]
    if len(shown) <= MOST:
        return ", ".join(shown)
    return f"{', '.join(shown[:3])} … {', '.join(shown[-2:])} ({len(shown)} values)"


def _span(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]} ({len(names)})"
