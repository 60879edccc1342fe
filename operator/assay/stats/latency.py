"""How slow is each side, and by which factor is the candidate slower, however often one looks?

The quantile of all requests so far is asked for, say the latency that 95 % do not exceed. A histogram says of each bound
how many requests were at most as slow, so every statement here is one about bounds: "the quantile lies above 0.25 s" is
"less than 95 % were at most as slow as 0.25 s", and that is refuted like any proportion. Nothing is assumed of how
requests lie inside a bucket; only the estimates interpolate there.

Count from the beginning of a weight step: while the weight stays, a drift of both sides weighs on both alike. Counts of
looks with different weights must not be added up (Simpson 1951).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
from scipy.special import betainc, betaln, xlog1py, xlogy

from assay.stats.buckets import Histogram, check_bounds
from assay.stats.counts import Floats

STRENGTH: Final = (
    50.0  # requests that the bet on a share is worth; intervals are narrowest at some thousands of requests
)

Interval: TypeAlias = tuple[float, float]
"""Low and high; 0 and infinity where nothing bounds that side."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """All requests so far by bucket; the size is that of the histogram."""

    bounds: tuple[float, ...]
    """The finite upper bounds in seconds; none before the first look."""
    candidate: tuple[int, ...]
    """The candidate's requests in each bucket, and in the one beyond; not cumulative."""
    stable: tuple[int, ...]
    """The stable revision's."""


def start() -> Latencies:
    """Nothing seen yet."""
    return Latencies((), (), ())


def update(state: Latencies, look: Histogram) -> Latencies:
    """Add one look; one in which a side had no requests compares nothing and is not counted.

    Raises:
        ValueError: The look has other bounds than the state.
    """
    check_bounds(state.bounds, look)
    if not sum(look.candidate) or not sum(look.stable):
        return state
    if not state.candidate:
        return Latencies(look.bounds[:-1], look.candidate, look.stable)
    return Latencies(
        state.bounds,
        tuple(a + b for a, b in zip(state.candidate, look.candidate, strict=True)),
        tuple(a + b for a, b in zip(state.stable, look.stable, strict=True)),
    )


def estimates(state: Latencies, quantile: float) -> tuple[float, float] | None:
    """The candidate's and the stable revision's quantile in seconds, by linear interpolation inside the bucket.

    A quantile beyond the last finite bound is told as that bound (as Prometheus' `histogram_quantile` does).

    Returns:
        Two numbers for people; None before the first look.
    """
    if not state.bounds:
        return None
    return _estimate(state.bounds, state.candidate, quantile), _estimate(state.bounds, state.stable, quantile)


def intervals(state: Latencies, quantile: float, alpha: float) -> tuple[Interval, Interval]:
    """Between which bounds the candidate's and the stable revision's quantile lies: above low, at most at high.

    Each holds at all looks together with probability 1 - alpha, when requests are independent; the distribution may
    drift, as long as the quantile stays within a bucket. If it wanders through m of them, the chance of a miss is at
    most m * alpha. The number of bounds does not matter: all misses on one side imply one at the quantile's own bucket.

    Args:
        state: All looks so far.
        quantile: Between 0 and 1, both excluded.
        alpha: Chance of ever missing, for each of the two intervals.

    Returns:
        Candidate's and stable revision's interval, in seconds.

    Raises:
        ValueError: The quantile or alpha does not lie between 0 and 1.

    Source: a mixture of binomial likelihood ratios is refuted at 1 / alpha (Robbins 1970), here with a beta law cut at
    the quantile; for quantiles Howard & Ramdas (2022), Sequential estimation of quantiles, Bernoulli 28.
    """
    for name, value in (("quantile", quantile), ("alpha", alpha)):
        if not 0 < value < 1:
            raise ValueError(f"{name} is {value}: must lie between 0 and 1, both excluded")
    candidate = _interval(state.bounds, state.candidate, quantile, alpha)
    return candidate, _interval(state.bounds, state.stable, quantile, alpha)


def ratio_interval(state: Latencies, quantile: float, alpha: float) -> Interval:
    """Between which factors the candidate's quantile over the stable revision's lies: above low, below high.

    If the candidate's lies above bound b and the stable revision's at most at c, the ratio is above b / c. Without
    assumptions on what happens inside buckets no more can be said: a stable quantile may lie at the very end of its
    bucket and the candidate's at the beginning of its own. So, however many requests there are, low is less than the true
    ratio by up to the factors between the bounds of the two buckets in which the quantiles lie. Where bounds are a
    factor of 2 apart, harm of less than that is not always seen, and a candidate in the next bucket shows a ratio
    of 1 only; native histograms of schema 3 are 1.09 apart.

    Args:
        state: All looks so far.
        quantile: Between 0 and 1, both excluded.
        alpha: Chance of ever missing the ratio, with the reservation of `intervals`: half of it for either side.

    Raises:
        ValueError: The quantile or alpha does not lie between 0 and 1.
    """
    (candidate_low, candidate_high), (stable_low, stable_high) = intervals(state, quantile, alpha / 2)
    low = candidate_low / stable_high
    return low, candidate_high / stable_low if stable_low > 0 else math.inf


def _interval(bounds: tuple[float, ...], counts: tuple[int, ...], quantile: float, alpha: float) -> Interval:
    """Above the last bound at which too few were as fast, and at most at the first at which too many were."""
    if not bounds:
        return 0.0, math.inf
    enough = -math.log(alpha / 2)
    for_above, for_below = _evidence(counts, quantile)
    above, below = np.flatnonzero(for_above >= enough), np.flatnonzero(for_below >= enough)
    return (bounds[int(above[-1])] if above.size else 0.0, bounds[int(below[0])] if below.size else math.inf)


@lru_cache(maxsize=16)
def _evidence(counts: tuple[int, ...], quantile: float) -> tuple[Floats, Floats]:
    """For each bound: the evidence that the quantile lies above it, and that it does not. Asked for at several levels."""
    every = np.cumsum(np.array(counts, dtype=float))
    fast, total = every[:-1], every[-1]
    return _against(fast, total, quantile), _against(total - fast, total, 1 - quantile)


def _against(found: Floats, total: float, share: float) -> Floats:
    """Logarithm of the evidence against "the share is at least this", of which 1 is expected at most while it holds.

    The likelihood of each smaller share over that of `share`, averaged over a beta law around it, cut at it. It falls
    as more are found. Also if shares differ from request to request: what counts is their average.
    """
    a, b = STRENGTH * share, STRENGTH * (1 - share)
    missing = total - found
    with np.errstate(divide="ignore"):
        cut = np.log(betainc(a + found, b + missing, share)) - math.log(betainc(a, b, share))
    evidence: Floats = (
        cut + betaln(a + found, b + missing) - betaln(a, b) - xlogy(found, share) - xlog1py(missing, -share)
    )
    return evidence


def _estimate(bounds: tuple[float, ...], counts: tuple[int, ...], quantile: float) -> float:
    shares = np.cumsum(np.array(counts, dtype=float))[:-1] / sum(counts)
    return float(np.interp(quantile, np.concatenate(([0.0], shares)), np.concatenate(([0.0], bounds))))
