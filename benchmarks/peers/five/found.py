"""Which axes are found by nobody's help: ours, and Torch-Pruning's groups without a word about heads.

Both are judged alike: a group is sound if half of its units can be taken away and the model still runs, and if two of
its units, wherever it says that they lie, can be exchanged without a change of outputs. Which of our axes a sound group
stands for is read off the dimension that it begins with.
"""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.five.models import Subject
from nas.searchspaces.axis_names import dimension
from nas.supernets.derived.checking import check, randomise_all
from nas.supernets.derived.derivation import Derivation
from nas.supernets.derived.deriving import derive
from nas.supernets.derived.permutation import CLOSE

PAIRS = 4
"""Exchanges tried of each group."""


def ours(subject: Subject) -> tuple[dict[str, Any], Derivation]:
    """A row about what we find, and that itself."""
    start = time.process_time()
    derivation = derive(subject.model(0).eval(), subject.image)
    seconds = time.process_time() - start
    verdicts = {verdict.kind: verdict for verdict in check(subject.model(0), subject.image)}
    kinds = Counter(map(dimension, derivation.axes))
    sound = {kind: number for kind, number in kinds.items() if verdicts[kind].good}
    return _row("ours", seconds, (sum(kinds.values()), *[sum(sound.values())] * 2), kinds, sound), derivation


def torch_pruning(subject: Subject, right: Derivation) -> dict[str, Any]:
    """A row about what Torch-Pruning finds, by the names of our axes."""
    model = subject.model(0).eval()
    start = time.process_time()
    roots = [name for name, _ in _groups(model, subject)]
    seconds = time.process_time() - start
    randomise_all(model.double())
    run = [(name, units) for name, units in _groups(model, subject) if _runs(model, name, units, subject)]
    sound = [name for name, units in run if _sound(model, name, units, subject)]
    kinds: Counter[str] = Counter(map(dimension, right.axes))
    found = {dim[0] for dim in (right.parameters[f"{name}.weight"][0] for name in sound) if len(dim) == 1}
    return _row(
        "Torch-Pruning",
        seconds,
        (len(roots), len(run), len(sound)),
        kinds,
        Counter(map(dimension, found & set(right.axes))),
    )


def _row(tool: str, seconds: float, numbers: tuple[int, int, int], kinds: Counter[str], found: Any) -> dict[str, Any]:
    shares = (f"{kind} {found.get(kind, 0)}/{number}" for kind, number in kinds.items())
    return {
        "tool": tool, "seconds": round(seconds, 2), **dict(zip(("groups", "run", "sound"), numbers, strict=True)),
        "axes": ", ".join(shares),
    }  # fmt: skip


def _graph(model: nn.Module, subject: Subject) -> Any:
    import torch_pruning as tp

    images = torch.zeros(1, *subject.image, dtype=next(model.parameters()).dtype)
    return tp.DependencyGraph().build_dependency(model, images)


def _groups(model: nn.Module, subject: Subject) -> Iterator[tuple[str, int]]:
    """The layer that a group begins with, which is the name of it, and its units; not the layer of classes."""
    names = {module: name for name, module in model.named_modules()}
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1:]
    for group in _graph(model, subject).get_all_groups(ignored_layers=last):
        yield names[group[0].dep.target.module], len(group[0].idxs)


def _pruned(model: nn.Module, root: str, units: list[int], subject: Subject) -> nn.Module:
    """A copy without some units of a group."""
    small = copy.deepcopy(model)
    graph, layer = _graph(small, subject), small.get_submodule(root)
    graph.get_pruning_group(layer, graph.get_pruner_of_module(layer).prune_out_channels, units).prune()
    return small


def _runs(model: nn.Module, root: str, units: int, subject: Subject) -> bool:
    """Whether every second unit of a group can be taken away."""
    try:
        _pruned(model, root, list(range(0, units, 2)), subject)(_images(subject))
    except (RuntimeError, ValueError, IndexError):  # of a forward with sizes that it was not written for
        return False
    return True


def _sound(model: nn.Module, root: str, units: int, subject: Subject) -> bool:
    before = model(_images(subject)).detach()
    return all(_exchangeable(model, root, pair, subject, before) for pair in _pairs(units))


def _images(subject: Subject) -> Tensor:
    return torch.randn(2, *subject.image, dtype=torch.double, generator=torch.Generator().manual_seed(1))


def _pairs(units: int) -> list[tuple[int, int]]:
    orders = [torch.randperm(units, generator=torch.Generator().manual_seed(seed)) for seed in range(PAIRS - 1)]
    return [(0, units - 1), *((int(order[0]), int(order[1])) for order in orders)]


def _exchangeable(model: nn.Module, root: str, pair: tuple[int, int], subject: Subject, before: Tensor) -> bool:
    """Whether two units, taken for each other wherever pruning would take them away, leave outputs as they are."""
    first, second = (_places(model, root, unit, subject) for unit in pair)
    swapped = copy.deepcopy(model)
    for name, parameter in swapped.named_parameters():
        for dim in range(parameter.dim()):
            here, there = first[name][dim], second[name][dim]
            if len(here) != len(there):
                return False
            order = torch.arange(parameter.shape[dim])
            order[here], order[there] = order[there].clone(), order[here].clone()
            parameter.data = parameter.data.index_select(dim, order)
    return bool((swapped(_images(subject)) - before).abs().max() < CLOSE * before.abs().max())


def _places(model: nn.Module, root: str, unit: int, subject: Subject) -> dict[str, list[Tensor]]:
    """For each parameter and dimension the indices that go with a unit: values that say where they stood are pruned."""
    marked = copy.deepcopy(model)
    for parameter in marked.parameters():
        parameter.data = torch.arange(parameter.numel(), dtype=torch.double).reshape(parameter.shape)
    small = dict(_pruned(marked, root, [unit], subject).named_parameters())
    places = {}
    for name, parameter in model.named_parameters():
        left = torch.unravel_index(small[name].detach().flatten().long(), parameter.shape)
        places[name] = [_missing(kept, size) for kept, size in zip(left, parameter.shape, strict=True)]
    return places


def _missing(kept: Tensor, size: int) -> Tensor:
    there = torch.zeros(size, dtype=torch.bool)
    there[kept] = True
    return (~there).nonzero().flatten()
