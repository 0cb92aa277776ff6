"""Splits that stream: the pictures of a held split, whoever decodes them, however many do."""

from __future__ import annotations

import os
import pickle
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nas.data import Data, DataSpec, load_data
from nas.data import cache as cache_module
from nas.data import holding as holding_module
from nas.data import loader as loader_module
from nas.data.parts import Part
from nas.data.split import Split
from nas.data.streamed import StreamedSplit
from nas.data.transforms.augmentation import Crop, CropAndFlip
from nas.errors import DataError

SIZE = 12
CLASSES = ("ant", "bee", "cat")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of three classes and many shapes."""
    root, rng = tmp_path_factory.mktemp("set"), np.random.default_rng(0)
    for role, count in (("train", 14), ("test", 3)):
        for name in CLASSES:
            (root / role / name).mkdir(parents=True)
            for number in range(count):
                shape = (int(rng.integers(10, 30)), int(rng.integers(10, 30)), 3)
                picture = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
                picture.save(root / role / name / f"{number:02}.{'jpg' if number % 2 else 'png'}")
    return root


def loaded(root: Path, **options: object) -> Data:
    return load_data(replace(DataSpec(path=str(root)), **options), image_size=SIZE, seed=3)  # type: ignore[arg-type]


def seen(split: Split, **options: object) -> tuple[Tensor, Tensor]:
    """All that a split hands out: images and classes."""
    batches = list(split.batches(5, **options))  # type: ignore[arg-type]
    return torch.cat([batch.inputs for batch in batches]), torch.cat([batch.targets for batch in batches])


def equal(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_streamed_set_is_the_held_one(pictures: Path, workers: int) -> None:
    held, streamed = loaded(pictures), loaded(pictures, cache="none", workers=workers)
    assert held.preprocessing == streamed.preprocessing
    for name in ("train", "validation", "test"):
        one, other = getattr(held, name), getattr(streamed, name)
        assert isinstance(other, StreamedSplit)
        assert (one.shape, one.in_memory, other.in_memory) == (other.shape, True, False)
        assert equal(seen(one), seen(other))
        assert equal(seen(one, seed=5), seen(other, seed=5))
        assert equal(seen(one.between(1, 4)), seen(other.between(1, 4)))
        assert equal(seen(one.shuffled(3)), seen(other.shuffled(3)))
        assert torch.equal(one.first(4), other.first(4))
    assert len(streamed.without_test().test) == 0


def test_pictures_follow_from_seed_epoch_and_image_alone(pictures: Path) -> None:
    """Not from workers, from what ran before, or from what else draws numbers."""
    alone, helped = loaded(pictures, cache="none", workers=0), loaded(pictures, cache="none", workers=2)
    first = seen(alone.train, seed=1, augment=CropAndFlip())
    state = torch.get_rng_state()
    next(helped.train.batches(4, seed=9, augment=Crop()))  # and no more of it
    assert equal(first, seen(helped.train, seed=1, augment=CropAndFlip()))
    assert torch.equal(state, torch.get_rng_state())
    assert equal(first, seen(pickle.loads(pickle.dumps(helped.train)), seed=1, augment=CropAndFlip()))
    assert not equal(first, seen(alone.train, seed=2, augment=CropAndFlip()))
    assert not equal(first, seen(alone.train, seed=1))


def test_two_at_once_do_not_disturb_each_other(pictures: Path) -> None:
    data = loaded(pictures, cache="none", workers=1)
    both = list(zip(data.train.batches(5, seed=1), data.train.batches(5, seed=2), strict=True))
    for position, seed in enumerate((1, 2)):
        images = torch.cat([batches[position].inputs for batches in both])
        assert torch.equal(images, seen(data.train, seed=seed)[0])


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_ranks_read_their_own_part(pictures: Path, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = loaded(pictures, cache=cache, workers=0)
    whole = list(data.train.batches(5, seed=1, augment=Crop()))
    decoded: list[int] = []
    decode = loader_module.Decoder.__getitem__
    monkeypatch.setattr(
        loader_module.Decoder,
        "__getitem__",
        lambda self, request: decoded.extend(request.indices.tolist()) or decode(self, request),
    )
    parts = [list(data.train.batches(5, seed=1, augment=Crop(), part=Part(rank, 4))) for rank in range(4)]
    assert len(decoded) == (0 if cache == "memory" else len(data.train))
    for step, batch in enumerate(whole):
        rows = torch.cat([part[step].inputs for part in parts])
        assert sorted(map(float, rows.sum((1, 2, 3)))) == sorted(map(float, batch.inputs.sum((1, 2, 3))))


def test_auto_holds_what_is_small(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "IN_MEMORY", 10 * 3 * SIZE**2)
    data = loaded(pictures)
    assert [split.in_memory for split in (data.train, data.validation, data.test)] == [False, True, True]


def test_statistics_of_a_large_set_are_those_of_a_sample(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = loaded(pictures, cache="none").preprocessing
    monkeypatch.setattr(holding_module, "SAMPLE", 12)
    part = loaded(pictures, cache="none").preprocessing
    assert part == loaded(pictures, cache="none", workers=0).preprocessing
    assert part != whole
    assert part.mean == pytest.approx(whole.mean, abs=0.02)


# what goes wrong


@pytest.fixture
def damaged(pictures: Path, tmp_path: Path) -> Path:
    """The same with three bad pictures in train/, of which one is gone."""
    import shutil

    shutil.copytree(pictures, tmp_path / "set")
    (tmp_path / "set/train/ant/03.jpg").write_bytes(b"no picture")
    (tmp_path / "set/train/ant/04.png").write_bytes(b"")
    (tmp_path / "set/train/cat/00.png").unlink()
    (tmp_path / "set/train/cat/00.png").symlink_to("nowhere.png")
    return tmp_path / "set"


def test_an_unreadable_picture_stops_with_its_name(damaged: Path) -> None:
    data = loaded(damaged, cache="none", workers=1, mean=(0.5,), std=(0.2,))
    with pytest.raises(DataError, match=r"cat/00.png: not a readable picture \(No such file or directory\)") as caught:
        list(data.train.batches(99, seed=0))
    assert caught.match(r"remove or replace these \d, or use others in their place: data.on_error: skip")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_or_the_next_one_stands_in_for_it(damaged: Path, cache: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = loaded(damaged, cache=cache, workers=1, on_error="skip", validation=0.1)
    images, classes = seen(data.train)
    assert len(images) == len(data.train) == len(classes)
    told = "".join((*data.notes, capsys.readouterr().err)).replace("\n", " ")
    assert "pictures cannot be read; the next ones of their splits stand in for them: " in told
    assert told.count("(No such file or directory)") <= 1
    other = "memory" if cache == "none" else "none"
    by = {"mean": data.mean, "std": data.std}
    assert equal((images, classes), seen(loaded(damaged, cache=other, on_error="skip", validation=0.1, **by).train))
    capsys.readouterr()
    seen(data.train)
    assert not capsys.readouterr().err  # told once


def test_a_folder_that_is_gone_is_no_accident(damaged: Path) -> None:
    data = loaded(damaged, cache="none", workers=0, on_error="skip")
    damaged.rename(damaged.with_name("moved"))
    with pytest.raises(DataError, match=r"pictures one after the other cannot be read.*is this where the images are"):
        seen(data.train)


def test_a_worker_that_dies_is_a_sentence(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.2)
    data = loaded(pictures, cache="none", workers=2)
    batches = data.train.batches(2, seed=0)
    next(batches)
    assert isinstance(data.train, StreamedSplit)
    live = data.train.loader._live
    for process in live._iterator._workers:  # type: ignore[union-attr]
        os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(DataError, match=r"a process that reads pictures died .*data.workers: found 2"):
        list(batches)
    assert len(seen(data.train)[0]) == len(data.train)  # others take its place


def test_more_workers_than_memory(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_module, "free_memory", lambda: 400 * 2**20)
    data = loaded(pictures, cache="none", workers=8)
    with pytest.raises(DataError, match=r"data.workers: 8 processes with batches of 5 images take .*: at most 2, or"):
        seen(data.train)


def test_more_pictures_than_memory(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "free_memory", lambda: 1000)
    with pytest.raises(DataError, match=r"data.cache: memory: 36 images at 12 pixels .* allowed: disk, or none"):
        loaded(pictures, cache="memory", validation=0.15)
