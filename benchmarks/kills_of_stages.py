"""A whole run that is killed (SIGKILL) at random moments over all its stages, against the same run undisturbed: whether
it finds the same trials, the same winner and the same weights.

    python -m benchmarks.kills_of_stages              # the demo, 20 kills
    python -m benchmarks.kills_of_stages --kills 8

The moments are drawn over the stages of the undisturbed run: one in each, so that short ones are hit too, and the rest
by how long they take. A driver is killed when its stage has run for so long, less what its forerunners have done of it;
`nas run RUN` replaces it. Adds a row to `studies/results/kills.csv`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.kills import ROOT, Key, Row, keep, plain
from nas import Study
from nas.errors import NasError
from nas.studies.run.folder import TRIALS
from nas.studies.run.record import Record
from nas.studies.run.results import EXPLORE, RETRAIN, STAGES
from nas.studies.stages.order import KEPT
from nas.system.environment import commit

TITLE = "a whole run, in one process"
WITHIN = 0.9
"""Of a stage's seconds, the first that a moment may lie in: no driver may end before it is killed."""

Moment = tuple[int, float]
"""The number of a stage, and how many seconds it has run."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs") / "kills" / "stages")
    parser.add_argument("--out", type=Path, default=ROOT / "studies" / "results" / "kills.csv")
    arguments = parser.parse_args()
    shutil.rmtree(arguments.folder, ignore_errors=True)
    calm, killed = (
        Study.from_yaml(ROOT / "studies" / "digits.yaml", folder=arguments.folder / name) for name in ("calm", "killed")
    )
    undisturbed = calm.run(quiet=True)
    seconds = [undisturbed.seconds[stage.name] for stage in STAGES]
    supervisor = Supervisor(killed.folder.path, moments(seconds, arguments.kills, random.Random(arguments.seed)))
    supervisor.run()
    disturbed, expected, found = killed.record, plain(undisturbed), plain(killed.record)
    winners = [record.result(EXPLORE).winner for record in (undisturbed, disturbed)]
    row = {
        "search": TITLE,
        "kills": sum(supervisor.hits.values()),
        "of_drivers": sum(supervisor.hits.values()),
        "of_workers": 0,
        "trials": len(found),
        "lost_or_changed": sum(found.get(key) != row for key, row in supervisor.seen.items()),
        "unlike_undisturbed": len(set(found.items()) ^ set(expected.items())),
        "same_winner": winners[0] == winners[1],
        "winner": winners[1].digest,
        "seconds": round(supervisor.seconds, 1),
        "seconds_undisturbed": round(sum(seconds), 1),
        "same_weights": weights(undisturbed) == weights(disturbed),
        "same_results": results(undisturbed) == results(disturbed),
        "per_stage": ", ".join(f"{stage.name} {supervisor.hits[stage.name]}" for stage in STAGES),
        "cores": os.cpu_count(),
        "commit": commit(),
    }
    print(row, flush=True)
    keep([row], arguments.out)


def moments(seconds: list[float], kills: int, rng: random.Random) -> list[Moment]:
    """When to kill, in order; `seconds` are those of each stage."""
    stages = [*range(len(seconds)), *rng.choices(range(len(seconds)), weights=seconds, k=kills - len(seconds))]
    return sorted((stage, rng.uniform(0, WITHIN * seconds[stage])) for stage in stages)


def weights(record: Record) -> dict[str, str]:
    """Checksums of all weights that the stages of a run have left, by file."""
    names = [f"{stage}/{name}" for stage in STAGES for name in KEPT[stage] if name.endswith(".safetensors")]
    files = {name: record.folder.path / name for name in names if (record.folder.path / name).exists()}
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}


def results(record: Record) -> list[object]:
    """The table of results, but for latency."""
    return [replace(row, latency={}) for row in record.result(RETRAIN).rows]


@dataclass
class Supervisor:
    """Runs the study of a folder to its end, and kills its driver at the given moments."""

    folder: Path
    moments: list[Moment]
    seconds: float = 0.0
    hits: Counter[str] = field(default_factory=Counter)
    seen: dict[Key, Row] = field(default_factory=dict)

    def run(self) -> None:
        """Kills at each moment, and lets the run come to its end."""
        started = time.perf_counter()
        before: Moment = (0, 0.0)
        for stage, offset in self.moments:
            driver = self._driver()
            # What was done of a stage is not done again; of the short ones nothing is kept, and they begin anew.
            self._wait(driver, stage, offset - before[1] if stage == before[0] else offset)
            self.hits[STAGES[self._stage()].name] += 1
            driver.send_signal(signal.SIGKILL)
            driver.wait()
            before = stage, offset
            self._look()
        driver = self._driver()
        if driver.wait() != 0:
            raise SystemExit(f"the last driver ended with code {driver.returncode}")
        self.seconds = time.perf_counter() - started

    def _driver(self) -> subprocess.Popen[bytes]:
        begun = (self.folder / "study.yaml").exists()
        what = [str(self.folder)] if begun else [str(ROOT / "studies" / "digits.yaml"), "--folder", str(self.folder)]
        return subprocess.Popen([sys.executable, "-m", "nas.cli", "run", *what, "--quiet"])

    def _wait(self, driver: subprocess.Popen[bytes], stage: int, seconds: float) -> None:
        """Until the driver has been at a stage for so long, or is beyond it."""
        since: float | None = None
        while since is None or time.perf_counter() - since < seconds:
            if driver.poll() is not None:
                raise SystemExit(f"a driver ended by itself, code {driver.returncode}, before all kills were done")
            now = self._stage()
            if now > stage:
                return
            if since is None and now == stage and self._drives(driver.pid):
                since = time.perf_counter()
            time.sleep(0.005)

    def _stage(self) -> int:
        """The number of the first stage that is not done; of the last one, when all are."""
        done = [(self.folder / stage.name / "result.json").exists() for stage in STAGES]
        return min(done.index(False) if False in done else len(STAGES), len(STAGES) - 1)

    def _drives(self, pid: int) -> bool:
        """Whether a process drives the run, so that its stages run."""
        with (
            suppress(sqlite3.Error),
            closing(sqlite3.connect(f"file:{self.folder / TRIALS}?mode=ro", uri=True)) as store,
        ):
            return store.execute("SELECT 1 FROM nas_drivers WHERE pid = ?", (pid,)).fetchone() is not None
        return False

    def _look(self) -> None:
        """Remembers what the table of trials holds; what was there once must stay."""
        with suppress(NasError):  # there is no table yet
            for key, row in plain(Record.open(self.folder)).items():
                self.seen.setdefault(key, row)


if __name__ == "__main__":
    main()
