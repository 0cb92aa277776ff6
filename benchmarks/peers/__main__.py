"""Our search beside its peers, on the digits at half the MACs of their small ViT.

    make peers                                    # three seeds, a minute of processor time for each peer and seed
    python -m benchmarks.peers --seconds 120 --seeds 5 --peer ours --peer smaller

Each peer gets the same images, seeds, limit and processor seconds for all that it does; its winner is measured on the
test split once. Rows are appended to `studies/results/peers.csv` when they are known, and not computed again; a peer
that cannot take part has a row that says why. The summary over seeds is written at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.peers.environment import python_with
from benchmarks.tables import RESULTS, Rows, over_seeds
from nas.system.environment import commit

PEERS = (
    "ours",
    "ours_pruned",
    "random_search",
    "autoformer",
    "smaller",
    "torch_pruning",
    "modelopt",
    "nni_supernet",
    "whittle",
)
PACKAGES = {
    "torch_pruning": ("torch-pruning==1.6.1",),
    "modelopt": (
        *("nvidia-modelopt==0.47.0", "torchprofile==0.0.4", "omegaconf==2.4.0", "antlr4-python3-runtime==4.9.3"),
        *("pulp==3.3.2", "regex==2026.5.9", "ninja==1.13.2", "nvidia-ml-py==13.615.71"),
    ),
    "whittle": ("whittle==0.6.0",),
}
"""Of peers that run in an environment of their own, with what they need there."""
NEEDED = {"nni_supernet": ("nni", "pip install 'nas[nni]'")}
MEASURED = ("test_accuracy", "validation_accuracy", "macs", "processor_seconds")
SAID = ("lines_of_user_code", "note")
"""Columns: of a winner, and of a peer."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peer", choices=PEERS, action="append")
    parser.add_argument("--out", type=Path, default=RESULTS / "peers.csv")
    arguments = parser.parse_args()
    rows = Rows(arguments.out, ("peer", "seed", "seconds_given"))
    for seed in range(arguments.seeds):
        for peer in arguments.peer or PEERS:
            keys = {"peer": peer, "seed": seed, "seconds_given": arguments.seconds}
            if not rows.has(**keys):
                row = {**keys, **run(peer, seed, arguments.seconds), "cores": os.cpu_count(), "commit": commit()}
                rows.append(row)
                print(row, flush=True)
    summary = summarised(rows.frame)
    summary.to_csv(arguments.out.with_name(f"{arguments.out.stem}_summary.csv"))
    print(summary.to_string())


def summarised(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per peer and budget: mean and spread over seeds, what its user writes, why it is missing."""
    table, by = rows.reindex(columns=list(dict.fromkeys((*rows, *MEASURED, *SAID)))), ["peer", "seconds_given"]
    numbers = table.astype(dict.fromkeys(MEASURED, float))
    return over_seeds(numbers, by, MEASURED).join(table.groupby(by, sort=False)[list(SAID)].first())


def run(peer: str, seed: int, seconds: float) -> dict[str, Any]:
    """What came of one peer, or a note why nothing did."""
    package, install = NEEDED.get(peer, ("nas", ""))
    if find_spec(package) is None:
        return {"note": f"not installed: {install}"}
    try:
        python = str(python_with(*PACKAGES[peer])) if peer in PACKAGES else sys.executable
    except (RuntimeError, OSError) as fault:
        return {"note": f"cannot be installed: {fault}"}
    command = [python, "-m", "benchmarks.peers.one", peer, str(seed), str(seconds)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ended.returncode:
        return {"note": f"failed: {(ended.stderr.strip().splitlines() or ['without a word'])[-1]}"}
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
