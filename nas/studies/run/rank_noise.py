"""What the noise of a ranking's two sides means: what limits it, and what more seeds or images would change.

Under normality, Kendall's tau of two values that correlate by r is 2 / pi * asin(r), and noise multiplies r by the root
of the reliability, signal / (signal + noise): Spearman's correction for attenuation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from nas.studies.run.rank_results import RankNoise, Repeats

GOAL = 0.9
"""A tau that would do: a perfect score with that much noise ranks nineteen pairs of twenty right."""


def reliability(repeats: Repeats) -> float:
    """The share of the variance between architectures that is no noise, 0 to 1; NaN where nothing was repeated."""
    if repeats.signal is None or repeats.noise is None:
        return math.nan
    error = repeats.noise / repeats.count
    return repeats.signal / (repeats.signal + error) if repeats.signal + error else 0.0


def tau_at(correlation: float) -> float:
    """Kendall's tau of two normal values."""
    return 2 / math.pi * math.asin(correlation)


def repeats_needed(repeats: Repeats, tau: float = GOAL) -> float:
    """How many repeats it takes until noise alone would allow `tau`; infinite where there is no signal."""
    if not repeats.signal or repeats.noise is None:
        return math.inf
    wanted = math.sin(math.pi / 2 * tau) ** 2
    return repeats.noise / repeats.signal * wanted / (1 - wanted)


@final
@dataclass(frozen=True)
class Verdict:
    """Whether a ranking is limited by its truth, by the noise of its score, or by what its score prefers.

    high      upper end of the interval of the score's tau
    ceiling   what a perfect score would reach
    images    on how many the score was measured
    """

    high: float
    ceiling: float
    noise: RankNoise
    images: int

    def __str__(self) -> str:
        """One sentence, with what to do."""
        if math.isnan(self.ceiling):
            return "The truth was measured once: with --seeds 3 it is known how well any score could rank it."
        if self.ceiling == 0:
            return (
                "The truth is all noise: retrained architectures differ no more than seeds do, and nothing ranks them."
            )
        if self.high >= self.ceiling:
            return f"Limited by the truth: a perfect score would reach {self.ceiling:.2f}. {self._seeds()}"
        if self.attainable <= self.high:
            return f"Limited by the noise of the score, not by the truth ({self.ceiling:.2f}). {self._remedy()}"
        return (
            f"Limited by what shared weights prefer: a perfect score would reach {self.ceiling:.2f}, and one with this "
            f"much noise {self.attainable:.2f}; more seeds or images do not help."
        )

    @property
    def attainable(self) -> float:
        """What a score would reach that is the truth, but for its own noise, of images or of supernets."""
        known = [share for share in self._score if not math.isnan(share)]
        return tau_at(math.sqrt(reliability(self.noise.truth) * min(known))) if known else self.ceiling

    @property
    def _score(self) -> tuple[float, float]:
        """Reliability of the score over images, and over supernets."""
        supernets = self.noise.supernets
        return reliability(self.noise.images), math.nan if supernets is None else reliability(supernets)

    def _remedy(self) -> str:
        of_images, of_supernets = self._score
        if of_supernets < of_images:
            needed = repeats_needed(self.noise.supernets) if self.noise.supernets else math.inf
            return f"It is the chance of a supernet's training: {_count(needed)} supernets would allow {GOAL:.2f}."
        needed = self.images / self.noise.images.count * repeats_needed(self.noise.images)
        return f"It is that of few images: {_count(needed)} would allow {GOAL:.2f}."

    def _seeds(self) -> str:
        seeds = max(math.ceil(repeats_needed(self.noise.truth)), self.noise.truth.count)
        if seeds == self.noise.truth.count:
            return "More seeds would show little else."
        return f"With {_count(seeds)} seeds it would be {GOAL:.2f}."


def _count(number: float) -> str:
    return "no number of" if math.isinf(number) else f"{math.ceil(number):,}"
