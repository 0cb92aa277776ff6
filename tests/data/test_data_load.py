"""Data sets, from their files to three splits, and everything that can be wrong with them."""

from __future__ import annotations

import gzip
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from nas.data import DataSpec, Split, inspect_data, load_data
from nas.data.readers import vision
from nas.errors import DataError
from nas.tasks import Facts

rng = np.random.default_rng(0)


def classes_of(split: Split) -> Tensor:
    assert isinstance(split.targets, Tensor)
    return split.targets


def pixels(n: int, *shape: int) -> NDArray[np.uint8]:
    return rng.integers(0, 256, (n, *shape), dtype=np.uint8)


def arrays(colour: bool = True, side: int = 6) -> dict[str, NDArray[Any]]:
    shape = (side, side, 3) if colour else (side, side)
    return {
        "train_images": pixels(40, *shape),
        "train_labels": np.arange(40)[:, None] % 4,
        "test_images": pixels(8, *shape),
        "test_labels": np.arange(8) % 4,
    }


def npz(path: Path, **content: NDArray[Any]) -> DataSpec:
    np.savez(path, **content)  # type: ignore[arg-type]
    return DataSpec(path=str(path))


# digits


def test_digits() -> None:
    assert inspect_data(DataSpec(name="digits")) == Facts(1, 10, 8)
    data = load_data(DataSpec(name="digits"), image_size=8, seed=0)
    assert (len(data.train), len(data.validation), len(data.test)) == (1222, 216, 359)
    assert (data.classes, data.channels, data.image_size, data.name) == (10, 1, 8, "digits")
    assert data.train.images.dtype == torch.uint8
    assert (int(data.train.images.min()), int(data.train.images.max())) == (0, 255)
    normalised = data.train.normalised(data.train.images)
    assert float(normalised.mean()) == pytest.approx(0, abs=1e-5)
    assert float(normalised.std(correction=0)) == pytest.approx(1, abs=1e-5)
    assert data.mean == data.test.preprocessing.mean


def test_the_test_split_never_depends_on_the_seed_and_meets_no_other() -> None:
    one, two = (load_data(DataSpec(name="digits", validation=0.3), image_size=8, seed=seed) for seed in (0, 1))
    assert torch.equal(one.test.images, two.test.images)
    assert not torch.equal(classes_of(one.validation), classes_of(two.validation))
    again = load_data(DataSpec(name="digits", validation=0.3), image_size=8, seed=1)
    assert torch.equal(two.validation.images, again.validation.images)
    every = torch.cat([one.train.images, one.validation.images, one.test.images]).flatten(1)
    assert len(every) == 1797
    assert len(torch.unique(every, dim=0)) == 1797
    assert torch.bincount(classes_of(one.validation)).min() > 35


def test_train_images_draws_before_validation_is_carved() -> None:
    data = load_data(DataSpec(name="digits", train_images=200, validation=0.25), image_size=8, seed=0)
    assert (len(data.train), len(data.validation), len(data.test)) == (150, 50, 359)
    assert torch.bincount(classes_of(data.train)).min() >= 13
    with pytest.raises(DataError, match="2000 asked, digits has 1438"):
        load_data(DataSpec(name="digits", train_images=2000), image_size=8, seed=0)


# .npz


def test_npz_colour_resized(tmp_path: Path) -> None:
    spec = npz(tmp_path / "set.npz", **arrays())
    assert inspect_data(spec) == Facts(3, 4, 6)
    data = load_data(spec, image_size=12, seed=0)
    assert data.train.images.shape == (34, 3, 12, 12)
    assert data.test.images.shape == (8, 3, 12, 12)
    assert classes_of(data.train).dtype == torch.int64
    assert data.name == "set"


def test_npz_pixels_and_labels_arrive_unchanged(tmp_path: Path) -> None:
    content = arrays()
    data = load_data(npz(tmp_path / "set.npz", **content), image_size=6, seed=0)
    assert np.array_equal(data.test.images.permute(0, 2, 3, 1).numpy(), content["test_images"])
    assert classes_of(data.test).tolist() == content["test_labels"].tolist()
    known = {
        image.tobytes(): label for image, label in zip(content["train_images"], content["train_labels"], strict=True)
    }
    for split in (data.train, data.validation):
        for image, label in zip(split.images, classes_of(split), strict=True):
            assert known[image.permute(1, 2, 0).contiguous().numpy().tobytes()] == label


def test_npz_grey_with_its_own_validation(tmp_path: Path) -> None:
    content = arrays(colour=False) | {"val_images": pixels(12, 6, 6), "val_labels": np.arange(12) % 4}
    spec = npz(tmp_path / "set.npz", **content)
    assert inspect_data(spec) == Facts(1, 4, 6)
    data = load_data(spec, image_size=6, seed=0)
    assert (len(data.train), len(data.validation)) == (40, 12)
    assert np.array_equal(data.validation.images[:, 0].numpy(), content["val_images"])


