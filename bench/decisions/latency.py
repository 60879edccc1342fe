"""Latency: worlds in which the candidate answers later, and how Assay's tests of a histogram decide them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from assay.stats import buckets, proportion, wilcoxon
from assay.stats.buckets import Histogram
from bench.decisions.worlds import LOOKS, Dice
from peers import groupsequential, latencies
from peers.latencies import Histograms
from peers.streams import Floats, Ints

ALPHA = 0.05
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, float("inf"))
"""What client_python has where nobody says otherwise."""
MEDIAN, SIGMA, TAIL = 0.08, 0.6, 2.06
QUANTILE = 0.95


def shares(factor: float = 1.0) -> Floats:
    """Return the share of requests in each bucket when all take so many times as long as the healthy ones."""
    below = norm.cdf(np.log(np.array(BOUNDS) / (MEDIAN * factor)) / SIGMA)
    found: Floats = np.diff(below, prepend=0.0)
    return found


HEALTHY = shares()


@dataclass(frozen=True, slots=True)
class World:
    """One way the candidate may answer."""

    name: str
    truth: Floats
    """Share of its requests in each bucket."""
    requests: int
    """Of both sides, per look; a tenth of them the candidate's."""

    @property
    def healthy(self) -> bool:
        """Whether a rollback is wrong here."""
        return bool((self.truth == HEALTHY).all())

    def streams(self, dice: Dice, runs: int) -> Histograms:
        """Simulate so many rollouts."""
        few = self.requests // 10
        sides = ((few, self.truth), (self.requests - few, HEALTHY))
        ours, theirs = (dice.multinomial(size, law / law.sum(), (runs, LOOKS)) for size, law in sides)
        return Histograms(ours, theirs, BOUNDS)


def _worlds(requests: int) -> tuple[World, ...]:
    told = f"{requests:,} per look"
    return (
        World(f"equal, {told}", HEALTHY, requests),
        World(f"a fifth slower, {told}", shares(1.2), requests),
        World(f"its slowest eighth {TAIL:g} times as slow (95 % quantile a fifth higher), {told}", 0.88 * HEALTHY + 0.12 * shares(TAIL), requests),
    )  # fmt: skip


WORLDS = (*_worlds(3000), World("a twentieth slower, 3,000 per look", shares(1.05), 3000), *_worlds(300))


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table."""

    name: str
    decide: Callable[[Histograms, World], Ints]
    level: float = ALPHA


def blind(name: str, decide: Callable[[Histograms], Ints]) -> Rule:
    """Return a rule that knows nothing but what was counted."""
    return Rule(name, lambda seen, _: decide(seen))


def assay(seen: Histograms) -> Ints:
    """Decide as a check with `quantile: "0.95"`, tolerance 0, divisor 1 and one weight step does, look by look."""
    return np.array([_one(*run) for run in zip(seen.candidate, seen.stable, strict=True)], np.int64)


def _one(candidate: Ints, stable: Ints) -> int:
    ranks, slow = wilcoxon.start(), proportion.harm(ALPHA / 2, 1.0)
    score, bound = proportion.start(slow), None
    for number, sides in enumerate(zip(candidate, stable, strict=True), start=1):
        look = Histogram(BOUNDS, *(tuple(side.tolist()) for side in sides))
        bound = bound or buckets.nearest_bound(look, QUANTILE)
        ranks = wilcoxon.update(ALPHA / 2, ranks, look)
        score = proportion.update(slow, score, buckets.slow(look, bound))
        if wilcoxon.reached(ranks) or proportion.reached(slow, score):
            return number
    return 0


OURS = blind("**Assay**, quantile 0.95, at 0.05, tolerance 0", assay)
NAIVE = blind("rank test at every look", lambda seen: latencies.naive(seen, ALPHA))
RULES = (
    blind("Flagger, 95 % quantile <= 1.1 times stable's, 5 failed checks", lambda seen: latencies.threshold(seen, 1.1, 5)),
    blind("Argo Rollouts, the same, failureLimit 3", lambda seen: latencies.threshold(seen, 1.1, 4)),
    blind("Kayenta on 95 % quantiles, once after 30 minutes", lambda seen: latencies.kayenta_judged(seen, [LOOKS])),
    blind("Kayenta, every 5 minutes", lambda seen: latencies.kayenta_judged(seen, range(10, LOOKS + 1, 10))),
    NAIVE,
    blind(
        "group-sequential ranks, Pocock spending",
        lambda seen: latencies.stopped(seen, groupsequential.limits("pocock", LOOKS, ALPHA)),
    ),
    OURS,
    Rule(
        "likelihood ratio, told both distributions",
        lambda seen, world: latencies.oracle(
            seen, ALPHA, HEALTHY, shares(1.2) if world.healthy else world.truth
        ),
    ),
)  # fmt: skip
