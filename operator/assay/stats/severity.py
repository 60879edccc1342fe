"""How bad is what is bad? A bet on proportions in which the worse of the bad requests count three times.

A share of slow requests forgets how slow they were, and a tail that is stretched, or a few answers that hang, shows there last.
So a request that is bad has 1 point, one that is worse 3, and the sum of the candidate's points is what is bet on: given how
many requests were good, bad and worse on both sides together, its law is known exactly under "a request's severity does not
depend on the side". The rest is `proportion`'s.

A request of the candidate that turns worse, or one of stable that turns better, raises the bet, so that its expectation is
greatest where both sides are alike. That is so of the bet before its boost, which depends on how many were bad; with the
boost it is enumerated for small looks, not proved (tests/stats/test_severity.py).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from assay.stats import proportion
from assay.stats.counts import Floats, Law, Look, log_sum
from assay.stats.proportion import Evidence, Rule

POINTS = 3  # of a request that is worse; why not 2: docs/adr/0013-how-slow-counts.md
MOST_BAD, MOST_WORSE = 400, 100  # of both sides in a look; with more, that they are bad is seen in the first looks


@dataclass(frozen=True, slots=True)
class Graded(Look):
    """A look that knows how many of the bad requests were worse."""

    candidate_worse: int
    """Of the candidate's bad requests, the worse ones."""
    stable_worse: int
    """Of the stable revision's."""

    def __post_init__(self) -> None:
        Look.__post_init__(self)
        for side, bad, worse in (
            ("candidate", self.candidate_bad, self.candidate_worse),
            ("stable", self.stable_bad, self.stable_worse),
        ):
            if not 0 <= worse <= bad:
                raise ValueError(f"{side}_worse is {worse}: must lie between 0 and {side}_bad, which is {bad}")


def update(rule: Rule, evidence: Evidence, look: Graded) -> Evidence:
    """Multiply the evidence by what one more look says; `proportion.update` where nothing, or very much, is worse.

    Which of the two it is depends on the totals of both sides alone, and so it costs nothing.

    Args:
        rule: From `proportion.harm`; its odds are those of each point.
        evidence: So far, from `proportion.start`, or from `update` of the same rule here or there.
        look: Counts since the previous look.

    Raises:
        ValueError: The evidence belongs to another rule, or the rule is about a fixed rate.
    """
    if rule.kind != "relative":
        raise ValueError("the rule is about a fixed rate, which says nothing of what is worse than bad")
    worse, bad = look.candidate_worse + look.stable_worse, look.candidate_bad + look.stable_bad
    if not 0 < worse <= MOST_WORSE or bad > MOST_BAD or not look.candidate_total or not look.stable_total:
        return proportion.update(rule, evidence, look)
    if proportion.reached(rule, evidence):
        return evidence
    return proportion.learned(rule, evidence, law(rule, look), look.candidate_bad + (POINTS - 1) * look.candidate_worse)


def law(rule: Rule, look: Graded) -> Law:
    """The law of the candidate's points, given how many requests of both sides were good, bad and worse.

    A candidate of n_c requests has x1 of the t1 bad, x2 of the t2 worse ones and the rest of the t0 good ones with a weight of
    C(t1, x1) C(t2, x2) C(t0, n_c - x1 - x2), the multivariate hypergeometric law, times odds^(x1 + 3 x2).

    Args:
        rule: Whose null and alternatives are the odds.
        look: With requests of both sides. Time and memory grow with (t1 + 1) (t2 + 1).
    """
    total = look.candidate_total + look.stable_total
    bad, worse = look.candidate_bad + look.stable_bad, look.candidate_worse + look.stable_worse
    once, thrice = (np.arange(min(some, look.candidate_total) + 1.0) for some in (bad - worse, worse))
    weights = np.full(once.size + POINTS * (thrice.size - 1), -np.inf)
    for number in range(thrice.size):
        ways = _log_choices(bad - worse, once) + _log_choices(worse, thrice[number])
        ways += _log_choices(total - bad, look.candidate_total - once - number)
        here = slice(POINTS * number, POINTS * number + once.size)
        weights[here] = np.logaddexp(weights[here], ways)
    points = np.flatnonzero(np.isfinite(weights)).astype(float)
    tilts = np.array(rule.grid) / rule.null
    weights = weights[np.isfinite(weights)] + points * math.log(rule.null)
    all_ = log_sum(weights)
    cumulants = log_sum(weights[:, None] + points[:, None] * np.log(tilts))
    return Law(points, weights - all_, tilts, cumulants - all_, 0.0)


def _log_choices(of: int, chosen: Floats) -> Floats:
    """Logarithm of how many ways there are to choose so many; minus infinity where there are none."""
    kept = np.clip(chosen, 0, of)
    found: Floats = np.where(chosen == kept, gammaln(of + 1) - gammaln(kept + 1) - gammaln(of - kept + 1), -np.inf)
    return found
