"""Pages of the reference, made from the plug-in folders, the annotations and the docstrings of the code."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from itertools import chain, takewhile
from pathlib import Path

from docs import _keys as keys
from docs._commands import commands_page
from docs._markdown import cell, escaped
from nas import importance, plugins, proxies, quantities, search, tasks
from nas.data import transforms
from nas.errors import ModelError, NasError, QuantityError, SpaceError, StrategyError
from nas.latency import devices
from nas.ready_made import ready_made
from nas.searchspaces.choices import ChoiceKind
from nas.searchspaces.choices._values import Range
from nas.searchspaces.from_yaml import SpaceFile
from nas.studies.file.config import StudyConfig
from nas.supernets.families import Family
from nas.tasks import Task
from nas.training import rules, sampling
from nas.training.optimiser_options import OPTIMIZER, OptimiserOptions
from nas.training.schedule import SCHEDULE

HEAD = "| key | type | default | unit | meaning |\n|---|---|---|---|---|"


@dataclass(frozen=True)
class Kind:
    """A folder of plug-ins: its page, what it is, how YAML names one of them, and their classes."""

    page: str
    title: str
    what: str
    folder: str
    find: Callable[[str], type]


def _named(folder: str, base: type, error: type[NasError]) -> Callable[[str], type]:
    """The plug-in class of a folder that has no function of its own for it."""
    return lambda name: plugins.find(folder, name, base, error)


KINDS = (
    Kind(
        "strategies",
        "Strategies",
        "`strategy: NAME`, or `strategy: {use: NAME, ...}` with these keys.",
        search.registry.FOLDER,
        search.find,
    ),
    Kind(
        "importance",
        "Importance criteria",
        "`importance: NAME`, or `importance: {use: NAME, ...}`; of a study, or of a sizing strategy.",
        "nas.importance",
        importance.find,
    ),
    Kind(
        "rules",
        "Rules of supernet training",
        "`supernet: {rule: NAME}`, or `rule: {use: NAME, ...}`.",
        "nas.training.rules",
        rules.find,
    ),
    Kind(
        "sampling",
        "Sampling of sub-networks",
        "`sampling: NAME` in a rule: who is drawn in a step.",
        "nas.training.sampling",
        sampling.find,
    ),
    Kind("tasks", "Tasks", "`task: NAME`, or `task: {use: NAME, ...}`: what a model is for.", "nas.tasks", tasks.find),
    Kind(
        "quantities",
        "Quantities",
        "What `limit:` bounds and `objectives:` want, beside the task's metrics.",
        "nas.quantities",
        _named("nas.quantities", quantities.Quantity, QuantityError),
    ),
    Kind(
        "choices",
        "Kinds of choices",
        "What a space's `choices:` may hold: `heads: {size: [1, 2, 3], per: block}`.",
        "nas.searchspaces.choices",
        _named("nas.searchspaces.choices", ChoiceKind, SpaceError),
    ),
    Kind(
        "devices",
        "Devices",
        "What `nas bench --device` times models on: a name, or `{use: NAME, ...}` with these options.",
        "nas.latency.devices",
        devices.find,
    ),
    Kind(
        "families",
        "Families of models",
        "The axis tables of model classes; chosen by a model's class, never named in YAML.",
        "nas.supernets.families",
        _named("nas.supernets.families", Family, ModelError),
    ),
    Kind(
        "proxies",
        "Proxies",
        "Cheap scores, which `nas tau RUN --proxies NAMES` judges.",
        "nas.proxies",
        _named("nas.proxies", proxies.Proxy, StrategyError),
    ),
)


def pages() -> Iterator[tuple[str, str]]:
    """Path in the site -> Markdown, of every page of the reference."""
    yield "reference/study.md", study_page()
    yield "reference/space.md", space_page()
    for kind in KINDS:
        yield f"reference/{kind.page}.md", plugin_page(kind)
    yield "reference/ready_made.md", ready_made_page()
    yield "reference/commands.md", commands_page()


def study_page() -> str:
    """All keys of a study file, with those of its mappings."""
    parts = [
        "# Keys of a study",
        "Made from the annotations of the code. A key that is read only with others is a fault elsewhere. Any key "
        "can be changed on the command line: `--set supernet.epochs=5`.",
    ]
    waiting: list[tuple[str, type]] = [("", StudyConfig)]
    for at, options in waiting:
        parts += [f"## {at or 'The file'}", summary(options), table(options)]
        known = {kind for _, kind in waiting}
        waiting += [(f"{at}.{name}".lstrip("."), kind) for name, kind in keys.nested(options) if kind not in known]
    optimisers = "timm's, each with the options of its constructor: " + ", ".join(OPTIMIZER.names()) + "."
    parts += ["## Of every optimiser", summary(OptimiserOptions), optimisers, table(OptimiserOptions)]
    for key, plugged in (("schedule", SCHEDULE), ("augment", transforms.AUGMENTATION)):
        for name in plugged.names():
            parts += [f"## {key}: {name}", summary(plugged.find(name)), table(plugged.find(name))]
    return "\n\n".join(filter(None, parts)) + "\n"


def space_page() -> str:
    """The keys of a search space's file."""
    kinds = ", ".join(f"[{name}](choices.md#{name})" for name in plugins.names("nas.searchspaces.choices"))
    parts = ["# Keys of a search space", summary(SpaceFile), table(SpaceFile), f"Kinds of choices: {kinds}."]
    parts += ["## A range of values", summary(Range), table(Range)]
    return "\n\n".join(parts) + "\n"


