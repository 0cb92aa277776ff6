"""Sets in few large files are the set in class folders: tar archives, Arrow and Parquet files."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from nas.data import Data, DataSpec, index, inspect_data, list_images, load_data, row_groups
from nas.errors import DataError

CLASSES = ("ant", "bee")
Set = Mapping[str, Sequence[tuple[bytes, int]]]
"""Split -> pictures, each with its class."""


def encoded(seed: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (9 + seed % 3, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


@pytest.fixture(scope="module")
def pictures() -> Set:
    return {
        role: [(encoded(base + k), k * len(CLASSES) // count) for k in range(count)]
        for role, count, base in (("train", 12, 0), ("validation", 6, 100))
    }


def as_folders(root: Path, pictures: Set) -> Path:
    for role, some in pictures.items():
        for k, (content, label) in enumerate(some):
            path = root / role / CLASSES[label] / f"{k:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return root


def tar(path: Path, members: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def as_webdataset(root: Path, pictures: Set) -> Path:
    for role, some in pictures.items():
        for number, shard in enumerate((some[:5], some[5:])):
            members: dict[str, bytes] = {}
            for k, (content, label) in enumerate(shard):
                members |= {f"{k:03}.png": content, f"{k:03}.cls": b"%d\n" % label, f"{k:03}.mask.png": b"?"}
            tar(root / f"some-{role}-{number:04}.tar", members)
    return root


def as_class_tars(root: Path, pictures: Set) -> Path:
    for role, some in pictures.items():
        for label, name in enumerate(CLASSES):
            own = {f"x.{k:02}.png": content for k, (content, of) in enumerate(some) if of == label}
            tar(root / role / f"{name}.tar", own)
    return root


def as_folders_in_a_tar(root: Path, pictures: Set) -> Path:
    for role, some in pictures.items():
        tar(root / f"{role}.tar", {f"all/{CLASSES[label]}/{k:02}.png": c for k, (c, label) in enumerate(some)})
    return root


def table(some: Sequence[tuple[bytes, int]], *, named: bool = False) -> pa.Table:
    """As Hugging Face's library lays it out."""
    labels: list[Any] = [CLASSES[label] if named else label for _, label in some]
    columns = {"image": [{"bytes": content, "path": "x.png"} for content, _ in some], "label": labels, "id": labels}
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": list(CLASSES)}}
    made = pa.table(columns)
    return (
        made if named else made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    )


def as_arrow(root: Path, pictures: Set) -> Path:
    for role, some in pictures.items():
        (root / role).mkdir(parents=True)
        (root / role / "state.json").write_text("{}")
        with pa.ipc.new_stream(root / role / "data-00000-of-00001.arrow", table(some).schema) as stream:
            stream.write_table(table(some), max_chunksize=5)
    return root


def as_arrow_file(root: Path, pictures: Set) -> Path:
    root.mkdir()
    for role, some in pictures.items():
        with pa.ipc.new_file(root / f"set-{role}.arrow", table(some, named=True).schema) as stream:
            stream.write_table(table(some, named=True))
    return root


def as_parquet(root: Path, pictures: Set) -> Path:
    (root / "data").mkdir(parents=True)
    (root / "README.md").write_text("?")
    for role, some in pictures.items():
        pq.write_table(table(some), root / "data" / f"{role}-00000-of-00001.parquet", row_group_size=4)
    return root


KINDS = [as_webdataset, as_class_tars, as_folders_in_a_tar, as_arrow, as_arrow_file, as_parquet]
Kind = Callable[[Path, Set], Path]


def loaded(root: Path, **options: Any) -> Data:
    return load_data(replace(DataSpec(path=str(root), validation=0.3), **options), image_size=8, seed=0)


