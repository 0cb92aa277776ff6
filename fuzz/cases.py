"""Kinds of made inputs. Each writes its files into a folder, and says which commands read them."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from fuzz import mutate
from fuzz.examples import ROOT, STUDY, UNTRAINED, Examples
from fuzz.sandbox import Command

Kind = Callable[[Random, Path, Examples], Sequence[Command]]


def _shown(*words: str) -> Command:
    return Command(words=words)


def _trained(*words: str) -> Command:
    return Command(words=words, trains=True, connects=True)


def _write(rng: Random, path: Path, document: Any) -> None:
    """A document as YAML; one in five with changed bytes."""
    text = mutate.yaml(document).encode(errors="surrogatepass")
    path.write_bytes(mutate.content(rng, text) if rng.random() < 0.2 else text)


def space(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """Search spaces, shown."""
    _write(rng, folder / "space.yaml", mutate.document(rng, rng.choice((*examples.spaces, STUDY["space"]))))
    return [_shown("show", "space.yaml")]


def study(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """Studies, shown; every fourth is run."""
    (folder / "searchspaces").symlink_to(ROOT / "searchspaces")
    (folder / "strategies").symlink_to(ROOT / "strategies")
    original = rng.choice((UNTRAINED, examples.resolved, rng.choice(examples.studies)))
    _write(rng, folder / "study.yaml", mutate.document(rng, original))
    commands = [_shown("show", "study.yaml")]
    return [*commands, _trained("run", "study.yaml", "--folder", "run")] if rng.random() < 0.25 else commands


def setting(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """`--set` with keys and values of all kinds."""
    (folder / "study.yaml").write_text(mutate.yaml(UNTRAINED), encoding="utf-8")
    spots = list(_settings((), examples.resolved))
    words: list[str] = []
    for _ in range(rng.choice((1, 1, 1, 2))):
        keys, old = rng.choice(spots)
        changed = mutate.like(rng, old) if rng.random() < 0.8 else mutate.value(rng)
        text = changed if isinstance(changed, str) else json.dumps(changed)
        words += ["--set", text if rng.random() < 0.02 else f"{'.'.join(keys)}={text}"]
    clean = [word.replace("\0", "") for word in words]  # no shell can pass it
    if rng.random() < 0.3:
        return [_trained("run", "study.yaml", "--folder", "run", *clean)]
    return [_shown("show", "study.yaml", *clean)]


def _settings(path: tuple[str, ...], document: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key of a study, with its value."""
    for key, inner in document.items():
        yield (*path, key), inner
        if isinstance(inner, dict):
            yield from _settings((*path, key), inner)


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
    return [_with_data(folder, {"path": "data.npz"})]


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


def _with_data(folder: Path, data: dict[str, Any]) -> Command:
    (folder / "study.yaml").write_text(mutate.yaml({**UNTRAINED, "data": data}), encoding="utf-8")
    return _trained("run", "study.yaml", "--folder", "run", "--quiet")


