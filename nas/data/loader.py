"""Processes that decode pictures while a model trains: torch's DataLoader, asked for whatever is wanted next.

What a picture becomes follows from what is asked (which picture, by which seed), and from nothing else: it is the same
on one worker and on many, and workers can stay from epoch to epoch. Faults are values here: an exception that crosses
processes comes with the traceback in its text.
"""

from __future__ import annotations

import math
import os
import signal
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from nas.data import transforms
from nas.data.images import reason
from nas.data.letterbox import Letterbox, Resizer
from nas.data.source import Labelled
from nas.data.transforms import Augmentation, Together
from nas.errors import DataError
from nas.preprocessing import Preprocessing
from nas.system.machine import cores
from nas.tasks import Annotations, Batch, joined

MOST_BY_DEFAULT = 16
AHEAD = 2  # batches that each worker decodes before they are asked for
WORKER = 150 * 2**20  # bytes that a worker takes beside its pictures


class PictureRequest(NamedTuple):
    """Pictures of one set of images, for one batch: prepared as for evaluation, or augmented, each by a seed of its
    own, and with the pictures of its own that go into it, `company` (N x K).
    """

    images: str
    indices: NDArray[np.int64]
    augment: Augmentation = transforms.UNCHANGED
    seeds: Sequence[int] | None = None
    company: NDArray[np.int64] | None = None


class Fetched(NamedTuple):
    """The pictures that could be read (n x C x H x W, uint8 or normalised floats), in order; the positions in the
    request of those that could not, with the reasons; and what is annotated in annotated ones.
    """

    pixels: Tensor
    unreadable: list[tuple[int, str]]
    annotations: Annotations | None = None


@final
@dataclass(frozen=True, eq=False)
class Decoder:
    """What a worker does. `pictures`: by name; all get the size that `resizer` gives them."""

    pictures: Mapping[str, Labelled]
    resizer: Resizer
    preprocessing: Preprocessing

    def __getitem__(self, request: PictureRequest) -> Fetched:
        """What DataLoader calls."""
        pictures = self.pictures[request.images]
        made: list[Batch | Tensor] = []
        unreadable: list[tuple[int, str]] = []
        for position in range(len(request.indices)):
            try:
                made.append(self._made(pictures, request, position))
            except Exception as fault:  # on damaged files PIL's readers raise anything
                unreadable.append((position, reason(fault)))
        empty = torch.empty(0, pictures.images.channels, *self.resizer.sides, dtype=torch.uint8)
        if pictures.objects is None:
            pixels = [one for one in made if isinstance(one, Tensor)]
            return Fetched(torch.stack(pixels) if pixels else empty, unreadable)
        annotated = [one for one in made if isinstance(one, Batch)]
        if not annotated:
            return Fetched(empty, unreadable)
        whole = joined(annotated)
        assert isinstance(whole.targets, Annotations)
        return Fetched(whole.inputs, unreadable, whole.targets)

    def _made(self, pictures: Labelled, request: PictureRequest, position: int) -> Batch | Tensor:
        """An image; of an annotated picture a batch of one."""
        if pictures.objects is not None:
            return self._annotated(pictures, request, position)
        picture = pictures.images.picture(int(request.indices[position]))
        if request.seeds is None:
            return self.resizer.picture(picture)
        transform = transforms.training(request.augment, self.resizer.sides[0], self.preprocessing)
        return transform(picture, request.seeds[position])

    def _annotated(self, pictures: Labelled, request: PictureRequest, position: int) -> Batch:
        index = int(request.indices[position])
        if request.seeds is None or not isinstance(request.augment, Together):
            return self._letterboxed(pictures, [index])
        company: list[int] = [] if request.company is None else request.company[position].tolist()
        try:
            group = self._letterboxed(pictures, [index, *company])
        except Exception:  # see `__getitem__`; one of the company cannot be read, or this one, which is seen now
            group = self._letterboxed(pictures, [index])
        return request.augment.together(group, request.seeds[position])

    def _letterboxed(self, pictures: Labelled, indices: Sequence[int]) -> Batch:
        assert pictures.objects is not None
        assert isinstance(self.resizer, Letterbox)
        pixels = torch.stack([self.resizer.picture(pictures.images.picture(index)) for index in indices])
        return Batch(pixels, pictures.objects.placed(np.array(indices, np.int64), self.resizer))


