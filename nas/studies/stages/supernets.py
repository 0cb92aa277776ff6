"""The supernets of a run: the one that the stage `supernet` left, on which every strategy starts, and a copy that the
study's own strategy trained or reordered, where it is one that does so (`adopt`).

Whose architectures are measured on, extracted from and retrained from which of them is answered here, and only here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import final

import torch

from nas.searchspaces import SearchSpace
from nas.studies.run.folder import RunFolder, read_json, write_json
from nas.studies.run.results import EXPLORE, SUPERNET, EpochResult, RelaxationResult, Stage, StageResult
from nas.studies.run.typed_json import parsed_plain
from nas.studies.run.weights import WEIGHTS, load_factoring, load_weights, save_factoring, save_weights
from nas.supernets import Cost, Supernet, build

SELECTION, FACTORING = "selection.json", "factoring.safetensors"
RELAXATION = "relaxation.json"
"""Beside a supernet's weights: its remembered orders, by what it factors matrices, and how a strategy trained the one
that it works on.
"""


@final
class Supernets:
    """The supernets in a run's folder; `strategy` is the study's own, and `cost` knows what their formulas do not, such
    as latency. Methods that read raise `RunError` or
    `CheckpointError` for what is missing or damaged. Those that write call `permit` before, and write nothing when it
    raises.
    """

    def __init__(
        self,
        folder: RunFolder,
        space: SearchSpace,
        strategy: str,
        device: torch.device,
        permit: Callable[[], object],
        cost: Cost | None = None,
    ) -> None:
        self._folder, self._space, self._strategy, self._device = folder, space, strategy, device
        self._permit, self._cost = permit, cost

    def source(self, strategy: str) -> Stage[StageResult]:
        """The stage whose supernet a strategy's architectures are measured on and extracted from: `explore` for the
        study's own strategy when it trained one, else `supernet`.
        """
        adopted = strategy == self._strategy and (self._folder.path / EXPLORE.name / WEIGHTS).exists()
        return EXPLORE if adopted else SUPERNET

    def shared(self) -> Supernet:
        """The supernet as the stage `supernet` left it."""
        return self._load(SUPERNET)

    def of(self, strategy: str) -> Supernet:
        """The supernet that a strategy's architectures are measured on and extracted from."""
        return self._load(self.source(strategy))

    def keep(self, stage: Stage[StageResult], supernet: Supernet) -> None:
        """Keeps a supernet in a stage's folder; the weights come last, and say that the rest is there."""
        self._permit()
        folder = self._folder.stage(stage.name)
        write_json(folder / SELECTION, supernet.selection.state())
        save_factoring(folder / FACTORING, supernet.factoring)
        save_weights(folder / WEIGHTS, supernet)

    def adopt(self, supernet: Supernet, rows: Sequence[Mapping[str, object]]) -> None:
        """Keeps the supernet that the study's strategy trained, and the rows of its history."""
        self._permit()
        relaxation = parsed_plain(RelaxationResult, {"rows": rows})
        write_json(self._folder.stage(EXPLORE.name) / RELAXATION, relaxation)
        self.keep(EXPLORE, supernet)

    def disown(self) -> None:
        """Undoes `adopt`."""
        self._permit()
        (self._folder.path / EXPLORE.name / WEIGHTS).unlink(missing_ok=True)

    def relaxation(self) -> list[EpochResult]:
        """The epochs that `adopt` kept; none when the strategy trained no supernet."""
        if self.source(self._strategy) is not EXPLORE:
            return []
        path = self._folder.path / EXPLORE.name / RELAXATION
        return read_json(path, RelaxationResult, remedy=self._folder.again(EXPLORE)).rows

    def _load(self, stage: Stage[StageResult]) -> Supernet:
        self._folder.verify(stage)
        folder, space = self._folder.path / stage.name, self._space
        supernet = Supernet(build(space.model, space.model_args), space)
        if self._cost is not None:
            supernet.cost = self._cost
        load_weights(folder / WEIGHTS, supernet.model)
        orders = read_json(folder / SELECTION, dict[str, list[int]], remedy=self._folder.again(stage))
        supernet.selection.load(orders)
        supernet.factor_by(load_factoring(folder / FACTORING))
        return supernet.to(self._device).eval()
