"""Searches that are killed (SIGKILL) again and again, at random moments, against the same searches undisturbed: whether
a trial is ever lost, and whether they end the same.

    python -m benchmarks.kills              # 30 kills of the driver or a worker on Ray, 30 of the driver in one process
    python -m benchmarks.kills --kills 4

The digits study trains once, for the undisturbed search in one process; all other runs begin as copies of its folder,
with nothing after the stage `supernet`. A supervisor watches the table of trials, and kills after a random number of new
trials and a random moment more; every seventh time, on average, before there is a new one: while the driver starts.
Whoever dies, `nas run RUN` is what goes on. Writes `studies/results/kills.csv`.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from nas import Study
from nas.errors import NasError
from nas.strategies import Trial
from nas.studies.environment import commit
from nas.studies.folder import STAGES
from nas.studies.record import Record

ROOT = Path(__file__).parents[1]
TRIALS_PER_KILL = 8
"""The search is so much longer than its kills: they come after three new trials on average."""
RETRAINED = ["retrain.epochs=0", "latency.seconds=0.01", "latency.batches=[1]", "baseline=1", "threads=1"]
"""What comes after the search is not the matter here."""
EVOLUTION = "{use: evolution, population: 8, sample: 3, trials: %d}"
RAY = "{use: with_raytune, name: evolution_on_ray, searcher: {use: evolution, population: 8, sample: 3}, workers: 2, " \
      "round: 8, trials: %d, ray: {retries: 5}}"  # fmt: skip
SEARCHES = {"evolution, in one process": EVOLUTION, "evolution on Ray, 2 workers": RAY}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs") / "kills")
    parser.add_argument("--out", type=Path, default=ROOT / "studies" / "results" / "kills.csv")
    arguments = parser.parse_args()
    rows = []
    for number, (title, strategy) in enumerate(SEARCHES.items()):
        folder = arguments.folder / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        row = compare(strategy % (TRIALS_PER_KILL * arguments.kills), folder, arguments.kills, arguments.seed)
        rows.append({"search": title, **row, "cores": os.cpu_count(), "commit": commit()})
        print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(arguments.out, index=False)


def compare(strategy: str, folder: Path, kills: int, seed: int) -> dict[str, object]:
    """One search undisturbed and killed, and what must not differ."""
    calm, killed = folder / "calm", folder / "killed"
    overrides = [f"strategy={strategy}", *RETRAINED]
    study = Study.from_yaml(ROOT / "studies" / "digits.yaml", overrides=overrides, folder=calm)
    study.run(quiet=True)
    shutil.copytree(calm, killed)
    for stage in STAGES[STAGES.index("explore") :]:
        shutil.rmtree(killed / stage)
    (killed / "trials.sqlite").unlink()
    supervisor = Supervisor(killed, kills, random.Random(seed))
    supervisor.run()
    undisturbed, record = Record.open(calm), Record.open(killed)
    expected, found = plain(undisturbed), plain(record)
    return {
        "kills": supervisor.drivers + supervisor.workers,
        "of_drivers": supervisor.drivers,
        "of_workers": supervisor.workers,
        "before_a_new_trial": supervisor.early,
        "trials": len(found),
        "lost_or_changed": sum(found.get(key) != row for key, row in supervisor.seen.items()),
        "differ_from_undisturbed": sum(found.get(key) != row for key, row in expected.items()) + len(found) - len(expected),
        "same_winner": record.result("explore")["winner"] == undisturbed.result("explore")["winner"],
        "winner": record.result("explore")["winner"]["digest"],
        "seconds": round(supervisor.seconds, 1),
        "seconds_undisturbed": round(float(undisturbed.result("explore")["seconds"]), 1),
    }  # fmt: skip


Key = tuple[str, int]
Row = tuple[object, ...]


def plain(record: Record) -> dict[Key, Row]:
    """All of a trial that kills must not change: everything but how long it took."""
    return {(trial.strategy, trial.number): _row(trial) for trial in record.stored()}


def _row(trial: Trial) -> Row:
    return (
        trial.architecture.digest,
        tuple(trial.metrics.items()),
        tuple(trial.costs.items()),
        trial.state,
        trial.cached,
    )


@dataclass
class Supervisor:
    """Runs a study to its end, killing its driver or a worker now and then."""

    folder: Path
    kills: int
    rng: random.Random
    drivers: int = 0
    workers: int = 0
    early: int = 0
    seconds: float = 0.0
    seen: dict[Key, Row] = field(default_factory=dict)

    def run(self) -> None:
        started = time.perf_counter()
        driver = self._driver()
        while self.drivers + self.workers < self.kills:
            self._wait(driver)
            victims = workers_of(driver.pid)
            if victims and self.rng.random() < 0.5:
                os.kill(self.rng.choice(victims), signal.SIGKILL)
                self.workers += 1
                continue
            driver.kill()
            driver.wait()
            self.drivers += 1
            self._look()
            driver = self._driver()
        if driver.wait() != 0:
            raise SystemExit(f"the last driver ended with code {driver.returncode}")
        self.seconds = time.perf_counter() - started

    def _driver(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "nas.cli", "run", str(self.folder), "--quiet"])

    def _wait(self, driver: subprocess.Popen[bytes]) -> None:
        """Until it is time for the next kill."""
        new = self.rng.randint(0, 6)
        self.early += new == 0
        enough = len(self.seen) + new
        while len(self.seen) < enough:
            if driver.poll() is not None:
                raise SystemExit(
                    f"a driver ended with code {driver.returncode} after {self.drivers + self.workers} kills"
                )
            time.sleep(0.05)
            self._look()
        time.sleep(self.rng.uniform(0, 0.3 if new else 8.0))

    def _look(self) -> None:
        """Remembers what the table of trials holds; what was there once must stay."""
        try:
            found = plain(Record.open(self.folder))
        except NasError:  # there is no table yet
            return
        for key, row in found.items():
            self.seen.setdefault(key, row)


def workers_of(driver: int) -> list[int]:
    """Ray's workers that measure for a driver, by their titles and their ancestors."""
    parents, titled = {}, []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            title = (place / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        if title.startswith(b"ray::") and b"_Worker" in title:
            titled.append(int(place.name))

    def above(pid: int) -> bool:
        return pid == driver or (pid in parents and above(parents[pid]))

    return [pid for pid in titled if above(pid)]


if __name__ == "__main__":
    main()
