"""Kayenta, the judge of Spinnaker: a Mann-Whitney test on the two series of per-interval values.

Source: spinnaker/kayenta, kayenta-judge: MannWhitney.scala, MannWhitneyClassifier.scala, NetflixACAJudge.scala (2026).
"High" (bad for an error rate) when the lower end of the 98 % interval of the shift lies above 0.25 times the absolute
Hodges-Lehmann estimate. Kayenta inverts R's asymptotic `wilcox.test` with a root finder; its roots are order statistics
of the pairwise differences, up to the correction for ties, and are taken directly here. Intervals without a value
are removed. It was made to be asked once, after hours; it is asked at other moments here as well, because people do.
"""

import math
from collections.abc import Iterable

import numpy as np
from scipy.special import ndtri

from peers.streams import Bools, Floats, Ints, Streams, rates

CONFIDENCE = 0.98
TOLERANCE = 0.25
LEAST = 3
"""Values that each side must have."""


def u_statistic(x: Floats, y: Floats) -> float:
    """Return how many pairs have x above y, ties counted half (Mann & Whitney 1947)."""
    differences = x[:, None] - y[None, :]
    return float((differences > 0).sum() + 0.5 * (differences == 0).sum())


def interval(x: Floats, y: Floats, confidence: float = CONFIDENCE) -> tuple[Floats, Floats]:
    """Return the lower end of the shift x - y and its Hodges-Lehmann estimate, for each run.

    The asymptotic test rejects a shift when the pairs above it are too many; so the end is the difference that has
    pairs / 2 - 1/2 - z sigma of the differences below it, or the least of all where that is below none (`findRoot`).

    Args:
        x: Values, shape (runs, intervals), without NaN.
        y: Values to compare with, of the same shape.
        confidence: Of the two-sided interval.
    """
    n, m = x.shape[1], y.shape[1]
    pairs = n * m
    below = pairs / 2 - 0.5 - float(ndtri(0.5 + confidence / 2)) * math.sqrt(pairs * (n + m + 1) / 12)
    lowest = max(0, math.ceil(below) - 1)
    middle = sorted({(pairs - 1) // 2, pairs // 2})
    ordered = np.partition((x[:, :, None] - y[:, None, :]).reshape(len(x), -1), [lowest, *middle], axis=1)
    return ordered[:, lowest], ordered[:, middle].mean(axis=1)


def high(candidate: Floats, stable: Floats) -> Bools:
    """Return whether each run is "High"; both of shape (runs, intervals), without NaN."""
    lower, shift = interval(candidate, stable)
    found: Bools = lower > TOLERANCE * np.abs(shift)
    return found


def judged(seen: Streams, moments: Iterable[int]) -> Ints:
    """Roll back at the first of these looks (counted from 1) at which the judge says "High"."""
    x, y = rates(seen.candidate_bad, seen.candidate_total), rates(seen.stable_bad, seen.stable_total)
    ends = np.zeros(len(x), np.int64)
    known = ~(np.isnan(x) | np.isnan(y))
    for moment in moments:
        for pattern in np.unique(known[:, :moment], axis=0) if not known.all() else (np.ones(moment, np.bool_),):
            same = (ends == 0) & (known[:, :moment] == pattern).all(axis=1)
            if pattern.sum() >= LEAST and same.any():
                bad = high(x[same, :moment][:, pattern], y[same, :moment][:, pattern])
                ends[np.flatnonzero(same)[bad]] = moment
    return ends
