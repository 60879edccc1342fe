"""Latencies as the research drew them: lognormal, median 80 ms, sigma 0.6, in the default buckets of client_python."""

import math
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from assay.stats.buckets import Histogram
from assay.stats.counts import Floats

Counts: TypeAlias = NDArray[np.float64] | NDArray[np.int64]

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, math.inf)


def shares(factor: float = 1.0, bounds: tuple[float, ...] = BOUNDS) -> Floats:
    """Share of requests in each bucket when all are slower by a factor."""
    below: Floats = norm.cdf(np.log(np.array(bounds) / (0.08 * factor)) / 0.6)
    return np.diff(below, prepend=0.0)


HEALTHY = shares()
SLOWER_BY_A_FIFTH = shares(1.2)
SLOWER_BY_A_TWENTIETH = shares(1.05)
SLOW_TAIL = 0.88 * HEALTHY + 0.12 * shares(2.06)  # the 95 % quantile is a fifth higher, as above; the median hardly


def histogram(candidate: Counts, stable: Counts, bounds: tuple[float, ...] = BOUNDS) -> Histogram:
    """A look from arrays of counts."""
    return Histogram(bounds, tuple(int(each) for each in candidate), tuple(int(each) for each in stable))


def rollout(  # noqa: PLR0913 - each test varies another one
    dice: np.random.Generator,
    candidate: Floats,
    stable: Floats,
    totals: tuple[int, int] = (300, 2700),
    *,
    looks: int = 60,
    bounds: tuple[float, ...] = BOUNDS,
) -> Iterator[Histogram]:
    """Looks of one rollout; totals are the candidate's and the stable revision's requests per look."""
    ours, theirs = dice.multinomial(totals[0], candidate, looks), dice.multinomial(totals[1], stable, looks)
    return (histogram(*both, bounds) for both in zip(ours, theirs, strict=True))
