"""Is the candidate slower at all, anywhere in the distribution? A rank test that may be looked at as often as one likes.

Per look, the requests of both sides are ranked together, those of one bucket sharing their middle rank, and the
candidate's ranks are added up. Given how many requests fell into each bucket and came from each side, expectation,
variance and skewness of that sum are known exactly under "a request's latency does not depend on the side" (van Elteren
1960: each look is a stratum, so that a shared drift cancels). The sums over looks are compared with bounds that spend
alpha * sqrt(I / (I + I0)), I being the sum of the variances and I0 that of FIVE first looks (Lan & DeMets 1983).

What is promised is approximate, unlike in `proportion`: the sum is taken for a normal one. Where buckets make it lopsided
(nearly all requests in one of them), nothing is decided before enough looks have made it even. And weights must not
react to what was seen; where they do, take a test for each weight step, at alpha divided by the number of steps. There is no tolerance: with much traffic a difference is found that nobody would mind.
Compare what `buckets.slowed` returns.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from assay.stats.boundary import MINIMUM, REACH, Density, beyond, bound, nothing, onward
from assay.stats.buckets import Histogram, check_bounds
from assay.stats.counts import Floats

FIVE: Final = 5.0  # first looks' worth of information at which sqrt(1/2) of alpha has been spent
SKEWNESS: Final = 0.1  # more than this, and the normal tail is too light by more than an eighth
LEAST: Final = 1e-15  # of chance that a look may always spend


@dataclass(frozen=True, slots=True)
class Ranks:
    """The whole memory: sums over looks, and the density of what could have been seen without crossing a bound."""

    bounds: tuple[float, ...]
    """The finite bounds of the histogram; none before the first look."""
    excess: float
    """Sum over looks of the candidate's rank scores beyond their expectation; positive when it is slower."""
    information: float
    """Sum of their variances."""
    third: float
    """Sum of their third cumulants."""
    scale: float
    """I0; 0 before the first look."""
    spent: float
    """Chance of having crossed a bound by now."""
    tested: float
    """The information at the last look at which a bound was set."""
    density: Density
    """Of `excess` at that look; `density.highest` is the bound."""
    refuted: bool
    """Whether it was crossed."""


def start() -> Ranks:
    """Nothing seen yet."""
    return Ranks((), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, nothing(), refuted=False)


def reached(state: Ranks) -> bool:
    """Whether "the candidate is not slower" is refuted."""
    return state.refuted


def standing(state: Ranks) -> tuple[float, float | None]:
    """For a sentence: standard errors beyond equality, and how many roll back; None while nothing is decided."""
    if state.information == 0:
        return 0.0, None
    z = state.excess / math.sqrt(state.information)
    return z, state.density.highest / math.sqrt(state.tested) if state.tested else None


def update(alpha: float, state: Ranks, look: Histogram, divisor: float = 1.0) -> Ranks:
    """Add one look.

    A look that brings less than 1/40 of the information, and any look while the sum is lopsided, is added without a
    bound: it is decided on together with later ones. Both depend on totals alone, so that it costs nothing.

    Args:
        alpha: Bound on the chance of ever refuting "not slower" while it holds; the same at each call.
        state: So far, from `start` or `update`.
        look: Counts since the previous look.
        divisor: How many requests say as much as one that is independent (`stats.dispersion`).

    Returns:
        The state with this look; unchanged when it was refuted, or when the look says nothing (a side without requests,
        all requests in one bucket).

    Raises:
        ValueError: The look has other bounds than the state, or alpha is no chance.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}: must lie between 0 and 1, both excluded")
    check_bounds(state.bounds, look)
    excess, variance, third = moments(*look.counts)
    if reached(state) or variance == 0:
        return state
    state = replace(
        state,
        bounds=look.bounds[:-1],
        excess=state.excess + excess / divisor,
        information=state.information + variance / divisor,
        third=state.third + third / divisor,
    )
    grown = state.information - state.tested
    if grown < MINIMUM * state.information or state.third > SKEWNESS * state.information**1.5:
        return state
    return _tested(alpha, state, grown)


def _tested(alpha: float, state: Ranks, grown: float) -> Ranks:
    """The state with a bound for its sum, and whether the sum crosses it."""
    scale = state.scale or FIVE * grown
    budget = alpha * math.sqrt(state.information / (state.information + scale)) - state.spent
    edge = bound(state.density, grown, max(budget, LEAST))
    return replace(
        state,
        scale=scale,
        spent=state.spent + beyond(state.density, grown, edge),
        tested=state.information,
        density=onward(state.density, grown, -REACH * math.sqrt(state.information), edge),
        refuted=state.excess >= edge,
    )


def moments(candidate: Floats, stable: Floats) -> tuple[float, float, float]:
    """The candidate's sum of rank scores beyond its expectation, and the variance and third cumulant of that sum.

    Given the pooled buckets, and that the candidate's requests are a sample of all of them without replacement. A score
    is the middle rank of a bucket over one more than the number of requests (van Elteren 1960).

    Args:
        candidate: Requests in each bucket.
        stable: The same, of the stable revision.

    Returns:
        Three numbers, all 0 if nothing can be said.
    """
    pooled = candidate + stable
    few, all_ = float(candidate.sum()), float(pooled.sum())
    many = all_ - few
    if few == 0 or many == 0:
        return 0.0, 0.0, 0.0
    scores = (np.cumsum(pooled) - pooled / 2 + 0.5) / (all_ + 1) - 0.5  # on average 0
    variance = few * many / (all_ * (all_ - 1)) * float(pooled @ scores**2)
    third = few * many * (many - few) / (all_ * (all_ - 1) * max(all_ - 2, 1.0)) * float(pooled @ scores**3)
    return float(candidate @ scores), variance, third
