"""One peer with one seed, in a process of its own: `python -m benchmarks.peers.one PEER SEED SECONDS` prints what came
of it as JSON.
"""

from __future__ import annotations

import inspect
import io
import json
import sys
import time
import tokenize
from collections.abc import Sequence
from importlib import import_module

import torch

from benchmarks.peers.terms import Terms, UnsuitedError, macs
from nas.evaluation import evaluate


def main(name: str, seed: int, seconds: float) -> None:
    torch.set_num_threads(1)
    peer = import_module(f"benchmarks.peers.{name}")
    found: dict[str, object] = {"lines_of_user_code": lines(peer.USER_CODE) or None}
    data = Terms(seed, seconds, 0.0).data  # reading it is not measured
    terms = Terms(seed, seconds, time.process_time())
    try:
        model = peer.winner(terms).eval()
    except UnsuitedError as fault:
        print(json.dumps({"note": str(fault)}))
        return
    found["processor_seconds"] = round(time.process_time() - terms.start, 1)
    found["test_accuracy"] = evaluate(model, data.test, data.task).metrics["accuracy"]
    found["validation_accuracy"] = terms.accuracy(model)
    found["macs"] = macs(model)
    print(json.dumps(found))


def lines(code: str | object | Sequence[object]) -> int:
    """Of what a user of the peer writes: of YAML or of Python, without empty lines, comments and docstrings."""
    if isinstance(code, str):
        return sum(bool(line.strip()) for line in code.splitlines())
    if isinstance(code, Sequence):
        return sum(map(lines, code))
    source = inspect.getsource(code)  # type: ignore[arg-type]
    ignored = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type not in ignored]
    documenting = [token for token in tokens if token.type == tokenize.STRING and token.line.strip().startswith('"""')]
    return len({token.start[0] for token in tokens} - {token.start[0] for token in documenting})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
