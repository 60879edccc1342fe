"""How many requests does a verdict take?"""

import math
from typing import Final

from scipy.optimize import brentq

from assay.stats.proportion import Rule, threshold

OVERHEAD: Final = 1.25
"""What it costs not to know how much worse, and that looks are discrete: measured, between 1.0 and 1.35 (tests/stats/test_power.py)."""
MOST: Final = 1e15
"""Requests; more is never."""


def drift(rule: Rule, candidate_rate: float, stable_rate: float, share: float) -> float:
    """Return by how much the log-evidence against a rule's null grows with each request of the candidate.

    The rate at which the best conditional test separates what is so from the nearest thing that the null allows: the least
    Kullback-Leibler divergence, over both revisions, to a pair of rates on the edge of the null (Stein's lemma; Chernoff
    1956, Large-sample theory: parametric case).

    Args:
        rule: From `proportion.harm`, `safety`, `above` or `below`.
        candidate_rate: The candidate's true rate of bad requests, from 0 to 1.
        stable_rate: The stable revision's, from 0 to 1.
        share: The candidate's share of the traffic, strictly between 0 and 1.

    Returns:
        Nats per candidate request; 0 where the null holds, so that no number of requests refutes it.
    """
    if rule.kind == "absolute":
        beyond = candidate_rate - rule.null
        distance = _divergence(candidate_rate, rule.null)
    else:
        if stable_rate >= 1:
            return 0.0  # beside what is always bad nothing can be told
        beyond = _odds(candidate_rate) - rule.null * _odds(stable_rate)
        distance = _distance_to_edge(rule.null, candidate_rate, stable_rate, (1 - share) / share)
    return distance if (beyond > 0) == (rule.direction == "harm") and beyond else 0.0


def requests(rule: Rule, candidate_rate: float, stable_rate: float, share: float, divisor: float = 1.0) -> float:
    """Return about how many requests of the candidate refute a rule's null, on average.

    Wald's equation (1945): the threshold of the log-evidence over its drift, times OVERHEAD.

    Args:
        rule: As in `drift`, and so the rates and the share.
        candidate_rate: The candidate's true rate.
        stable_rate: The stable revision's.
        share: The candidate's share of the traffic.
        divisor: The dispersion, by which counts are divided before they are evidence.

    Returns:
        Requests of the candidate; infinity where the null holds.
    """
    growth = drift(rule, candidate_rate, stable_rate, share)
    needed = OVERHEAD * divisor * math.log(threshold(rule)) / growth if growth > 0 else math.inf
    return needed if needed < MOST else math.inf


def detectable(rule: Rule, stable_rate: float, share: float, budget: float, divisor: float = 1.0) -> float | None:
    """Return the least rate of a candidate that a harm rule finds, on average, within so many of its requests.

    Returns:
        The candidate's rate; None where not even one that is always bad would be found.
    """
    worst = 1 - 1e-9

    def lacking(rate: float) -> float:
        return requests(rule, rate, stable_rate, share, divisor) - budget

    if lacking(worst) > 0:
        return None
    edge = rule.null if rule.kind == "absolute" else _rate(rule.null * _odds(stable_rate))
    low = edge + (worst - edge) * 1e-9
    if edge >= worst or lacking(low) <= 0:
        return min(low, worst)
    return float(brentq(lambda rate: min(lacking(rate), MOST), low, worst, xtol=1e-9))


def _distance_to_edge(null: float, candidate: float, stable: float, ratio: float) -> float:
    """Least divergence, per candidate request, to rates (a, b) with odds(a) = null * odds(b).

    Where it is least, both sides together have as many bad requests as is expected: a + ratio * b = candidate + ratio *
    stable, a quadratic equation of odds(b).
    """
    bad = candidate + ratio * stable
    square, linear = null * (1 + ratio - bad), null + ratio - bad * (1 + null)
    root = math.sqrt(linear**2 + 4 * square * bad)
    odds = 2 * bad / (linear + root) if linear > 0 else (root - linear) / (2 * square)
    return _divergence(candidate, _rate(null * odds)) + ratio * _divergence(stable, _rate(odds))


def _divergence(p: float, q: float) -> float:
    """Kullback-Leibler divergence of two coins, in nats."""
    parts = ((p, q), (1 - p, 1 - q))
    return max(0.0, sum(one * _log_ratio(one, other) for one, other in parts if one > 0))


def _log_ratio(one: float, other: float) -> float:
    """Logarithm of a quotient; where it is nearly 1, rounding the quotient would lose by how much."""
    return math.log(one / other) if one < other / 2 else math.log1p((one - other) / other)


def _odds(rate: float) -> float:
    return rate / (1 - rate) if rate < 1 else math.inf


def _rate(odds: float) -> float:
    return odds / (1 + odds)
