"""Archives that claim more than they hold: refused with the file's name, in no time and no memory."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nas.data import DataSpec, inspect_data, load_data
from nas.data import archive as archive_module
from nas.errors import DataError

rng = np.random.default_rng(0)


def members(**changes: NDArray[Any] | bytes) -> dict[str, bytes]:
    """The archive's members as bytes, some of them changed."""
    arrays: dict[str, NDArray[Any] | bytes] = {
        "train_images": rng.integers(0, 256, (40, 6, 6), dtype=np.uint8),
        "train_labels": np.arange(40) % 4,
        "test_images": rng.integers(0, 256, (8, 6, 6), dtype=np.uint8),
        "test_labels": np.arange(8) % 4,
        **changes,
    }
    return {name: content if isinstance(content, bytes) else as_npy(content) for name, content in arrays.items()}


def as_npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def header(text: str, content: bytes = bytes(1440)) -> bytes:
    """A .npy file with a header of this text."""
    padded = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + content


def claims(shape: str) -> bytes:
    return header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}")


def write(path: Path, contents: dict[str, bytes]) -> DataSpec:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(f"{name}.npy", content)
    return DataSpec(path=str(path))


LABELS = [
    (np.r_[np.arange(39) % 4, 10**9], "class 4 has no training image, and the greatest label is 1000000000"),
    (np.r_[np.arange(39) % 4, 10**12], "found the label 1000000000000"),
    (np.array([*range(4)] * 9 + [0, 1, 2, 2**64 - 1], np.uint64), "found the label 18446744073709551615"),
    (np.r_[np.arange(39) % 4, -(2**63)], "found the label -9223372036854775808"),
    (np.zeros(40), "one class number per image"),
]


@pytest.mark.parametrize(("labels", "message"), LABELS, ids=[message[-22:] for _, message in LABELS])
def test_labels_out_of_bounds(tmp_path: Path, labels: NDArray[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        inspect_data(write(tmp_path / "set.npz", members(train_labels=labels)))
    short = {"test_labels": labels[-8:]} if message.startswith("found") else {}
    if short:
        with pytest.raises(DataError, match=message):
            load_data(write(tmp_path / "set.npz", members(**short)), image_size=6, seed=0)


IMAGES: list[tuple[NDArray[Any] | bytes, str]] = [
    (np.zeros((40, 0, 0), np.uint8), r"train_images is uint8 of shape \(40, 0, 0\)"),
    (np.zeros((40, 6, 0, 3), np.uint8), r"train_images is uint8 of shape \(40, 6, 0, 3\)"),
    (claims("(1000000000000, 6, 6)"), "claims the shape 1000000000000 x 6 x 6 of uint8, which its 1,440 bytes"),
    (claims("(-40, 6, 6)"), "claims the shape -40 x 6 x 6"),
    (claims("(-40, -6, 6)"), "claims the shape -40 x -6 x 6"),
    (claims("(" + "9" * 60 + ", 6, 6)"), r"claims the shape 9+\.\.\."),
    (claims("()"), "not a readable"),
    (header("(" * 20), "not a readable"),
    (header("[" * 20 + "]" * 20), "not a readable"),
    (header("{'descr': ['|u1'] * 9, 'fortran_order': 1}"), "not a readable"),
    (header("{'descr': '|O', 'fortran_order': False, 'shape': (40, 6, 6), }"), "not a readable"),
    (b"\x93NUMPY\x09\x00", "not a readable"),
    (b"", "not a readable"),
]


@pytest.mark.parametrize(("images", "message"), IMAGES, ids=[message[-30:] for _, message in IMAGES])
def test_headers_that_lie(tmp_path: Path, images: NDArray[Any] | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        inspect_data(write(tmp_path / "set.npz", members(train_images=images)))
    assert "set.npz" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_labels_that_lie(tmp_path: Path) -> None:
    labels = header("{'descr': '<i8', 'fortran_order': False, 'shape': (10000000000000,), }", bytes(320))
    with pytest.raises(DataError, match="train_labels claims the shape"):
        inspect_data(write(tmp_path / "set.npz", members(train_labels=labels)))


def test_an_archive_that_lies_about_the_size_of_its_content(tmp_path: Path) -> None:
    spec = write(tmp_path / "set.npz", members(train_images=claims("(40, 6, 1000000000)")))
    content = bytearray((tmp_path / "set.npz").read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (128 + 40 * 6 * 10**9 & 0xFFFFFFFF).to_bytes(4, "little")
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(DataError, match="not a readable"):
        inspect_data(spec)


def test_more_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = write(tmp_path / "set.npz", members())
    monkeypatch.setattr(archive_module.os, "sysconf", lambda _: 10)
    with pytest.raises(DataError, match=r"train_images takes .* GB, this machine has"):
        inspect_data(spec)


def test_an_encrypted_archive(tmp_path: Path) -> None:
    spec = write(tmp_path / "set.npz", members())
    content = bytearray((tmp_path / "set.npz").read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the bit that says: encrypted
        at = content.find(signature)
        while at >= 0:
            content[at + flags] |= 1
            at = content.find(signature, at + 4)
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"set\.npz: not a readable .npz file \(RuntimeError: .*encrypted"):
        inspect_data(spec)


def test_needles_are_refused_with_the_key(tmp_path: Path) -> None:
    spec = write(tmp_path / "set.npz", members(train_images=np.zeros((40, 1, 60000), np.uint8)))
    with pytest.raises(DataError, match=r"set\.npz: train_images: 60,000 x 1 pixels: too long"):
        load_data(spec, image_size=224, seed=0)


def test_half_a_validation_split_and_unknown_keys(tmp_path: Path) -> None:
    validation = {"val_images": np.zeros((4, 6, 6), np.uint8), "val_labels": np.arange(4)}
    spec = write(tmp_path / "set.npz", members(val_images=validation["val_images"]))
    with pytest.raises(DataError, match="lacks val_labels"):
        inspect_data(spec)
    spec = write(tmp_path / "set.npz", members(**validation, extra_images=np.zeros(3)))
    data = load_data(spec, image_size=6, seed=0)
    assert data.notes == ("set.npz: left out, since no such keys are known: extra_images",)


def test_a_class_that_no_test_image_has(tmp_path: Path) -> None:
    spec = write(tmp_path / "set.npz", members(test_labels=np.arange(8) % 2))
    assert load_data(spec, image_size=6, seed=0).notes == ("test has no image of 2 of the 4 classes: 2, 3",)
