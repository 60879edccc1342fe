"""What can a rollout find out at this traffic, and when?"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assay.api.checks import Check
from assay.api.modeldeployment import CheckStatus, DecisionRule, Gate, ModelDeploymentSpec, ModelDeploymentStatus, Stage
from assay.api.strategy import Step
from assay.core import canary
from assay.core.hypotheses import TOP_RATE, odds_of, rules_of
from assay.core.sentences import sentence
from assay.stats import power
from assay.stats.proportion import Rule

TIMES = (1.5, 2.0, 5.0)
"""Regressions whose detection is told: so many times the stable revision's rate."""
UNLUCKY = 2.0
"""Nine of ten rollouts are decided within so many times the mean: measured, between 1.2 and 2.0 (tests/stats/test_power.py)."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is known of a check before a rollout."""

    per_second: float
    """Events of the whole deployment (requests; with labels, labelled predictions), above 0."""
    rate: float
    """Share of bad ones at the stable revision, from 0 to 1."""
    divisor: float = 1.0
    """The dispersion."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """What one check can find out."""

    check: str
    promote_requests: float
    """Requests at the last weight after which a candidate equal to stable passes, on average; infinity where it never does."""
    promote_seconds: float
    """How long that takes, on average, from the first step on: earlier steps, pauses, warm-up and label delay included."""
    detections: tuple[tuple[float, float, float], ...]
    """(times the stable rate, candidate requests, seconds) until such a candidate is rolled back at the first weight."""
    smallest: float | None
    """The least rate of a candidate that is found within the deadline at the last weight, on average; None where none is."""
    deadline: float
    """Seconds."""

    @property
    def underpowered(self) -> str:
        """Why an equal candidate will probably not be promoted before the deadline; empty where it will."""
        if self.promote_seconds <= self.deadline:
            return ""
        if math.isinf(self.promote_requests):
            return f"check {self.check} can never pass: `margin` or `negligible` leaves no room at stable's rate"
        return (
            f"check {self.check} needs about {self.promote_requests:,.0f} candidate requests at the last weight to pass,"
            f" which takes {self.promote_seconds:,.0f} s with the steps before it, and deadlineSeconds is {self.deadline:,.0f}:"
            " give it more time, more weight or a wider margin"
        )


def prospect(spec: ModelDeploymentSpec, check: Check, traffic: Traffic) -> Prospect | None:
    """Return what a check can find out; None where `absolute` thresholds say nothing at the stable revision's rate."""
    rules = _rules(spec, check, traffic.rate)
    if rules is None:
        return None
    weights = spec.strategy.canary.weights if spec.strategy.canary else []
    harm, safety = rules

    def passing(share: float) -> float:
        return min(_requests(rule, traffic.rate, traffic, share) for rule in safety)  # either of two ways will do

    delay, share = check.label_delay_seconds or 0, weights[-1] / 100
    spent = [_lasts(spec, step, traffic, delay, passing) for step in canary.steps(spec)]
    last = max(index for index, step in enumerate(canary.steps(spec)) if step.weight is not None)
    before = spec.analysis.warmup_seconds + sum(spent[:last])
    needed = passing(share)
    judged = max(spent[last], delay + needed / (traffic.per_second * share))
    return Prospect(
        check=check.name,
        promote_requests=needed,
        promote_seconds=before + judged + sum(spent[last + 1 :]),
        detections=tuple(
            _detection(harm, times, traffic, weights[0] / 100, spec.analysis.warmup_seconds + delay) for times in TIMES
        ),
        smallest=_smallest(harm, traffic, share, spec.analysis.deadline_seconds - before - delay),
        deadline=spec.analysis.deadline_seconds,
    )


def _lasts(
    spec: ModelDeploymentSpec, step: Step, traffic: Traffic, delay: float, passing: Callable[[float], float]
) -> float:
    """Return how long a step lasts at least, pods and routers left out: what it demands, and what its gate does."""
    if step.weight is None:
        return canary.least_seconds(step)
    per_second = traffic.per_second * step.weight / 100
    least = max(canary.least_seconds(step), (step.min_requests or 0) / per_second)
    gate = spec.analysis.gate
    if gate is Gate.PASS:
        return max(least, delay + passing(step.weight / 100) / per_second)
    return least if gate is Gate.TIME else max(least, delay)


def underpowered(spec: ModelDeploymentSpec, status: ModelDeploymentStatus) -> str:
    """Return which required checks of the present rollout will probably not pass in time, by the hour before it."""
    if status.candidate is None or status.stage not in (Stage.PREPARING, Stage.ANALYSING):
        return ""
    known = {one.name: one for one in status.checks}
    told = []
    for check in spec.analysis.checks:
        traffic = _traffic(known.get(check.name))
        one = prospect(spec, check, traffic) if check.required and traffic else None
        if one is not None and one.underpowered:
            told.append(sentence(one.underpowered))
    return " ".join(told)


def _traffic(status: CheckStatus | None) -> Traffic | None:
    """Return what the hour before said; None where it said too little."""
    bad, total, seconds = (status.before if status else []) or (0, 0, 0)
    if status is None or not total or not seconds:
        return None
    return Traffic(total / seconds, bad / total, status.dispersion or 1.0)


def _rules(spec: ModelDeploymentSpec, check: Check, rate: float) -> tuple[list[Rule], list[Rule]] | None:
    """Return the rules of harm and of safety; rule Spending needs as many requests as Boosted, within a tenth."""
    odds = (
        []
        if check.limit is not None
        else [one for one in odds_of(check, min(max(rate, 1 - TOP_RATE), TOP_RATE)) if one is not None]
    )
    if check.limit is None and (len(odds) < 2 or odds[1] <= 1):  # noqa: PLR2004 - tolerance and margin
        return None
    rules = rules_of(check, odds, spec.analysis.model_copy(update={"rule": DecisionRule.BOOSTED}))
    harm, safety = (rules.harm, rules.harm_beyond), (rules.safety, rules.negligible)
    return [one for one in harm if isinstance(one, Rule)], [one for one in safety if isinstance(one, Rule)]


def _requests(rule: Rule, rate: float, traffic: Traffic, share: float) -> float:
    return power.requests(rule, rate, traffic.rate, share, traffic.divisor)


def _detection(
    harm: Sequence[Rule], times: float, traffic: Traffic, share: float, wait: float
) -> tuple[float, float, float]:
    rate = min(times * traffic.rate, 1.0)
    needed = max(_requests(rule, rate, traffic, share) for rule in harm)  # both, where there are two
    return times, needed, wait + needed / (traffic.per_second * share)


def _smallest(harm: Sequence[Rule], traffic: Traffic, share: float, seconds: float) -> float | None:
    budget = max(seconds, 0.0) * traffic.per_second * share
    each = [power.detectable(rule, traffic.rate, share, budget, traffic.divisor) for rule in harm]
    return None if None in each else max(one for one in each if one is not None)
