"""Which hypotheses does a check put to the test, and at which level?"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from assay.api.checks import DEFAULT_MARGIN, DEFAULT_TOLERANCE, Check, Threshold
from assay.api.metrics import Better
from assay.api.modeldeployment import Analysis, CheckStatus, DecisionRule, ModelDeploymentSpec
from assay.core.decision import Missing
from assay.core.processes import Rule
from assay.core.scrapes import Arms, Readings
from assay.stats import means, proportion, spending

TOP_RATE = 1 - 1e-6  # a tolerated rate is kept below 1, where odds end


@dataclass(frozen=True, slots=True)
class Rules:
    """The hypotheses of one check. Harm needs both of its rules, safety either of its two."""

    harm: Rule
    harm_beyond: proportion.Rule | None
    """The candidate's rate is above `negligible`."""
    safety: Rule
    negligible: proportion.Rule | None


@dataclass(frozen=True, slots=True)
class Trial:
    """What a look needs to know beside the check."""

    arms: Arms
    analysis: Analysis
    now: datetime
    floor: float | None
    """Samples up to this second of the epoch count nothing; None: nothing may be counted at all."""
    waiting: str = ""
    """Why nothing may be counted."""
    lag: float = 0.0
    """How many seconds old the newest of all samples is."""
    tests: int = 1
    """In how many weight steps a rule that begins anew with each, because it cannot follow the weights, is put to the test."""

    @property
    def alpha(self) -> float:
        """Bound on a false rollback of one check."""
        return alpha_of(self.analysis)

    @property
    def beta(self) -> float:
        """Bound on a false promotion of one check."""
        return beta_of(self.analysis)


def rank_tests(spec: ModelDeploymentSpec) -> int:
    """Return the steps among which a rule that cannot follow their weights, and so begins anew with each, divides its level."""
    return 1 if spec.strategy.canary is None else len(spec.strategy.canary.steps)


def alpha_of(analysis: Analysis) -> float:
    """Return the bound on a false rollback of one check: `falseRollback` split evenly over the required ones (Bonferroni)."""
    return float(analysis.false_rollback) / max(sum(check.required for check in analysis.checks), 1)


def beta_of(analysis: Analysis) -> float:
    """Return the bound on a false promotion of one check: uncorrected, because all that are required must pass (Berger 1982)."""
    return float(analysis.false_promotion)


def with_odds(check: Check, status: CheckStatus, readings: Readings | Missing) -> tuple[CheckStatus, str]:
    """Give tolerance and margin as odds ratios, if there are none yet; return also why that cannot be done, or an empty string."""
    if status.odds or check.limit is not None:
        return status, ""
    rate = None if isinstance(readings, Missing) or check.of_values else _stable_rate(readings, status)
    tolerance, margin = odds_of(check, rate)
    if tolerance is None or margin is None:
        return status, "no event of the stable revision, at whose rate `absolute` is converted"
    if margin <= 1:
        told = "" if rate is None else f" at the stable revision's rate of {rate:.6g}"
        return status, f"`margin` leaves no room for anything worse{told}; see whether the check counts bad events"
    return status.model_copy(update={"odds": [tolerance, margin]}), ""


def reconverted(check: Check, status: CheckStatus, readings: Readings | Missing) -> CheckStatus:
    """Convert `absolute` anew after a look, by all that is known of stable's rate by now.

    The next look is held against it. What a look says itself is no part of its null hypothesis, so that the promise holds
    whatever comes; and a rate that was known from a few events when the rollout began does not stay what it is held against.
    """
    if not check.is_absolute or not status.odds or isinstance(readings, Missing):
        return status
    tolerance, margin = odds_of(check, _stable_rate(readings, status))
    if tolerance is None or margin is None or margin <= 1:
        return status
    return status.model_copy(update={"odds": [tolerance, margin]})


def odds_of(check: Check, rate: float | None) -> tuple[float | None, float | None]:
    """Return tolerance and margin as odds ratios; None where they are absolute and stable's rate is not known."""
    thresholds = (check.tolerance, DEFAULT_TOLERANCE), (check.margin, DEFAULT_MARGIN)
    if check.quantile is not None:  # its tolerance is one of time: the look itself carries it (core/quantiles.py)
        return 1.0, _odds(check.margin or Threshold(relative=DEFAULT_MARGIN), rate)
    tolerance, margin = (_odds(threshold or Threshold(relative=default), rate) for threshold, default in thresholds)
    return tolerance, margin


def _odds(threshold: Threshold, rate: float | None) -> float | None:
    if threshold.absolute is None:
        return proportion.odds_from_relative(threshold.relative or "0")
    if rate is None:
        return None
    room = max(TOP_RATE - rate, 0.0)
    return proportion.odds_from_absolute(min(float(threshold.absolute), room), rate)


def _stable_rate(readings: Readings, status: CheckStatus) -> float | None:
    """Return the stable revision's rate over all that its pods have counted, or all looks where they began anew since.

    Half an event is added, so it is never 0.
    """
    newest = (pod[-1] for pod in readings.values() if pod)
    latest = [one.kinds.pair(one.stable) for one in newest]
    of_pods = sum(one[1] for one in latest), sum(one[0] for one in latest)
    total, bad = max(of_pods, tuple(status.totals[2:]) or (0, 0))
    return min((bad + 0.5) / (total + 1), TOP_RATE) if total else None


def rules_of(check: Check, odds: Sequence[float], analysis: Analysis) -> Rules:
    """Return the rules that the evidence of a check is held against; `odds` are tolerance and margin, if it has no limit."""
    alpha, beta = alpha_of(analysis), beta_of(analysis)
    if check.limit is not None:
        limit = float(check.limit)
        return Rules(proportion.above(alpha, limit), None, proportion.below(beta, limit), None)
    tolerance, margin = odds
    if check.of_values:
        of_harm, of_safety = rules_of_values(check, odds, analysis)
        return Rules(of_harm, None, of_safety, None)
    if analysis.rule is DecisionRule.SPENDING:
        return Rules(spending.harm(alpha, tolerance), None, spending.safety(beta, margin), None)
    harm = proportion.harm(alpha if check.quantile is None else alpha / 2, tolerance)
    if check.negligible is None:
        return Rules(harm, None, proportion.safety(beta, margin), None)
    # Two ways to pass share the chance of passing wrongly. Harm must be shown in both ways, which costs nothing: while
    # either null holds, its own process keeps the chance of failing at alpha (an intersection-union test, Berger 1982).
    half, bound = beta / 2, float(check.negligible)
    return Rules(harm, proportion.above(alpha, bound), proportion.safety(half, margin), proportion.below(half, bound))


def rules_of_values(check: Check, odds: Sequence[float], analysis: Analysis) -> tuple[means.Rule, means.Rule]:
    """Return the rules of harm and safety of a mean, a ratio or a gauge; 0.10 of the stable revision's are kept as 1.10."""
    tolerance, margin = (round(one - 1, 9) for one in odds)
    better: means.Better = "higher" if check.better is Better.HIGHER else "lower"
    gauge = check.gauge is not None
    harm = means.harm(alpha_of(analysis), tolerance, better, gauge=gauge)
    return harm, means.safety(beta_of(analysis), margin, better, gauge=gauge)