def plugin_page(kind: Kind) -> str:
    """A folder of plug-ins: each with what its file and its class say, and its keys."""
    parts = [f"# {kind.title}", kind.what]
    for name in plugins.names(kind.folder):
        found = kind.find(name)
        parts += [f"## {name}", module_summary(found), summary(found), *facts(found)]
        if is_dataclass(found) and not issubclass(found, quantities.Quantity):
            parts.append(table(found))
            for key, inner in keys.nested(found):
                if inner.__module__.startswith(found.__module__):
                    parts += [f"### {name}: {key}", summary(inner), table(inner)]
    return "\n\n".join(filter(None, parts)) + "\n"


def facts(found: type) -> Iterator[str]:
    """What a plug-in says of itself by its attributes."""
    if issubclass(found, quantities.Quantity):
        quantity = found()
        yield f"Unit: {quantity.unit or 'a number'}. In tables: {quantity.title}."
    if issubclass(found, Task):
        names = ", ".join(f"`{metric.name}`" for metric in found().metrics)
        yield f"Metrics, the first one the default objective: {names}."
    if issubclass(found, Family):
        yield "Classes: " + ", ".join(f"`{one.__module__}.{one.__name__}`" for one in found().classes) + "."


def ready_made_page() -> str:
    """Spaces, presets and studies that come with nas, with the heads of their files."""
    files: Mapping[str, Mapping[str, Path]] = {
        "Spaces: `space: NAME`": ready_made("searchspaces"),
        "Strategies: `strategy: NAME`": ready_made("strategies"),
        "Studies: `nas run NAME`": ready_made("studies"),
        "Tasks: `task: NAME`": tasks.presets(),
        "Augmentations: `augment: NAME`": transforms.presets(),
    }
    parts = ["# What comes with nas", "Files by their names, from any folder."]
    for title, named in files.items():
        parts.append(f"## {title}")
        parts += chain.from_iterable([f"### {name}", head_of(file)] for name, file in named.items())
    return "\n\n".join(parts) + "\n"


def head_of(file: Path) -> str:
    """The comment at the head of a YAML file, as a block of text."""
    lines = takewhile(lambda line: line.startswith("#"), file.read_text(encoding="utf-8").splitlines())
    return "\n".join(["```text", *(line.removeprefix("#").removeprefix(" ") for line in lines), "```"])


def summary(found: type) -> str:
    """What a class says of itself, without the table of its fields."""
    text = inspect.cleandoc(found.__dict__.get("__doc__") or "")
    fields = keys.described(found) if is_dataclass(found) else {}
    kept = []
    for paragraph in text.split("\n\n"):
        first = re.match(r"(\w+)(?:, \w+)*(?: {2,}|$)", paragraph)
        if not (first and first[1] in fields):
            kept.append(paragraph)
    return escaped("\n\n".join(kept))


def module_summary(found: type) -> str:
    """What the file of a plug-in says."""
    text = (importlib.import_module(found.__module__).__doc__ or "").strip()
    return escaped(re.sub(r"^(\w+: +\{.*)$", r"    \1", text, flags=re.MULTILINE))  # lines of YAML are code


def table(options: type) -> str:
    """The keys of a dataclass, a row each; empty where it has none."""
    rows = []
    for key in keys.keys_of(options):
        default = key.default if key.default in ("", keys.REQUIRED) else f"`{cell(key.default)}`"
        rows.append(f"| `{key.name}` | {cell(key.kind)} | {default} | {key.unit} | {cell(escaped(key.meaning))} |")
    return "\n".join([HEAD, *rows]) if rows else ""
