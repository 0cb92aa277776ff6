"""The fuzzer notices what a command may not do; and some of its inputs, the same ones each time."""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz import folders, mutate, sandbox
from fuzz.sandbox import Command, run
from nas import cli

ROOT = Path(__file__).parents[1]


def fault() -> None:
    raise ValueError("ours")


def leave(code: int) -> None:
    raise SystemExit(code)


def write(path: str) -> None:
    Path(path).write_text("x", encoding="utf-8")


def link() -> None:
    Path("link").symlink_to("../outside/file.txt")
    write("link")


def connect(host: str) -> None:
    socket.create_connection((host, 9), timeout=1)


def start() -> None:
    subprocess.run(["true"], check=True)


def wait() -> None:
    while True:
        pass


def fill() -> None:
    held = []
    while sandbox.memory(os.getpid()) <= sandbox.MEMORY:
        held.append(b"x" * 2**24)
    time.sleep(30)


@pytest.fixture
def case(tmp_path: Path) -> Path:
    for name in ("input", "outside"):
        (tmp_path / "case" / name).mkdir(parents=True)
    return tmp_path / "case"


@pytest.mark.parametrize(
    ("does", "rule"),
    [
        (fault, "traceback"),
        (lambda: leave(3), "exit code 3"),
        (lambda: os.kill(os.getpid(), 9), "exit code -9"),
        (lambda: write("../outside/new.txt"), "outside: /"),
        (lambda: Path("../outside/file").mkdir(), "outside: /"),
        (link, "outside: /"),
        (lambda: connect("192.0.2.1"), r"connection: \('192.0.2.1', 9\)|connection: the address"),
        (start, r"process: true"),
        (wait, "time: over"),
        (fill, "memory: over"),
        (lambda: write("mine.txt"), None),
        (lambda: leave(2), None),
    ],
)
def test_what_a_command_may_not_do(
    does: Callable[[], None], rule: str | None, case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def main(_: object) -> int:
        does()
        return 0

    monkeypatch.setattr(cli, "main", main)
    if does is wait:
        monkeypatch.setattr(sandbox, "SECONDS", 0.3)
    monkeypatch.setattr(sandbox, "MEMORY", sandbox.memory(os.getpid()) + 2**27)
    outcome = run(Command(words=("show",)), case, case.parent / "cache")
    if rule is None:
        assert outcome.broken == ()
    else:
        assert any(re.match(rule, broken) for broken in outcome.broken), outcome


def test_training_is_stopped_and_the_users_own_study_may_name_hosts(
    case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "PATIENCE", 0.1)
    monkeypatch.setattr(cli, "main", lambda _: wait())
    assert run(Command(words=("run",), trains=True), case, case.parent / "cache").broken == ("exit code -15",)

    def main(_: object) -> int:
        with pytest.raises(OSError, match="no network"):
            connect("192.0.2.1")
        with pytest.raises(OSError, match="no processes"):
            start()
        return 2

    monkeypatch.setattr(cli, "main", main)
    assert run(Command(words=("run",), reaches=True), case, case.parent / "cache").broken == ()


def test_the_same_seed_makes_the_same_inputs() -> None:
    original = {"a": [1, 2, {"b": "c"}], "d": None}
    made = [[repr(mutate.document(random.Random(seed), original)) for seed in range(300)] for _ in range(2)]
    assert made[0] == made[1]
    assert len(set(made[0])) > 150
    assert original == {"a": [1, 2, {"b": "c"}], "d": None}
    assert len({mutate.content(random.Random(seed), b"0123456789") for seed in range(100)}) > 50


def test_checksums_are_dropped_and_what_is_endless_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "run" / "base").mkdir(parents=True)
    (tmp_path / "run" / "run.json").symlink_to("/dev/zero")
    result = tmp_path / "run" / "base" / "result.json"
    result.write_text('{"seconds": 1, "seal": {}, "sha256": "0"}', encoding="utf-8")
    folders.unsealed(tmp_path / "run")
    assert json.loads(result.read_bytes()) == {"seconds": 1}


def test_some_inputs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fuzz", "--seed", "1", "--inputs", "8", "--folder", str(tmp_path)]
    command += ["--kinds", "space", "setting"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) commands", done.stdout)[1]) >= 8  # type: ignore[index]
