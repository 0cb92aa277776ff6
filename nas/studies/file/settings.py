"""A study as plain data, every default written out: what its run keeps, and by what two studies are compared."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from nas.documents.defaults import completed
from nas.documents.fields import marked
from nas.documents.markers import Formerly, MayChange, MayChangeBefore
from nas.documents.text import KeyPath, Plain, dotted
from nas.importance import Importance
from nas.passwords import hidden
from nas.search import Strategy
from nas.studies.file.config import Plugin, RetrainSpec, StudyConfig, SupernetSpec
from nas.tasks import Task
from nas.training.rules import SupernetRule


def settings(
    config: StudyConfig,
    strategy: Strategy,
    rule: SupernetRule,
    criterion: Importance,
    reordering: Importance,
    task: Task,
) -> dict[str, Any]:
    """The whole study, with the options of what it plugs in."""
    plain: dict[str, Any] = TypeAdapter(StudyConfig).dump_python(config, mode="json")
    plain["strategy"] = {"name": config.strategy_name, "use": plain["strategy"]["use"], **asdict(strategy)}
    # Plug-ins inside the recipes of stages, such as `optimizer`, are options like others: they are only written out.
    for stage, recipe in {"base": config.base, "supernet": config.supernet, "retrain": config.retrain}.items():
        plain[stage] = completed(type(recipe), plain[stage])
    plain["task"] = {"use": _used(config.task, StudyConfig.task), **asdict(task)}
    plain["supernet"]["rule"] = {"use": _used(config.supernet.rule, SupernetSpec.rule), **asdict(rule)}
    anew = _used(config.retrain.importance, RetrainSpec.importance)
    plain["retrain"]["importance"] = {"use": anew, **asdict(reordering)}
    plain["importance"] = {"use": _used(config.importance, StudyConfig.importance), **asdict(criterion)}
    return plain


def differences(stored: Mapping[str, Any], now: Mapping[str, Any], untouched: Collection[str] = ()) -> list[str]:
    """What differs between two studies' settings, as `key: stored, now asked`; not what may change, of the stages that
    are `untouched` also what may change before them.

    A setting that one of them lacks counts as its default: a run is continued by later versions, which have more keys.
    One that says what it formerly was is not compared with what the run lacks.
    """
    # Both are completed, also what is asked now: then it does not matter which of the two wrote a default out.
    before, after = (dict(_leaves(completed(StudyConfig, plain))) for plain in (stored, now))
    free = [
        path
        for path, marker in marked(StudyConfig, dict(now))
        if isinstance(marker, MayChange)
        or (isinstance(marker, MayChangeBefore) and path[0] in untouched)
        or (isinstance(marker, Formerly) and path[0] not in stored)
    ]
    return [
        f"{dotted(path)} (there {_shown(before.get(path))}, now {_shown(after.get(path))})"
        for path in dict.fromkeys([*before, *after])
        if before.get(path) != after.get(path) and not any(path[: len(above)] == above for above in free)
    ]


def _shown(value: Plain) -> str:
    return "nothing" if value is None else hidden(str(value))


def changed(stored: Mapping[str, Any], now: Mapping[str, Any], key: str) -> bool:
    """Whether what stands under a key is something else now, may it change or not."""
    before, after = (completed(StudyConfig, plain) for plain in (stored, now))
    return before[key] != after[key]


def adjustable() -> list[str]:
    """Keys of what may change before the stage that reads it."""
    return [dotted(path) for path, marker in marked(StudyConfig, {}) if isinstance(marker, MayChangeBefore)]


def adjusted(stored: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether one of those is something else now."""
    before, after = (dict(_leaves(completed(StudyConfig, plain))) for plain in (stored, now))
    return any(dotted(path) in adjustable() and before.get(path) != value for path, value in after.items())


def _used(options: Plugin, default: Plugin) -> str:
    return str(options.get("use", default) if isinstance(options, Mapping) else options)


def _leaves(value: Plain, at: KeyPath = ()) -> Iterator[tuple[KeyPath, Plain]]:
    """The values of nested mappings that are no mappings themselves, or empty ones, by their paths."""
    if not isinstance(value, dict) or not value:
        yield at, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, (*at, key))
