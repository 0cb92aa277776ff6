"""A split whose pictures are decoded when they are asked for, by workers, and never held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from nas.data.images import Images, UnreadablePicturesError
from nas.data.letterbox import Letterbox
from nas.data.loader import Fetched, Loader, PictureRequest
from nas.data.order import order, picture_seeds
from nas.data.parts import WHOLE, Part, rows_of
from nas.data.skipped import Skipped
from nas.data.source import Labelled
from nas.data.spec import OnError
from nas.data.split import Split
from nas.data.transforms import UNCHANGED, Augmentation, Together, check
from nas.errors import DataError
from nas.preprocessing import Preprocessing
from nas.tasks import Batch, Targets, joined, targets_at

NEIGHBOURS = 50
"""Pictures that are tried in the place of one that cannot be read: more in a row are no accident."""


@final
@dataclass(frozen=True, eq=False)
class StreamedSplit(Split):
    """Pictures `indices` (int64, N) of the loader's images called `source`, and their targets as the task wants them
    (first dimension N); None of annotated pictures, whose targets come with them.
    """

    source: str
    indices: NDArray[np.int64]
    targets: Targets | None
    loader: Loader
    on_error: OnError
    skipped: Skipped

    @property
    @override
    def preprocessing(self) -> Preprocessing:
        return self.loader.decoder.preprocessing

    @property
    @override
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.indices), self._images.channels, *self.loader.decoder.resizer.sides

    @property
    @override
    def in_memory(self) -> bool:
        return False

    @override
    def batches(
        self,
        size: int,
        *,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        augment: Augmentation = UNCHANGED,
        part: Part = WHOLE,
    ) -> Iterator[Batch]:
        check(augment, self._none.targets)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        epoch = order(len(self), generator, augment.repeats)
        # Places in the epoch's order, batch by batch; of a small batch, there may be none for this rank.
        rows = [places[rows_of(len(places), part)] for places in torch.split(torch.arange(len(epoch)), size)]

        def request(places: Tensor) -> PictureRequest:
            if seed is None:
                return self._request(epoch[places])
            seeds = picture_seeds(seed, epoch[places], places, augment.repeats)
            return self._request(epoch[places], augment, seeds)

        pin = torch.device(device).type == "cuda"
        answers = self.loader.fetch(map(request, filter(len, rows)), largest=size, pin=pin)
        for places in rows:
            batch = self._mended(epoch[places], next(answers), request(places)) if len(places) else self._none
            inputs = self.normalised(batch.inputs.to(device, non_blocking=pin))
            yield Batch(inputs, batch.targets).to(device)
        self.skipped.tell()

    @override
    def between(self, start: int, stop: int) -> StreamedSplit:
        targets = None if self.targets is None else targets_at(self.targets, torch.arange(len(self))[start:stop])
        return replace(self, indices=self.indices[start:stop], targets=targets)

    @override
    def shuffled(self, seed: int) -> StreamedSplit:
        places = order(len(self), torch.Generator().manual_seed(seed))
        targets = None if self.targets is None else targets_at(self.targets, places)
        return replace(self, indices=self.indices[places.numpy()], targets=targets)

    @override
    def first(self, count: int) -> Tensor:
        positions = torch.arange(len(self))[:count]
        request = self._request(positions)
        return self._mended(positions, self.loader.decoder[request], request).inputs

    @property
    def _images(self) -> Images:
        return self._pictures.images

    @property
    def _pictures(self) -> Labelled:
        return self.loader.decoder.pictures[self.source]

    @property
    def _none(self) -> Batch:
        """Of no pictures."""
        nothing, resizer = np.zeros(0, np.int64), self.loader.decoder.resizer
        empty = torch.empty(0, *self.shape[1:], dtype=torch.uint8)
        if self.targets is not None:
            return Batch(empty, targets_at(self.targets, torch.zeros(0, dtype=torch.int64)))
        assert self._pictures.objects is not None
        assert isinstance(resizer, Letterbox)
        return Batch(empty, self._pictures.objects.placed(nothing, resizer))

    def _request(
        self, positions: Tensor, augment: Augmentation = UNCHANGED, seeds: Sequence[int] | None = None
    ) -> PictureRequest:
        company = None
        if seeds is not None and isinstance(augment, Together):
            others = [augment.companions(seed, len(self)) for seed in seeds]
            company = self.indices[np.array(others, np.int64).reshape(len(others), -1)]
        return PictureRequest(self.source, self.indices[positions.numpy()], augment, seeds, company)

    def _mended(self, positions: Tensor, fetched: Fetched, request: PictureRequest) -> Batch:
        """What was fetched for positions in the split, with the next readable pictures in the place of those that
        cannot be read. Raises `UnreadablePicturesError` unless these are to be skipped.
        """
        if not fetched.unreadable:
            return self._batch(positions, fetched)
        self._note(request, fetched)
        positions = positions.clone()
        rows = dict.fromkeys(row for row, _ in fetched.unreadable)
        readable = torch.tensor([row for row in range(len(positions)) if row not in rows], dtype=torch.int64)
        parts = [self._batch(positions[readable], fetched)] if len(readable) else []
        for row in rows:
            seeds = None if request.seeds is None else request.seeds[row : row + 1]
            parts.append(self._neighbour(int(positions[row]), request.augment, seeds))
        # Those that were read come first, the others behind them: back to the order that was asked for.
        asked = torch.cat([readable, torch.tensor(list(rows), dtype=torch.int64)]).argsort()
        return joined(parts).at(asked)

    def _batch(self, positions: Tensor, fetched: Fetched) -> Batch:
        """All that was fetched, with its targets."""
        if self.targets is not None:
            return Batch(fetched.pixels, targets_at(self.targets, positions))
        assert fetched.annotations is not None
        return Batch(fetched.pixels, fetched.annotations)

    def _neighbour(self, position: int, augment: Augmentation, seeds: Sequence[int] | None) -> Batch:
        """The picture at the next position that can be read; it is decoded in this process."""
        for step in range(1, min(NEIGHBOURS, len(self))):
            following = torch.tensor([(position + step) % len(self)])
            request = self._request(following, augment, seeds)
            fetched = self.loader.decoder[request]
            if not fetched.unreadable:
                return self._batch(following, fetched)
            self._note(request, fetched)
        raise DataError(
            f"{min(NEIGHBOURS, len(self))} pictures one after the other cannot be read, the first of them "
            f"{self._images.name(int(self.indices[position]))}; is this where the images are?"
        )

    def _note(self, request: PictureRequest, fetched: Fetched) -> None:
        unreadable = [(self._images.name(int(request.indices[row])), why) for row, why in fetched.unreadable]
        if self.on_error == "stop":
            raise UnreadablePicturesError(unreadable)
        self.skipped.add(dict(unreadable))
