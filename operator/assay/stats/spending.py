"""At how many bad candidate requests must one roll back? An exact test that explains itself by one number per look.

X is the number of the candidate's bad requests, added up over looks. Given the totals of each look and the odds ratio at
the edge of the null hypothesis, X is a sum of independent noncentral hypergeometric counts (Fisher 1935); its law is
their convolution. Each look's bound is the least count such that the chance of having crossed one of the bounds so far
stays within level * sqrt(I / (I + pace)), I being the sum of the variances (an error-spending function of information,
Lan & DeMets 1983): no horizon has to be known.

What is promised: if neither the weight nor the traffic reacts to what the candidate answered, a null that is true is
refuted with a chance of at most `level`, over all looks together, whatever the shared rate and however it drifts.
What is not: **the promise does not hold with adaptive weights.** The totals of *all* looks are taken as given before the
first; had a large look been sent only after X came near its bound, the law of X would be another one. (The e-process of
`proportion` allows this, and `gate: Evidence` does it.) It holds again with a test of its own for each weight step, at
the level divided by the number of steps: when a step ends may react, but within it the weight does not. Nor is health in the past forgiven: after hours of it, a candidate
that turns bad is found later than by the e-process; and with much traffic, the first look spends nearly the whole level.
"""

import math
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from assay.stats.counts import Family, Floats, Look, law

CELLS: Final = 256  # of the law of X that are remembered
FOLDED: Final = 1e-12  # the lowest cells that together weigh no more are counted as one; see `_remembered`
CLEAR: Final = 2.5  # standard errors at which a difference is clear; sets when sqrt(1/2) of the level has been spent

Count = TypeVar("Count", int, NDArray[np.int_])


@dataclass(frozen=True, slots=True)
class Rule:
    """A null hypothesis about the odds ratio candidate / stable, and how surely it must be refuted."""

    direction: Literal["harm", "safety"]
    """`harm`: the null says at most `null`. `safety`: the null says at least `null`."""
    null: float
    """Edge of the null hypothesis, an odds ratio."""
    level: float
    """Bound on the chance of ever refuting the null while it holds: alpha or beta."""
    pace: float
    """The information, in squared counts, at which sqrt(1/2) of the level may have been spent."""

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"level is {self.level}: must lie between 0 and 1, both excluded")
        for name, value in (("null", self.null), ("pace", self.pace)):
            if not 0 < value < math.inf:
                raise ValueError(f"{name} is {value}: must be positive and finite")


@dataclass(frozen=True, slots=True)
class Walk:
    """The whole memory: what was counted, and the law of what could have been counted without crossing a bound.

    The law is kept on cells of `width` counts. While X varies little, a cell is one count. Later, each look's X is
    rounded to cells before it is added, and cells are joined in pairs when there are too many. This is done to the
    observed count and to its law alike, so the test stays exact; it only loses a little of what the counts say.
    """

    count: int
    """Bad requests of the watched side: the candidate's for `harm`, the stable revision's for `safety`."""
    bad: int
    """Bad requests of both sides."""
    bound: int
    """The least `count` at which the last look would have refuted the null."""
    information: float
    """Sum of the variances of `count` under the null."""
    spent: float
    """At most this is the chance of having crossed a bound by now, at the edge of the null; it stays within the level."""
    width: int
    """Counts per cell."""
    place: int
    """The cell of the observed count."""
    lowest: int
    """The first cell of the law."""
    law: tuple[float, ...]
    """Chance of each cell together with not having crossed any bound."""


def harm(alpha: float, odds: float) -> Rule:
    """Roll back: refute "the odds ratio candidate / stable is at most `odds`" (the tolerance).

    The pace is 13, the information at which an odds ratio twice the tolerance is clear.
    """
    return Rule("harm", odds, alpha, (CLEAR / math.log(2)) ** 2)


def safety(beta: float, odds: float) -> Rule:
    """Promote: refute "the odds ratio candidate / stable is at least `odds`" (the margin, above 1).

    Many bad requests of the candidate are few of the stable revision, and the odds ratio turns into its inverse: it is
    the test of `harm` with the sides exchanged, and promises as much. The pace is the information at which an equal
    candidate is clearly better than the margin.
    """
    if odds <= 1:
        raise ValueError(f"odds is {odds}: a margin must be above 1, or no equal candidate could ever pass")
    return Rule("safety", odds, beta, (CLEAR / math.log(odds)) ** 2)


def start() -> Walk:
    """Nothing seen yet."""
    return Walk(0, 0, 1, 0.0, 0.0, 1, 0, 0, (1.0,))


