"""What many pictures cost that are not held: the memory of a study on 20,000 over that on 100 (the aim is 1.05), and
the second start of a run with 100,000 files (the aim is 2 s).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.pictures import folder
from nas.data import DataSpec, index, list_images

STUDY = """
space:
  model: vit_tiny_patch16_224
  model_args: {img_size: 16, patch_size: 8, embed_dim: 16, depth: 1, num_heads: 1, class_token: false, global_pool: avg}
  choices: {mlp: {size: {from: 16, to: 64, step: 16}, per: block}}
strategy: {use: uniform, trials: 2}
base: {epochs: 1}
supernet: {epochs: 0}
retrain: {epochs: 0}
latency: {batches: [1], seconds: 0.01}
threads: 1
"""
RUN = """
import resource, sys
from nas import Study
Study.from_yaml(sys.argv[1], overrides=[f"data={{path: {sys.argv[2]}, cache: none, workers: 1}}"],
                folder=sys.argv[3]).run(quiet=True)
print(*(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
"""
FEW, MANY, FILES = 100, 20_000, 100_000


def measure() -> Iterator[dict[str, object]]:
    few, many = memory(FEW), memory(MANY)
    for position, who in enumerate(("the study", "its largest worker")):
        yield {
            "what": f"peak memory of {who}: {MANY} pictures / {FEW}",
            "unit": "MB / MB",
            "ratio": round(many[position] / few[position], 3),
            "seconds_a": round(many[position] / 1024, 1),
            "seconds_b": round(few[position] / 1024, 1),
        }
    with folder(FILES, (16, 16), 100) as root, tempfile.TemporaryDirectory() as runs:
        spec, kept = DataSpec(path=str(root)), Path(runs) / "images.npz"
        start = time.perf_counter()
        listing = list_images(spec)
        assert listing is not None
        listed = time.perf_counter()
        kept.write_bytes(index.packed(listing))
        packed = time.perf_counter()
        again = list_images(spec, kept)
        end = time.perf_counter()
        assert again is not None
        assert again.containers == listing.containers
        for what, seconds in (("listed", listed - start), ("read from the index", end - packed)):
            yield {"what": f"{FILES} files: {what}", "unit": "s", "value": round(seconds, 3)}
        yield {"what": f"{FILES} files: the index", "unit": "MB", "value": round(kept.stat().st_size / 1e6, 2)}


def memory(pictures: int) -> tuple[int, int]:
    """Kilobytes that a whole study takes at most, and those of its largest child."""
    with folder(pictures, (16, 16), min(pictures, FEW)) as root, tempfile.TemporaryDirectory() as runs:
        run = subprocess.run(
            [sys.executable, "-c", RUN, STUDY, str(root), f"{runs}/run"], capture_output=True, text=True, check=True
        )
    own, child = map(int, run.stdout.split()[-2:])
    return own, child
