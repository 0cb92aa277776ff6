"""From a study file to everything it names: settings, space, strategy, importance, rule; all faults of all its files
at once.

Paths in a study file are looked up from the working directory first, then from the file's own folder, then from the
folder above that (studies/digits.yaml names searchspaces/vit_digits.yaml, and runs from anywhere). What is written as a
name (`strategy: uniform`) or a preset's file (`strategy: strategies/nsga2.yaml`) is first spelt out as a mapping with
`use:`, and only then do options such as `--set strategy.trials=50` change it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, final

from pydantic import TypeAdapter

from nas import importance, search
from nas.data import DataSpec, Facts, inspect_data
from nas.documents.document import Document, attempt, read
from nas.documents.mistakes import shown
from nas.errors import (
    ClusterError,
    ConfigError,
    DataError,
    Fault,
    LimitError,
    NasError,
    StoreError,
    StrategyError,
    nearest,
)
from nas.importance import Importance
from nas.search import Objective, Problem, Strategy, Trial
from nas.searchspaces import Limit, SearchSpace
from nas.studies.file.config import Bounds, Plugin, StudyConfig, SupernetSpec
from nas.studies.run.prior import priors
from nas.supernets import Cost
from nas.supernets.of_space import cost_of
from nas.system.database import hidden, located
from nas.training import rules
from nas.training.rules._base import SupernetRule

P = TypeVar("P")
Keys = tuple[str, ...]

PLUGINS: tuple[Keys, ...] = (("strategy",), ("importance",), ("supernet", "rule"))
"""Keys whose value is a name, a preset's file, or a mapping with `use:`."""
FILES: tuple[Keys, ...] = (("data", "path"), ("base", "checkpoint"))
"""Keys whose value is a path; so are the items of `warm_start`."""
URLS: tuple[Keys, ...] = (("store",), ("strategy", "storage"), ("strategy", "searcher", "storage"))
"""Keys whose value is a database's URL; Optuna's storages may also be journals, by their paths."""
FREE = ("folder.", "threads.", "data.path.", "ray.", "base.workers.", "supernet.workers.", "retrain.workers.")
"""Keys, each with a dot behind it, that may change while a run is continued: where it and its images lie, and who
computes.
"""
BASELINE = "uniform"
"""The strategy that runs beside every other one."""
SUFFIXES = (".yaml", ".yml")


@final
@dataclass(frozen=True)
class Resolved:
    """A study with all that it names. `settings` is the whole of it as plain data, every default written out."""

    config: StudyConfig
    settings: Mapping[str, Any]
    space: SearchSpace
    cost: Cost
    limit: Limit | None
    strategy: Strategy
    importance: Importance
    rule: SupernetRule
    facts: Facts
    prior: Sequence[Trial] = ()


def resolve(
    path_or_text: str | Path, overrides: Sequence[str] | Mapping[str, str] = (), *, finished: Collection[str] = ()
) -> Resolved:
    """Reads a study file (or text), changed by `overrides` ("strategy.trials=50"). What only `finished` stages read, of
    files and of earlier runs, may be gone.

    Raises `ConfigError` with every fault of the study, of the files it names, of its model, data and limit.
    """
    near = _folder(path_or_text)
    document = _overridden(read(path_or_text), pairs(overrides), near)
    document, faults = _absolute(document, near, finished)
    document = _titled(document, path_or_text)
    config, own = attempt(document, StudyConfig)
    faults += [*document.faults, *own]
    strategy = _plugin(document, ("strategy",), search.names(), search.find, faults)
    faults += _misnamed(document)
    rule = _plugin(document, ("supernet", "rule"), rules.names(), rules.find, faults, default=SupernetSpec.rule)
    criterion = _plugin(
        document, ("importance",), importance.names(), importance.find, faults, default=StudyConfig.importance
    )
    facts = _facts(document, faults)
    space = _space(document, facts, faults)
    cost, limit = _costs(document, facts, space, faults)
    if config and strategy and criterion and space and not faults:
        faults += _unfit(document, config, strategy, criterion, space, limit)
    if faults:
        raise ConfigError(sorted(dict.fromkeys(faults), key=_place))
    assert config is not None
    assert strategy is not None
    assert rule is not None
    assert criterion is not None
    assert facts is not None
    assert space is not None
    assert cost is not None
    settings = _settings(config, strategy, rule, criterion)
    prior = [] if "prepare" in finished else priors(document, config.warm_start, space, cost, limit)
    return Resolved(config, settings, space, cost, limit, strategy, criterion, rule, facts, prior)


