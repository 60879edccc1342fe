"""What can a rollout find out at this traffic, and when?"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from assay.api.base import Verdict
from assay.api.checks import Check
from assay.api.metrics import Better
from assay.api.modeldeployment import CheckStatus, DecisionRule, Gate, ModelDeploymentSpec, ModelDeploymentStatus, Stage
from assay.api.strategy import Step
from assay.core import canary, minimum, past_looks
from assay.core.hypotheses import TOP_RATE, odds_of, rules_of, rules_of_values
from assay.core.processes import averages
from assay.core.sentences import sentence
from assay.stats import means, means_power, power, proportion

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
class Values:
    """What is known of a check on a mean or a ratio."""

    per_second: float
    """Values of the whole deployment (of a ratio, units), above 0."""
    variation: float
    """Standard deviation of a value over its mean, above 0; of a ratio, of what the numerator has beyond ratio times denominator."""


Rule: TypeAlias = proportion.Rule | means.Rule


@dataclass(frozen=True)
class Prospect:
    """What one check can find out; each answer is worked out when it is asked for."""

    spec: ModelDeploymentSpec
    judged: Check
    traffic: Traffic | Values
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
        """Requests (or values) at the last weight after which a candidate equal to stable is promoted, on average; infinity where it never is."""
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
        """(times as bad as stable, candidate requests, seconds) until such a candidate is rolled back at the first weight."""
        share, found = self._weights[0], []
        for times in TIMES:
            needed = max(self._requests(rule, times, share) for rule in self.harm)
            found.append((times, needed, self._warmup + self._delay + needed / (self.traffic.per_second * share)))
        return tuple(found)

    @property
    def smallest(self) -> float | None:
        """The least harm that is found within the deadline at the last weight, on average; None where none is.

        The candidate's rate; of values its mean over stable's.
        """
        before = self._warmup + sum(self._lasts(step) for step in canary.steps(self.spec)[: self._last])
        budget = max(self.deadline - before - self._delay, 0.0) * self.traffic.per_second * self._weights[-1]
        each = [self._detectable(rule, budget) for rule in self.harm]
        return None if None in each else max(one for one in each if one is not None)

    @property
    def underpowered(self) -> str:
        """Why an equal candidate will probably not be promoted before the deadline; empty where it will."""
        if self.promote_seconds <= self.deadline:
            return ""
        of_values = isinstance(self.traffic, Values)
        if math.isinf(self.promote_requests):
            why = (
                "values differ too much for `margin`"
                if of_values
                else "`margin` or `negligible` leaves no room at stable's rate"
            )
            return f"check {self.check} can never pass: {why}"
        return (
            f"check {self.check} needs about {self.promote_requests:,.0f} candidate {'values' if of_values else 'requests'}"
            f" at the last weight to pass, which takes {self.promote_seconds:,.0f} s with the steps before it, and"
            f" deadlineSeconds is {self.deadline:,.0f}: give it more time, more weight or a wider margin"
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
        return min(self._requests(rule, 1.0, share) for rule in self.safety)

    def _requests(self, rule: Rule, times: float, share: float) -> float:
        """Return what refutes a rule about a candidate that is so many times as bad as stable."""
        match rule, self.traffic:
            case means.Rule(), Values(variation=variation):
                ratio = 1 / times if self.judged.better is Better.HIGHER else times
                return means_power.values(rule, ratio, variation, share, self._each(share))
            case proportion.Rule(), Traffic(rate=rate, divisor=divisor):
                return power.requests(rule, min(times * rate, 1.0), rate, share, divisor)
        raise TypeError("a rule about means needs values, and one about proportions their rate")

    def _detectable(self, rule: Rule, budget: float) -> float | None:
        share = self._weights[-1]
        match rule, self.traffic:
            case means.Rule(), Values(variation=variation):
                return means_power.detectable(rule, variation, share, self._each(share), budget)
            case proportion.Rule(), Traffic(rate=rate, divisor=divisor):
                return power.detectable(rule, rate, share, budget, divisor)
        raise TypeError("a rule about means needs values, and one about proportions their rate")

    def _each(self, share: float) -> float:
        """Return how many values of the candidate a look has."""
        return self.traffic.per_second * share * self.spec.analysis.interval_seconds


def prospect(spec: ModelDeploymentSpec, check: Check, traffic: Traffic | Values) -> Prospect | None:
    """Return what a check can find out; None where `absolute` thresholds say nothing at the stable revision's rate."""
    if isinstance(traffic, Values):
        harm, safety = _rules_of_values(spec, check)
        return Prospect(spec, check, traffic, [harm], [safety])
    rules = _rules(spec, check, traffic.rate)
    return None if rules is None else Prospect(spec, check, traffic, *rules)


