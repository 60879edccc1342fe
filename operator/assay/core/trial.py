"""What happens to a candidate on trial: Preparing and Analysing?"""

from typing import Any

from assay.api.base import ConditionStatus, Verdict
from assay.api.modeldeployment import CandidateStatus, IntentName, ModelDeploymentStatus, NoDataPolicy, Outcome, Stage
from assay.core import canary, checks, intent
from assay.core.conditions import Problem, Reason, Type
from assay.core.decision import Note
from assay.core.looking import looked
from assay.core.plan import CALM, SOON, Plan, candidate_of, entered, kept_weights, not_ready, stable_of
from assay.core.sentences import sentence
from assay.core.times import moment, since
from assay.core.turns import aborted, crashed_back, superseded, turned_back
from assay.core.world import World, pods_for


def start(world: World) -> Plan:
    """Record the revision in spec as the candidate; its pods come up without traffic."""
    revision = world.revision
    recorded = world.recorded[revision]
    candidate = CandidateStatus(
        revision=revision,
        digest=recorded.model.digest or "",
        weight=world.weight(revision),
        ready=world.ready(revision),
        start_time=moment(world.now),
    )
    cleared: dict[str, Any] = {"checks": [], "verdict": None, "decision": "", "worst_check": "", "decision_time": None}
    status = entered(world.status, Stage.PREPARING, candidate=candidate, **cleared)
    weight = canary.weight_at(world.resource.spec, 0)
    message = f"Revision {revision} (model version {recorded.model.version}) is on trial against {stable_of(world)}."
    return Plan(
        status=status,
        message=message,
        replicas={stable_of(world): world.replicas, revision: pods_for(world.replicas, weight)},
        weights=((stable_of(world), 100),),
        notes=(Note("Normal", "RolloutStarted", message),),
    )


def preparing(world: World) -> Plan:
    """Bring up the pods that the next weight needs, then move the weight, then wait until every router has it."""
    status = looked(world)
    candidate = candidate_of(status)
    turn = _turn(world, status, candidate)
    if turn is not None:
        return turn
    spec, revision = world.resource.spec, candidate.revision
    weight = canary.weight_at(spec, candidate.step)
    pods, ready = pods_for(world.replicas, weight), world.ready(revision)
    plan = Plan(
        status=status,
        message=f"{ready} of the {pods} pods that revision {revision} needs for {weight} % are ready.",
        replicas={stable_of(world): world.replicas, revision: pods},
        weights=kept_weights(world, most=weight),
        paused=intent.paused(world) and world.weight(revision) < weight,
    )
    if ready < pods:
        if ready == 0 and world.weight(revision) > 0 and world.ready(stable_of(world)) > 0:
            # Nobody is left to answer the candidate's share.
            plan = plan.to(weights=((revision, 0), (stable_of(world), 100)))
        return _waiting(world, plan)
    if plan.paused:
        return _waiting(world, plan.to(again_in=_again_in(world, status)))
    wanted = ((revision, weight), (stable_of(world), 100 - weight))
    if dict(world.weights) != dict(wanted) or world.acked_time is None:
        message = f"The routers are told to send {weight} % to revision {revision}."
        return _waiting(world, plan.to(weights=wanted, message=message))
    return _entered_step(world, plan, weight)


def _waiting(world: World, plan: Plan) -> Plan:
    """Return the plan with what a person should know of the wait."""
    candidate = candidate_of(plan.status)
    stuck = world.stuck(candidate.revision)
    if stuck:
        plan = plan.to(message=f"{plan.message} Kubernetes says: {stuck}")
    late = _late(world, plan.message) if _overdue(world, candidate) else None
    return plan.to(problem=not_ready(world, candidate.revision) or late)


def _entered_step(world: World, plan: Plan, weight: int) -> Plan:
    """Begin the step's clock, and safety's evidence anew."""
    status, now = plan.status, moment(world.now)
    begins = {"step_start_time": now, "step_requests": 0, "count_time": now, "look_time": now}
    candidate = candidate_of(status).model_copy(update={**begins, "step_generation": world.generation})
    begun = [checks.begin_step(one, candidate.step) for one in status.checks]
    message = f"Every router sends {weight} % to revision {candidate.revision}."
    note = Note("Normal", "StepStarted", f"Step {candidate.step + 1}: {message}")
    status = entered(status, Stage.ANALYSING, candidate=candidate, checks=begun)
    return plan.to(status=status, message=message, notes=(note,), again_in=_again_in(world, status))


