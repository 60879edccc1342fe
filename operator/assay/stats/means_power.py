"""How many values does a verdict about means take?

With each look the sums of `means` grow, on average, by the same. So the test itself is asked what it will say of so many more
looks: Wald's equation (1945) with its own bound. An overhead, as `power` needs it, is not seen (tests/stats/test_means_power.py).
"""

import math
from dataclasses import astuple, replace
from typing import Final

from scipy.optimize import brentq

from assay.stats.means import Evidence, Rule, Sums, added, between_looks, lacking, log_score, looks, pace_of, start
from assay.stats.moments import Arm, Look

MOST: Final = 2.0**40
"""Looks; more is never."""
FAR: Final = 3.0
"""Times the stable revision's mean, or that part of it: near it bets are best, and of what spreads as it grows, more is found later."""
NEAR: Final = 1e-6  # of the null: so close to it nothing is found
LEAST_VARIATION, MOST_VARIATION = 1e-6, 1e6  # less is as good as none, and with more no mean is ever known
MOST_EACH: Final = 1e12  # values in a look


def looks_left(rule: Rule, evidence: Evidence, seen: Sums, part: float = 1.0) -> float:
    """Return about how many more looks refute a rule's null, on average, if means, spread and traffic stay as they are.

    Args:
        rule: What is to be refuted.
        evidence: Of this rule, so far.
        seen: What looks have told, or would on average, from `expected`.
        part: How much of that a look to come adds, above 0.

    Returns:
        Looks, at least 0; infinity where the null holds, or where something that is lacking will not come.
    """
    if evidence.refuted:
        return 0.0
    if rule.sign * (seen.w_mc - rule.null * seen.w_ms) <= 0:
        return math.inf
    wanted = -math.log(rule.level)

    def missing(count: float) -> float:
        sums = _grown(evidence.sums, seen, part * count)
        if lacking(rule, sums):
            return wanted
        return wanted - log_score(rule, Evidence(sums, evidence.pace or pace_of(rule, sums), refuted=False))

    if missing(0.0) <= 0:
        return 0.0
    most = 1.0
    while missing(most) > 0:
        most *= 2
        if most > MOST:
            return math.inf
    return float(brentq(missing, 0.0, most, xtol=1e-3))


def expected(candidate: Arm, stable: Arm) -> Sums:
    """Return what looks with such values add on average; that includes by how much the means of looks differ by chance."""
    sums = added(Sums(), Look(candidate, stable))
    return replace(sums, ww_mc_mc=sums.ww_mc_mc + sums.ww_vc_nc, ww_ms_ms=sums.ww_ms_ms + sums.ww_vs_ns)


def values(rule: Rule, times: float, variation: float, share: float, each: float) -> float:
    """Return about how many values of the candidate refute a rule's null, on average.

    Args:
        rule: From `means.harm` or `safety`.
        times: The candidate's true mean over the stable revision's, above 0.
        variation: Standard deviation of a value over its mean, of both revisions; above 0.
        share: The candidate's share of the values, strictly between 0 and 1.
        each: Values of the candidate in a look.

    Returns:
        Values of the candidate; infinity where the null holds.
    """
    if variation > MOST_VARIATION:
        return math.inf
    variation = max(variation, LEAST_VARIATION)
    candidate, stable = (max(round(min(one, MOST_EACH)), 1) for one in (each, each * (1 - share) / share))
    look = expected(Arm(candidate, times, (times * variation) ** 2), Arm(stable, 1.0, variation**2))
    return candidate * looks_left(rule, start(), look)


def detectable(rule: Rule, variation: float, share: float, each: float, budget: float) -> float | None:
    """Return the least difference that a harm rule finds, on average, within so many values of the candidate.

    Returns:
        The candidate's mean over the stable revision's; None where not even FAR times, or that part, would be found.
    """

    def lacks(log_times: float) -> float:
        return min(values(rule, math.exp(log_times), variation, share, each), MOST) - budget

    near, far = math.log(rule.null) + rule.sign * NEAR, rule.sign * math.log(FAR)
    if lacks(far) > 0:
        return None
    return math.exp(brentq(lacks, near, far, xtol=1e-4)) if lacks(near) > 0 else math.exp(near)


def variation(sums: Sums) -> float | None:
    """Return the standard deviation of a value over the stable revision's mean, as looks told it; None where they did not.

    Values that come in clusters spread more between looks than within them; the greater of both is taken.
    """
    equal = looks(sums)
    if equal <= 1 or sums.w_ms <= 0:
        return None
    within = max(sums.ww_vc_nc, sums.ww_vs_nc) + max(sums.ww_vs_ns, sums.ww_vc_ns)
    spread = max(within, between_looks(sums, 1.0) * equal / (equal - 1))
    return math.sqrt(spread / sums.w) / (sums.w_ms / sums.w)  # each look's weight is one over 1/n_c + 1/n_s


def _grown(sums: Sums, seen: Sums, part: float) -> Sums:
    candidate, stable, *others = (a + part * b for a, b in zip(astuple(sums), astuple(seen), strict=True))
    return Sums(int(candidate), int(stable), *others)
