"""Several architectures measured at once: who is measured next, and what of it a strategy learns when.

In rounds, a strategy learns of a whole round at a time, so that what it proposes does not depend on who finishes first:
the same trials on one worker and on many. Free-running, it learns of every trial at once and no worker ever waits, but
two searches with the same seed differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from nas.search.problem import Outcome, Problem, Trial
from nas.search.strategy import AskTell
from nas.searchspaces.architecture import Architecture


@final
@dataclass(frozen=True)
class Job:
    """An architecture that somebody must measure."""

    number: int
    architecture: Architecture


@final
class Dispatcher:
    """Hands out jobs, and takes back outcomes in any order. Every trial is recorded the moment its outcome is known.

    `size` is that of a round; None runs freely. After a kill, what was under way is handed out again.
    """

    def __init__(self, strategy: AskTell, problem: Problem, size: int | None) -> None:
        self._problem, self._size = problem, size
        self._settled = {trial.number: trial for trial in problem.history}
        # What the strategy sees: its history grows when it may learn, the problem's when a trial is known.
        self._view = replace(problem, history=[], pending=set())
        self._proposer = strategy.proposer(self._view)
        self._asked: dict[int, Architecture] = {}
        self._jobs: list[Job] = []
        self._under_way: dict[int, Job] = {}
        self._next = 0
        """The number of the next proposal."""

    @property
    def finished(self) -> bool:
        """Whether the budget is spent and every trial is known."""
        return len(self._settled) == self._problem.trials

    def prepare(self) -> None:
        """Ask until there is a job, or nothing more to ask: after this, `finished` says whether there is work."""
        while not self._jobs and self._may_ask():
            self._ask()

    def next(self) -> Job | None:
        """An architecture to measure; None when there is none before another outcome is known, or ever (`finished`)."""
        self.prepare()
        if not self._jobs:
            return None
        job = self._jobs.pop(0)
        self._under_way[job.number] = job
        self._problem.begin(job.number, job.architecture)
        return job

    def settle(self, number: int, outcome: Outcome) -> list[Trial]:
        """Take the outcome of a job; returns its trial, and those of the proposals that repeated its architecture."""
        job = self._under_way.pop(number)
        twins = [
            n for n, asked in self._asked.items() if asked == job.architecture and n not in (number, *self._settled)
        ]
        again = replace(outcome, seconds=0.0, cached=True)
        trials = [
            self._problem.settle(number, job.architecture, outcome),
            *(self._problem.settle(twin, job.architecture, again) for twin in twins),
        ]
        for trial in trials:
            self._settled[trial.number] = trial
        self._learn()
        return trials

    def take_back(self, *numbers: int) -> None:
        """Whoever measured these jobs is lost (all that are under way, if none is named): hand them out again."""
        self._jobs += [self._under_way.pop(number) for number in numbers or tuple(self._under_way)]

    def _may_ask(self) -> bool:
        """In rounds, the next round is asked for when nothing of this one is open."""
        if self._next >= self._problem.trials:
            return False
        return self._size is None or self._next % self._size != 0 or not self._asked

    def _ask(self) -> None:
        """One more proposal: a job, unless its outcome is known or under way."""
        number, self._next = self._next, self._next + 1
        known = self._settled.get(number)
        architecture = self._proposer.ask(number, known.architecture if known else None)
        self._asked[number] = architecture
        if known is None:
            self._problem.accept(architecture)
            outcome = self._problem.recall(architecture)
            if outcome is not None:
                self._settled[number] = self._problem.settle(number, architecture, outcome)
            elif architecture.digest not in self._view.pending:
                self._jobs.append(Job(number, architecture))
        self._view.pending.add(architecture.digest)
        self._learn()

    def _learn(self) -> None:
        """Tell the strategy what it may know: in rounds nothing until a whole round is settled."""
        if self._size is not None:
            whole = self._next == self._problem.trials or self._next % self._size == 0
            if not whole or any(number not in self._settled for number in self._asked):
                return
        for number in sorted(set(self._asked) & set(self._settled)):
            trial = self._settled[number]
            self._view.pending.discard(self._asked.pop(number).digest)
            self._view.learn(trial)
            self._proposer.tell(trial)