@pytest.fixture
def there(pictures: Set, tmp_path: Path) -> Data:
    return loaded(as_folders(tmp_path / "folders", pictures))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_set_in_folders(pictures: Set, tmp_path: Path, there: Data, kind: Kind) -> None:
    root = kind(tmp_path / "set", pictures)
    held, streamed = loaded(root), loaded(root, cache="none", workers=0)
    assert held.class_names == (("0", "1") if kind is as_webdataset else CLASSES)
    assert held.notes == ()
    for name in ("train", "validation", "test"):
        whole = torch.cat([batch.inputs for batch in getattr(there, name).batches(5)])
        assert torch.equal(getattr(held, name).first(99), getattr(there, name).first(99))
        for data in (held, streamed):
            batches = list(getattr(data, name).batches(5))
            assert torch.equal(torch.cat([batch.inputs for batch in batches]), whole)
            assert torch.equal(
                torch.cat([batch.targets for batch in batches]),
                torch.cat([batch.targets for batch in getattr(there, name).batches(5)]),
            )


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_listed_once_and_travels(pictures: Set, tmp_path: Path, kind: Kind) -> None:
    spec = DataSpec(path=str(kind(tmp_path / "set", pictures)), cache="none", workers=1, validation=0.3)
    listing = list_images(spec)
    assert listing is not None
    (tmp_path / "images.npz").write_bytes(index.packed(listing))
    again = list_images(spec, tmp_path / "images.npz")
    assert again is not None
    assert again.checksum == listing.checksum
    split = load_data(spec, image_size=8, seed=0, listing=again).train
    one, other = (next(iter(some.batches(9, seed=1))).inputs for some in (split, pickle.loads(pickle.dumps(split))))
    assert torch.equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_shard_that_was_cut_short_is_named(pictures: Set, tmp_path: Path, kind: Kind) -> None:
    root = kind(tmp_path / "set", pictures)
    shard = max(root.rglob("*.*"), key=lambda path: path.stat().st_size)
    whole = shard.read_bytes()
    end = -(-len(whole.rstrip(b"\0")) // 512) * 512 if shard.suffix == ".tar" else len(whole) - 9
    for size in (len(whole) // 2, end, 10):
        shard.write_bytes(whole[:size])
        with pytest.raises(DataError, match=rf"{shard.name}: cut short.* fetch it again"):
            inspect_data(DataSpec(path=str(root)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_shard_that_changes_while_it_is_read_is_named(pictures: Set, tmp_path: Path, kind: Kind) -> None:
    root = kind(tmp_path / "set", pictures)
    data = loaded(root, cache="none", workers=0, mean=(0.5,), std=(0.2,))
    for shard in [path for path in root.rglob("*.*") if path.suffix in (".tar", ".arrow", ".parquet")]:
        shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"not a readable picture \(changed: [\d,]+ bytes, where [\d,]+ were listed"):
        next(data.train.batches(3))


def test_one_shard_is_a_set(pictures: Set, tmp_path: Path) -> None:
    root = as_parquet(tmp_path / "set", pictures) / "data"
    data = loaded(root / "train-00000-of-00001.parquet")
    assert len(data.train) + len(data.validation) + len(data.test) == 12


def test_a_row_group_is_read_once_for_pictures_in_order(pictures: Set, tmp_path: Path) -> None:
    root = as_parquet(tmp_path / "set", pictures)
    row_groups._pictures.cache_clear()
    loaded(root, workers=0)
    assert row_groups._pictures.cache_info().misses <= 3 + 3 + 2  # of train, of what is carved from it, of test


def test_pictures_that_cannot_be_read_are_counted(pictures: Set, tmp_path: Path) -> None:
    bad = {**pictures, "train": [(b"no picture", 0), *pictures["train"]]}
    for kind in (as_webdataset, as_parquet):
        root = kind(tmp_path / kind.__name__, bad)
        with pytest.raises(DataError, match=r"(000\.png|row 0): not a readable picture \(damaged"):
            loaded(root)
        assert "1 picture cannot be read" in loaded(root, on_error="skip").notes[0]


LABELS = [
    ({"a.png": b"", "a.cls": b"-1", "b.png": b"", "b.cls": b"1"}, "label|class"),
    ({"a.png": b"", "a.cls": b"0", "b.png": b""}, r"b\.png has no \.cls beside it; needed: the number of its class"),
    ({"a.png": b"", "a.cls": b"cat", "b.png": b""}, r"a\.png has 'cat' in its \.cls"),
    ({"a.png": b"", "a.cls": b"0", "b.png": b"", "b.cls": b"5"}, "class 1 has no training image"),
    ({"a.png": b"", "b.png": b""}, r"have no classes; needed: a number in a \.cls"),
    ({"a.txt": b"?"}, "have no classes"),
]


@pytest.mark.parametrize(("members", "message"), LABELS)
def test_archives_without_proper_classes(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    tar(tmp_path / "set" / "train.tar", members)
    with pytest.raises(DataError, match=message):
        inspect_data(DataSpec(path=str(tmp_path / "set")))


def test_a_label_out_of_range_is_named(pictures: Set, tmp_path: Path) -> None:
    bad = {**pictures, "validation": [(encoded(7), 4)]}
    for kind in (as_webdataset, as_arrow, as_parquet):
        with pytest.raises(DataError, match="test has the label 4; its classes are 0 to 1"):
            loaded(kind(tmp_path / kind.__name__, bad))


def test_a_test_split_whose_labels_were_kept_back_is_left_out(pictures: Set, tmp_path: Path) -> None:
    data = loaded(as_parquet(tmp_path / "set", {**pictures, "test": [(encoded(8), -1)] * 3}))
    assert len(data.test) == 6
    assert data.notes == ("set: left out, since its labels are kept back: test",)


def test_which_column_is_meant(pictures: Set, tmp_path: Path) -> None:
    some = table(pictures["train"]).replace_schema_metadata(None).rename_columns(["picture", "coarse", "fine"])
    (tmp_path / "set").mkdir()
    pq.write_table(some, tmp_path / "set" / "train.parquet")
    with pytest.raises(DataError, match=r"column of classes \(data\.target_key: NAME\): several; found: coarse, fine"):
        loaded(tmp_path / "set")
    assert loaded(tmp_path / "set", target_key="coarse").classes == 2
    with pytest.raises(DataError, match=r"data\.target_key: none_such: none; found: picture \(struct.*, coarse"):
        loaded(tmp_path / "set", target_key="none_such")
    elsewhere = pa.table({"image": [{"bytes": None, "path": "x.png"}] * 20, "label": [0, 1] * 10})
    elsewhere = elsewhere.cast(pa.schema([("image", some.schema.field("picture").type), ("label", pa.int64())]))
    pq.write_table(elsewhere, tmp_path / "set" / "train.parquet")
    with pytest.raises(DataError, match="its row holds no bytes"):
        loaded(tmp_path / "set", validation=0.5)


def test_keys_that_nothing_reads(pictures: Set, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.val_labels: not read with shards"):
        loaded(as_webdataset(tmp_path / "tars", pictures), val_labels="x.txt")
    with pytest.raises(DataError, match=r"data\.target_key: not read with \.tar"):
        loaded(tmp_path / "tars", target_key="label")
    with pytest.raises(DataError, match=r"data\.target_key: not read with class folders"):
        loaded(as_folders(tmp_path / "folders", pictures), target_key="label")


def test_archives_beside_class_folders_are_no_set(pictures: Set, tmp_path: Path) -> None:
    root = as_folders(tmp_path / "set", pictures)
    tar(root / "train.tar", {"a.png": b""})
    assert loaded(root).class_names == CLASSES


def test_a_shard_of_no_split_is_a_question(pictures: Set, tmp_path: Path) -> None:
    root = as_webdataset(tmp_path / "set", pictures)
    tar(root / "extra.tar", {"a.png": b""})
    with pytest.raises(DataError, match=r"which split is extra\.tar\? .* rename it, or move it away"):
        loaded(root)
