"""Commands on thousands of made inputs, for some time, by a seed. Each must end with exit code 0 or 2, without a
traceback, within 20 s of the processor and 2 GiB, without a file outside its folder, a connection or a process. One
that trains is stopped after a while, which is no fault if it then ends at once.

    make fuzz SECONDS=1800 SEED=0
    python -m fuzz --seed 0 --only 1234     # one input again

What is found is printed, and kept in `runs/fuzz/SEED/NUMBER`: the input, the command, what it printed. Of findings of
one cause the first alone is kept; the others are counted. Exit code 1 if there are any.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from fuzz.search import search


def main() -> int:
    """Runs what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inputs", type=int, default=10**9, help="at most so many")
    parser.add_argument("--only", type=int, help="the number of one input")
    parser.add_argument("--kinds", nargs="*", help="of inputs (default: all)")
    parser.add_argument("--folder", type=Path, default=Path("runs") / "fuzz")
    arguments = parser.parse_args()
    kept = arguments.folder.resolve() / str(arguments.seed)
    numbers = range(arguments.inputs) if arguments.only is None else (arguments.only,)
    found = search(kept, arguments.seed, numbers, seconds=arguments.seconds, kinds=arguments.kinds)
    print(f"{found.commands.total()} commands on {found.inputs} made inputs")
    for kind in sorted({kind for kind, _, _ in found.commands}):
        _tell(kind, {key[1:]: times for key, times in found.commands.items() if key[0] == kind})
    totals: Counter[tuple[str, int]] = Counter()
    for (_, command, code), times in found.commands.items():
        totals[command, code] += times
    _tell("all", totals)
    print(f"{len(found.causes)} findings, kept in {kept}" if found.causes else "no finding")
    for cause, times in found.causes.most_common():
        print(f"  {times} x {cause}")
    return 1 if found.causes else 0


def _tell(kind: str, commands: Mapping[tuple[str, int], int]) -> None:
    """A line per command: how often it ended with which exit code."""
    for command in sorted({command for command, _ in commands}):
        codes = {code: times for (name, code), times in sorted(commands.items()) if name == command}
        print(f"  {kind:11}{command:9}{', '.join(f'exit code {code}: {times}' for code, times in codes.items())}")


if __name__ == "__main__":
    sys.exit(main())