def analysing(world: World) -> Plan:
    """Judge the candidate; leave the step, promote, turn back, or stay."""
    status = looked(world)
    candidate = candidate_of(status)
    turn = _turn(world, status, candidate)
    if turn is not None:
        return turn
    spec, revision = world.resource.spec, candidate.revision
    weight = canary.weight_at(spec, candidate.step)
    wanted = ((revision, weight), (stable_of(world), 100 - weight))
    plan = Plan(
        status=status,
        message="",
        replicas={stable_of(world): world.replicas, revision: pods_for(world.replicas, weight)},
        weights=wanted,
        again_in=_again_in(world, status),
    )
    if world.ready(revision) == 0:
        message = f"Revision {revision} has no ready pod any more; its traffic goes back to stable until it has."
        note = Note("Warning", "CapacityLost", message)
        weights = ((revision, 0), (stable_of(world), 100)) if world.ready(stable_of(world)) else kept_weights(world)
        back = plan.to(status=_step(status, candidate.step), weights=weights)
        return back.to(message=message, notes=(note,), again_in=SOON)
    if dict(world.weights) != dict(wanted) or world.generation != candidate.step_generation:
        # Somebody wrote another split, or the split's settings changed: the step begins anew once the routers have it.
        kept = kept_weights(world, most=weight)
        again = plan.to(status=_step(status, candidate.step), weights=kept, again_in=SOON)
        return again.to(message="The split was changed; the step begins anew once every router has it.")
    held = "nothing is counted until every router sends so again" if world.acked_time is None else ""
    held = held or canary.obstacle(world, status)
    if held or intent.paused(world):
        return _held(world, plan, held or "all that was asked of the step is so")
    if canary.is_last(spec, candidate.step):
        return _promotion(world, plan)
    return _next_step(world, plan, candidate.step + 1)


def _step(status: ModelDeploymentStatus, index: int) -> ModelDeploymentStatus:
    """Return the status in which a step's capacity and weight are prepared."""
    cleared = {"step": index, "step_start_time": None, "step_requests": 0}
    return entered(status, Stage.PREPARING, candidate=candidate_of(status).model_copy(update=cleared))


def _next_step(world: World, plan: Plan, index: int) -> Plan:
    spec, status = world.resource.spec, plan.status
    if canary.step_at(spec, index).pause is not None:
        cleared = {"step": index, "step_start_time": moment(world.now), "step_requests": 0}
        status = entered(status, Stage.ANALYSING, candidate=candidate_of(status).model_copy(update=cleared))
        message = f"Step {index + 1}: a pause at {canary.weight_at(spec, index)} %."
        note = Note("Normal", "StepStarted", message)
        return plan.to(status=status, message=message, notes=(note,), again_in=_again_in(world, status))
    weight = canary.weight_at(spec, index)
    replicas = {**plan.replicas, candidate_of(status).revision: pods_for(world.replicas, weight)}
    message = f"Capacity for {weight} % is prepared."
    return plan.to(status=_step(status, index), message=message, replicas=replicas, again_in=SOON)


def _promotion(world: World, plan: Plan) -> Plan:
    """Return the plan that promotes because the evidence says so."""
    weight = canary.weight_at(world.resource.spec, candidate_of(plan.status).step)
    told = " ".join(f"{one.name}: {one.reason}" for one in plan.status.checks)
    return _promoted(
        world, plan, f"every required check passed at {weight} %: {told}", _last_to_pass(world, plan.status)
    )


def _forced(world: World, status: ModelDeploymentStatus, candidate: CandidateStatus) -> Plan | None:
    """Return the plan that promotes because a person says so, or None."""
    revision = candidate.revision
    if intent.paused(world) or not intent.wants(world, IntentName.PROMOTE, revision):
        return None
    spec, weight = world.resource.spec, world.weight(revision)
    least = canary.worst(spec, status.checks)
    told = " ".join(f"{one.name} is {one.verdict}: {one.reason}" for one in status.checks) or "nothing was looked at"
    plan = Plan(
        status=status,
        message="",
        replicas={
            stable_of(world): world.replicas,
            revision: pods_for(world.replicas, canary.weight_at(spec, candidate.step)),
        },
        weights=kept_weights(world),
    )
    why = f"promoted by spec.intent.promote at {weight} %, without waiting for evidence: {told}"
    plan = _promoted(world, plan, why, least.name if least else "")
    done = f"Revision {revision} is promoted from {weight} % of the traffic, whatever the steps and the evidence"
    return intent.acted(world, plan, IntentName.PROMOTE, revision, done)


def _promoted(world: World, plan: Plan, why: str, check: str) -> Plan:
    """Record that the candidate takes over; it acts from the next round on."""
    candidate, decision = candidate_of(plan.status), sentence(why)
    status = entered(
        plan.status,
        Stage.PROMOTING,
        candidate=candidate.model_copy(update={"outcome": Outcome.PROMOTED}),
        decision=decision,
        worst_check=check,
        decision_time=moment(world.now),
    )
    note = Note("Normal", "Promoting", f"Revision {candidate.revision} is promoted: {decision}"[:1024])
    return plan.to(status=status, message=decision, notes=(note,), again_in=0.0)


