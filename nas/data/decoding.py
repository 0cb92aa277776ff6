"""One picture file -> RGB of 8 bits, whatever it holds: deep grey, palette, transparency, CMYK, a turned camera.

What has no one right reading in 8 bits (floats, 32 bits) is refused: a guess would change every pixel in silence.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from nas.errors import DataError

_ENDINGS = Image.registered_extensions()  # makes PIL load its readers, too
_WANTED = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
FORMATS = [name for name in _WANTED if name in Image.OPEN]
"""What is opened. PIL goes by the content, not by the ending, and for some formats it starts other programs
(Ghostscript): they stay shut, whatever a file is called.
"""
ENDINGS = frozenset(ending for ending, name in _ENDINGS.items() if name in FORMATS)
"""How picture files end, in lower case."""

BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # tags of TIFF


def opened(file: Path | str | IO[bytes]) -> Image.Image:
    """The picture in a file, its size known and its pixels still undecoded. Raises whatever PIL raises."""
    return Image.open(file, formats=FORMATS)


def rgb(picture: Image.Image) -> Image.Image:
    """A picture in RGB, 8 bits: turned as its EXIF says, transparent parts on white. Raises `DataError` for pixels that
    have no one reading in 8 bits, and whatever PIL raises for damaged ones.
    """
    picture.load()
    with contextlib.suppress(Exception):  # damaged EXIF: nothing is known of the camera then, and the pixels are there
        ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode == "F" or (picture.mode == "I" and picture.format not in ("PNG", "PPM")):
        kind = "floats" if picture.mode == "F" else "32 bits, or signed"
        raise DataError(f"its pixels are {kind}, of unknown range; save it with 8 or 16 bits")
    if picture.mode.startswith("I"):
        return Image.fromarray(_eight_bits(picture)).convert("RGB")
    if picture.has_transparency_data:
        coloured = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> NDArray[np.uint8]:
    """The upper eight bits of grey pixels, H x W, of as many as the file says: a TIFF may have 12, all else is read by
    PIL as 16.
    """
    tags = getattr(picture, "tag_v2", {}) if picture.format == "TIFF" else {}
    bits = int(tags.get(BITS_PER_SAMPLE, (16,))[0])
    values = np.asarray(picture).astype(np.int64) >> (bits - 8)
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        values = 255 - values
    return values.clip(0, 255).astype(np.uint8)
