"""Is the candidate's share of bad requests too high, or surely not, however often one looks?

A conditional e-process: per look, Fisher's noncentral hypergeometric likelihood given the look's totals (or the
binomial one against a fixed rate), multiplied over looks, with the overshoot over the threshold taken out in advance.
Why and with which guarantee: docs/explanation/decisions.md.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from assay.stats.counts import Family, Floats, Kind, Law, Look, law, log_sum
from assay.stats.effect import Effect, interval, odds_ratio, start_effect, update_effect

__all__ = [
    "Effect",
    "Evidence",
    "Look",
    "Rule",
    "above",
    "below",
    "harm",
    "interval",
    "learned",
    "odds_from_absolute",
    "odds_from_relative",
    "odds_ratio",
    "reached",
    "safety",
    "start",
    "start_effect",
    "threshold",
    "update",
    "update_effect",
]

FLOOR = 1e-6  # a score never falls below; see `update` for what this costs and why it is worth it
NEVER = -1e300  # log-likelihood of what is impossible; finite, because JSON knows no infinity

HARM_FACTORS = (1.5, 2.0, 3.0, 5.0)
HARM_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
SAFETY_ODDS = (0.6, 0.8, 1.0)  # and the geometric middle between 1 and the margin
SAFETY_WEIGHTS = (1.0, 1.0, 3.0, 1.0)
BELOW_FACTORS = (0.0, 0.1, 0.3, 0.6)
BELOW_WEIGHTS = (1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Rule:
    """A null hypothesis, the alternatives that are bet on, and how surely it must be refuted."""

    kind: Kind
    """`relative`: null and grid are odds ratios candidate / stable. `absolute`: they are the candidate's rates."""
    null: float
    """Edge of the null hypothesis."""
    grid: tuple[float, ...]
    """The alternatives, all on the other side of the edge."""
    weights: tuple[float, ...]
    """Prior weights of the alternatives, in any scale."""
    level: float
    """Bound on the chance of ever refuting the null while it holds: alpha or beta."""
    direction: Literal["harm", "safety"]
    """`harm`: the null says at most `null`. `safety`: the null says at least `null`."""

    def __post_init__(self) -> None:
        top = math.inf if self.kind == "relative" else 1.0
        if not 0 < self.level < 1:
            raise ValueError(f"level is {self.level}: must lie between 0 and 1, both excluded")
        if not 0 < self.null < top:
            raise ValueError(f"null is {self.null}: must lie between 0 and {top}, both excluded")
        if not self.grid or len(self.weights) != len(self.grid) or min(self.weights) <= 0:
            raise ValueError("weights: there must be one positive weight for each alternative of the grid")
        if max(self.grid) <= 0:
            raise ValueError("grid: at least one alternative must be above zero, or one bad request would end all bets")
        if self.direction == "harm" and not all(self.null < each < top for each in self.grid):
            raise ValueError(f"grid: to show harm, every alternative must lie above {self.null} and below {top}")
        lowest = 0.0 if self.kind == "absolute" else math.ulp(0.0)
        if self.direction == "safety" and not all(lowest <= each < self.null for each in self.grid):
            raise ValueError(f"grid: to show safety, every alternative must be positive and below {self.null}")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The whole memory of a rule; a handful of finite floats."""

    score: float
    """From 1 at the start up to the threshold, where it stays."""
    logs: tuple[float, ...]
    """Log-likelihood ratio of each alternative of the grid against the null, over all looks."""


def harm(alpha: float, odds: float) -> Rule:
    """Roll back: refute "the odds ratio candidate / stable is at most `odds`" (the tolerance)."""
    return Rule("relative", odds, tuple(odds * factor for factor in HARM_FACTORS), HARM_WEIGHTS, alpha, "harm")


def safety(beta: float, odds: float) -> Rule:
    """Promote: refute "the odds ratio candidate / stable is at least `odds`" (the margin, above 1)."""
    if odds <= 1:
        raise ValueError(f"odds is {odds}: a margin must be above 1, or no equal candidate could ever pass")
    return Rule("relative", odds, (*SAFETY_ODDS, math.sqrt(odds)), SAFETY_WEIGHTS, beta, "safety")


def above(alpha: float, rate: float) -> Rule:
    """Roll back: refute "the candidate's rate is at most `rate`"."""
    edge = _odds(rate)
    grid = tuple(edge * factor / (1 + edge * factor) for factor in HARM_FACTORS)
    return Rule("absolute", rate, grid, HARM_WEIGHTS, alpha, "harm")


def below(beta: float, rate: float) -> Rule:
    """Promote: refute "the candidate's rate is at least `rate`"."""
    return Rule("absolute", rate, tuple(rate * factor for factor in BELOW_FACTORS), BELOW_WEIGHTS, beta, "safety")


def threshold(rule: Rule) -> float:
    """The score at which the null is refuted."""
    return 1.0 / rule.level


def start(rule: Rule) -> Evidence:
    """Nothing seen yet."""
    return Evidence(1.0, (0.0,) * len(rule.grid))


def reached(rule: Rule, evidence: Evidence) -> bool:
    """Whether the null is refuted."""
    return evidence.score >= threshold(rule)


def update(rule: Rule, evidence: Evidence, look: Look) -> Evidence:
    """Multiply the evidence by what one more look says.

    While the null holds, the expected score after a look is at most the score before it, whatever the past was and
    however the totals depend on it; hence it reaches 1 / level with a chance of at most level (Ville 1939). The score is
    kept at or above FLOOR, so that a candidate that turns bad after hours of health is still caught: each look adds at
    most FLOOR to the expectation, and the bound after K looks is level * (1 + K * FLOOR).

    Args:
        rule: What is to be refuted.
        evidence: So far, from `start` or `update` of the same rule.
        look: Counts since the previous look.

    Returns:
        The evidence with this look; unchanged when the threshold was reached, or when the totals say nothing
        (a side without requests, no bad requests at all, nothing but bad requests).

    Raises:
        ValueError: The evidence belongs to another rule.
    """
    _check_belongs(rule, evidence)
    family = Family.of(rule.kind, look)
    if reached(rule, evidence) or family.low == family.high:
        return evidence
    null, grid = _edges(rule)
    return learned(rule, evidence, law(family, null, grid), look.candidate_bad)


def learned(rule: Rule, evidence: Evidence, counts: Law, observed: int) -> Evidence:
    """The evidence after a count, or a score, whose law is known under the rule's null and under each alternative.

    Args:
        rule: What is to be refuted.
        evidence: So far; not at the threshold, where it stays.
        counts: What was possible, and how likely it was.
        observed: What happened.

    Raises:
        ValueError: The evidence belongs to another rule.
    """
    _check_belongs(rule, evidence)
    logs = np.array(evidence.logs)
    beliefs = logs + _log_weights(rule)
    beliefs -= beliefs.max()  # a factor of R, which b makes up for: of small numbers rounding takes least
    said = counts.log_ratios(np.array([float(observed)]))[:, 0]
    score = _boosted(rule, evidence.score, counts, beliefs, float(np.logaddexp.reduce(beliefs + said)))
    return Evidence(score, tuple(np.maximum(logs + said, NEVER).tolist()))


def _check_belongs(rule: Rule, evidence: Evidence) -> None:
    if len(evidence.logs) != len(rule.grid):
        raise ValueError(f"evidence has {len(evidence.logs)} logs, but the rule has {len(rule.grid)} alternatives")


def _boosted(rule: Rule, score: float, counts: Law, beliefs: Floats, log_observed: float) -> float:
    """The score after a count of which R says `log_observed`: min(b * score * R, threshold) with the largest b that the null can afford.

    R(x) is the mixture likelihood ratio. What R would pay beyond the threshold is useless, so it is paid elsewhere: b is
    the largest factor for which the expectation under the null is still the old score (Fischer & Ramdas 2024). With the
    counts ordered by R, the expectation is linear in b between the points where one more count reaches the threshold:
    the right piece is looked up and solved, without iteration.
    """
    top = threshold(rule)
    log_p, capped = counts.log_probabilities, counts.at_least  # P(counts from j on)
    log_r = log_sum(beliefs[:, None] + counts.own_log_ratios)
    if rule.direction == "safety":
        log_p, log_r, capped = log_p[::-1], log_r[::-1], counts.at_most
    uncapped = np.concatenate(([-np.inf], np.logaddexp.accumulate(log_p + log_r)))  # ln E[R; counts before j]
    expectation = top * (np.exp(uncapped[:-1] - log_r) + capped[:-1])  # when b just lifts count j to the threshold
    affordable = np.flatnonzero(expectation <= score)
    first = int(affordable[0]) if affordable.size else log_p.size
    rest = max(score - top * float(capped[first]), math.ulp(0.0))
    log_score = math.log(rest) - float(uncapped[first]) + log_observed
    return top if log_score >= math.log(top) else max(math.exp(log_score), FLOOR)


@lru_cache(maxsize=256)
def _edges(rule: Rule) -> tuple[float, Floats]:
    """Null and grid as odds (ratios)."""
    if rule.kind == "relative":
        return rule.null, np.array(rule.grid)
    return _odds(rule.null), np.array([_odds(rate) for rate in rule.grid])


@lru_cache(maxsize=256)
def _log_weights(rule: Rule) -> Floats:
    log_weights: Floats = np.log(rule.weights)
    return log_weights


def _odds(rate: float) -> float:
    if not 0 <= rate < 1:
        raise ValueError(f"rate is {rate}: must lie between 0 and 1, the upper end excluded")
    return rate / (1 - rate)


def odds_from_relative(change: float | str) -> float:
    """The odds ratio of a relative change: "0.10" means ten percent more, hence 1.10."""
    odds = 1.0 + float(change)
    if not 0 < odds < math.inf:
        raise ValueError(f"relative is {change}: must be a number above -1")
    return odds


def odds_from_absolute(difference: float | str, stable_rate: float) -> float:
    """The odds ratio that a difference of rates amounts to at the stable revision's rate.

    Args:
        difference: Candidate's rate minus the stable revision's.
        stable_rate: The stable revision's rate, strictly between 0 and 1.

    Returns:
        Odds at `stable_rate + difference` over odds at `stable_rate`.

    Raises:
        ValueError: One of the two rates is not strictly between 0 and 1: no odds ratio says this.
    """
    rate = stable_rate + float(difference)
    if not 0 < stable_rate < 1:
        raise ValueError(f"the stable rate is {stable_rate}: must lie between 0 and 1 to express a difference as odds")
    if not 0 < rate < 1:
        raise ValueError(
            f"absolute is {difference}: at a stable rate of {stable_rate} this makes {rate}, which is no rate"
        )
    return _odds(rate) / _odds(stable_rate)
