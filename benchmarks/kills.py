"""Searches that are killed (SIGKILL) again and again, at random moments, against the same searches undisturbed: whether
a trial is ever lost, and whether they end the same.

    python -m benchmarks.kills              # 30 kills of the driver in one process; 30 of the driver or a worker on Ray
    python -m benchmarks.kills --kills 4

A supernet of digits is trained shortly and searched undisturbed; the killed run begins as a copy of the folder, with
nothing after the stage `supernet`. A supervisor watches the table of trials, and kills after a random number of new
ones and a random moment more; every seventh time, on average, before there is a new one, such as while a driver starts.
A dead driver is replaced by `nas run RUN`. Writes `studies/results/kills.csv`; `benchmarks.kills_of_stages` kills whole
runs, in all their stages.
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from benchmarks.tables import RESULTS
from nas import Study
from nas.errors import NasError
from nas.search import Trial
from nas.studies.run.record import Record
from nas.studies.run.results import EXPLORE, STAGES
from nas.system.environment import commit

ROOT = Path(__file__).parents[1]
SHORT = ["base.epochs=4", "supernet.epochs=2", "retrain.epochs=0", "latency.seconds=0.01", "latency.batches=[1]",
         "baseline=1", "objectives={accuracy: max}"]  # fmt: skip
"""What comes before and after the search is not the matter here."""
EVOLUTION = "{use: evolution, population: 8, sample: 3, trials: %d}"
RAY = (
    "{use: with_raytune, name: on_ray, searcher: {use: evolution, population: 8, sample: 3}, workers: 2, round: 8, "
    "trials: %d}"
)
SEARCHES = {"evolution, in one process": (EVOLUTION, 80), "evolution, on 2 Ray workers": (RAY, 30)}
"""Each with its trials per kill: a search must outlast its kills."""

Key = tuple[str, int]
Row = tuple[object, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs") / "kills")
    parser.add_argument("--out", type=Path, default=RESULTS / "kills.csv")
    arguments = parser.parse_args()
    rows = []
    for number, (title, (strategy, trials)) in enumerate(SEARCHES.items()):
        folder = arguments.folder / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        row = compare(strategy % (trials * arguments.kills), folder, arguments.kills, arguments.seed)
        rows.append({"search": title, **row, "cores": os.cpu_count(), "commit": commit()})
        print(rows[-1], flush=True)
    keep(rows, arguments.out)


def keep(rows: Sequence[Mapping[str, object]], file: Path) -> None:
    """Writes rows to a table, in the place of those of the same searches; others stay."""
    table = pd.DataFrame(rows)
    if file.exists():
        before = pd.read_csv(file)
        table = pd.concat([before[~before["search"].isin(table["search"])], table])
    table.convert_dtypes().to_csv(file, index=False)  # a column with gaps stays one of whole numbers


def compare(strategy: str, folder: Path, kills: int, seed: int) -> dict[str, object]:
    """One search undisturbed and killed, and what must not differ."""
    calm, killed = folder / "calm", folder / "killed"
    overrides = [f"strategy={strategy}", *SHORT]
    Study.from_yaml(ROOT / "studies" / "digits.yaml", overrides=overrides, folder=calm).run(quiet=True)
    shutil.copytree(calm, killed)
    for stage in STAGES[STAGES.index(EXPLORE) :]:
        shutil.rmtree(killed / stage.name)
    (killed / "trials.sqlite").unlink()
    supervisor = Supervisor(Record.open(killed), kills, random.Random(seed))
    supervisor.run()
    expected, found = plain(Record.open(calm)), plain(Record.open(killed))
    undisturbed, disturbed = (Record.open(path).result(EXPLORE) for path in (calm, killed))
    return {
        "kills": supervisor.of_drivers + supervisor.of_workers,
        "of_drivers": supervisor.of_drivers,
        "of_workers": supervisor.of_workers,
        "before_a_new_trial": supervisor.early,
        "trials": len(found),
        "lost_or_changed": sum(found.get(key) != row for key, row in supervisor.seen.items()),
        "unlike_undisturbed": len(set(found.items()) ^ set(expected.items())),
        "same_winner": disturbed.winner == undisturbed.winner,
        "winner": disturbed.winner.digest,
        "seconds": round(supervisor.seconds, 1),
        "seconds_undisturbed": round(Record.open(calm).seconds["explore"], 1),
    }


def plain(record: Record) -> dict[Key, Row]:
    """All of a trial that kills must not change: everything but how long it took."""
    return {(trial.strategy, trial.number): _row(trial) for trial in record.stored()}


def _row(trial: Trial) -> Row:
    numbers = tuple({**trial.metrics, **trial.costs}.items())
    return trial.architecture.digest, numbers, trial.state, trial.cached


@dataclass
class Supervisor:
    """Runs a study to its end, killing its driver or a worker now and then."""

    record: Record
    kills: int
    rng: random.Random
    of_drivers: int = 0
    of_workers: int = 0
    early: int = 0
    seconds: float = 0.0
    seen: dict[Key, Row] = field(default_factory=dict)

    def run(self) -> None:
        """Kills as often as asked, and lets the search come to its end."""
        started = time.perf_counter()
        driver = self._driver()
        while self.of_drivers + self.of_workers < self.kills:
            self._wait(driver)
            victims = workers_of(driver.pid)
            if victims and self.rng.random() < 0.5:
                os.kill(self.rng.choice(victims), signal.SIGKILL)
                self.of_workers += 1
            else:
                driver.kill()
                driver.wait()
                self.of_drivers += 1
                self._look()
                driver = self._driver()
        if driver.wait() != 0:
            raise SystemExit(f"the last driver ended with code {driver.returncode}")
        self.seconds = time.perf_counter() - started

    def _driver(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "nas.cli", "run", str(self.record.folder), "--quiet"]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)  # Ray tells of every death at length

    def _wait(self, driver: subprocess.Popen[bytes]) -> None:
        """Until it is time for the next kill."""
        new = self.rng.randint(0, 6)
        self.early += new == 0
        enough = len(self.seen) + new
        while len(self.seen) < enough and driver.poll() is None:
            time.sleep(0.1)
            self._look()
        time.sleep(self.rng.uniform(0, 0.3 if new else 8.0))
        if driver.poll() is not None:
            raise SystemExit(f"a driver ended by itself, code {driver.returncode}, before all kills were done")

    def _look(self) -> None:
        """Remembers what the table of trials holds; what was there once must stay."""
        try:
            found = plain(self.record)
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
        if title.startswith(b"ray::") and any(word in title for word in (b"Trainable", b"_Worker")):
            titled.append(int(place.name))

    def below_driver(pid: int) -> bool:
        return pid == driver or (pid in parents and below_driver(parents[pid]))

    return [pid for pid in titled if below_driver(pid)]


if __name__ == "__main__":
    main()
