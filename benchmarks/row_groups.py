"""Pictures out of a Parquet file, whose rows are compressed in groups, over the same pictures as files: in their order,
where neighbours share a group that is kept, and shuffled, where each picture reads its group anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.pairs import ratio
from benchmarks.pictures import folder
from nas.data import DataSpec
from nas.data.images import Images
from nas.data.reading import read

PICTURES, DIFFERENT, LOOKED_AT, PAIRS = 6000, 100, 60, 3
GROUPS = (10, 100, 1000)
"""Rows of a group; Hugging Face's library writes 100 where rows are pictures, and 1,000 elsewhere."""


def measure() -> Iterator[dict[str, object]]:
    with folder(PICTURES, (500, 375), DIFFERENT) as root, tempfile.TemporaryDirectory() as packed:
        files = read(DataSpec(path=str(root))).train.images
        encoded = [file.read_bytes() for file in sorted(root.rglob("*.jpg"))]
        names = np.random.default_rng(0).permutation(PICTURES)[:LOOKED_AT].tolist()
        for rows in GROUPS:
            path = Path(packed) / "train.parquet"
            labels = np.arange(PICTURES) * 10 // PICTURES
            pq.write_table(pa.table({"image": encoded, "label": labels}), path, row_group_size=rows)
            images = read(DataSpec(path=str(path))).train.images
            for what, order in {"in order": range(LOOKED_AT), "shuffled": names}.items():
                found = ratio(lambda o=order, i=images: look(i, o), lambda o=order: look(files, o), PAIRS)
                yield {"what": f"JPEGs of 500 x 375, {rows} rows a group, {what}: Parquet / files", "unit": "", **found}


def look(images: Images, order: Sequence[int]) -> None:
    """Decodes them."""
    for index in order:
        images.picture(index)
