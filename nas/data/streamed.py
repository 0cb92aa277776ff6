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
from nas.data.loader import Fetched, Loader, PictureRequest
from nas.data.order import order, picture_seeds
from nas.data.parts import WHOLE, Part, rows_of
from nas.data.skipped import Skipped
from nas.data.spec import OnError
from nas.data.split import Split
from nas.data.transforms import UNCHANGED, Augmentation
from nas.errors import DataError
from nas.preprocessing import Preprocessing
from nas.tasks import Batch, Targets, targets_at

NEIGHBOURS = 50
"""Pictures that are tried in the place of one that cannot be read: more in a row are no accident."""


@final
@dataclass(frozen=True, eq=False)
class StreamedSplit(Split):
    """Pictures `indices` (int64, N) of the loader's images called `source`, and their targets as the task wants them
    (first dimension N).
    """

    source: str
    indices: NDArray[np.int64]
    targets: Targets
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
        size = self.loader.decoder.size
        return len(self.indices), self._images.channels, size, size

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
            positions, pixels = epoch[places], torch.empty(0, *self.shape[1:], dtype=torch.uint8)
            if len(places):
                positions, pixels = self._mended(positions, next(answers), request(places))
            inputs = self.normalised(pixels.to(device, non_blocking=pin))
            yield Batch(inputs, targets_at(self.targets, positions)).to(device)
        self.skipped.tell()

    @override
    def between(self, start: int, stop: int) -> StreamedSplit:
        positions = torch.arange(len(self))[start:stop]
        return replace(self, indices=self.indices[start:stop], targets=targets_at(self.targets, positions))

    @override
    def first(self, count: int) -> Tensor:
        positions = torch.arange(len(self))[:count]
        request = self._request(positions)
        return self._mended(positions, self.loader.decoder[request], request)[1]

    @property
    def _images(self) -> Images:
        return self.loader.decoder.images[self.source]

    def _request(
        self, positions: Tensor, augment: Augmentation = UNCHANGED, seeds: Sequence[int] | None = None
    ) -> PictureRequest:
        return PictureRequest(self.source, self.indices[positions.numpy()], augment, seeds)

    def _mended(self, positions: Tensor, fetched: Fetched, request: PictureRequest) -> tuple[Tensor, Tensor]:
        """Positions in the split and pixels of what was fetched, with the next readable pictures in the place of those
        that cannot be read. Raises `UnreadablePicturesError` unless these are to be skipped.
        """
        if not fetched.unreadable:
            return positions, fetched.pixels
        self._note(request, fetched)
        positions, pixels = positions.clone(), list(fetched.pixels)
        for row, _ in fetched.unreadable:  # ascending, so that those before it have their place
            seeds = None if request.seeds is None else request.seeds[row : row + 1]
            positions[row], neighbour = self._neighbour(int(positions[row]), request.augment, seeds)
            pixels.insert(row, neighbour)
        return positions, torch.stack(pixels)

    def _neighbour(self, position: int, augment: Augmentation, seeds: Sequence[int] | None) -> tuple[int, Tensor]:
        """The next position whose picture can be read, and its pixels; it is decoded in this process."""
        for step in range(1, min(NEIGHBOURS, len(self))):
            following = (position + step) % len(self)
            request = self._request(torch.tensor([following]), augment, seeds)
            fetched = self.loader.decoder[request]
            if not fetched.unreadable:
                return following, fetched.pixels[0]
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
