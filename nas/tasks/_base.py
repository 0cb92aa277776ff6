"""What a task is: all that training, search and reports must know of what a model is for, asked of one object."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nas.errors import TaskError
from nas.quantities import Quantity
from nas.tasks._batch import Batch, Targets

if TYPE_CHECKING:
    from torch import Tensor

Outputs = Any
"""What the model returns: a tensor, or a structure of tensors that only the task takes apart."""
Criterion: TypeAlias = "Callable[[Outputs, Targets], Tensor]"
"""(outputs, targets) -> mean loss over the batch, a scalar."""
Mixer = Callable[[Batch, int], Batch]
"""(batch, seed) -> a batch of mixed inputs and targets; the same seed mixes alike."""
TruthKind = Literal["class", "boxes", "masks"]
"""What a data set says of each picture: its class; boxes of objects with their classes; masks of these, too."""
MixupMode = Literal["batch", "pair", "elem"]


class Facts(NamedTuple):
    """What a model must know of a data set before it is built. `image_size` (pixels, square) is None where sizes
    differ; `truth` is what is known of each picture.
    """

    channels: int
    classes: int
    image_size: int | None
    truth: TruthKind = "class"


@final
@dataclass(frozen=True)
class Mixing:
    """How the inputs of a batch are mixed with one another; by default, not at all.

    mixup, cutmix   alpha of the Beta distribution, 0 = off; with both on, each draw takes one of them
    prob            how probable it is that any of both is done
    switch_prob     how probable CutMix is, with both on
    mode            one draw for the batch, for each pair of inputs, or for each input (elem)
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    prob: float = 1.0
    switch_prob: float = 0.5
    mode: MixupMode = "batch"


class Tally(Protocol):
    """What has been seen of a split so far. Tallies are values: `after` returns another one."""

    @property
    def n(self) -> int:
        """How many inputs were seen."""
        ...

    @property
    def metrics(self) -> dict[str, float]:
        """The task's metrics over all that was seen, by name."""
        ...

    def after(self, outputs: Outputs, targets: Targets) -> Tally:
        """The tally with one more batch in it."""
        ...


@runtime_checkable
class Confusing(Protocol):
    """A tally that also knows which classes are mistaken for which."""

    @property
    def confusion(self) -> NDArray[np.int64] | None:
        """Inputs of each class (rows) that were taken for each class (columns); None where there are many classes."""
        ...


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """What a model is for. Subclasses are frozen dataclasses: their fields are the options of `task:` in a study.

    `nas.testing.tasks.TaskSuite` tries every task that is found.
    """

    outputs: ClassVar[str] = "outputs"
    """What reports call the numbers that the model returns."""
    row_by_row: ClassVar[bool] = False
    """Whether outputs are one tensor with a row for each input, which can be judged one by one. Where they are not, and
    each input counts by itself, a model is asked for one at a time.
    """
    no_divergence: ClassVar[str] = ""
    """Why two outputs have no divergence, as a clause; empty where they have one."""
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    """Sets of options with which `nas.testing.tasks.TaskSuite` tests this task."""

    @property
    def learns_from(self) -> tuple[TruthKind, ...]:
        """What a data set must say of its pictures: any of these will do."""
        return ("class",)

    @property
    @abstractmethod
    def metrics(self) -> tuple[Quantity, ...]:
        """What is measured. The first one is the default objective, and the headline of the report."""

    def detailed_metrics(self, classes: int) -> tuple[Quantity, ...]:  # noqa: ARG002  (for overriding ones)
        """What is measured of a finished model on data of so many classes: the `metrics`, and behind them what searches
        do not wait for.
        """
        return self.metrics

    @abstractmethod
    def model_args(self, facts: Facts) -> dict[str, Any]:
        """Arguments with which the model is built so that it fits the data, such as its number of outputs."""

    def usual_args(self) -> dict[str, Any]:
        """The same where the data are not here, as far as they matter for what kind of model it is."""
        return {}

    @abstractmethod
    def targets(self, labels: NDArray[np.int64], classes: int) -> Tensor:
        """What the model shall learn of N inputs, from a data set's labels (N,); its first dimension is N."""

    def example_targets(self, facts: Facts, n: int) -> Targets:
        """Targets of n inputs, to try the task with."""
        return self.targets(np.arange(n) % facts.classes, facts.classes)

    @property
    def draws(self) -> bool:
        """Whether its loss is of samples that are drawn, and so no mean over inputs to the last digit."""
        return False

    def learning_inputs(self, batch: Batch) -> Any:
        """What the model is called with where it learns: the inputs; or whatever a model takes that computes its loss
        itself, and must know the targets for it.
        """
        return batch.inputs

    def weight(self, batch: Batch) -> float | None:  # noqa: ARG002  (for overriding ones)
        """What a batch's loss is divided by, if that is not the number of its inputs: then it is summed over the parts
        of a batch that several workers have, and each divides by its `share`, as one worker would by the whole.
        """
        return None

    def measured_inputs(self, batch: Batch, tally: Tally) -> Any:  # noqa: ARG002  (for overriding ones)
        """What the model is called with where a tally looks at its outputs."""
        return batch.inputs

    @abstractmethod
    def criterion(self, smoothing: float = 0.0) -> Criterion:
        """The loss against the targets. Raises `TrainingError` for a `smoothing` that the task cannot do."""

    def divergence(self, reference: Outputs, outputs: Outputs, temperature: float = 1.0) -> Tensor:  # noqa: ARG002
        """How far `outputs` are from those of a `reference` network: a mean over the batch, 0 where they agree.

        Adjoined and distilled losses pull by it. Gradients flow into both; detach the reference for a fixed teacher.
        Raises `TaskError` where a task has `no_divergence`.
        """
        raise TaskError(f"{type(self).__name__}: its outputs have no divergence: {self.no_divergence}")

    @abstractmethod
    def mixer(self, mixing: Mixing, classes: int) -> Mixer | None:
        """What mixes batches in training, None for nothing. Raises `TrainingError` for what the task cannot mix."""

    @abstractmethod
    def tally(self) -> Tally:
        """An empty tally of the metrics."""

    def detailed_tally(self, classes: int) -> Tally:  # noqa: ARG002  (for overriding ones)
        """An empty tally of the `detailed_metrics`; one of classes may be `Confusing` too."""
        return self.tally()

    @abstractmethod
    def difference(self, first: Outputs, second: Outputs) -> float:
        """The greatest absolute difference of two outputs: 0 proves that an extracted model is what was searched."""

    def same_objects(self, first: Outputs, second: Outputs) -> bool | None:  # noqa: ARG002  (for overriding ones)
        """Whether two outputs find the same objects, to the last bit: what is sorted and selected may differ though
        the `difference` is 0, by ties. None for a task that finds none.
        """
        return None

    @abstractmethod
    def detached(self, outputs: Outputs) -> Outputs:
        """The outputs as constants, so that no gradient reaches the network that gave them."""

    def decided(self, outputs: Outputs) -> Targets:  # noqa: ARG002
        """What the outputs of a teacher decide for, as targets. Raises `TaskError` where a task knows no decisions."""
        raise TaskError(f"{type(self).__name__}: a teacher of this task decides nothing; allowed: answers: soft")

    @abstractmethod
    def predictions(self, outputs: Outputs, targets: Targets, classes: Sequence[str]) -> list[dict[str, Any]]:
        """What a file of predictions holds of each input: columns by name, plain numbers and text."""

    @abstractmethod
    def about(self, classes: Sequence[str]) -> Mapping[str, Any]:
        """What a saved model says of its outputs, as plain JSON."""