def test_images_that_are_not_square_keep_their_middle(tmp_path: Path) -> None:
    content = arrays(colour=False)
    wide = np.zeros((40, 4, 10), np.uint8)
    wide[:, :, 3:7] = 200
    spec = npz(tmp_path / "set.npz", **content | {"train_images": wide})
    assert inspect_data(spec) == Facts(1, 4, None)
    data = load_data(spec, image_size=4, seed=0)
    assert torch.all(data.train.images == 200)
    assert data.train.preprocessing.std == (1.0,)  # one value only: shifted, not divided by zero


FAULTY: list[tuple[dict[str, Any], str]] = [
    ({"train_images": None}, "lacks train_images; found: test_images, test_labels, train_labels"),
    ({"train_images": np.zeros((40, 6, 6, 3), np.float32)}, "train_images is float32.*needed: uint8"),
    ({"train_images": np.zeros((40, 6, 6, 5), np.uint8)}, "train_images is uint8 of shape"),
    ({"train_labels": np.zeros(39, int)}, "39 labels for 40 images"),
    ({"train_labels": np.zeros((40, 14), int)}, "one class number per image"),
    ({"train_labels": np.zeros(40, int)}, "one class only"),
    ({"train_labels": np.arange(40) % 4 - 1}, "found the label -1"),
    ({"train_labels": np.arange(40) % 4 * 2}, "class 1 has no training image"),
    ({"test_labels": np.arange(8)}, "test has the label 7; its classes are 0 to 3"),
    ({"test_images": np.zeros((8, 6, 6), np.uint8)}, "test has 1 channels, train has 3"),
    ({"train_images": np.zeros((0, 6, 6, 3), np.uint8), "train_labels": np.zeros(0, int)}, "no images"),
]


@pytest.mark.parametrize(("change", "message"), FAULTY, ids=[message[:20] for _, message in FAULTY])
def test_npz_faults_name_the_file_and_what_is_needed(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    content = {key: value for key, value in (arrays() | change).items() if value is not None}
    with pytest.raises(DataError, match=message) as caught:
        load_data(npz(tmp_path / "set.npz", **content), image_size=6, seed=0)
    assert "set" in str(caught.value)


def test_npz_truncated_foreign_or_pickled(tmp_path: Path) -> None:
    spec = npz(tmp_path / "set.npz", **arrays())
    path = Path(str(spec.path))
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"no archive", b"", whole[:-30]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"set\.npz: not a readable"):
            inspect_data(spec)
    with pytest.raises(DataError, match="not a readable"):
        inspect_data(npz(path, **arrays() | {"train_labels": np.array([{}] * 40, dtype=object)}))


def test_npz_with_damaged_pixels(tmp_path: Path) -> None:
    spec = npz(tmp_path / "set.npz", **arrays())
    path = Path(str(spec.path))
    content = bytearray(path.read_bytes())
    place = content.find(b"train_images") + 400
    content[place : place + 50] = bytes(50)
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a readable"):
        load_data(spec, image_size=6, seed=0)


# folders


def class_folder(path: Path, counts: dict[str, int], size: tuple[int, int] = (10, 8)) -> None:
    for place, (name, count) in enumerate(counts.items()):
        (path / name).mkdir(parents=True)
        for k in range(count):
            picture = np.full((size[1], size[0], 3), 20 * place + 10, np.uint8)
            Image.fromarray(picture).save(path / name / f"{k}.png")


def test_folder_of_class_folders_is_split_by_us(tmp_path: Path) -> None:
    class_folder(tmp_path, {"cat": 20, "dog": 30})
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    spec = DataSpec(path=str(tmp_path))
    assert inspect_data(spec) == Facts(3, 2, None)
    data = load_data(spec, image_size=6, seed=0)
    assert (len(data.train), len(data.validation), len(data.test)) == (34, 6, 10)
    assert data.class_names == ("cat", "dog")
    for split in (data.train, data.validation, data.test):
        assert torch.equal(split.images[:, 0, 0, 0], (classes_of(split) * 20 + 10).to(torch.uint8))
        assert split.images.shape[1:] == (3, 6, 6)


@pytest.mark.parametrize(
    ("parts", "validation", "test"),
    [(("train", "test"), 3, 6), (("train", "val"), 3, 6), (("train", "val", "test"), 6, 8)],
)
def test_folder_with_splits(tmp_path: Path, parts: tuple[str, ...], validation: int, test: int) -> None:
    for place, part in enumerate(parts):
        class_folder(
            tmp_path / part,
            {"cat": 10 if part == "train" else 2 + place, "dog": 10 if part == "train" else 2 + place},
            (8, 8),
        )
    spec = DataSpec(path=str(tmp_path))
    assert inspect_data(spec).image_size == 8
    data = load_data(spec, image_size=8, seed=0)
    assert (len(data.validation), len(data.test)) == (validation, test)


