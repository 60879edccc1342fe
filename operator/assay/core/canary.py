"""When is a step of the canary over, and what comes next?"""

from collections.abc import Sequence

from assay.api.base import Verdict
from assay.api.modeldeployment import CheckStatus, Gate, ModelDeploymentSpec, ModelDeploymentStatus, NoDataPolicy
from assay.api.strategy import Step
from assay.core import minimum
from assay.core.checks import harm_share
from assay.core.times import since
from assay.core.world import World

DEFAULT_SECONDS = 60
# From worst to best; the worst of the required checks is the rollout's.
ORDER = (Verdict.FAIL, Verdict.NO_DATA, Verdict.UNDECIDED, Verdict.PASS)


def steps(spec: ModelDeploymentSpec) -> list[Step]:
    """Return the steps; the API demands at least one with a weight."""
    return spec.strategy.canary.steps if spec.strategy.canary else []


def step_at(spec: ModelDeploymentSpec, index: int) -> Step:
    """Return the step of this index, or the last one where the user has made the list shorter."""
    return steps(spec)[min(index, len(steps(spec)) - 1)]


def weight_at(spec: ModelDeploymentSpec, index: int) -> int:
    """Return the percent that the candidate has at a step; a pause keeps the weight before it."""
    return next((one.weight for one in reversed(steps(spec)[: index + 1]) if one.weight is not None), 0)


def is_last(spec: ModelDeploymentSpec, index: int) -> bool:
    """Return whether promotion is decided at the end of this step."""
    return index >= len(steps(spec)) - 1


def worst(spec: ModelDeploymentSpec, found: Sequence[CheckStatus]) -> CheckStatus | None:
    """Return the required check with the worst verdict; the first of equals."""
    required = {check.name for check in spec.analysis.checks if check.required}
    return min((one for one in found if one.name in required), key=lambda one: ORDER.index(one.verdict), default=None)


def remaining_seconds(world: World, status: ModelDeploymentStatus) -> float:
    """Return how long the step must still last."""
    candidate = status.candidate
    if candidate is None or candidate.step_start_time is None:
        return float("inf")
    step = step_at(world.resource.spec, candidate.step)
    return max(0.0, least_seconds(step) - since(candidate.step_start_time, world.now))


def least_seconds(step: Step) -> float:
    """Return how long a step lasts at least."""
    least = step.pause.seconds if step.pause else step.min_seconds
    return DEFAULT_SECONDS if least is None else least


def remaining_requests(world: World, status: ModelDeploymentStatus) -> int:
    """Return how many requests must still be counted; at a weight at least one, or the step showed nothing."""
    if status.candidate is None:
        return 1
    step = step_at(world.resource.spec, status.candidate.step)
    least = 0 if step.pause else max(step.min_requests or 0, 1)
    return max(0, least - status.candidate.step_requests)


def obstacle(world: World, status: ModelDeploymentStatus) -> str:
    """Return what keeps the candidate in its step, or an empty string."""
    spec = world.resource.spec
    seconds, requests = remaining_seconds(world, status), remaining_requests(world, status)
    if seconds > 0:
        return f"{seconds:.0f} s of the step are left"
    if requests > 0:
        return f"{requests} more requests of the candidate must be counted"
    index = status.candidate.step if status.candidate else 0
    if weight_at(spec, index) == 0:
        return ""  # a pause before the first weight: nothing can have been measured
    if not is_last(spec, index):
        return ungated(spec, status.checks)
    return unpassed(spec, status.checks) or misdirected(world, status)


def failure(spec: ModelDeploymentSpec, found: Sequence[CheckStatus]) -> tuple[str, str] | None:
    """Return which required check failed, and a sentence about it."""
    least = worst(spec, found)
    if least is None or least.verdict is not Verdict.FAIL:
        return None
    return least.name, f"Check {least.name} failed: {least.reason}"


def ignorance(spec: ModelDeploymentSpec, found: Sequence[CheckStatus]) -> tuple[str, str] | None:
    """Return which required check has no data where that alone rolls back, and a sentence about it."""
    least = worst(spec, found)
    if least is None or least.verdict is not Verdict.NO_DATA or spec.analysis.on_no_data is not NoDataPolicy.ROLLBACK:
        return None
    return least.name, f"Check {least.name} has no data, and onNoData is Rollback: {least.reason}"


def unpassed(spec: ModelDeploymentSpec, found: Sequence[CheckStatus]) -> str:
    """Return which check keeps the candidate from promotion."""
    least = worst(spec, found)
    if least is None:
        return "no required check has been looked at"
    if least.verdict is not Verdict.PASS:
        return f"check {least.name} is {least.verdict}: {least.reason}"
    held = ungated(spec, found)
    if held:
        return held
    little = minimum.lacking(spec, found)
    return f"every required check passed, but {little}" if little else ""


def misdirected(world: World, status: ModelDeploymentStatus) -> str:
    """Return that requests do not reach the candidate as its weight says, which promotion waits out, or an empty string.

    With a sticky header the weight is a share of users, and some users ask more than others: that is told, and no more.
    """
    if status.candidate is None or world.resource.spec.traffic.sticky_header is not None:
        return ""
    weight = world.weight(status.candidate.revision)
    told = minimum.mismatch(world.resource.spec, status.candidate, weight, status.checks)
    return (
        f"every required check passed, but {told}; promotion waits until it does, or for spec.intent.promote"
        if told
        else ""
    )


def ungated(spec: ModelDeploymentSpec, found: Sequence[CheckStatus]) -> str:
    """Return which check keeps the candidate from the next weight, and from promotion even where all passed."""
    gate = spec.analysis.gate
    required = {check.name for check in spec.analysis.checks if check.required}
    for one in found:
        if one.name not in required:
            continue
        if one.verdict in (Verdict.FAIL, Verdict.NO_DATA):
            return f"check {one.name} is {one.verdict}: {one.reason}"
        if one.missed_looks:
            return f"check {one.name} could not be measured at the last look: {one.reason}"
        if gate is not Gate.TIME and one.step_requests == 0:
            return f"check {one.name} has counted nothing at this step yet: {one.reason}"
        if gate is Gate.PASS and one.verdict is not Verdict.PASS:
            return f"check {one.name} has not passed at this step: {one.reason}"
        if gate is Gate.EVIDENCE and _half_harmed(spec, one, len(required)):
            return f"check {one.name} has half of the evidence that rolls back: {one.reason}"
    return "" if {one.name for one in found} >= required else "a required check has not been looked at"


def _half_harmed(spec: ModelDeploymentSpec, status: CheckStatus, required: int) -> bool:
    return harm_share(status, float(spec.analysis.false_rollback) / required) >= 1 / 2
