"""Has enough been seen to promote, beside what every check says?

The tests are exact at any count, so none of this is needed for their chances of being wrong. It guards against what they
cannot see: a moment that is like no other, counters that come and go, requests that are not sent as the weight says.
"""

import math
from collections.abc import Sequence

from assay.api.checks import CheckPreset
from assay.api.modeldeployment import CandidateStatus, CheckStatus, ModelDeploymentSpec
from assay.core.times import parsed
from assay.stats import ratio

LEAST_REQUESTS = 300
"""Requests of the candidate that each required check must have counted at the last weight."""
LEAST_LOOKS = 3
"""Looks in a row in which it must have counted some; a look that was missed begins the row anew."""
TOLERATED = 0.2  # of the weight; a smaller difference is no reason to doubt the evidence


def lacking(spec: ModelDeploymentSpec, found: Sequence[CheckStatus]) -> str:
    """Return which required check has counted too little to promote, or an empty string."""
    required = {check.name: check for check in spec.analysis.checks if check.required}
    for one in found:
        if one.name not in required:
            continue
        if one.step_requests < LEAST_REQUESTS and required[one.name].gauge is None:  # a gauge counts none
            return f"check {one.name} has counted {one.step_requests} of the {LEAST_REQUESTS} requests that promotion asks for"
        if one.measured_looks < LEAST_LOOKS:
            return (
                f"check {one.name} has counted in {one.measured_looks} of the {LEAST_LOOKS} looks in a row"
                " that promotion asks for"
            )
    return ""


def looks_left(status: CheckStatus, each: float) -> float:
    """Return how many more looks the minimum takes, at so many requests a look; infinity where there are none."""
    requests = LEAST_REQUESTS - status.step_requests
    needed = requests / each if each > 0 else math.inf
    return max(LEAST_LOOKS - status.measured_looks, needed if requests > 0 else 0.0, 0.0)


def mismatch(spec: ModelDeploymentSpec, candidate: CandidateStatus, weight: int, found: Sequence[CheckStatus]) -> str:
    """Return that the candidate answers far more or far less than its weight, beyond chance; or an empty string.

    Round robin makes counts more even than chance, long connections less: hence both a factor and a fifth.

    Args:
        spec: Says which checks count requests.
        candidate: Says since when the step lasts.
        weight: Percent of the requests that the candidate should have.
        found: The checks, with their last looks.
    """
    since = None if candidate.step_start_time is None else parsed(candidate.step_start_time).timestamp()
    presets = (CheckPreset.ERROR_RATIO, CheckPreset.LATENCY)
    requests = {check.name for check in spec.analysis.checks if check.preset in presets}
    looks = next(
        ([look for look in one.looks if since and look[0] > since] for one in found if one.name in requests), []
    )
    counts, due = (sum(look[1] for look in looks), sum(look[3] for look in looks)), weight / 100
    if not sum(counts) or not 0 < due < 1:
        return ""
    share = counts[0] / sum(counts)
    if abs(share / due - 1) < TOLERATED or ratio.mismatch(counts, (due, 1 - due)) < math.log(ratio.WARNING):
        return ""
    return f"the candidate answers {share:.1%} of what was counted at this step, and its weight is {due:.0%}"