def _last_to_pass(world: World, status: ModelDeploymentStatus) -> str:
    """Return the required check that decided when: one that had not passed before, with the least evidence of safety."""
    analysis = world.resource.spec.analysis
    required = {check.name for check in analysis.checks if check.required}
    passed = {one.name for one in world.status.checks if one.verdict is Verdict.PASS}
    share = {one.name: checks.safety_share(one, float(analysis.false_promotion)) for one in status.checks}
    return min((one for one in share if one in required), key=lambda one: (one in passed, share[one]), default="")


def _held(world: World, plan: Plan, why: str) -> Plan:
    """Return the plan of a rollout that stays in its step."""
    candidate, spec = candidate_of(plan.status), world.resource.spec
    weight = canary.weight_at(spec, candidate.step)
    message = sentence(f"step {candidate.step + 1} of {len(canary.steps(spec))} at {weight} %: {why}")
    plan = plan.to(message=message, paused=intent.paused(world))
    least = canary.worst(spec, plan.status.checks)
    if least is not None and least.verdict is Verdict.NO_DATA:
        remedy = "See that Prometheus scrapes the pods, that the metric exists and that labels come in time."
        problem = Problem(Reason.NO_DATA, f"The rollout holds: check {least.name}: {least.reason} {remedy}")
        return plan.to(problem=problem)
    if _overdue(world, candidate):
        return plan.to(problem=_late(world, message))
    return plan


def _late(world: World, message: str) -> Problem:
    remedy = "It goes on if the evidence comes; or apply the stable revision to end it."
    seconds = world.resource.spec.analysis.deadline_seconds
    return Problem(Reason.DEADLINE_EXCEEDED, f"Nothing was decided in {seconds} s. {message} {remedy}")


def _overdue(world: World, candidate: CandidateStatus) -> bool:
    return _time_left(world, candidate) <= 0


def _time_left(world: World, candidate: CandidateStatus) -> float:
    """Return the seconds until the deadline, whose clock stands still while the rollout is paused."""
    if intent.paused(world):
        return float("inf")
    spent = since(candidate.start_time, world.now) - intent.paused_seconds(world, candidate)
    return world.resource.spec.analysis.deadline_seconds - spent


def _turn(world: World, status: ModelDeploymentStatus, candidate: CandidateStatus) -> Plan | None:
    """Return the plan that takes a direction at once, where a person or the evidence demands it; the first of these."""
    turn = aborted(world, status) or superseded(world, status) or crashed_back(world, status)
    if turn is not None:
        return turn
    failure = canary.failure(world.resource.spec, status.checks)
    forced = None if failure else _forced(world, status, candidate)
    if forced is not None:
        return forced
    failure = failure or canary.ignorance(world.resource.spec, status.checks)
    if failure is not None:
        check, why = failure
        return turned_back(world, status, Outcome.ROLLED_BACK, why, check)
    return _turn_when_late(world, status, candidate) if _overdue(world, candidate) else None


def _turn_when_late(world: World, status: ModelDeploymentStatus, candidate: CandidateStatus) -> Plan | None:
    analysis = world.resource.spec.analysis
    least = canary.worst(world.resource.spec, status.checks)
    if candidate.step == 0 and candidate.step_start_time is None and world.weight(candidate.revision) == 0:
        cause = world.stuck(candidate.revision) or _refusal(status)
        why = f"Its pods did not become ready within {analysis.deadline_seconds} s. {sentence(cause) if cause else ''}".strip()
        return turned_back(world, status, Outcome.ROLLED_BACK, why)
    if analysis.on_deadline is NoDataPolicy.ROLLBACK:
        why = f"Nothing was decided within {analysis.deadline_seconds} s, and onDeadline is Rollback."
        return turned_back(world, status, Outcome.ROLLED_BACK, why, least.name if least else "")
    return None


def _refusal(status: ModelDeploymentStatus) -> str:
    """Return what the API server said of the children that were to be made, as the last round put it on record."""
    refused = (Reason.INVALID_SPEC, Reason.FORBIDDEN)
    found = (one for one in status.conditions if one.type == Type.STALLED and one.reason in refused)
    return next((one.message for one in found if one.status is ConditionStatus.TRUE), "")


def _again_in(world: World, status: ModelDeploymentStatus) -> float:
    """Return when something may change: the next look, the end of the step, the deadline."""
    analysis, candidate = world.resource.spec.analysis, candidate_of(status)
    look = float(analysis.interval_seconds)
    if candidate.look_time is not None:
        look = max(0.0, analysis.interval_seconds - since(candidate.look_time, world.now))
    deadline = _time_left(world, candidate)
    step = canary.remaining_seconds(world, status)
    return min(max(one, 0.5) for one in (look, deadline, step, CALM) if one > 0)