def pictures(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """Folders of pictures."""
    shutil.copytree(examples.folder / "pictures", folder / "data")
    for _ in range(rng.choice((1, 1, 2, 3))):
        _picture(rng, folder / "data")
    return [_with_data(folder, {"path": "data"})]


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


def run_folder(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """Run folders of others: a file of a finished run is changed, deleted, swapped, or becomes a link."""
    shutil.copytree(examples.folder / "run", folder / "run")
    for _ in range(rng.choice((1, 1, 1, 2))):
        _damage(rng, folder / "run")
    return _reading(rng)


def _reading(rng: Random) -> list[Command]:
    choices = [
        *(_shown("report", "run"), _shown("show", "run"), _shown("pareto", "run"), _shown("pareto", "run", "--trials")),
        *(_shown("compare", "run", "run", "--csv", "c.csv"), _shown("extract", "run", "--to", "model")),
        *(_shown("export", "run", "--optuna", "sqlite:///optuna.db"), Command(words=("run", "run"), trains=True)),
        *(Command(words=("retrain", "run"), trains=True), _shown("load", "run/retrain/winner")),
    ]
    return rng.sample(choices, rng.choice((1, 2)))


def _damage(rng: Random, folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    files = [path for path in files if path.suffix in (".json", ".yaml") or rng.random() < 0.3]
    if not files:
        return
    path = rng.choice(files)
    kind = rng.randrange(10)
    if kind < 4 and path.suffix == ".json":
        with suppress(ValueError):
            path.write_text(json.dumps(mutate.document(rng, json.loads(path.read_bytes()))), encoding="utf-8")
    elif kind < 4 and path.name == "study.yaml":
        from ruamel.yaml import YAML

        _write(rng, path, mutate.document(rng, YAML(typ="safe", pure=True).load(path.read_bytes())))
    elif kind < 6:
        path.write_bytes(mutate.content(rng, path.read_bytes()))
    elif kind == 6:
        path.write_bytes(rng.choice(files).read_bytes())
    else:
        path.unlink()
        if kind == 7:
            path.mkdir()
        elif kind == 8:
            path.symlink_to(rng.choice((f"{'../' * 4}outside/file.txt", "/etc/passwd", path.name, "/dev/zero")))


def trials(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """The table of trials of a finished run, edited."""
    shutil.copytree(examples.folder / "run", folder / "run")
    with closing(sqlite3.connect(folder / "run" / "trials.sqlite")) as database, suppress(sqlite3.Error):
        database.execute("PRAGMA foreign_keys = OFF")
        for _ in range(rng.choice((1, 1, 2, 3))):
            _edit(rng, database)
        database.commit()
    return _reading(rng)


def _edit(rng: Random, database: sqlite3.Connection) -> None:
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    table = rng.choice(tables)
    column = rng.choice([row[1] for row in database.execute(f'PRAGMA table_info("{table}")')])
    which = rng.choice(("", "", " WHERE rowid = 1", " WHERE rowid % 2", " WHERE rowid > 2"))
    kind = rng.randrange(8)
    if kind == 0:
        database.execute(f'DELETE FROM "{table}"{which}')
    elif kind == 1:
        database.execute(rng.choice((f'DROP TABLE "{table}"', f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO x')))
    elif kind < 4:
        rows = database.execute(f'SELECT rowid, "{column}" FROM "{table}"').fetchall()
        for row, old in rows[: rng.choice((1, 100))]:
            database.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (_cell(rng, old), row))
    else:
        database.execute(f'UPDATE "{table}" SET "{column}" = ?{which}', (_cell(rng, None),))


def _cell(rng: Random, old: Any) -> Any:
    """A cell; of one that holds JSON, a changed document."""
    with suppress(TypeError, ValueError):
        if rng.random() < 0.7:
            return json.dumps(mutate.document(rng, json.loads(old)))
    changed = mutate.value(rng)
    if isinstance(changed, int) and not -(2**63) <= changed < 2**63:
        return str(changed)
    return changed if isinstance(changed, (int, float, str)) or changed is None else json.dumps(changed)


def model_folder(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """Model folders of others."""
    shutil.copytree(examples.folder / "model", folder / "model")
    _damage(rng, folder / "model")
    return [_shown("load", "model")]


class _Hostile:
    """Unpickled, it writes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ../outside/pickled",)


def checkpoint(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """Checkpoints of a base model."""
    original = examples.folder / "weights.safetensors"
    path = folder / "weights.pth"
    weights: dict[Any, Any] = dict(load_file(original))
    name = rng.choice(sorted(weights))
    kind = rng.randrange(9)
    if kind == 0:
        path = folder / "weights.safetensors"
        path.write_bytes(mutate.content(rng, original.read_bytes()))
    elif kind == 1:
        torch.save(weights, path)
        path.write_bytes(mutate.content(rng, path.read_bytes()))
    elif kind == 2:
        path.write_bytes(pickle.dumps(_Hostile()))
    elif kind == 3:
        prefix = rng.choice(("module.", "_orig_mod.", "model.", "backbone.", "module._orig_mod.", "x."))
        torch.save({prefix + key: tensor for key, tensor in weights.items()}, path)
    elif kind == 4:
        wrapper = rng.choice(("state_dict", "model", "model_ema", "x", 3))
        torch.save({wrapper: rng.choice((weights, None, [], name, {name: 3})), "epoch": 3}, path)
    elif kind == 5:
        torch.save(rng.choice((weights[name], [weights], None, 3, {}, {1: weights[name]}, {name: name})), path)
    else:
        if kind == 6:
            weights[name] = torch.full_like(weights[name], rng.choice((float("nan"), float("inf"), 1e38)))
        elif kind == 7:
            weights[name] = weights[name].flatten()[: rng.choice((0, 1, 2))]
        else:
            weights[name] = weights[name].to(rng.choice((torch.float16, torch.int8, torch.complex64, torch.bool)))
        torch.save(weights, path)
    base = {"epochs": 0, "checkpoint": path.name}
    (folder / "study.yaml").write_text(mutate.yaml({**UNTRAINED, "base": base}), encoding="utf-8")
    return [_trained("run", "study.yaml", "--folder", "run", "--quiet")]


def name(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """Strange names of studies, strategies, classes and folders, from the run to its report."""
    changed = {**UNTRAINED, "strategy": dict(UNTRAINED["strategy"])}
    strange = rng.choice(mutate.NAMES)
    place = rng.randrange(4)
    run = "run"
    if place == 0:
        changed["name"] = strange
    elif place == 1:
        changed["strategy"]["name"] = strange
    elif place == 2:
        shutil.copytree(examples.folder / "pictures", folder / "data")
        safe = strange.replace("\0", "").replace("/", "_")[:60]
        for split in ("train", "test"):
            with suppress(OSError):
                (folder / "data" / split / "a").rename(folder / "data" / split / safe)
        changed["data"] = {"path": "data"}
    else:
        safe = strange.replace("\0", "").replace("/", "_")
        run = f"runs/{safe}" if len(safe.encode()) < 250 and safe not in ("", ".", "..") else "runs/x"
    (folder / "study.yaml").write_text(mutate.yaml(changed), encoding="utf-8")
    reading = [_shown("report", run), _shown("show", run), _shown("pareto", run), _shown("compare", run, run)]
    return [_trained("run", "study.yaml", "--folder", run), *rng.sample(reading, 2)]


KINDS: dict[str, tuple[Kind, int]] = {
    "space": (space, 3),
    "study": (study, 4),
    "setting": (setting, 4),
    "archive": (archive, 1),
    "pictures": (pictures, 1),
    "run": (run_folder, 5),
    "trials": (trials, 4),
    "model": (model_folder, 2),
    "checkpoint": (checkpoint, 1),
    "name": (name, 1),
}
"""Each with how often it is made: those that answer at once more than those that train."""
