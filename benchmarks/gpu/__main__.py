"""Measures the parts one after the other, or those that are named.

    python -m benchmarks.gpu [--small] [--to FILE] [--seconds 450] [exactness steps ...]

Each row is on the disk as soon as it is known, with the device, torch's version and the commit. No part begins, and no
row is waited for, after `--seconds`. The exit status is 1 where something does not hold, or a part could not run.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.gpu.machine import Machine
from benchmarks.gpu.rows import Rows

PARTS = ("exactness", "steps", "memory", "latency", "energy", "study", "loading", "switches", "tensorrt")
ROOT = Path(__file__).parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all, if none is named")
    parser.add_argument("--small", action="store_true", help="tiny models: to try the script, not to measure")
    parser.add_argument("--to", type=Path, metavar="FILE", help="the table (CSV)")
    parser.add_argument("--seconds", type=float, default=450.0, help="after which nothing new begins")
    options = parser.parse_args(arguments)
    if unknown := sorted({*options.parts} - {*PARTS}):
        parser.error(f"found the part {unknown[0]}; allowed: {', '.join(PARTS)}")
    machine = Machine.here(small=options.small)
    kept = ROOT / "runs" / "gpu_small.csv" if machine.small else ROOT / "benchmarks" / "gpu.csv"
    rows = Rows(options.to or kept, machine)
    return run(rows, machine, options.parts or PARTS, options.seconds)


def run(rows: Rows, machine: Machine, parts: Sequence[str], limit: float) -> int:
    """The exit status."""
    start = time.perf_counter()
    failed = []
    for part in parts:
        if time.perf_counter() - start > limit:
            failed.append(f"{part}: left out, {limit:g} s were over")
            continue
        try:
            for row in import_module(f"benchmarks.gpu.{part}").measure(machine):
                rows.add(part, time.perf_counter() - start, row)
                if time.perf_counter() - start > limit:
                    failed.append(f"{part}: cut short, {limit:g} s were over")
                    break
        except Exception as fault:  # of any kind: the other parts are measured all the same
            traceback.print_exc()
            failed.append(f"{part}: {type(fault).__name__}: {fault}")
    for words in (*rows.broken(), *failed):
        print(f"not as it should be: {words}", flush=True)
    print(f"{len(rows.rows)} rows in {rows.path}, {time.perf_counter() - start:.0f} s, {machine.name}", flush=True)
    return 1 if failed or any(rows.broken()) else 0


if __name__ == "__main__":
    sys.exit(main())
