"""Images of others: .npz files and folders of pictures, for a small study."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from fuzz import mutate
from fuzz.examples import Examples
from fuzz.sandbox import Command
from fuzz.variants import UNTRAINED


def archive(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """Images in an .npz file."""
    path = folder / "data.npz"
    with np.load(examples.folder / "digits.npz") as file:
        arrays = {name: file[name] for name in file.files}
    kind = rng.randrange(4)
    if kind == 0:
        path.write_bytes(mutate.content(rng, (examples.folder / "digits.npz").read_bytes()))
    elif kind == 1:
        _with_header(rng, path, arrays)
    else:
        name = rng.choice(tuple(arrays))
        arrays[name] = _array(rng, arrays[name])
        if rng.random() < 0.2:
            arrays[rng.choice(("val_images", "x", "../../outside/x", "train_images"))] = arrays.pop(name)
        with suppress(ValueError, OSError):
            np.savez(path, **arrays)  # type: ignore[arg-type]
    return _commands(rng, folder, examples, "data.npz")


def _array(rng: Random, array: Any) -> Any:
    kind = rng.randrange(8)
    if kind == 0:
        return array.astype(
            rng.choice(("int8", "uint64", "float32", "float64", "complex64", "bool", "U3", "datetime64[s]"))
        )
    if kind == 1:
        return array[: rng.choice((0, 1, 2, 5))]
    if kind == 2:
        shape = rng.choice(
            ((0, 0, 0), (24, 0, 0), (24, 8), (24, 8, 8, 2), (24, 1, 99), (24, 1), (), (1,), (24, 8, 8, 3))
        )
        return np.zeros(shape, array.dtype)
    if kind == 3:
        changed = array.astype(rng.choice(("int64", "float64", "object")))
        changed.flat[rng.randrange(changed.size)] = rng.choice((-1, 10**9, 10**12, 2**62, 7, 1.5))
        return changed
    if kind == 4:
        return array.astype("uint64") + 2**63
    if kind == 5:
        return np.array([{"a": 1}] * len(array), dtype=object)
    if kind == 6:
        return np.array([rng.choice(mutate.NAMES) for _ in array])
    return np.full_like(array, rng.choice((0, 1, 2)))


def _with_header(rng: Random, path: Path, arrays: dict[str, Any]) -> None:
    """The header of one array says what is not true."""
    shape = rng.choice(("(10**9,)", "(1000000000, 8, 8)", "(-1, 8, 8)", "(24, 8)", "(99999999999999999999,)", "(24,)"))
    header = (
        f"{{'descr': '{rng.choice(('|u1', '<i8', '|O', '<U99999999'))}', 'fortran_order': False, 'shape': {shape}, }}"
    )
    header = rng.choice((header, header, "[" * 20 + "]" * 20, "{" * 500, "__import__('os')", ""))
    lying = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    liar = rng.choice(tuple(arrays))
    with zipfile.ZipFile(path, "w") as file:
        for name, array in arrays.items():
            file.writestr(f"{name}.npy", lying + array.tobytes() if name == liar else _npy(array))


def _npy(array: Any) -> bytes:
    from io import BytesIO

    stream = BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _commands(rng: Random, folder: Path, examples: Examples, data: str) -> Sequence[Command]:
    """A study of the images, or a model that is measured on them."""
    if rng.random() < 0.3:
        shutil.copytree(examples.run("own") / "extract" / "winner", folder / "model")
        split = rng.choice(("test", "train", "all"))
        return [Command(words=("evaluate", "model", "--data", data, "--split", split, "--predictions", "p.csv"))]
    study = {**UNTRAINED, "data": {"path": data, "validation": 0.4}}
    (folder / "study.yaml").write_text(mutate.yaml(study), encoding="utf-8")
    return [Command(words=("run", "study.yaml", "--folder", "run", "--quiet"))]


def pictures(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """Folders of pictures."""
    shutil.copytree(examples.folder / "pictures", folder / "data")
    for _ in range(rng.choice((1, 1, 2, 3))):
        _picture(rng, folder / "data")
    return _commands(rng, folder, examples, "data")


def _picture(rng: Random, folder: Path) -> None:
    """Changes one picture or folder."""
    files = sorted(path for path in folder.rglob("*.png") if path.is_file())
    folders = sorted(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())
    if not files:
        return
    file, inner = rng.choice(files), rng.choice(folders)
    name = rng.choice(mutate.NAMES).replace("\0", "").replace("/", "_")[:60] or "x"
    kind = rng.randrange(9)
    with suppress(OSError, ValueError):
        if kind == 0:
            file.write_bytes(mutate.content(rng, file.read_bytes()))
        elif kind == 1:
            mode = rng.choice(("L", "RGB", "RGBA", "P", "CMYK", "I;16", "F", "1", "LA"))
            size = rng.choice(((8, 8), (1, 1), (1, 3000), (300, 5)))
            ending = rng.choice((".png", ".jpg", ".tiff", ".bmp", ".webp", ".gif", ".jfif"))
            Image.new(mode, size).save(file.with_suffix(ending))
        elif kind == 2:
            shutil.rmtree(inner)
        elif kind == 3:
            inner.rename(inner.with_name(name))
        elif kind == 4:
            file.rename(file.with_name(f"{name}.png"))
        elif kind == 5:
            file.unlink()
            file.symlink_to(
                rng.choice(("../../../../outside/file.txt", "/etc/passwd", "missing.png", ".", "/dev/zero"))
            )
        elif kind == 6:
            (inner / name).mkdir()
        elif kind == 7:
            (inner / "loop").symlink_to("..")
        else:
            file.write_bytes(b"")
