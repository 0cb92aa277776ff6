"""Annotated pictures in the layout of Pascal VOC."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from nas.data import DataSpec, list_images
from nas.data.images import Encoded
from nas.data.reading import read
from nas.errors import DataError

OBJECT = "<object><name>{}</name>{}<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>{}</xmax><ymax>6</ymax></bndbox></object>"


def xml(*objects: str, before: str = "") -> str:
    size = "<size><width>16</width><height>12</height><depth>3</depth></size>"
    return f"{before}<annotation><filename>x.jpg</filename>{size}{''.join(objects)}</annotation>"


def voc_set(root: Path, **files: str) -> Path:
    """Each file has a picture; a is to train on, b for the test."""
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for name, text in {"a": xml(OBJECT.format("dog", "", 9), OBJECT.format("cat", "", 8)), "b": xml(), **files}.items():
        (root / "Annotations" / f"{name}.xml").write_text(text)
        Image.new("RGB", (16, 12)).save(root / "JPEGImages" / f"{name}.jpg")
    (root / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    (root / "ImageSets" / "Main" / "val.txt").write_text("b  -1\n")
    return root


def test_files_become_columns(tmp_path: Path) -> None:
    difficult = "<difficult>1</difficult><part><name>head</name></part>"
    root = voc_set(tmp_path / "set", b=xml(OBJECT.format("dog", difficult, 99)))
    source = read(DataSpec(path=str(root)))
    assert source.classes == ("cat", "dog")
    assert source.test is not None
    for split, labels, boxes, crowd in (
        (source.train, [1, 0], [[1, 2, 9, 6], [1, 2, 8, 6]], [False, False]),
        (source.test, [1], [[1, 2, 16, 6]], [True]),
    ):
        assert split.objects is not None
        assert split.objects.labels.tolist() == labels
        assert split.objects.boxes.tolist() == boxes
        assert split.objects.crowd.tolist() == crowd


def test_without_lists_all_are_training_pictures(tmp_path: Path) -> None:
    root = voc_set(tmp_path / "set")
    for name in ("train.txt", "val.txt"):
        (root / "ImageSets" / "Main" / name).unlink()
    listing = list_images(DataSpec(path=str(root)))
    assert listing is not None
    assert [len(entries) for entries in listing.splits.values()] == [2]


def test_a_set_lies_where_torchvision_has_it(tmp_path: Path) -> None:
    voc_set(tmp_path / "VOCdevkit" / "VOC2007")
    spec = DataSpec(path=str(tmp_path))
    listing, source = list_images(spec), read(spec)
    assert listing is not None
    assert list(listing.splits) == ["train", "test"]
    assert (source.name, source.classes) == ("VOC2007", ("cat", "dog"))
    assert isinstance(source.train.images, Encoded)
    assert source.train.images.picture(0).size == (16, 12)
    voc_set(tmp_path / "VOCdevkit" / "VOC2012")
    with pytest.raises(DataError, match=r"found VOC2007, VOC2012 in VOCdevkit; say which: data\.path: .*VOC2012"):
        list_images(spec)


ENTITY = '<!DOCTYPE annotation [<!ENTITY a "dog">]>'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (xml(OBJECT.format("&a;", "", 9), before=ENTITY), "a.xml: a document type is declared in it"),
        (xml(OBJECT.format("dog", "", "nan")), "a.xml: object 0: xmax is 'nan'; needed: a number"),
        (xml("<object></object>"), "a.xml: object 0 has no name"),
        ("<annotation></annotation>", "a.xml: size: height is ''; needed: a number"),
        ("<annotation>", r"a.xml: no XML \("),
        (xml(), "none of the training pictures has an object"),
    ],
)
def test_what_is_damaged_is_named(text: str, words: str, tmp_path: Path) -> None:
    root = voc_set(tmp_path / "set", a=text)
    with pytest.raises(DataError, match=words):
        list_images(DataSpec(path=str(root)))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    root = voc_set(tmp_path / "set")
    (root / "JPEGImages" / "b.jpg").unlink()
    with pytest.raises(DataError, match=r"b.xml: there is no picture b in JPEGImages"):
        list_images(DataSpec(path=str(root)))
    (root / "ImageSets" / "Main" / "val.txt").write_text("../b\n")
    with pytest.raises(DataError, match=r"a picture called '../b'; allowed: names without folders"):
        list_images(DataSpec(path=str(root)))
    other = voc_set(tmp_path / "other", b=xml(OBJECT.format("bee", "", 9)))
    with pytest.raises(DataError, match="an object of the class 'bee', which no training picture has"):
        list_images(DataSpec(path=str(other)))
