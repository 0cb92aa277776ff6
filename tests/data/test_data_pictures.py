"""Single pictures: every depth and colour that files have is read right, or refused by the file's name."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nas.data import DataSpec, inspect_data, load_data
from nas.data import images as images_module
from nas.data.decoding import ENDINGS, opened, rgb
from nas.data.resizing import Resizing
from nas.errors import DataError

RAMP = np.arange(256, dtype=np.uint16).reshape(16, 16)


def tiff(path: Path, values: NDArray[Any], *, bits: int, photometric: int = 1) -> None:
    """An uncompressed grey TIFF of 16-bit words, or of 12-bit pairs packed into three bytes."""
    if bits == 12:
        high, low = values.reshape(-1, 2).T.astype(int)
        pixels = np.stack([high >> 4, (high & 15) << 4 | low >> 8, low & 255], 1).astype(np.uint8).tobytes()
    else:
        pixels = values.astype("<u2").tobytes()
    height, width = values.shape
    tags = [
        (256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, height),
        (279, len(pixels)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory + bytes(4))


def grey(path: Path) -> NDArray[np.uint8]:
    with opened(path) as picture:
        pixels = np.array(rgb(picture))
    assert np.array_equal(pixels[..., 0], pixels[..., 2])
    return pixels[..., 0]


@pytest.mark.parametrize("name", ["png", "tif"])
def test_sixteen_bits_of_grey_are_scaled(tmp_path: Path, name: str) -> None:
    Image.fromarray(RAMP * 257).save(tmp_path / f"deep.{name}")
    assert np.array_equal(grey(tmp_path / f"deep.{name}"), RAMP)


def test_a_portable_grey_map_of_sixteen_and_of_ten_bits(tmp_path: Path) -> None:
    for most in (65535, 1023):
        values = (RAMP.astype(int) * most // 255).astype(">u2")
        (tmp_path / "deep.pgm").write_bytes(f"P5 16 16 {most}\n".encode() + values.tobytes())
        assert np.abs(grey(tmp_path / "deep.pgm").astype(int) - RAMP).max() <= 1


def test_tiff_of_twelve_bits_and_with_white_as_zero(tmp_path: Path) -> None:
    tiff(tmp_path / "12.tif", RAMP * 16, bits=12)
    assert np.array_equal(grey(tmp_path / "12.tif"), RAMP)
    tiff(tmp_path / "white.tif", RAMP * 257, bits=16, photometric=0)
    assert np.array_equal(grey(tmp_path / "white.tif"), 255 - RAMP)


@pytest.mark.parametrize("values", [np.full((4, 4), 0.5, np.float32), np.full((4, 4), 70000, np.int32)])
def test_floats_and_32_bits_are_refused(tmp_path: Path, values: NDArray[Any]) -> None:
    Image.fromarray(values).save(tmp_path / "odd.tif")
    with opened(tmp_path / "odd.tif") as picture, pytest.raises(DataError, match=r"of unknown range; save it with 8"):
        rgb(picture)


def colours(path: Path) -> list[tuple[int, ...]]:
    with opened(path) as picture:
        return [tuple(pixel) for pixel in np.array(rgb(picture)).reshape(-1, 3).tolist()]


def test_palette_with_transparency(tmp_path: Path) -> None:
    picture = Image.new("P", (3, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255, 0, 255, 0])
    picture.putdata([0, 1, 2])
    picture.save(tmp_path / "indices.png", transparency=bytes([255, 0, 255]))
    picture.save(tmp_path / "indices.gif", transparency=1)
    for name in ("indices.png", "indices.gif"):
        assert colours(tmp_path / name) == [(255, 0, 0), (255, 255, 255), (0, 255, 0)]


def test_transparency_of_any_mode_lies_on_white(tmp_path: Path) -> None:
    rgba = Image.new("RGBA", (2, 1), (10, 20, 30, 255))
    rgba.putpixel((1, 0), (0, 0, 0, 0))
    rgba.save(tmp_path / "colour.png")
    assert colours(tmp_path / "colour.png") == [(10, 20, 30), (255, 255, 255)]
    rgba.convert("LA").save(tmp_path / "grey.png")
    assert colours(tmp_path / "grey.png")[1] == (255, 255, 255)
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "key.png", transparency=(1, 2, 3))
    assert colours(tmp_path / "key.png") == [(255, 255, 255)]


@pytest.mark.parametrize("name", ["ink.jpg", "ink.tif"])
def test_cmyk(tmp_path: Path, name: str) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / name)
    assert np.abs(np.array(colours(tmp_path / name)) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("name", ["turned.jpg", "turned.png", "turned.tif", "turned.webp"])
def test_the_camera_was_turned(tmp_path: Path, name: str) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:, :16] = 255  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    options = {"lossless": True} if name.endswith("webp") else {}
    Image.fromarray(np.rot90(upright).copy()).save(tmp_path / name, exif=exif, **options)
    with opened(tmp_path / name) as picture:
        pixels = np.array(rgb(picture))
    assert pixels.shape == (16, 32, 3)
    assert pixels[:, :12].mean() > 250
    assert pixels[:, 20:].mean() < 5


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_costs_no_picture(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert len(colours(tmp_path / "a.jpg")) == 64


def test_only_formats_that_run_nothing_are_opened(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n")
    with pytest.raises(OSError, match="cannot identify"):
        opened(tmp_path / "a.jpg")
    assert {".jfif", ".jpg", ".png", ".tif", ".webp", ".gif", ".bmp", ".ppm"} <= ENDINGS
    assert not {".eps", ".ps", ".pdf", ".wmf", ".h5", ".mpg"} & ENDINGS


# in folders


def tree(path: Path, picture: Image.Image, name: str = "0.png", count: int = 12) -> None:
    for part in ("train", "test"):
        for kind in "ab":
            (path / part / kind).mkdir(parents=True)
            for k in range(count):
                picture.save(path / part / kind / name.replace("0", str(k)))


def huge_png() -> bytes:
    """A grey picture of 14,000 x 14,000 pixels in 1 bit, in a few kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(bytes(1751 * 14000))
    header = struct.pack(">IIBBBBB", 14000, 14000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_all_bad_pictures_are_named_at_once(tmp_path: Path) -> None:
    tree(tmp_path, Image.new("RGB", (8, 8), "red"))
    whole = (tmp_path / "train" / "a" / "0.png").read_bytes()
    floats = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.float32)).save(floats, "tiff")
    bad = {
        "train/a/0.png": (huge_png(), r"Image size \(196000000 pixels\) exceeds limit of 178956970 pixels"),
        "train/a/5.png": (b"", "damaged, or no picture at all"),
        "train/b/7.png": (whole[: len(whole) // 2], ""),
        "test/b/3.png": (whole[:-40], ""),
        "test/b/4.png": (floats.getvalue(), "its pixels are floats"),
    }
    for name, (content, _) in bad.items():
        (tmp_path / name).write_bytes(content)
    spec = DataSpec(path=str(tmp_path))
    assert inspect_data(spec).image_size == 8
    with pytest.raises(DataError) as caught:
        load_data(spec, image_size=8, seed=0)
    message = str(caught.value)
    assert message.count("not a readable picture") == len(bad)
    for name, (_, reason) in bad.items():
        assert name in message
        assert caught.match(name + r": not a readable picture \(" + reason)
    assert message.endswith("remove or replace these 5, or use others in their place: data.on_error: skip")
    assert "\n" not in message


def test_many_bad_pictures_are_counted(tmp_path: Path) -> None:
    tree(tmp_path, Image.new("RGB", (8, 8), "red"))
    for file in (tmp_path / "train").rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(DataError, match="; and 19 more; remove or replace these 24"):
        load_data(DataSpec(path=str(tmp_path)), image_size=8, seed=0)


def test_a_needle_does_not_eat_the_memory(tmp_path: Path) -> None:
    tree(tmp_path, Image.new("L", (60000, 1)), count=8)
    with pytest.raises(DataError, match="60,000 x 1 pixels: too long and narrow to be resized to 224 pixels"):
        load_data(DataSpec(path=str(tmp_path)), image_size=224, seed=0)
    assert Resizing(2)(images_module.torch.zeros(1, 1, 60000, dtype=images_module.torch.uint8)).shape == (1, 2, 2)


def test_big_pictures_are_decoded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, Image.new("RGB", (8, 8), "red"))
    monkeypatch.setattr(images_module, "BIG", 10)
    assert load_data(DataSpec(path=str(tmp_path)), image_size=8, seed=0).train.images[:, 0].min() == 255


@pytest.mark.parametrize("deep", [False, True])
def test_eight_and_sixteen_bits_are_the_same_data(tmp_path: Path, deep: bool) -> None:
    """Three classes of grey pictures that are apart in brightness, as in 8 bits."""
    rng = np.random.default_rng(0)
    values = (20000 + rng.integers(0, 5000, (16, 16))).astype(np.uint16)
    tree(tmp_path, Image.fromarray(values if deep else (values >> 8).astype(np.uint8)))
    data = load_data(DataSpec(path=str(tmp_path)), image_size=16, seed=0)
    assert np.array_equal(data.train.images[0, 0].numpy(), values >> 8)