def differences(stored: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """What differs, as `key: stored, now asked`; not what is in `FREE`, which may."""
    before, now = _flat(stored), _flat(settings)
    keys = [key for key in dict.fromkeys([*before, *now]) if not f"{key}.".startswith(FREE)]
    return [hidden(f"{key} (there {before.get(key, 'nothing')}, now {now.get(key, 'nothing')})")
            for key in keys if before.get(key) != now.get(key)]  # fmt: skip


def pairs(overrides: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Overrides as a mapping. Raises `ConfigError` for one that is not key=value."""
    if isinstance(overrides, Mapping):
        return {key: str(value) for key, value in overrides.items()}
    wrong = [text for text in overrides if not text.partition("=")[0].strip() or "=" not in text]
    if wrong:
        raise ConfigError([Fault("--set", "", f"'{text}'", "key=value, such as strategy.trials=50") for text in wrong])
    return {key.strip(): value for key, _, value in (text.partition("=") for text in overrides)}


def _overridden(document: Document, settings: Mapping[str, str], near: Path) -> Document:
    """Settings applied from the shortest key to the longest, so that a preset is in place before its options change."""
    document = _spelt_out(document, near)
    for depth in sorted({key.count(".") for key in settings}):
        document = document.override({key: text for key, text in settings.items() if key.count(".") == depth})
        document = _spelt_out(document, near)
    return document


def _spelt_out(document: Document, near: Path) -> Document:
    """The space's file read in, presets read in, and names turned into mappings with `use:`."""
    space = document.get(("space",))
    if isinstance(space, str):
        document = _laid_under(document, ("space",), {}, _file(document, ("space",), space, near))
    for keys in PLUGINS:
        value = document.get(keys)
        if isinstance(value, str):
            value = {"use": value}
            document = _swapped(document, keys, value)
        if isinstance(value, dict) and isinstance(value.get("use"), str) and value["use"].endswith(SUFFIXES):
            preset = _file(document, (*keys, "use"), value["use"], near)
            own = {k: v for k, v in value.items() if k != "use"}
            named = {"name": preset.stem} if keys == ("strategy",) else {}
            document = _laid_under(document, keys, named | own, preset)
    return document


def _laid_under(document: Document, keys: Keys, own: dict[str, Any], path: Path) -> Document:
    preset = read(path)
    if not isinstance(preset.data, dict):
        raise ConfigError([preset.fault((), "no mapping", "a mapping")])
    return _swapped(document, keys, own).under(preset, keys)


def _swapped(document: Document, keys: Keys, value: Any) -> Document:
    """The document with another value at a key that is there, its place kept."""

    def swap(data: Any, rest: Keys) -> Any:
        return {**data, rest[0]: swap(data[rest[0]], rest[1:])} if rest else value

    return replace(document, data=swap(document.data, keys))


def _folder(path_or_text: str | Path) -> Path:
    text = str(path_or_text)
    return Path() if "\n" in text or text.lstrip().startswith("{") else Path(text).parent


def _found(text: str, near: Path) -> Path | None:
    """From the working directory first, then from the study's folder, then from the folder above that."""
    path = Path(text).expanduser()
    return next((place for place in (path, near / path, near.resolve().parent / path) if place.exists()), None)


def _file(document: Document, keys: Keys, text: str, near: Path) -> Path:
    path = _found(text, near)
    if path is None:
        allowed = "a file, looked up from the working directory, the study's folder and the folder above it"
        raise ConfigError([document.fault(keys, f"'{text}', which does not exist", allowed)])
    return path


def _absolute(document: Document, near: Path, finished: Collection[str]) -> tuple[Document, list[Fault]]:
    """Paths made absolute, so that the run can be continued from anywhere."""
    faults = []
    for keys in FILES:
        text = document.get(keys)
        if not isinstance(text, str) or keys[0] in finished:
            continue
        path = _found(text, near)
        if path is not None:
            document = _swapped(document, keys, str(path.resolve()))
        elif keys != ("data", "path"):  # missing data has an error of its own
            faults.append(document.fault(keys, f"'{text}', which does not exist", "a file"))
    runs = document.get(("warm_start",))
    if isinstance(runs, list):
        found = [str(_place_of(text, near)) if isinstance(text, str) else text for text in runs]
        document = _swapped(document, ("warm_start",), found)
    for keys in URLS:
        url = document.get(keys)
        if not isinstance(url, str) or not url:
            continue
        journal = keys != ("store",) and "://" not in url
        try:
            place = str(_place_of(url, near)) if journal else located(url, lambda text: _found(text, near))
            document = _swapped(document, keys, place)
        except StoreError as fault:
            faults.append(document.refused(keys, fault))
    return document, faults


def _place_of(text: str, near: Path) -> Path:
    return (_found(text, near) or Path(text).expanduser()).resolve()


def _titled(document: Document, path_or_text: str | Path) -> Document:
    if not isinstance(document.data, dict) or document.data.get("name") is not None:
        return document
    text = str(path_or_text)
    name = "study" if "\n" in text or text.lstrip().startswith("{") else Path(text).stem
    return replace(document, data={**document.data, "name": name})


def _plugin(
    document: Document,
    keys: Keys,
    allowed: Sequence[str],
    find: Callable[[str], type[P]],
    faults: list[Fault],
    default: Plugin | None = None,
) -> P | None:
    """The plug-in that a mapping with `use:` names, made with the mapping's other keys; adds to `faults`."""
    value = document.get(keys)
    if value is None and default is not None:
        return find(str(default))()
    if not isinstance(value, dict):
        return None  # the study's own faults say so
    use, given = value.get("use", default), (*keys, "use")
    if not isinstance(use, str) or use not in allowed:
        found = "nothing" if use is None else f"'{use}'"
        place = given if use is not None else keys
        near = nearest(use, allowed) if isinstance(use, str) else ""
        faults.append(replace(document.fault(place, found, ", ".join(allowed) + near), key=".".join(given)))
        return None
    try:
        kind = find(use)
    except NasError as absent:
        faults.append(document.fault(given, f"'{use}' ({absent})", "what is installed"))
        return None
    options = _swapped(document, keys, {key: option for key, option in value.items() if key not in ("use", "name")})
    made, wrong = attempt(options, kind, keys)
    faults.extend(wrong)
    return made


def _misnamed(document: Document) -> list[Fault]:
    """A strategy's `name` stands beside its trials; the baseline's is taken."""
    name, use = document.get(("strategy", "name")), document.get(("strategy", "use"))
    if name is None or (isinstance(name, str) and name and (name != BASELINE or use == BASELINE)):
        return []
    return [
        document.fault(("strategy", "name"), f"'{name}'", f"text other than '{BASELINE}', the name of the baseline")
    ]


def _facts(document: Document, faults: list[Fault]) -> Facts | None:
    spec, _ = attempt(document, DataSpec, ("data",))
    if spec is None:
        return None
    try:
        return inspect_data(spec)
    except DataError as fault:
        faults.append(document.fault(("data",), str(fault), "images that can be read"))
        return None


def _space(document: Document, facts: Facts | None, faults: list[Fault]) -> SearchSpace | None:
    """The search space for the data: it says how many channels and classes the model has, maybe its image size."""
    if not isinstance(document.get(("space",)), dict):
        return None
    extra: dict[str, Any] = {}
    if facts is not None:
        extra = {"in_chans": facts.channels, "num_classes": facts.classes}
    size = document.get(("data", "image_size"))
    if isinstance(size, int) and not isinstance(size, bool):
        extra["img_size"] = size
    try:
        return SearchSpace.from_document(document, ("space",), model_args=extra)
    except ConfigError as fault:
        faults.extend(fault.faults)
        return None


def _costs(
    document: Document, facts: Facts | None, space: SearchSpace | None, faults: list[Fault]
) -> tuple[Cost | None, Limit | None]:
    """Costs of the space, and the study's limit; each bound that cannot be kept is a fault at its own key."""
    if facts is None or space is None:
        return None, None
    cost = cost_of(space)
    bounds, _ = attempt(document, Bounds, ("limit",))  # type: ignore[type-abstract]
    if not bounds:
        return cost, None

    def fault_of(keys: Keys, fault: LimitError) -> Fault:
        return document.fault(keys, f"{shown(document.get(keys))} ({fault})", "what architectures of the space cost")

    try:
        return cost, Limit(cost, **{str(key): bound for key, bound in bounds.items()})
    except LimitError as joint:
        alone = []
        for key, bound in bounds.items():
            try:
                Limit(cost, **{str(key): bound})
            except LimitError as fault:
                alone.append(fault_of(("limit", key), fault))
        faults.extend(alone or [fault_of(("limit",), joint)])
        return cost, None


def _unfit(
    document: Document,
    config: StudyConfig,
    strategy: Strategy,
    criterion: Importance,
    space: SearchSpace,
    limit: Limit | None,
) -> list[Fault]:
    """What the strategy or the criterion cannot do with this space, limit and objectives, before anything trains."""

    def never(*_: Any) -> Any:
        raise AssertionError("checking measures nothing")

    problem = Problem(
        space=space,
        objectives=tuple(Objective(metric, way == "max") for metric, way in config.objectives.items()),
        strategy=config.strategy_name,
        seed=config.seed,
        trials=strategy.trials,
        measure=never,
        costs=never,
        record=never,
        limit=limit,
    )
    checks: dict[str, Callable[[], None]] = {
        "strategy": lambda: strategy.check(problem),
        "importance": lambda: criterion.check(space),
    }
    faults = []
    for key, check in checks.items():
        try:
            check()
        except (ClusterError, StrategyError, StoreError) as fault:
            faults.append(document.refused((key,), fault, "what fits the space, the limit and the objectives"))
    return faults


def _settings(config: StudyConfig, strategy: Any, rule: Any, criterion: Any) -> dict[str, Any]:
    plain: dict[str, Any] = TypeAdapter(StudyConfig).dump_python(config, mode="json")
    plain["strategy"] = {"name": config.strategy_name, "use": plain["strategy"]["use"], **asdict(strategy)}
    plain["supernet"]["rule"] = {"use": _used(plain["supernet"]["rule"], SupernetSpec.rule), **asdict(rule)}
    plain["importance"] = {"use": _used(plain["importance"], StudyConfig.importance), **asdict(criterion)}
    return plain


def _place(fault: Fault) -> tuple[str, int, int]:
    """Faults file by file, line by line; those of options last."""
    place = re.fullmatch(r"(.*):(\d+):(\d+)", fault.where)
    return (place[1], int(place[2]), int(place[3])) if place else ("\uffff", 0, 0)


def _used(value: Any, default: Plugin) -> str:
    return str(value.get("use", default) if isinstance(value, dict) else value)


def _flat(value: Any, above: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {above: value}
    return {k: v for key, inner in value.items() for k, v in _flat(inner, f"{above}.{key}" if above else key).items()}
