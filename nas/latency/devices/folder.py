"""A device that is elsewhere: its models go into a folder as ONNX files, somebody times them, and the times come back.

The folder holds a script that does so with onnxruntime; on a phone or a board, whatever runs ONNX may write the same
table. What comes back is hostile until it is read: only the names of models that are asked for, and numbers.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, final

import numpy as np
from typing_extensions import override

from nas.documents.markers import FilePath
from nas.errors import LatencyAwaitedError, LatencyError
from nas.foreign import line as one_line
from nas.latency.devices._base import Device
from nas.latency.devices._exported import content_of
from nas.latency.timing import SECONDS, Forward, StepTime, timed
from nas.system.files import replace_file

SCRIPT, TIMES = "measure.py", "times.csv"
HEADER = ["model", "milliseconds"]
LARGEST = 2**26
"""Bytes of the table of times."""
FEWEST = 6
"""Times of each model: fewer do not say how much they differ."""
TEMPLATE = Path(__file__).with_name("measure_script.txt")


@final
@dataclass(frozen=True, kw_only=True)
class Folder(Device):
    """Times that come back from a folder.

    path   of the folder: models are written to it, and its times.csv is read
    name   of the device, for people
    """

    here: ClassVar[bool] = False
    in_onnx: ClassVar[bool] = True

    path: Annotated[str, FilePath(must_exist=False)]
    name: str = "another device"

    @property
    @override
    def about(self) -> Mapping[str, str]:
        return {"device": self.name}

    @override
    def time(self, passes: Sequence[Forward], seconds: float = SECONDS) -> list[list[StepTime]]:
        """Raises `LatencyAwaitedError` when it has written models that nobody has timed yet."""
        folder, names = Path(self.path), [one.name for one in passes]
        times = _read(folder / TIMES, set(names))
        missing = [one for one in passes if one.name not in times]
        for one in missing:
            if not (path := folder / f"{one.name}.onnx").exists():
                replace_file(path, content_of(one))
        if missing:
            replace_file(folder / SCRIPT, _script(passes[0].inputs.shape).encode())
            raise LatencyAwaitedError(
                f"{folder}: {len(missing)} of {len(passes)} models have no times yet; on the device, python {SCRIPT} "
                f"writes {TIMES} (or another program does: {', '.join(HEADER)}); then the same command again"
            )
        return [[timed(np.array(times[name]) / 1e3)] for name in names]


def _script(shape: Sequence[int]) -> str:
    return TEMPLATE.read_text(encoding="utf-8").replace("# SHAPE", f"SHAPE = {tuple(shape)!r}")


def _read(path: Path, wanted: set[str]) -> dict[str, list[float]]:
    """Milliseconds of each model that is wanted; others in the table are left out. No file is an empty one.

    Raises `LatencyError` for what is no table of times, or for too few of a model.
    """
    times: dict[str, list[float]] = defaultdict(list)
    for line, (name, milliseconds) in enumerate(_rows(path), start=2):
        try:
            value = float(milliseconds)
        except ValueError:
            value = math.nan
        if not 0 < value < 1e9:
            raise LatencyError(f"{path}:{line}: found '{one_line(milliseconds)}'; allowed: milliseconds above 0")
        if name in wanted:
            times[name].append(value)
    for name, values in times.items():
        if len(values) < FEWEST:
            raise LatencyError(f"{path}: found {len(values)} times of {name}; allowed: {FEWEST} or more of each model")
    return times


def _rows(path: Path) -> Iterator[list[str]]:
    if not path.exists():
        return
    try:
        if path.stat().st_size > LARGEST:
            raise LatencyError(f"{path}: more than {LARGEST:,} bytes are no table of times")
        rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
        if next(rows, None) != HEADER:
            raise LatencyError(f"{path}: no table of times; allowed: a first line {','.join(HEADER)}")
        for row in rows:
            if len(row) != len(HEADER):
                raise LatencyError(f"{path}:{rows.line_num}: found {len(row)} columns; allowed: {', '.join(HEADER)}")
            yield row
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise LatencyError(f"{path}: cannot be read ({fault})") from None
