"""How does Assay's own rule decide a simulated rollout? The very code of the operator, one look after the other."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from unittest.mock import patch

import numpy as np

from assay.stats import counts, dispersion, proportion, spending
from assay.stats.counts import Family, Floats, Law
from assay.stats.proportion import Look
from peers.streams import Ints, Streams


@dataclass(frozen=True, slots=True)
class Assay:
    """Its settings."""

    alpha: float = 0.05
    """False rollback."""
    tolerance: float = 1.0
    """As an odds ratio."""
    margin: float | None = None
    """As an odds ratio; without one, nothing is promoted."""
    beta: float = 0.05
    """False promotion."""
    divisor: float = 1.0
    """Of counts of requests that fail together; see `assay.stats.dispersion`."""
    measures: bool = False
    """Whether the divisor is taken from the history instead, as the operator does."""
    warmup: int = 0
    """Looks at the beginning that are not counted."""

    def decide(self, seen: Streams) -> Ints:
        """Return the look (from 1) at which each run is rolled back, minus that at which it is promoted, or 0."""
        parts = (seen.candidate_total, seen.candidate_bad, seen.stable_total, seen.stable_bad)
        runs = np.stack(parts, axis=2)
        with remembered_laws():
            decided = [
                self._one(looks.tolist(), divisor) for looks, divisor in zip(runs, self._divisors(seen), strict=True)
            ]
        return np.array(decided, np.int64)

    def _divisors(self, seen: Streams) -> list[float]:
        if not self.measures:
            return [self.divisor] * len(seen.candidate_total)
        if seen.history is None:
            raise ValueError("there is no history from which a divisor could be measured")
        return [dispersion.factor(dispersion.dispersion(hour.tolist())) for hour in seen.history]

    def _one(self, looks: list[list[int]], divisor: float) -> int:
        harm = proportion.harm(self.alpha, self.tolerance)
        safety = proportion.safety(self.beta, self.margin) if self.margin else None
        bad, good = proportion.start(harm), proportion.start(safety) if safety else None
        for number, look in enumerate(self._counted(looks, divisor), start=1 + self.warmup):
            bad = proportion.update(harm, bad, look)
            if proportion.reached(harm, bad):
                return number
            if safety and good:
                good = proportion.update(safety, good, look)
                if proportion.reached(safety, good):
                    return -number
        return 0

    def _counted(self, looks: list[list[int]], divisor: float) -> Iterator[Look]:
        """Yield the looks after the warm-up; where requests fail together, as differences of what was counted in all."""
        if divisor == 1:
            yield from (Look(*look) for look in looks[self.warmup :])
            return
        so_far, before = [0, 0, 0, 0], (0, 0, 0, 0)
        for look in looks[self.warmup :]:
            so_far = [a + b for a, b in zip(so_far, look, strict=True)]
            candidate_bad, candidate = dispersion.effective((so_far[1], so_far[0]), divisor)
            stable_bad, stable = dispersion.effective((so_far[3], so_far[2]), divisor)
            now = (candidate, candidate_bad, stable, stable_bad)
            yield Look(*(a - b for a, b in zip(now, before, strict=True)))
            before = now


@dataclass(frozen=True, slots=True)
class Spending:
    """Its other rule, `analysis.rule: Spending`, which is for weights that do not react to what was seen."""

    alpha: float = 0.05
    """False rollback."""
    tolerance: float = 1.0
    """As an odds ratio."""

    def decide(self, seen: Streams) -> Ints:
        """Return the look (from 1) at which each run is rolled back, or 0."""
        parts = (seen.candidate_total, seen.candidate_bad, seen.stable_total, seen.stable_bad)
        return np.array([self._one(looks.tolist()) for looks in np.stack(parts, axis=2)], np.int64)

    def _one(self, looks: list[list[int]]) -> int:
        harm, walk = spending.harm(self.alpha, self.tolerance), spending.start()
        for number, look in enumerate(looks, start=1):
            walk = spending.update(harm, walk, Look(*look))
            if spending.reached(walk):
                return number
        return 0


@lru_cache(maxsize=20_000)
def _law(family: Family, reference: float, odds: tuple[float, ...]) -> Law:
    return counts.law(family, reference, np.array(odds))


@contextmanager
def remembered_laws() -> Iterator[None]:
    """Compute the law of the same totals once: a pure function of them, and half of the time of a look."""

    def remembered(family: Family, reference: float, odds: Floats) -> Law:
        return _law(family, reference, tuple(odds.tolist()))

    with patch("assay.stats.proportion.law", remembered), patch("assay.stats.effect.law", remembered):
        yield
