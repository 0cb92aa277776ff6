"""Which class each picture of a flat folder has, said by a file, as ImageNet's val/ comes with one.

Lines of "picture class ..." (LOC_val_solution.csv, val.txt, val_annotations.txt), or one class a line, in the order of
the pictures' names. A class is its name, or, beside a picture, its number among the sorted names, from 0. Numbers alone
are ILSVRC2012's own, which map_clsloc.txt ("synset number ..."), beside the file, explains.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from nas.data.decoding import ENDINGS
from nas.data.lines import lines_of
from nas.errors import DataError

SYNSETS = "map_clsloc.txt"


def classes_of(path: Path, pictures: Sequence[str], classes: Sequence[str]) -> tuple[list[int | None], list[str]]:
    """The number of each picture's class, None where the file does not say; and what the file names that is not there.

    `pictures`: names of their files, sorted. Raises `DataError` for a file that cannot be read, or says too little.
    """
    rows = _rows(path)
    numbers = {name: number for number, name in enumerate(classes)}
    if all(len(row) == 1 for row in rows):
        if len(rows) != len(pictures):
            raise DataError(f"data.val_labels: {path} has {len(rows)} lines, and there are {len(pictures)} pictures")
        names = [row[0] for row in rows]
        if not set(names) & set(numbers) and all(map(str.isdecimal, names)):
            synsets = _synsets(path)
            names = [synsets.get(name, name) for name in names]
        return [_number(path, name, numbers) for name in names], []
    said = {_bare(row[0]): row[1] for row in rows if len(row) > 1}
    there = {_bare(name) for name in pictures}
    if rows and len(rows[0]) > 1 and _bare(rows[0][0]) not in there and rows[0][1] not in numbers:
        said.pop(_bare(rows[0][0]))  # the line that names the columns
    if not set(said.values()) & set(numbers) and all(map(str.isdecimal, said.values())):
        numbers = {str(number): number for number in range(len(classes))}
    known = {name: _number(path, text, numbers) for name, text in said.items() if name in there}
    return [known.get(_bare(name)) for name in pictures], [name for name in said if name not in there]


def _rows(path: Path) -> list[list[str]]:
    lines = lines_of(path, f"data.val_labels: {path}", "a file with a picture and its class a line, or a class a line")
    return [re.split(r"[,\s]+", line) for line in lines]


def _synsets(path: Path) -> Mapping[str, str]:
    """ILSVRC2012's number of a class -> its synset."""
    beside = path.with_name(SYNSETS)
    if not beside.is_file():
        raise DataError(
            f"data.val_labels: {path} holds numbers alone, whose classes only ILSVRC2012 knows; put its {SYNSETS} "
            "beside it, or take a file of the classes' names"
        )
    return {row[1]: row[0] for row in _rows(beside) if len(row) > 1}


def _number(path: Path, name: str, numbers: Mapping[str, int]) -> int:
    if name not in numbers:
        raise DataError(f"data.val_labels: {path} has the class '{name[:60]}', which train/ lacks")
    return numbers[name]


def _bare(picture: str) -> str:
    """The name of a picture without folder and ending."""
    path = Path(picture)
    return path.stem if path.suffix.lower() in ENDINGS else path.name