@final
class Loader:
    """Answers requests in order, with the help of `workers` processes; with none, in this one. The processes start with
    the first request, and end with the loader. It can be pickled, without them.
    """

    def __init__(self, decoder: Decoder, workers: int) -> None:
        self.decoder, self.workers = decoder, workers
        self._live: DataLoader[Fetched] | None = None
        self._requests = _Requests()
        self._busy = False

    def fetch(self, requests: Iterable[PictureRequest], *, largest: int, pin: bool = False) -> Iterator[Fetched]:
        """The answers. `largest`: pictures in the largest request; `pin`: into memory that a GPU reads from.

        Raises `DataError` where workers do not fit into memory, or die.
        """
        if not self.workers:
            yield from map(self.decoder.__getitem__, requests)
        elif self._busy:  # somebody is in the middle of others: these get processes of their own
            yield from Loader(self.decoder, self.workers).fetch(requests, largest=largest, pin=pin)
        else:
            self._busy = True
            try:
                yield from self._by_workers(requests, largest, pin)
            finally:
                self._busy = False

    def _by_workers(self, requests: Iterable[PictureRequest], largest: int, pin: bool) -> Iterator[Fetched]:
        if self._live is None:
            self._check_memory(largest)
            self._live = self._started(pin)
        self._requests.pending = iter(requests)
        # torch's handler raises in the midst of whatever runs when a worker dies. Without it, the death is seen where
        # the worker's answer is missing.
        before = signal.getsignal(signal.SIGCHLD)
        try:
            answers = iter(self._live)
            if signal.getsignal(signal.SIGCHLD) is not before:
                signal.signal(signal.SIGCHLD, before)
            yield from answers
        except (RuntimeError, OSError, EOFError) as fault:
            if isinstance(fault, RuntimeError) and "DataLoader worker" not in str(fault):
                raise
            self._live = None
            raise DataError(
                f"a process that reads pictures died ({str(fault).partition(chr(10))[0]}): most likely memory, or "
                f"/dev/shm, ran out. Run again with fewer (data.workers: found {self.workers}), or with smaller batches"
            ) from None
        finally:
            self._requests.pending = iter(())  # what asked must not be kept alive by what answers

    def _started(self, pin: bool) -> DataLoader[Fetched]:
        for pictures in self.decoder.pictures.values():
            pictures.images.share()
        dataset: Any = self.decoder  # it is asked for a batch at a time, which torch's types do not foresee
        options: Any = {"sampler": self._requests, "batch_size": None, "collate_fn": _as_it_is}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="This DataLoader will create")  # more than cores: as asked
            return DataLoader(
                dataset,
                num_workers=self.workers,
                persistent_workers=True,
                prefetch_factor=AHEAD,
                pin_memory=pin,
                generator=torch.Generator(),  # else workers are seeded from, and change, what the training draws from
                **options,
            )

    def _check_memory(self, largest: int) -> None:
        """Raises `DataError` where that many workers would not fit into the memory that is left."""
        channels = max(pictures.images.channels for pictures in self.decoder.pictures.values())
        each = WORKER + AHEAD * largest * channels * math.prod(self.decoder.resizer.sides)
        free = free_memory()
        if self.workers * each > free:
            fit = max(0, math.floor(free / each))
            raise DataError(
                f"data.workers: {self.workers} processes with batches of {largest} images take about "
                f"{self.workers * each / 2**30:.1f} GB, and {free / 2**30:.1f} GB of memory are free; "
                f"allowed: at most {fit}, or smaller batches"
            )

    def __getstate__(self) -> tuple[Decoder, int]:
        return self.decoder, self.workers

    def __setstate__(self, state: tuple[Decoder, int]) -> None:
        self.__init__(*state)


@final
class _Requests:
    """What workers are sent next: a sampler of DataLoader's whose content changes from use to use."""

    pending: Iterator[PictureRequest] = iter(())

    def __iter__(self) -> Iterator[PictureRequest]:
        while (request := next(self.pending, None)) is not None:
            yield request


def suitable_workers() -> int:
    """As many processes as this process has cores, shared with those that torchrun started beside it."""
    return max(1, min(MOST_BY_DEFAULT, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def free_memory() -> int:
    """Bytes of memory that are free, or used for what can be read again."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:  # noqa: PTH123
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _as_it_is(fetched: Fetched) -> Fetched:
    return fetched
