"""How many more looks will it take, if things stay as they are?"""

import math

from assay.api.base import Verdict
from assay.api.modeldeployment import CheckStatus, ProcessState
from assay.core import minimum, past_looks
from assay.core.hypotheses import Rules
from assay.core.processes import Rule, averages
from assay.stats import means, means_power, power, proportion

LEAST = 3  # looks before anything is foretold
MOST = 10_000  # looks; more is as good as never


def outlook(status: CheckStatus, rules: Rules) -> str:
    """Return what comes next at the rates that were seen, and about when; empty where that cannot be said."""
    if status.verdict is not Verdict.UNDECIDED or len(status.looks) < LEAST:
        return ""
    if not status.totals or not (status.totals[0] and status.totals[2]):
        return ""
    harm = max(_left(status, rules.harm, status.harm), _left(status, rules.harm_beyond, status.harm_beyond))
    safety = min(
        _left(status, rules.safety, status.safety),
        math.inf if rules.negligible is None else _left(status, rules.negligible, status.negligible),
    )
    return _told(status, harm, safety, past_looks.of_candidate(status.looks), "rates")


def of_values(status: CheckStatus, harm: means.Rule, safety: means.Rule) -> str:
    """Return the same of a mean or a ratio, at the means and the spread that were seen; nothing of a gauge."""
    if status.verdict is not Verdict.UNDECIDED or len(status.value_looks) < LEAST or harm.gauge:
        return ""
    if not status.harm.sums:
        return ""  # looks are kept, and what they said is not: hands have been there
    seen = averages(harm, status.harm).sums
    part = past_looks.weight(status.value_looks) / seen.w

    def left(rule: means.Rule, state: ProcessState) -> float:
        return means_power.looks_left(rule, averages(rule, state), seen, part)

    each = past_looks.of_candidate(status.value_looks)
    return _told(status, left(harm, status.harm), left(safety, status.safety), each, "means")


def _told(status: CheckStatus, harm: float, safety: float, each: float, what_stays: str) -> str:
    """Return the sooner of both, in looks; safety not before what promotion asks for, at so many candidate requests a look."""
    looks, what = min((harm, "harm is shown"), (safety, "safety is shown"))
    least = minimum.looks_left(status, each)
    if looks == safety and least > looks:
        looks, what = least, "enough is counted to promote"
    if looks > MOST:
        return ""
    return f"about {max(1, math.ceil(looks))} more looks until {what}, if the {what_stays} stay as they are"


def _left(status: CheckStatus, rule: Rule | None, state: ProcessState) -> float:
    """Return how many looks a rule still takes; 0 where there is none, infinity where it is not to be reached."""
    if rule is None:
        return 0.0
    if not isinstance(rule, proportion.Rule):
        return math.inf
    candidate_total, candidate_bad, stable_total, stable_bad = status.totals
    each = past_looks.of_candidate(status.looks) / (status.dispersion or 1.0)
    share = candidate_total / (candidate_total + stable_total)
    growth = each * power.drift(rule, candidate_bad / candidate_total, stable_bad / stable_total, share)
    missing = math.log(proportion.threshold(rule)) - math.log(state.score)
    return max(missing, 0.0) / growth if growth > 0 else math.inf
