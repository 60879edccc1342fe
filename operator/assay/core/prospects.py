"""What can a rollout find out at this traffic, and when?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from assay.api.checks import Check
from assay.api.modeldeployment import CheckStatus, DecisionRule, Gate, ModelDeploymentSpec, ModelDeploymentStatus, Stage
from assay.api.strategy import Step
from assay.core import canary, minimum
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


@dataclass(frozen=True)
class Prospect:
    """What one check can find out; each answer is worked out when it is asked for."""

    spec: ModelDeploymentSpec
    judged: Check
    traffic: Traffic
    harm: Sequence[Rule]
    """Both must be reached, where there are two."""
    safety: Sequence[Rule]
    """Either will do."""

    @property
    def check(self) -> str:
        """Name of the check."""
        return self.judged.name

    @property
    def deadline(self) -> float:
        """Seconds."""
        return self.spec.analysis.deadline_seconds

    @property
    def promote_requests(self) -> float:
        """Requests at the last weight after which a candidate equal to stable is promoted, on average; infinity where it never is."""
        return max(self._passing(self._weights[-1]), minimum.LEAST_REQUESTS)

    @property
    def promote_seconds(self) -> float:
        """How long that takes, on average, from the first step on: earlier steps, pauses, warm-up and label delay included."""
        spent, last = [self._lasts(step) for step in canary.steps(self.spec)], self._last
        counted = self.promote_requests / (self.traffic.per_second * self._weights[-1])
        judged = self._delay + max(counted, minimum.LEAST_LOOKS * self.spec.analysis.interval_seconds)
        return self._warmup + sum(spent[:last]) + max(spent[last], judged) + sum(spent[last + 1 :])

    @property
    def detections(self) -> tuple[tuple[float, float, float], ...]:
        """(times the stable rate, candidate requests, seconds) until such a candidate is rolled back at the first weight."""
        share, found = self._weights[0], []
        for times in TIMES:
            needed = max(self._requests(rule, min(times * self.traffic.rate, 1.0), share) for rule in self.harm)
            found.append((times, needed, self._warmup + self._delay + needed / (self.traffic.per_second * share)))
        return tuple(found)

    @property
    def smallest(self) -> float | None:
        """The least rate of a candidate that is found within the deadline at the last weight, on average; None where none is."""
        before = self._warmup + sum(self._lasts(step) for step in canary.steps(self.spec)[: self._last])
        share, traffic = self._weights[-1], self.traffic
        budget = max(self.deadline - before - self._delay, 0.0) * traffic.per_second * share
        each = [power.detectable(rule, traffic.rate, share, budget, traffic.divisor) for rule in self.harm]
        return None if None in each else max(one for one in each if one is not None)

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

    @property
    def _weights(self) -> list[float]:
        """Of the weight steps, as shares."""
        return [step.weight / 100 for step in canary.steps(self.spec) if step.weight is not None]

    @property
    def _last(self) -> int:
        """Index of the last weight step."""
        return max(index for index, step in enumerate(canary.steps(self.spec)) if step.weight is not None)

    @property
    def _delay(self) -> float:
        return self.judged.label_delay_seconds or 0

    @property
    def _warmup(self) -> float:
        return self.spec.analysis.warmup_seconds

    def _lasts(self, step: Step) -> float:
        """Return how long a step lasts at least, pods and routers left out: what it demands, and what its gate does."""
        if step.weight is None:
            return canary.least_seconds(step)
        per_second = self.traffic.per_second * step.weight / 100
        least = max(canary.least_seconds(step), (step.min_requests or 0) / per_second)
        gate = self.spec.analysis.gate
        if gate is Gate.PASS:
            return max(least, self._delay + self._passing(step.weight / 100) / per_second)
        return least if gate is Gate.TIME else max(least, self._delay)

    def _passing(self, share: float) -> float:
        return min(self._requests(rule, self.traffic.rate, share) for rule in self.safety)

    def _requests(self, rule: Rule, rate: float, share: float) -> float:
        return power.requests(rule, rate, self.traffic.rate, share, self.traffic.divisor)


def prospect(spec: ModelDeploymentSpec, check: Check, traffic: Traffic) -> Prospect | None:
    """Return what a check can find out; None where `absolute` thresholds say nothing at the stable revision's rate."""
    rules = _rules(spec, check, traffic.rate)
    return None if rules is None else Prospect(spec, check, traffic, *rules)


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
