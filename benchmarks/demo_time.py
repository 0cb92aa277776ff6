"""The demo now over the demo at another commit, in processor seconds, and whether both find the same winner.

    python -m benchmarks.demo_time OLD             # a commit; on a quiet machine, some ten minutes
    python -m benchmarks.demo_time OLD --pairs 1 --set base.epochs=1 --set supernet.epochs=1    # to try it

Both run in turn, each in a process of its own, with the code of its commit; the working tree is what is now. Writes its
row into `benchmarks/results.csv`, unless something is `--set`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.__main__ import keep
from benchmarks.pairs import compared
from benchmarks.same_results import environment, git, worktree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("old", help="a commit")
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    arguments = parser.parse_args()
    old = git("rev-parse", "--verify", f"{arguments.old}^{{commit}}")
    pairs, winners = [], set()
    with TemporaryDirectory(prefix="demo-") as folder, worktree(old, Path(folder)) as before:
        for _ in range(arguments.pairs):
            runs = [demo(tree, arguments.settings) for tree in (Path.cwd(), before)]
            pairs.append((runs[0][0], runs[1][0]))
            winners |= {digest for _, digest in runs}
            print(f"now {runs[0]}, then {runs[1]}", flush=True)
    what = f"processor seconds of make demo now / at {old[:12]}; winners: {', '.join(sorted(winners))}"
    row = {"what": what, "unit": "s / s", **compared(pairs)}
    print(row)
    if not arguments.settings:
        keep({"demo_time": [row]})


def demo(tree: Path, settings: list[str]) -> tuple[float, str]:
    """Processor seconds of a run of the demo with the code of a tree, and its winner's digest."""
    with TemporaryDirectory(prefix="demo-") as folder:
        words = [sys.executable, "-m", "nas.cli", "run", "studies/digits.yaml", "--folder", f"{folder}/run", "--quiet"]
        words += [word for setting in settings for word in ("--set", setting)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(words, cwd=tree, env=environment(tree), check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        explored = json.loads((Path(folder) / "run" / "explore" / "result.json").read_text())
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return round(seconds, 2), explored["winner"]["digest"]


if __name__ == "__main__":
    main()