def reached(state: Walk) -> bool:
    """Whether the null is refuted."""
    return state.count >= state.bound


def tail(state: Walk) -> float:
    """For display: the chance, at the edge of the null, of the observed count or more without having crossed a bound."""
    return float(sum(state.law[max(state.place - state.lowest, 0) :]))


def standing(rule: Rule, state: Walk) -> tuple[int, int]:
    """For a sentence: the candidate's bad requests, and the number of them at which the last look would have decided.

    For `harm` that many or more roll back; for `safety` that many or fewer promote (none can, if it is negative).
    """
    if rule.direction == "harm":
        return state.count, state.bound
    return state.bad - state.count, state.bad - state.bound


def bound(rule: Rule, state: Walk, look: Look) -> int:
    """The candidate's bad requests, over all looks, at which a next look with these totals would decide.

    Args:
        rule: What is to be refuted.
        state: So far.
        look: Its totals, and the sum of its bad requests, are used; how the bad ones fell to the sides is not.

    Returns:
        As the second number of `standing`; that number unchanged if such a look says nothing.
    """
    return standing(rule, update(rule, state, look))[1]


def update(rule: Rule, state: Walk, look: Look) -> Walk:
    """Add one look.

    Args:
        rule: What is to be refuted.
        state: So far, from `start` or `update` of the same rule.
        look: Counts since the previous look.

    Returns:
        The state with this look; unchanged when the null was refuted, or when the totals say nothing (a side without
        requests, no bad requests at all, nothing but bad requests): such bad requests are not counted.
    """
    if rule.direction == "safety":
        look = Look(look.stable_total, look.stable_bad, look.candidate_total, look.candidate_bad)
    family = Family.of("relative", look)
    if reached(state) or family.low == family.high:
        return state
    masses, lowest, middle, variance = _grown(rule, state, family)
    information = state.information + variance
    beyond = np.cumsum(masses[::-1])[::-1]
    budget = rule.level * math.sqrt(information / (information + rule.pace)) - state.spent
    inside = int(np.count_nonzero(beyond > budget))
    gap = lowest + inside - state.place  # cells that this look had to add
    return _remembered(
        Walk(
            count=state.count + look.candidate_bad,
            bad=state.bad + look.candidate_bad + look.stable_bad,
            bound=state.count + middle + state.width * gap - state.width // 2,
            information=information,
            spent=state.spent + (float(beyond[inside]) if inside < beyond.size else 0.0),
            width=state.width,
            place=state.place + _cell(look.candidate_bad - middle, state.width),
            lowest=lowest,
            law=(),
        ),
        masses[:inside],
    )


def _grown(rule: Rule, state: Walk, family: Family) -> tuple[Floats, int, int, float]:
    """The law after one more look: masses of cells, the first cell, the count in the middle of cell 0, the variance."""
    null = law(family, rule.null if rule.direction == "harm" else 1 / rule.null, np.array([]))
    chances = np.exp(null.log_probabilities)
    mean = float(chances @ null.counts)
    middle = round(mean)
    cells = _cell(null.counts.astype(int) - middle, state.width)
    masses = np.convolve(state.law, np.bincount(cells - cells[0], chances))
    return masses, state.lowest + int(cells[0]), middle, float(chances @ (null.counts - mean) ** 2)


def _cell(count: Count, width: int) -> Count:
    """The nearest cell; halves go up. It grows with the count, on which the direction of the test relies."""
    return (2 * count + width) // (2 * width)


def _remembered(state: Walk, masses: Floats) -> Walk:
    """The state with these masses as its law, in at most CELLS cells.

    The lowest cells are counted as if they lay at the lowest one that is kept. From a higher place a bound is crossed
    at least as likely, so the true chance of ever crossing one is at most what is spent here: the promise holds as it is.
    """
    below = np.cumsum(masses)
    first = min(int(np.count_nonzero(below <= FOLDED)), masses.size - 1)
    masses, lowest = masses[first:].copy(), state.lowest + first
    masses[0] = below[first]
    # The observation is folded as its law is: below the lowest cell it would be where no path is remembered any more.
    width, place = state.width, max(state.place, lowest)
    while masses.size > CELLS:
        masses = np.concatenate((np.zeros(lowest % 2), masses))
        masses = np.concatenate((masses, np.zeros(masses.size % 2))).reshape(-1, 2).sum(axis=1)
        lowest, place, width = lowest // 2, place // 2, 2 * width
    return replace(state, width=width, place=place, lowest=lowest, law=tuple(masses.tolist()))
