"""Optuna's samplers by name: presets that were tuned here, and the classes of `optuna.samplers` with their own options.

Options that YAML cannot say (functions, other samplers, arrays) are not offered, nor are samplers that need one.
"""

from __future__ import annotations

import importlib.util
import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Union, final

import optuna
from optuna import samplers
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseGASampler, BaseSampler
from optuna.study import StudyDirection
from pydantic import TypeAdapter, ValidationError

from nas.errors import nearest
from nas.strategies.with_optuna.generations import Generations

PRESETS = {"tpe": "TPESampler", "gp": "GPSampler", "nsga2": "NSGAIISampler", "nsga3": "NSGAIIISampler"}
PACKAGES = {"CmaEsSampler": "cmaes", "GPSampler": "scipy", "QMCSampler": "scipy"}
"""Packages that a sampler needs, beside Optuna."""
ORDERED = ("CmaEsSampler", "GPSampler")
"""Samplers that get the indices of values as ordered numbers, the others as categories.

Measured as regret on 24 choices of a toy ViT: GP 3.8 points as numbers, 7.5 as categories (60 trials, 3 seeds); TPE 3.4
and 2.2 (200 trials, 6 seeds). NSGA-II takes no notice. CMA-ES knows no categories.
"""
FORGETFUL = ("GPSampler", "RandomSampler", "TPESampler")
"""Samplers that note nothing in the study when they are asked, so that a replay need not ask them."""
_PLAIN = {"int": int, "float": float, "bool": bool, "str": str, "None": None}


@final
@dataclass(frozen=True)
class Sampling:
    """A sampler's class and its options. `preset` says that it was chosen as one of `PRESETS`."""

    kind: type[BaseSampler]
    options: Mapping[str, Any]
    preset: bool

    @property
    def name(self) -> str:
        """Of the class."""
        return self.kind.__name__

    @property
    def forgetful(self) -> bool:
        """See `FORGETFUL`."""
        return self.name in FORGETFUL

    @property
    def genetic(self) -> bool:
        """Whether it has generations."""
        return issubclass(self.kind, BaseGASampler)

    @property
    def population(self) -> int:
        """Trials that make up a generation; 0 where there are none."""
        sampler = self.make(0)
        return sampler.population_size or 0 if isinstance(sampler, BaseGASampler) else 0

    @property
    def breeds(self) -> bool:
        """Whether children are bred by us, such that they fit the limit."""
        return self.preset and self.genetic

    @property
    def steady(self) -> bool:
        """Whether all trials share one seed: the points of a quasi-random sequence belong together."""
        return self.name == "QMCSampler"

    def keeping(self, generations: Generations) -> Sampling:
        """The same, with generations that are kept."""
        return replace(self, kind=generations.kept_by(self.kind)) if issubclass(self.kind, BaseGASampler) else self

    def distribution(self, n: int) -> BaseDistribution:
        """Of the indices of `n` values."""
        return IntDistribution(0, n - 1) if self.name in ORDERED else CategoricalDistribution(range(n))

    def make(self, seed: int, **hooks: Any) -> BaseSampler:
        """The sampler."""
        with quiet():
            return self.kind(**self.options, **hooks, seed=seed)  # type: ignore[call-arg]

    def rehearse(self, directions: Sequence[StudyDirection]) -> None:
        """Ask for two trials of made-up values. Raises `ValueError` when Optuna refuses, such as so many objectives."""
        with quiet():
            study = optuna.create_study(sampler=self.make(0), directions=directions)
            for _ in range(2):
                study.tell(study.ask({"a": self.distribution(3), "b": self.distribution(2)}), [0.0] * len(directions))


def sampling(sampler: str | Mapping[str, Any], startup: int = 10, population: int = 20) -> Sampling:
    """The sampler that a name, or a mapping with `use:` and options, asks for; `startup` and `population` are for
    presets. Raises `ValueError` that says what is allowed.
    """
    options: dict[str, Any] = {"use": sampler} if isinstance(sampler, str) else dict(sampler)
    name = options.pop("use", None)
    allowed = [*PRESETS, *offered()]
    if name not in allowed:
        raise ValueError(f"{', '.join(allowed)}{nearest(str(name), allowed)}")
    kind = offered()[PRESETS.get(name, name)]
    if importlib.util.find_spec(PACKAGES.get(kind.__name__, "optuna")) is None:
        package = PACKAGES[kind.__name__]
        raise ValueError(f"'{name}' where the package '{package}' is installed: pip install {package}")
    _check(name, kind, options)
    defaults = _defaults(startup, population)[name] if name in PRESETS else {}
    chosen = Sampling(kind, {**defaults, **options}, name in PRESETS)
    try:
        chosen.make(0)
    except (TypeError, ValueError) as fault:
        raise ValueError(f"options that {kind.__name__} takes ({fault})") from None
    return chosen


@cache
def offered() -> dict[str, type[BaseSampler]]:
    """Optuna's samplers by their names, without those that need what YAML cannot say."""
    kinds = {}
    for name in sorted(samplers.__all__):
        kind = getattr(samplers, name)
        if inspect.isclass(kind) and issubclass(kind, BaseSampler) and not inspect.isabstract(kind):
            needed = [p.name for p in _parameters(kind) if p.default is p.empty]
            if set(needed) <= set(plain_options(kind)):
                kinds[name] = kind
    return kinds


@cache
def plain_options(kind: type[BaseSampler]) -> dict[str, Any]:
    """A sampler's options that YAML can say, with their types."""
    options: dict[str, Any] = {}
    for parameter in _parameters(kind):
        types = str(parameter.annotation).split(" | ")
        ours = parameter.name == "seed" or parameter.name.startswith("warn_")
        if not ours and all(word in _PLAIN for word in types):
            options[parameter.name] = Union[tuple(_PLAIN[word] for word in types)]  # noqa: UP007
    return options


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from printing, and from warning that what we use on purpose is experimental or will go."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _defaults(startup: int, population: int) -> dict[str, dict[str, Any]]:
    return {
        # By default several objectives get a univariate TPE: the slowest and worst sampler measured.
        "tpe": {"n_startup_trials": startup, "multivariate": True, "constant_liar": False},
        "gp": {"n_startup_trials": startup, "deterministic_objective": True},
        "nsga2": {"population_size": population},
        "nsga3": {"population_size": population},
    }


def _check(name: str, kind: type[BaseSampler], options: Mapping[str, Any]) -> None:
    types = plain_options(kind)
    for option, value in options.items():
        if option not in types:
            raise ValueError(f"'{name}' with {', '.join(types) or 'no options'}{nearest(option, types)}")
        try:
            TypeAdapter(types[option]).validate_python(value, strict=True)
        except ValidationError:
            words = str(inspect.signature(kind).parameters[option].annotation)
            raise ValueError(f"'{name}' with {option}: {words}") from None


def _parameters(kind: type[BaseSampler]) -> list[inspect.Parameter]:
    return list(inspect.signature(kind).parameters.values())
