"""Whether two commits find the same: the proof that a change of the code was none of the results.

    python -m benchmarks.same_results OLD [NEW]                  # commits; without NEW, the working tree as it is
    python -m benchmarks.same_results OLD --only dan --only tpe    # some runs, for a first look

For each commit, `benchmarks.same_cases` run in a git worktree of their own: every preset of OLD and what no preset
uses, shrunken, for two seeds; and the tests and files of golden losses. Compared to the last digit are winners, trials,
fronts, results tables, losses of every epoch, extraction differences and extracted weights. Exits with 1 when anything
differs.

What a commit found is kept in the user's cache, a line per run the moment it is known, and not found again; nothing is
kept of the working tree. A commit takes about six minutes on one core.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from benchmarks.same_cases import Case, cases

ROOT = Path(__file__).parents[1]
PROBE = Path(__file__).with_name("same_probe.py")
ASPECTS: Mapping[str, tuple[str, ...]] = {
    "winners": ("explore",),
    "trials": ("trials",),
    "front": ("front",),
    "results": ("results",),
    "losses": ("base", "supernet", "retrain", "files"),
    "extraction": ("extract",),
    "weights": ("weights",),
    "tau": ("tau",),
    "tests": ("tests",),
}
"""Columns of the table, and of what the probe found what they are about."""
TABLES = ("trials", "front", "results", "tau")
NOISE = re.compile(r"seconds|candidates_per_hour|latency.*|commit")
"""Columns and keys that may differ. The first three are times, or made of times: another run of the same commit has
others. The commit is what is compared.
"""

Found = Mapping[str, Mapping[str, Any]]
"""Case -> what it found."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("old", help="a commit")
    parser.add_argument("new", nargs="?", help="another one (default: the working tree)")
    parser.add_argument("--only", action="append", metavar="WORD", help="only the runs whose names have it")
    arguments = parser.parse_args()
    old = git("rev-parse", "--verify", f"{arguments.old}^{{commit}}")
    new = arguments.new and git("rev-parse", "--verify", f"{arguments.new}^{{commit}}")
    words = arguments.only or [""]
    wanted = [case for case in cases(presets(old)) if any(word in case.name for word in words)]
    before, after = found(old, wanted), found(new, wanted)
    sys.exit(0 if show(before, after, f"{old[:12]} and {new[:12] if new else 'the working tree'}") else 1)


def presets(commit: str) -> dict[str, Any]:
    """Those of a commit: name -> options."""
    names = git("ls-tree", "--name-only", commit, "strategies/").split()
    return {
        Path(name).stem: YAML(typ="safe").load(git("show", f"{commit}:{name}"))
        for name in names
        if name.endswith(".yaml")
    }


def found(commit: str | None, wanted: Sequence[Case]) -> dict[str, Any]:
    """What a commit, or the working tree, finds; only what is not kept is run."""
    with TemporaryDirectory(prefix="same-") as folder:
        lines = _kept(commit) if commit else Path(folder) / "lines.jsonl"
        known = _read(lines, wanted)
        missing = [case for case in wanted if case.name not in known]
        if missing:
            with worktree(commit, Path(folder)) as tree:
                for group, members in groupby(missing, lambda case: case.group):
                    if group == "golden":
                        _golden(tree, next(members), lines)
                    else:
                        _probe(tree, list(members), lines, Path(folder) / f"{group}.json")
        return _read(lines, wanted, failed=True)