def test_folder_faults(tmp_path: Path) -> None:
    class_folder(tmp_path / "train", {"cat": 10, "dog": 10})
    with pytest.raises(DataError, match="train/ without test/ or val/"):
        inspect_data(DataSpec(path=str(tmp_path)))
    class_folder(tmp_path / "test", {"cat": 2, "cow": 2})
    with pytest.raises(DataError, match="class folders that train/ lacks: cow"):
        inspect_data(DataSpec(path=str(tmp_path)))
    shutil.rmtree(tmp_path / "test")
    class_folder(tmp_path / "test", {"cat": 2, "dog": 2})
    broken = tmp_path / "test" / "dog" / "1.png"
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(DataError, match=r"1\.png: not a readable picture"):
        load_data(DataSpec(path=str(tmp_path)), image_size=8, seed=0)
    with pytest.raises(DataError, match="found 0 class folders"):
        inspect_data(DataSpec(path=str(tmp_path / "test" / "dog")))


def test_a_large_set_goes_to_a_mapped_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = npz(tmp_path / "set.npz", **arrays())
    small = load_data(spec, image_size=9, seed=0)
    spec = replace(spec, cache="disk")
    mapped = load_data(spec, image_size=9, seed=0)
    assert torch.equal(small.train.images, mapped.train.images)
    assert small.mean == mapped.mean
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(DataError, match="set TMPDIR to a larger disk"):
        load_data(spec, image_size=9, seed=0)


# torchvision


def idx(path: Path, array: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    )


def test_torchvision_set_of_arrays(tmp_path: Path) -> None:
    images, labels = pixels(60, 28, 28), (np.arange(60) % 10).astype(np.uint8)
    for part in ("train", "t10k"):
        idx(tmp_path / "FashionMNIST" / "raw" / f"{part}-images-idx3-ubyte", images)
        idx(tmp_path / "FashionMNIST" / "raw" / f"{part}-labels-idx1-ubyte", labels)
    spec = DataSpec(name="fashionmnist", path=str(tmp_path), validation=0.3)
    assert inspect_data(spec) == Facts(1, 10, 28)
    data = load_data(spec, image_size=28, seed=0)
    assert np.array_equal(data.test.images[:, 0].numpy(), images)
    assert (len(data.train), len(data.validation), data.name) == (42, 18, "fashionmnist")


def test_torchvision_set_of_pictures(tmp_path: Path) -> None:
    class_folder(tmp_path / "eurosat" / "2750", dict.fromkeys("abcdefghij", 12), (64, 64))
    spec = DataSpec(name="eurosat", path=str(tmp_path))
    assert inspect_data(spec) == Facts(3, 10, 64)
    data = load_data(spec, image_size=16, seed=0)
    assert torch.equal(data.test.images[:, 0, 0, 0], (classes_of(data.test) * 20 + 10).to(torch.uint8))


@pytest.mark.parametrize("name", sorted(vision.SETS))
def test_torchvision_missing_files_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="nothing is downloaded") as caught:
        inspect_data(DataSpec(name=name, path=str(tmp_path)))
    assert str(tmp_path / vision.SETS[name].lies_in) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_torchvision_truncated(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    for part in ("train", "t10k"):
        idx(raw / f"{part}-images-idx3-ubyte", pixels(20, 28, 28))
        idx(raw / f"{part}-labels-idx1-ubyte", (np.arange(20) % 10).astype(np.uint8))
    (raw / "train-images-idx3-ubyte").write_bytes(gzip.compress(b"foreign"))
    with pytest.raises(DataError, match="mnist"):
        inspect_data(DataSpec(name="mnist", path=str(tmp_path)))


# the spec itself


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (DataSpec(), "data.path: missing"),
        (DataSpec(name="cifar10"), "the folder that holds its files"),
        (DataSpec(name="cifar11", path="."), "did you mean 'cifar10'"),
        (DataSpec(path="no/such/place"), "does not exist"),
        (DataSpec(path=__file__), "neither a folder nor a file that ends with .npz"),
    ],
)
def test_faults_of_the_spec(spec: DataSpec, message: str) -> None:
    for look in (inspect_data, lambda spec: load_data(spec, image_size=8, seed=0)):
        with pytest.raises(DataError, match=message):
            look(spec)


@pytest.mark.parametrize(
    "content", [{"validaton": 0.1}, {"validation": 1.0}, {"image_size": 0}, {"train_images": "all"}]
)
def test_yaml_content_is_checked_strictly(content: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(content))):
        TypeAdapter(DataSpec).validate_python({"name": "digits", **content})


def test_validation_too_small_for_its_classes() -> None:
    with pytest.raises(DataError, match=r"data\.validation = 0\.001"):
        load_data(DataSpec(name="digits", validation=0.001), image_size=8, seed=0)
