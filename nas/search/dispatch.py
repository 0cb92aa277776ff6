"""Several architectures measured at once: who is measured next, and what of it a strategy learns when.

In rounds, a strategy learns of a whole round at a time, so that what it proposes does not depend on who finishes first:
the same trials on one worker and on many. Free-running, it learns of every trial at once and no worker ever waits, but
two searches with the same seed differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from nas.search.search import Search
from nas.search.strategy import AskTell
from nas.search.trial import Outcome, Trial
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

    `size` is that of a round; None runs freely.

    After a kill, a new dispatcher asks for all proposals again from the first on. Those whose trials are recorded are
    answered from the record, the others become jobs once more: what was under way is thus handed out again, and the
    strategy learns the same things in the same order as it did the first time.
    """

    def __init__(self, strategy: AskTell, search: Search, size: int | None) -> None:
        self._search, self._size = search, size
        self._trials = search.problem.trials
        self._settled = {trial.number: trial for trial in search.history}
        # There are two histories. The search's own grows when a trial is known. The one that the strategy sees grows
        # when it may learn of the trial: in rounds, later than that.
        self._view = replace(search, history=[], pending=set())
        self._proposer = strategy.proposer(self._view)
        self._asked: dict[int, Architecture] = {}
        """Proposals that the strategy has not been told about."""
        self._jobs: list[Job] = []
        """Those that wait for somebody to measure them."""
        self._under_way: dict[int, Job] = {}
        """Those that somebody measures."""
        self._next = 0
        """The number of the next proposal."""

    @property
    def finished(self) -> bool:
        """Whether the budget is spent and every trial is known."""
        return len(self._settled) == self._trials

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
        self._search.begin(job.number, job.architecture)
        return job

    def settle(self, number: int, outcome: Outcome) -> list[Trial]:
        """Take the outcome of a job; returns its trial, and those of the proposals that repeated its architecture."""
        job = self._under_way.pop(number)
        # An architecture that was proposed again while it was measured did not become a second job. It is a trial all
        # the same, with this outcome and no time of its own.
        repeats = [
            other
            for other, architecture in self._asked.items()
            if architecture == job.architecture and other != number and other not in self._settled
        ]
        again = replace(outcome, seconds=0.0, cached=True)
        trials = [
            self._search.settle(number, job.architecture, outcome),
            *(self._search.settle(repeat, job.architecture, again) for repeat in repeats),
        ]
        for trial in trials:
            self._settled[trial.number] = trial
        self._learn()
        return trials

    def take_back(self, *numbers: int) -> None:
        """Whoever measured these jobs is lost (all that are under way, if none is named): hand them out again."""
        self._jobs += [self._under_way.pop(number) for number in numbers or tuple(self._under_way)]

    def _may_ask(self) -> bool:
        """Whether there may be one more proposal now."""
        if self._next >= self._trials:
            return False
        # Within a round there may; a new round begins when the strategy has been told of the whole one before.
        return self._size is None or self._next % self._size != 0 or not self._asked

    def _ask(self) -> None:
        """One more proposal: a job, unless its outcome is known or under way."""
        number, self._next = self._next, self._next + 1
        recorded = self._settled.get(number)
        architecture = self._proposer.ask(number, recorded.architecture if recorded else None)
        self._asked[number] = architecture
        if recorded is None:
            self._search.accept(architecture)
            outcome = self._search.recall(architecture)
            if outcome is not None:
                self._settled[number] = self._search.settle(number, architecture, outcome)
            elif architecture.digest not in self._view.pending:
                self._jobs.append(Job(number, architecture))
        self._view.pending.add(architecture.digest)
        self._learn()

    def _learn(self) -> None:
        """Tell the strategy what it may know by now, in the order of the numbers."""
        if self._size is not None:
            # In rounds that is nothing, until all of the round is asked for and settled.
            whole = self._next == self._trials or self._next % self._size == 0
            if not whole or any(number not in self._settled for number in self._asked):
                return
        for number in sorted(number for number in self._asked if number in self._settled):
            trial = self._settled[number]
            self._view.pending.discard(self._asked.pop(number).digest)
            self._view.learn(trial)
            self._proposer.tell(trial)
