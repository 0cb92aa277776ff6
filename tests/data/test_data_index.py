"""A set of pictures is listed once; the list is kept in a file, which is believed only as far as it holds together."""

from __future__ import annotations

import io
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from nas.data import DataSpec, Listing, index, list_images, load_data
from nas.data.listing import PackedNames
from nas.data.readers._walk import Walk
from nas.errors import DataError

rng = np.random.default_rng(0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for role, count in (("train", 6), ("val", 3)):
        for name in "ab":
            (tmp_path / "set" / role / name / "deep").mkdir(parents=True)
            for k in range(count):
                picture = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
                picture.save(tmp_path / "set" / role / name / ("deep" if k % 2 else "") / f"{k}.png")
    return tmp_path / "set"


def listed(root: Path, kept: Path | None = None, **options: Any) -> Listing:
    listing = list_images(DataSpec(path=str(root), **options), kept)
    assert listing is not None
    return listing


@pytest.fixture
def kept(root: Path, tmp_path: Path) -> Path:
    (tmp_path / "images.npz").write_bytes(index.packed(listed(root)))
    return tmp_path / "images.npz"


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were looked into."""
    folders, files = list[str](), Walk.files
    monkeypatch.setattr(Walk, "files", lambda self, at, **options: folders.append(at) or files(self, at, **options))
    return folders


def test_what_is_kept_is_what_was_listed(root: Path, kept: Path) -> None:
    before, after = listed(root), index.read(kept)
    assert (before.kind, before.classes, before.containers) == (after.kind, after.classes, after.containers)
    assert before.checksum == after.checksum
    spec = DataSpec(path=str(root), cache="none", workers=0, validation=0.3)
    data, again = (load_data(spec, image_size=8, seed=0, listing=listing) for listing in (before, after))
    for split in ("train", "validation", "test"):
        assert torch.equal(getattr(data, split).first(9), getattr(again, split).first(9))


def test_a_second_start_lists_nothing(root: Path, kept: Path, walks: list[str]) -> None:
    assert listed(root, kept).is_of(root)
    assert not walks
    assert listed(root, kept, classes="train")
    assert "train/a" in walks  # asked otherwise


@pytest.mark.parametrize("change", ["new", "gone", "renamed", "class"])
def test_a_change_is_seen_and_said(root: Path, kept: Path, change: str) -> None:
    picture = root / "train" / "a" / "deep" / "1.png"
    if change == "new":
        shutil.copy(picture, root / "val" / "b" / "9.png")
    elif change == "gone":
        picture.unlink()
    elif change == "renamed":
        picture.rename(picture.with_name("10.png"))
    else:
        for role in ("train", "val"):
            shutil.copytree(root / role / "b", root / role / "c")
    before, after = index.read(kept), listed(root, kept)
    assert before.checksum != after.checksum
    assert (
        before.differences(after)
        == {
            "new": "1 new (val/b/9.png)",
            "gone": "1 gone (train/a/deep/1.png)",
            "renamed": "1 gone (train/a/deep/1.png); 1 new (train/a/deep/10.png)",
            "class": "9 new (train/c/0.png, train/c/2.png, train/c/4.png, train/c/deep/1.png, train/c/deep/3.png, ...)",
        }[change]
    )


def test_the_same_set_elsewhere_is_the_same(root: Path, kept: Path, walks: list[str]) -> None:
    shutil.copytree(root, root.with_name("copy"))
    (root.with_name("copy") / "train" / "a" / "notes.txt").write_text("?")
    after = listed(root.with_name("copy"), kept)
    assert walks
    assert after.checksum == index.read(kept).checksum
    assert index.read(kept).differences(after) == ""


def test_a_picture_that_was_replaced_is_named(root: Path, kept: Path) -> None:
    listing = listed(root, kept)
    Image.new("RGB", (8, 8)).save(root / "train" / "b" / "2.png")
    assert listing.is_of(root)  # which no folder tells
    with pytest.raises(DataError, match=r"b/2\.png: not a readable picture \(changed: \d+ bytes, where \d+ were liste"):
        load_data(DataSpec(path=str(root), validation=0.3), image_size=8, seed=0, listing=listing)


def test_names_are_no_objects() -> None:
    texts = ["a", "", "n01440764/\xe9.JPEG", os.fsdecode(b"caf\xe9.png")]
    names = pickle.loads(pickle.dumps(PackedNames.of(texts)))
    assert names.all() == [names[k] for k in range(len(names))] == texts
    assert PackedNames.of([]).all() == []


def changed(kept: Path, **arrays: Any) -> None:
    with np.load(kept) as archive:
        content = {key: archive[key] for key in archive.files}
    file = io.BytesIO()
    np.savez_compressed(file, **{**content, **{key: change(content[key]) for key, change in arrays.items()}})
    kept.write_bytes(file.getvalue())


def renamed(array: NDArray[np.uint8], first: str) -> NDArray[np.uint8]:
    """Packed names, the first of which is another."""
    return PackedNames.of([first, *PackedNames(array).all()[1:]]).content


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ({"label": lambda array: array + 2}, "label"),
        ({"label": lambda array: array.astype(np.int64)}, "label"),
        ({"label": lambda array: array[1:]}, "columns of different lengths"),
        ({"label": lambda array: 1 - array}, "checksum"),
        ({"container": lambda array: array + 99}, "container"),
        ({"split": lambda array: array[::-1].copy()}, "split"),
        ({"split": lambda array: array + 1}, "split"),
        ({"changed": lambda array: array[:-1]}, "containers"),
        (
            {"containers": lambda array: renamed(array, "../x")},
            "leads out of the set",
        ),
        (
            {"containers": lambda array: renamed(array, "/etc")},
            "leads out of the set",
        ),
        ({"names": lambda array: renamed(array, "../../x")}, "a name"),
        ({"about": lambda array: array[1:]}, "()"),
    ],
)
def test_an_index_that_does_not_hold_together_is_refused(kept: Path, arrays: dict[str, Any], what: str) -> None:
    changed(kept, **arrays)
    with pytest.raises(DataError, match=r"images\.npz: no list of pictures, or damaged \(") as caught:
        index.read(kept)
    assert what in str(caught.value)


def test_an_index_that_is_none(kept: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(kept, about=lambda array: np.array([open], object))
    with pytest.raises(DataError, match=r"images\.npz"):
        index.read(kept)
    kept.write_bytes(kept.read_bytes()[:500])
    with pytest.raises(DataError, match=r"images\.npz: not a readable"):
        index.read(kept)
    assert listed(root, kept).checksum == listed(root).checksum  # as if there were none
    monkeypatch.setattr(index, "LARGEST", 100)
    with pytest.raises(DataError, match=r"images\.npz: no list of pictures: it has more than 100 bytes"):
        index.read(kept)
    with pytest.raises(DataError, match=r"cannot be read \(No such file"):
        index.read(kept.with_name("none.npz"))
