"""The same kernel, written as slowly and plainly as the formulas stand: the measure that the fast one is held to."""

import math
from collections.abc import Iterator

from assay.stats.proportion import FLOOR, Evidence, Look, Rule, threshold


def pmf(rule: Rule, look: Look, parameter: float) -> dict[int, float]:
    """Probability of each possible number of bad candidate requests, from exact binomial coefficients."""
    n, m, e = look.candidate_total, look.stable_total, look.candidate_bad + look.stable_bad
    if rule.kind == "absolute":
        return {x: math.comb(n, x) * parameter**x * (1 - parameter) ** (n - x) for x in range(n + 1)}
    possible = range(max(0, e - m), min(n, e) + 1)
    weights = {x: math.comb(n, x) * math.comb(m, e - x) * parameter**x for x in possible}
    return {x: weight / math.fsum(weights.values()) for x, weight in weights.items()}


def update(rule: Rule, evidence: Evidence, look: Look) -> Evidence:
    """One step of the e-process with the boost found by bisection."""
    top, score = threshold(rule), evidence.score
    if score >= top:
        return evidence
    null = pmf(rule, look, rule.null)
    others = [pmf(rule, look, each) for each in rule.grid]
    beliefs = [
        weight * math.exp(log - max(evidence.logs)) for weight, log in zip(rule.weights, evidence.logs, strict=True)
    ]
    beliefs = [belief / sum(beliefs) for belief in beliefs]
    ratio = {x: sum(b * other[x] for b, other in zip(beliefs, others, strict=True)) / null[x] for x in null}

    def cost(boost: float) -> float:
        return math.fsum(null[x] * min(boost * score * ratio[x], top) for x in null)

    low, high = 0.0, 1000.0  # exponents of e
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(math.exp(min(middle, 600.0))) <= score * (1 + 1e-14) else (low, middle)
    x = look.candidate_bad
    logs = [
        log + (math.log(other[x] / null[x]) if other[x] > 0 else -1e300)
        for log, other in zip(evidence.logs, others, strict=True)
    ]
    boosted = min(math.exp(min(low, 600.0)) * score * ratio[x], top)
    return Evidence(max(boosted, FLOOR), tuple(max(log, -1e300) for log in logs))


def outcomes(rule: Rule, look: Look, parameter: float) -> Iterator[tuple[float, Look]]:
    """Each way the look could have come out with the same totals, and its probability."""
    bad = look.candidate_bad + look.stable_bad
    for x, probability in pmf(rule, look, parameter).items():
        yield probability, Look(look.candidate_total, x, look.stable_total, bad - x if rule.kind == "relative" else 0)
