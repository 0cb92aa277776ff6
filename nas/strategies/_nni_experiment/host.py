"""A process that keeps NNI's manager for a search, and talks to it in lines of JSON: candidates come in, outcomes go
out.

It has a HOME of its own, since NNI writes there, and stops the manager when its input ends: when the search does, and
when the process of the search is killed, since the system then closes its end of the pipe. The experiment's folder is
the search's to delete, or ours when the search was killed.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import sys
import threading
from pathlib import Path
from typing import Any, TextIO, final

LOOPBACK = ("127.0.0.1", "::1")


def main(folder: Path, settings: dict[str, Any]) -> None:
    """Runs until the input ends. The first line out says where the manager is, or why there is none."""
    search = os.getppid()
    jobs, out = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w", buffering=1)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)  # node.js would make our input one that does not wait
    os.dup2(2, 1)  # NNI prints
    home = os.environ.get("HOME", "")
    guard = Path(__file__).with_name("loopback.js")
    os.environ |= {
        "HOME": str(folder),
        "NNI_CONFIG_DIR": str(folder / "config"),
        "NODE_OPTIONS": f'--require "{guard}"',
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    host = _Host(folder, settings, home, out)
    try:
        host.start()
        for line in jobs:
            host.submit(json.loads(line))
    finally:
        host.stop()
        if os.getppid() != search:
            shutil.rmtree(folder, ignore_errors=True)


@final
class _Host:
    """NNI's experiment, and the channel on which its manager asks a tuner for candidates: this is the tuner."""

    def __init__(self, folder: Path, settings: dict[str, Any], home: str, out: TextIO) -> None:
        import nni
        from nni.experiment import CustomAlgorithmConfig, Experiment
        from nni.runtime.tuner_command_channel import TunerCommandChannel

        nni.silence_stdout()
        self._folder, self._out = folder, out
        self._metrics: dict[int, dict[str, float]] = {}
        self._port = _free_port()
        self._url = f"ws://localhost:{self._port}/tuner"
        self._channel = TunerCommandChannel(self._url)
        self._stopping = threading.Event()
        self._experiment = Experiment("local")
        config = self._experiment.config
        config.experiment_name = settings["name"]
        config.experiment_working_directory = str(folder)
        config.search_space = settings["space"]
        config.trial_code_directory = str(folder)
        command = [sys.executable, "-P", "-m", "nas.strategies._nni_experiment.trial", str(folder / "training")]
        config.trial_command = f"HOME={shlex.quote(home)} exec {shlex.join(command)}"
        config.trial_concurrency = settings["workers"]
        config.tuner = CustomAlgorithmConfig(class_name="nas.strategies.with_nni", code_directory=str(folder))

    def start(self) -> None:
        """Start the manager and say where it is; refuse one that other machines can reach."""
        from nni.experiment.experiment import RunMode

        self._experiment._start_logging(False)
        # NNI's own NAS experiments pass the channel in the same way: no other function takes it.
        self._experiment._start_nni_manager(self._port, False, RunMode.Background, self._url)
        reachable = _listening(self._experiment._proc.pid) - set(LOOPBACK)
        if reachable:
            self._say(broken=f"its manager listens on {', '.join(sorted(reachable))}, not on this machine only")
            raise SystemExit(1)
        self._channel.on_initialize(lambda _: self._channel.send_initialized())
        self._channel.on_report_metric_data(self._reported)
        self._channel.on_trial_end(self._ended)
        self._channel.connect()
        threading.Thread(target=self._listen, daemon=True).start()
        self._say(url=f"http://localhost:{self._port}")

    def submit(self, job: dict[str, Any]) -> None:
        """Queue a candidate; NNI starts it as soon as fewer trials run than may."""
        self._channel.send_trial(parameter_id=job["number"], parameters=job["architecture"])

    def stop(self) -> None:
        """Stop the manager and its trials."""
        self._stopping.set()
        self._experiment.stop()

    def _listen(self) -> None:
        """Until the manager says that it stops; when nobody told it to, there is no more to wait for."""
        try:
            self._channel.listen(threading.Event())
        finally:
            if not self._stopping.is_set():
                self._say(broken="its manager has stopped")

    def _reported(self, command: Any) -> None:
        if command.type == "FINAL":
            self._metrics[command.parameter_id] = {k: v for k, v in command.value.items() if k != "default"}

    def _ended(self, command: Any) -> None:
        (number,) = command.parameter_ids
        if number in self._metrics:
            self._say(number=number, metrics=self._metrics.pop(number))
        else:
            self._say(number=number, fault=self._why(command.trial_job_id, command.event))

    def _why(self, trial: str, event: str) -> str:
        """The last line that a trial wrote to its standard error."""
        lines = [file.read_text(errors="replace").strip() for file in self._folder.glob(f"**/{trial}/trial.stderr")]
        last = lines[0].rpartition("\n")[2] if lines else ""
        return last or f"NNI's trial ended as {event}, and reported nothing"

    def _say(self, **line: Any) -> None:
        self._out.write(json.dumps(line) + "\n")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listening(pid: int) -> set[str]:
    """Addresses at which a process listens."""
    import psutil

    return {c.laddr.ip for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN}


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