def _kept(commit: str) -> Path:
    """Where a commit's lines are; other libraries round otherwise."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    made_with = f"python-{platform.python_version()}-torch-{version('torch')}-timm-{version('timm')}"
    folder = cache / "nas-same-results" / made_with
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{commit}.jsonl"


def _key(case: Case) -> str:
    """Of a case as it is probed now."""
    return sha256(PROBE.read_bytes() + case.key.encode()).hexdigest()[:16]


def _read(lines: Path, wanted: Sequence[Case], *, failed: bool = False) -> dict[str, Any]:
    """The lines of the cases as they are now; those that failed are not kept, since a package may have been missing."""
    keys = {case.name: _key(case) for case in wanted}
    rows = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    fitting = {row["case"]: row["found"] for row in rows if keys.get(row["case"]) == row["key"]}
    return {name: one for name, one in fitting.items() if failed or "failed" not in one}


@contextmanager
def worktree(commit: str | None, folder: Path) -> Iterator[Path]:
    """A worktree of a commit for as long as the block lasts, or the working tree."""
    if commit is None:
        yield ROOT
        return
    tree = folder / commit[:12]
    git("worktree", "add", "--detach", str(tree), commit)
    try:
        yield tree
    finally:
        git("worktree", "remove", "--force", str(tree))


def _golden(tree: Path, case: Case, lines: Path) -> None:
    """Runs the tests of golden losses: how many pass, and the files that they read."""
    listed = git("ls-files", "--cached", "--others", "--exclude-standard", tree=tree).splitlines()
    there = [name for name in listed if (tree / name).is_file()]
    tests = [name for name in there if Path(name).name == "test_golden_losses.py"]
    files = {name.rpartition("golden/")[2]: name for name in there if "golden" in Path(name).parts[:-1]}
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(tests or ["test_golden_losses.py"])]
    said = subprocess.run(words, cwd=tree, env=environment(tree), capture_output=True, text=True, check=False)
    passed = re.search(r"(\d+) passed", said.stdout)
    outcome: dict[str, Any] = {"failed": said.stdout[-2000:] + said.stderr[-2000:]}
    if passed and not said.returncode:
        texts = {name: (tree / path).read_text() for name, path in sorted(files.items())}
        outcome = {"tests": {"passed": int(passed[1])}, "files": texts}
    with lines.open("a") as file:
        file.write(json.dumps({"case": case.name, "key": _key(case), "found": outcome}) + "\n")
    print(case.name, flush=True)


def _probe(tree: Path, missing: Sequence[Case], lines: Path, file: Path) -> None:
    """Runs cases in a process, with the code of a tree."""
    file.write_text(json.dumps([{**asdict(case), "key": _key(case)} for case in missing]))
    words = [sys.executable, "-P", str(PROBE), str(file), str(lines)]
    if code := subprocess.run(words, cwd=tree, env=environment(tree), check=False).returncode:
        sys.exit(f"the probe ended with code {code}; of a commit, what is known is kept: start again to continue")


def environment(tree: Path) -> dict[str, str]:
    """In which the code of a tree runs, on one core."""
    return os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}


def git(*words: str, tree: Path = ROOT) -> str:
    """What git says."""
    done = subprocess.run(["git", "-C", str(tree), *words], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def show(before: Found, after: Found, title: str) -> bool:
    """Prints what is equal and what differs; true when nothing does."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("run", *ASPECTS):
        table.add_column(column, no_wrap=True)
    notes, differences = [], []
    for name in before:
        old, new = before[name], after.get(name, {"failed": "not run"})
        failed = {when: one["failed"] for when, one in (("old", old), ("new", new)) if "failed" in one}
        if len(failed) == 2 and all("pip install 'nas[" in text for text in failed.values()):
            notes.append(f"{name}: skipped, {failed['old'].strip()}")
        elif failed:
            differences += [f"{name}: failed, {when}: {text.strip()}" for when, text in failed.items()]
        marks = {} if failed else {aspect: _difference(aspect, old, new) for aspect in _aspects(old)}
        differences += [f"{name}: {text}" for text in marks.values() if text]
        signs = [{None: "", "": "="}.get(marks.get(aspect), "DIFFERS") for aspect in ASPECTS]
        table.add_row(name, *signs)
    console = Console(width=150)
    console.print(table)
    for text in (*notes, *differences):
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    console.print(f"{len(before)} runs, {len(differences)} differences, {len(notes)} skipped", highlight=False)
    return not differences


def _aspects(one: Mapping[str, Any]) -> list[str]:
    return [aspect for aspect, parts in ASPECTS.items() if any(part in one for part in parts)]


def _difference(aspect: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The first one between two runs, spelt out; nothing when there is none."""
    for part in ASPECTS[aspect]:
        if part not in old:
            continue
        before, after = (dict(_facts(one.get(part), part)) for one in (old, new))
        if part in TABLES and list(before) != list(after):
            places = [place for place in (*before, *after) if (place in before) != (place in after)]
            return f"{part}: other rows or columns, the first one: {places[0] if places else 'their order'}"
        for place, value in before.items():
            if after.get(place, "nothing") != value:
                return f"{place}: {value} before, {after.get(place, 'nothing')} now"
    return ""


def _facts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Single values with their places, as texts that are equal when all digits are; without `NOISE`.

    Keys that only the new one has are no difference: a stage may say more than it did.
    """
    if place in TABLES and isinstance(value, str):
        value = _rows(value, place)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not NOISE.fullmatch(key):
                yield from _facts(inner, f"{place}.{key}")
    elif isinstance(value, list):
        yield f"{place}.length", str(len(value))
        for number, inner in enumerate(value):
            yield from _facts(inner, f"{place}[{number}]")
    else:
        yield place, repr(value)


def _rows(csv: str, table: str) -> list[dict[Any, Any]]:
    """Rows of texts. Trials are in the order of their numbers: on Ray they become known as the workers end."""
    frame = pd.read_csv(io.StringIO(csv), dtype=str, keep_default_na=False)
    if table == "trials":
        frame = frame.sort_values(["strategy", "number"], key=lambda c: c.astype(int) if c.name == "number" else c)
    return frame.to_dict("records")


if __name__ == "__main__":
    main()
