"""Latency: worlds in which the candidate answers later, and how Assay's tests of a histogram decide them."""

import numpy as np
from scipy.stats import norm

from assay.stats import buckets, proportion, severity, wilcoxon
from assay.stats.buckets import Histogram
from bench.decisions.rules import ALPHA, Rule, blind
from bench.decisions.worlds import LOOKS, Dice, World
from peers import groupsequential, latencies
from peers.latencies import Histograms
from peers.streams import Floats, Ints

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


def _world(name: str, truth: Floats, requests: int) -> World:
    """Return a world with so many requests of both sides per look, a tenth of them the candidate's."""
    few = requests // 10

    def streams(dice: Dice, runs: int) -> Histograms:
        sides = ((few, truth), (requests - few, HEALTHY))
        ours, theirs = (dice.multinomial(size, law / law.sum(), (runs, LOOKS)) for size, law in sides)
        return Histograms(ours, theirs, BOUNDS)

    full = f"{name}, {requests:,} per look"
    TRUTHS[full] = truth
    return World(full, truth is HEALTHY, streams)


TRUTHS: dict[str, Floats] = {}
"""World -> share of the candidate's requests in each bucket."""
SLOW_TAIL = 0.88 * HEALTHY + 0.12 * shares(TAIL)
"""The slowest eighth takes twice as long: the 95 % quantile is a fifth higher, and the median hardly."""
HANGING = 0.97 * HEALTHY + 0.03 * shares(10.0)
"""Three answers in a hundred take ten times as long."""
WORLDS = tuple(
    _world(name, truth, requests)
    for requests, name, truth in (
        (3000, "equal", HEALTHY),
        (3000, "a fifth slower", shares(1.2)),
        (3000, "a fifth slower in the tail", SLOW_TAIL),
        (3000, "a twentieth slower", shares(1.05)),
        (300, "equal", HEALTHY),
        (300, "a fifth slower", shares(1.2)),
        (300, "a fifth slower in the tail", SLOW_TAIL),
        (300, "three in a hundred take ten times as long", HANGING),
    )
)


def _oracle(seen: Histograms, world: World) -> Ints:
    return latencies.oracle(seen, ALPHA, HEALTHY, shares(1.2) if world.healthy else TRUTHS[world.name])


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
        score = severity.update(slow, score, buckets.graded(look, bound))
        if wilcoxon.reached(ranks) or proportion.reached(slow, score):
            return number
    return 0


OURS = blind("**Assay**, quantile 0.95, at 0.05, tolerance 0", assay)
NAIVE = blind("rank test at every look", lambda seen: latencies.naive(seen, ALPHA))
ORACLE = Rule("likelihood ratio, told both distributions", _oracle)
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
    ORACLE,
)  # fmt: skip
