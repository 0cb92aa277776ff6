"""The progress bar of a training run, on the error stream so that results can be piped; silent where that is no
terminal.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import final

from rich.progress import BarColumn, Progress, TimeRemainingColumn

from nas.system.terminal import Terminal, Words


@final
class Bar:
    """Counts epochs, with the loss of the last step and the metrics of the last epoch beside them."""

    def __init__(self, title: str, epochs: int, done: int, show: bool) -> None:
        console = Terminal(stderr=True)
        columns = (
            Words("{task.description}"),
            BarColumn(),
            Words("epoch {task.fields[epoch]}/{task.total}"),
            Words("{task.fields[loss]} {task.fields[metrics]}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=console, disable=not (show and console.is_terminal))
        self._done = done
        self._task = self._progress.add_task(title, total=epochs, completed=done, epoch=done, loss="", metrics="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, share: float, loss: float) -> None:
        """`share` of the present epoch is done."""
        self._progress.update(self._task, completed=self._done + share, epoch=self._done + 1, loss=f"loss {loss:.3f}")

    def finish(self, metrics: Mapping[str, float]) -> None:
        """The present epoch is done."""
        self._done += 1
        text = " ".join(f"{name} {value:.3f}" for name, value in metrics.items())
        self._progress.update(self._task, completed=self._done, epoch=self._done, metrics=text)
