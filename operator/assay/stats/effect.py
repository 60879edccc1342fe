"""How much worse is the candidate, and within which bounds, however often one looks?"""

import math
from dataclasses import dataclass

import numpy as np

from assay.stats.counts import Family, Floats, Look, law, log_sum

# Log odds ratios: 0.02 apart around "equal", where decisions fall, and ever wider apart towards a factor of 85.
_LATTICE = np.sinh(0.15 * np.arange(-28, 29)) / 7.5
_ODDS = np.exp(_LATTICE)


@dataclass(frozen=True, slots=True)
class Effect:
    """What is remembered to estimate the odds ratio candidate / stable; its size does not grow."""

    candidate_total: int
    candidate_bad: int
    stable_total: int
    stable_bad: int
    numerator: float
    """Mantel-Haenszel: sum over looks of candidate bad * stable good / all."""
    denominator: float
    """Mantel-Haenszel: sum over looks of stable bad * candidate good / all."""
    logs: tuple[float, ...]
    """Log-likelihood of each odds ratio of the lattice against "equal", given the totals of each look."""


def start_effect() -> Effect:
    """Nothing seen yet."""
    return Effect(0, 0, 0, 0, 0.0, 0.0, (0.0,) * _LATTICE.size)


def update_effect(state: Effect, look: Look) -> Effect:
    """Add one look; a look in which one side had no requests compares nothing and is not counted."""
    if not look.candidate_total or not look.stable_total:
        return state
    logs = np.array(state.logs)
    family = Family.of("relative", look)
    if family.low < family.high:
        logs += law(family, 1.0, _ODDS).log_ratios(np.array([float(look.candidate_bad)]))[:, 0]
    requests = look.candidate_total + look.stable_total
    return Effect(
        state.candidate_total + look.candidate_total,
        state.candidate_bad + look.candidate_bad,
        state.stable_total + look.stable_total,
        state.stable_bad + look.stable_bad,
        state.numerator + look.candidate_bad * (look.stable_total - look.stable_bad) / requests,
        state.denominator + look.stable_bad * (look.candidate_total - look.candidate_bad) / requests,
        tuple(logs.tolist()),
    )


def odds_ratio(state: Effect) -> float | None:
    """The odds ratio pooled over looks (Mantel & Haenszel 1959); None when it is not defined."""
    return state.numerator / state.denominator if state.denominator > 0 else None


def interval(state: Effect, alpha: float) -> tuple[float, float]:
    """Bounds of the odds ratio that hold at all looks together with probability 1 - alpha.

    An odds ratio is refuted when the mean likelihood of the lattice is 1 / alpha times its own (Robbins 1970). Between
    two points of the lattice the likelihood is not known, but its logarithm is concave: the line through two refuted
    points bounds it from above where the line goes on, and as far as that bound is refuted too, so is the odds ratio.

    Args:
        state: All looks so far.
        alpha: Chance that the interval ever misses an odds ratio that is the same at all looks.

    Returns:
        Low and high; 0 and infinity when nothing bounds that side.
    """
    logs = np.array(state.logs)
    limit = float(log_sum(logs)) - math.log(logs.size) + math.log(alpha)  # refuted at or below
    low = _bound(logs, _LATTICE, limit)
    high = _bound(logs[::-1], -_LATTICE[::-1], limit)
    return (0.0 if low is None else math.exp(low), math.inf if high is None else math.exp(-high))


def _bound(logs: Floats, lattice: Floats, limit: float) -> float | None:
    """Up to where log odds ratios are refuted, from the left."""
    standing = np.flatnonzero(logs > limit)
    last = int(standing[0]) - 1
    if last < 0:
        return None
    if last == 0:
        return float(lattice[0])
    rise = (logs[last] - logs[last - 1]) / (lattice[last] - lattice[last - 1])
    return float(min(lattice[last] + (limit - logs[last]) / rise, lattice[last + 1]))
