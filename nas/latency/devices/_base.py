"""What a device is: it times passes through models, and says what its times depend on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from nas.errors import LatencyError
from nas.latency import meters
from nas.latency.copies import Sitting, of_all
from nas.latency.meters import Meter
from nas.latency.timing import SECONDS, Clock, Forward, StepTime, by_processor, by_wall, take_turns, threads, warmed
from nas.numbers import Unit, whole
from nas.system import machine


@dataclass(frozen=True, kw_only=True)
class Device(ABC):
    """Subclass as a frozen dataclass; its fields are the options in YAML.

    batch   images that a model sees together
    """

    here: ClassVar[bool] = True
    """Whether models run on this machine, and not somewhere else, by somebody else."""

    in_onnx: ClassVar[bool] = False
    """Whether models are written as ONNX for it."""

    batch: Annotated[int, whole(1, 16_384), Unit("images")] = 1

    @property
    def stepwise(self) -> bool:
        """Whether it times the steps that a pass goes through, and not its whole alone."""
        return False

    @property
    def builds(self) -> int:
        """How often models are made anew and timed again: where in memory one lies makes it faster or slower by half a
        per cent. Once, where making them takes long.
        """
        return 1

    @property
    @abstractmethod
    def about(self) -> Mapping[str, str]:
        """What times depend on beside the options: the hardware, and the versions of what computes."""

    def check(self) -> None:  # noqa: B027  (most have nothing to check)
        """Raises `LatencyError` where it can time nothing: a package, a processor or a compiler is missing."""

    def settled(self) -> Self:
        """The same device, with what it takes from its surroundings written out."""
        return self

    def prepared(self, model: nn.Module) -> nn.Module:
        """A model in evaluation mode, in the precision in which it is timed; the one that is given is lost."""
        return model

    def images(self, images: Tensor) -> Tensor:
        """Images (B x C x H x W) in that precision."""
        return images

    def meter(self) -> Meter:
        """What counts the joules of this device. Raises `LatencyError` where nothing does."""
        raise LatencyError(f"energy: {self} has no meter; allowed: this machine's processor or GPU, where it tells")

    def metered(self, passes: Sequence[Forward], seconds: float = SECONDS) -> list[list[StepTime]]:
        """As `time`, each pass as a whole, but joules in the place of seconds."""
        return take_turns(passes, meters.by(self.meter()), seconds)

    @abstractmethod
    def time(self, passes: Sequence[Forward], seconds: float = SECONDS) -> list[list[StepTime]]:
        """Of each pass, in their order, what each of its steps takes; in about so many seconds.

        Raises `LatencyError` where it cannot run them, or where their times say nothing.
        """


@dataclass(frozen=True, kw_only=True)
class OnProcessor(Device):
    """A device that is this machine's processor.

    threads   that compute; None for as many as torch takes. With one, its processor time is taken
    """

    threads: Annotated[int, whole(1, 1024), Unit("threads")] | None = None

    @property
    def used_threads(self) -> int:
        """How many threads compute."""
        return self.threads or torch.get_num_threads()

    @override
    def settled(self) -> Self:
        return replace(self, threads=self.used_threads)

    @property
    @override
    def about(self) -> Mapping[str, str]:
        return {"processor": machine.processor(), **self.versions}

    @property
    @abstractmethod
    def versions(self) -> Mapping[str, str]:
        """Of the libraries that compute."""

    @property
    def clock(self) -> Clock:
        """Of one thread its processor time: what other processes take is not counted. Of several the wall's."""
        return by_processor if self.used_threads == 1 else by_wall

    @property
    def copied(self) -> int:
        """How often `copies` makes passes anew."""
        return 1

    def copies(self, passes: Sequence[Forward]) -> Iterator[Sequence[Forward]]:
        """The passes as this device runs them, made anew as often as `copied` says."""
        yield passes

    @override
    def meter(self) -> Meter:
        return meters.of_processor()

    @final
    @override
    def metered(self, passes: Sequence[Forward], seconds: float = SECONDS) -> list[list[StepTime]]:
        self.check()
        with threads(self.used_threads):
            return super().metered(next(iter(self.copies(passes))), seconds)

    @final
    @override
    def time(self, passes: Sequence[Forward], seconds: float = SECONDS) -> list[list[StepTime]]:
        self.check()
        clock, numbers = warmed(self.clock), range(len(passes))
        with threads(self.used_threads):
            return of_all(
                [Sitting(numbers, take_turns(copy, clock, seconds / self.copied)) for copy in self.copies(passes)]
            )
