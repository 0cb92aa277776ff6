"""Commands on thousands of made inputs, for some time, by a seed. Each must end with exit code 0 or 2, without a
traceback, within 20 s and 2 GiB, without a file outside its folder, a connection or a process.

    make fuzz SECONDS=1800 SEED=0
    python -m fuzz --seed 0 --only 1234     # one input again

What is found is printed, and kept in `runs/fuzz/SEED/NUMBER`: the input, the command, what it printed. Of findings of
one cause the first alone is kept; the others are counted. Exit code 1 if there are any.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from random import Random
from tempfile import TemporaryDirectory

import nas

LIBRARIES = (
    *("torch", "torchvision.transforms.v2", "timm", "pandas", "pyarrow.parquet", "sqlalchemy.dialects.sqlite", "scipy"),
    *("matplotlib.figure", "matplotlib.backends.backend_svg", "jinja2", "moocore", "sklearn.datasets", "optuna"),
    *("sklearn.model_selection", "safetensors.torch", "ruamel.yaml", "rich.progress"),
)
"""What commands import when they run, once for all of them."""
SLOW = ("nas.testing", "nas.strategies.with_", "nas.strategies._")
"""Modules of ours that few commands load."""


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
    tried, causes = search(kept, arguments.seed, numbers, seconds=arguments.seconds, kinds=arguments.kinds)
    print(f"{sum(tried.values())} commands on made inputs")
    for kind in sorted({kind for kind, _ in tried}):
        print(
            f"  {kind}: {', '.join(f'exit code {code} {n} x' for (k, code), n in sorted(tried.items()) if k == kind)}"
        )
    print(f"{len(causes)} findings, kept in {kept}" if causes else "no finding")
    for cause, times in causes.most_common():
        print(f"  {times} x {cause}")
    return 1 if causes else 0


def warm() -> None:
    """Imports everything once. Nothing may compute before the forks: one thread, and none of others."""
    sys.dont_write_bytecode = True
    ours = [module.name for module in walk_packages(nas.__path__, "nas.") if not module.name.startswith(SLOW)]
    for module in (*LIBRARIES, *ours):
        import_module(module)
    import torch

    torch.set_num_threads(1)


def search(
    kept: Path, seed: int, numbers: range | tuple[int, ...], *, seconds: float, kinds: list[str] | None = None
) -> tuple[Counter[tuple[str, int]], Counter[str]]:
    """Commands per kind of input and exit code; findings per cause, the first of which is kept in `kept`."""
    warm()
    from fuzz.cases import KINDS
    from fuzz.examples import make
    from fuzz.sandbox import run

    tried: Counter[tuple[str, int]] = Counter()
    causes: Counter[str] = Counter()
    with TemporaryDirectory(prefix="nas-fuzz-") as place:
        examples = make(Path(place) / "examples")
        names = [kind for kind in KINDS if not kinds or kind in kinds]
        end = time.monotonic() + seconds
        for number in numbers:
            if time.monotonic() > end:
                break
            rng = Random(f"{seed}/{number}")
            kind = rng.choices(names, [KINDS[name][1] for name in names])[0]
            case = Path(place) / "case"
            (case / "input").mkdir(parents=True)
            (case / "outside").mkdir()
            (case / "outside" / "file.txt").write_text("somebody's\n", encoding="utf-8")
            commands = KINDS[kind][0](rng, case / "input", examples)
            pristine = Path(place) / "pristine"
            shutil.copytree(case / "input", pristine, symlinks=True)
            for command in commands:
                outcome = run(command, case, Path(place) / "cache")
                tried[kind, outcome.code] += 1
                if not outcome.broken:
                    continue
                causes[outcome.signature] += 1
                if causes[outcome.signature] > 1:
                    continue
                folder = kept / f"{number}"
                shutil.rmtree(folder, ignore_errors=True)
                folder.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(pristine, folder / "input", symlinks=True)
                line = f"nas {shlex.join(command.words)}"
                text = f"{kind}\n{line}\n{'; '.join(outcome.broken)}\nexit code {outcome.code}\n\n{outcome.output}"
                (folder / "output.txt").write_text(text, encoding="utf-8", errors="replace")
                print(f"{number} {line}\n    {outcome.signature}\n    {folder}", flush=True)
            shutil.rmtree(case)
            shutil.rmtree(pristine)
    return tried, causes


if __name__ == "__main__":
    sys.exit(main())
