"""What `benchmarks.same_results` runs in a process of its own, on whatever `nas` is on the path there: runs cases one
after the other, and writes a line of JSON for each the moment it is done.

    cd TREE; PYTHONPATH=TREE python -P same_probe.py CASES LINES      # both are files

It stands alone, and uses of `nas` only what users have: the command line and the files of a run.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
import traceback
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

import nas
from nas.cli import main as command

STAGES = ("base", "supernet", "explore", "extract", "retrain")
TABLES = {"trials": ("--trials",), "front": ()}


def main() -> None:
    assert Path(nas.__file__).is_relative_to(Path.cwd()), f"{nas.__file__} is not the code of {Path.cwd()}"
    cases, lines = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="same-") as folder:
            found = probe(case, Path(folder))
        with lines.open("a") as file:
            file.write(json.dumps({"case": case["name"], "key": case["key"], "found": found}) + "\n")
        print(case["name"], "failed" if "failed" in found else "", flush=True)


def probe(case: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Runs a case; what it found, or why it could not run."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            return _found(case, folder)
    except SystemExit:
        return {"failed": said.getvalue()}
    except Exception:
        return {"failed": traceback.format_exc()}


def _found(case: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    study, run = Path(case["study"]) if isinstance(case["study"], str) else folder / "study.yaml", folder / "run"
    if not isinstance(case["study"], str):
        study.write_text(json.dumps(case["study"]))
    settings = [word for setting in case["settings"] for word in ("--set", setting)]
    _nas("run", study, *settings, "--folder", run, "--quiet")
    found: dict[str, Any] = {}
    for table, options in TABLES.items():
        _nas("pareto", run, *options, "--csv", folder / f"{table}.csv")
        found[table] = (folder / f"{table}.csv").read_text()
    found["results"] = (run / "report" / "results.csv").read_text()
    if case["tau"]:
        _nas("tau", run, "--architectures", "4", "--epochs", "1", "--csv", folder / "tau.csv")
        found["tau"] = (folder / "tau.csv").read_text()
    found |= {stage: json.loads((run / stage / "result.json").read_text()) for stage in STAGES}
    found["weights"] = {str(path.relative_to(run)): _digest(path) for path in sorted(run.glob("*/*/model.safetensors"))}
    return found


def _nas(*words: str | Path) -> None:
    if command([str(word) for word in words]):
        raise SystemExit


def _digest(path: Path) -> str:
    """Of names and values; how the file is laid out is not the matter."""
    tensors = load_file(path)
    return sha256(b"".join(name.encode() + tensors[name].tobytes() for name in sorted(tensors))).hexdigest()


if __name__ == "__main__":
    main()
