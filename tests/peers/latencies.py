"""How do others judge a histogram of latencies? By a quantile per interval, or by ranks at every look.

Sources: as in `flagger`, `argo` and `kayenta`, whose metric is here the quantile that Prometheus interpolates
(`histogram_quantile`); van Elteren (1960), ranks stratified by look; Wald (1945), for who knows both distributions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import ndtri

from peers import kayenta
from peers.streams import Floats, Ints, first

CALIBRATED = 4000  # healthy rollouts by which the oracle's threshold is set


@dataclass(frozen=True, slots=True)
class Histograms:
    """Requests of each look in each bucket, not cumulative; shape (runs, looks, buckets)."""

    candidate: Ints
    stable: Ints
    bounds: tuple[float, ...]
    """Upper ends; the last is infinity."""


def quantiles(counts: Ints, bounds: tuple[float, ...], wanted: float) -> Floats:
    """Return each look's quantile, interpolated inside its bucket; beyond the last finite bound, that bound."""
    below = counts.cumsum(axis=-1)
    rank = wanted * below[..., -1]
    bucket = (below < rank[..., None]).sum(axis=-1)
    lower, upper = np.array([0.0, *bounds[:-1]]), np.array([*bounds[:-1], bounds[-2]])
    before = np.where(bucket > 0, np.take_along_axis(below, np.maximum(bucket - 1, 0)[..., None], -1)[..., 0], 0)
    inside = np.take_along_axis(counts, bucket[..., None], -1)[..., 0]
    found: Floats = lower[bucket] + (upper[bucket] - lower[bucket]) * (rank - before) / np.maximum(inside, 1)
    return np.minimum(found, bounds[-2])


def threshold(seen: Histograms, factor: float, failures: int) -> Ints:
    """Roll back after so many looks in which the candidate's 95 % quantile was more than so many times stable's."""
    ours, theirs = (quantiles(side, seen.bounds, 0.95) for side in (seen.candidate, seen.stable))
    return first((ours > factor * theirs).cumsum(axis=1) >= failures)


def kayenta_judged(seen: Histograms, moments: Iterable[int]) -> Ints:
    """Roll back at the first of these looks at which Kayenta calls the candidate's series of 95 % quantiles "High"."""
    ours, theirs = (quantiles(side, seen.bounds, 0.95) for side in (seen.candidate, seen.stable))
    ends = np.zeros(len(ours), np.int64)
    for moment in moments:
        high = kayenta.high(ours[:, :moment], theirs[:, :moment])
        ends[(ends == 0) & high] = moment
    return ends


def rank_z(seen: Histograms) -> Floats:
    """Return the standardised sum of the candidate's ranks after each look, each look ranked by itself (van Elteren 1960)."""
    ours, theirs = seen.candidate.astype(float), seen.stable.astype(float)
    pooled = ours + theirs
    few, all_ = ours.sum(axis=2), pooled.sum(axis=2)
    scores = (pooled.cumsum(axis=2) - pooled / 2 + 0.5) / (all_[..., None] + 1) - 0.5
    excess = (ours * scores).sum(axis=2)
    variance = few * (all_ - few) / (all_ * (all_ - 1)) * (pooled * scores**2).sum(axis=2)
    z: Floats = excess.cumsum(axis=1) / np.sqrt(variance.cumsum(axis=1))
    return z


def naive(seen: Histograms, alpha: float) -> Ints:
    """Roll back at the first look at which the rank test of the textbook says so."""
    return first(rank_z(seen) >= -float(ndtri(alpha)))


def stopped(seen: Histograms, limits: Floats) -> Ints:
    """Roll back at the first look at which the rank test crosses a group-sequential limit, for looks that are planned alike."""
    return first(rank_z(seen) >= limits)


def oracle(seen: Histograms, alpha: float, healthy: Floats, truth: Floats) -> Ints:
    """Roll back when the likelihood ratio of the candidate's requests reaches what a healthy one reaches with chance alpha.

    Args:
        seen: The rollouts.
        alpha: Chance of rolling back a healthy candidate.
        healthy: Share of requests in each bucket, of a healthy candidate.
        truth: The same of this one.
    """
    looks, size = seen.candidate.shape[1], int(seen.candidate[0, 0].sum())
    limit = _limit(alpha, tuple(healthy), tuple(truth), looks, size)
    return first((seen.candidate @ np.log(truth / healthy)).cumsum(axis=1) >= limit)


@cache
def _limit(alpha: float, healthy: tuple[float, ...], truth: tuple[float, ...], looks: int, size: int) -> float:
    dice, chances = np.random.default_rng(1945), np.array(healthy)
    drawn = dice.multinomial(size, chances / chances.sum(), (CALIBRATED, looks))
    ratios = (drawn @ np.log(np.array(truth) / chances)).cumsum(axis=1)
    return float(np.quantile(ratios.max(axis=1), 1 - alpha))