def underpowered(spec: ModelDeploymentSpec, status: ModelDeploymentStatus) -> str:
    """Return which required checks of the present rollout will probably not pass in time.

    Of events the hour before tells it, or else the looks so far, as of values.
    """
    told = []
    for check, state in _on_trial(spec, status):
        traffic = _known(spec, check, state)
        one = prospect(spec, check, traffic) if traffic else None
        if one is not None and one.underpowered:
            told.append(sentence(one.underpowered))
    return " ".join(told)


def unforeseen(spec: ModelDeploymentSpec, status: ModelDeploymentStatus) -> str:
    """Return of which required checks nobody can tell yet whether they will pass in time."""
    told = []
    for check, state in _on_trial(spec, status):
        if state is not None and state.verdict is Verdict.PASS:
            continue
        if check.gauge is not None:
            told.append(f"Check {check.name} is a gauge, of which nothing can be foretold.")
        elif _known(spec, check, state) is None:
            asked = f"Nobody can tell yet whether check {check.name} will pass in time"
            what = "how much its values differ" if check.of_values else "how much traffic there is"
            told.append(f"{asked}: {what}, its first looks will show.")
    return " ".join(told)


def _on_trial(spec: ModelDeploymentSpec, status: ModelDeploymentStatus) -> Iterator[tuple[Check, CheckStatus | None]]:
    """Yield the required checks of the present rollout that have something to pass."""
    if status.candidate is None or status.stage not in (Stage.PREPARING, Stage.ANALYSING):
        return
    known = {one.name: one for one in status.checks}
    for check in spec.analysis.checks:
        if check.required:
            yield check, known.get(check.name)


def _known(spec: ModelDeploymentSpec, check: Check, status: CheckStatus | None) -> Traffic | Values | None:
    return _values(spec, check, status) if check.of_values else _traffic(status)


def _values(spec: ModelDeploymentSpec, check: Check, status: CheckStatus | None) -> Values | None:
    """Return what the looks of this rollout said; None where they said too little, or of a gauge."""
    if status is None or check.gauge is not None or not status.harm.sums:
        return None
    rule, _ = _rules_of_values(spec, check)
    sums, per_second = averages(rule, status.harm).sums, past_looks.per_second(status.value_looks)
    variation = None if means.lacking(rule, sums) else means_power.variation(sums)
    return Values(per_second, variation) if variation and per_second else None


def _traffic(status: CheckStatus | None) -> Traffic | None:
    """Return what the hour before said, or else the looks so far; None where they said too little."""
    if status is None:
        return None
    bad, total, seconds = status.before or (0, 0, 0)
    per_second = total / seconds if seconds else 0.0
    if not per_second and status.totals:
        (_, _, total, bad), per_second = status.totals, past_looks.per_second(status.looks)
    return Traffic(per_second, bad / total, status.dispersion or 1.0) if per_second and total else None


def _rules_of_values(spec: ModelDeploymentSpec, check: Check) -> tuple[means.Rule, means.Rule]:
    return rules_of_values(check, [one for one in odds_of(check, None) if one is not None], spec.analysis)


def _rules(
    spec: ModelDeploymentSpec, check: Check, rate: float
) -> tuple[list[proportion.Rule], list[proportion.Rule]] | None:
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
    of_harm, of_safety = ([one for one in found if isinstance(one, proportion.Rule)] for found in (harm, safety))
    return of_harm, of_safety
