"""What happens once the direction is on record: Promoting and RollingBack?"""

from math import ceil

from assay.api.modeldeployment import (
    CandidateStatus,
    IntentName,
    ModelDeploymentStatus,
    Outcome,
    Quarantined,
    StableStatus,
    Stage,
)
from assay.core import intent
from assay.core.decision import Note
from assay.core.plan import SOON, Plan, Weights, candidate_of, ended, entered, kept_weights, not_ready, stable_of
from assay.core.sentences import sentence
from assay.core.times import moment, since
from assay.core.world import World

ENOUGH = 0.75  # of its pods ready, stable carries all: Kubernetes' own default for a rolling update
MOST_QUARANTINED = 20


def turned_back(world: World, status: ModelDeploymentStatus, outcome: Outcome, why: str, check: str = "") -> Plan:
    """Record that stable takes all traffic back; it acts from the next round on, which is at once."""
    candidate = candidate_of(status)
    decision = sentence(why)
    status = entered(
        status,
        Stage.ROLLING_BACK,
        candidate=candidate.model_copy(update={"outcome": outcome}),
        decision=decision,
        worst_check=check,
        decision_time=moment(world.now),
    )
    note = Note("Warning", "RollingBack", f"Revision {candidate.revision} is rolled back: {decision}"[:1024])
    return Plan(
        status=status,
        message=decision,
        replicas=_as_they_are(world, candidate),
        weights=kept_weights(world),
        notes=(note,),
        again_in=0.0,
    )


def aborted(world: World, status: ModelDeploymentStatus) -> Plan | None:
    """Return the plan that turns back because a person says so, or None."""
    candidate = candidate_of(status)
    if not intent.wants(world, IntentName.ABORT, candidate.revision):
        return None
    weight = world.weight(candidate.revision)
    plan = turned_back(world, status, Outcome.ROLLED_BACK, f"It was aborted by spec.intent.abort at {weight} %.")
    done = f"Revision {candidate.revision} is rolled back from {weight} % of the traffic, and refused from then on"
    return intent.acted(world, plan, IntentName.ABORT, candidate.revision, done)


def superseded(world: World, status: ModelDeploymentStatus) -> Plan | None:
    """Return the plan that turns back because spec asks for another revision, or None."""
    candidate = candidate_of(status)
    if world.revision == candidate.revision:
        return None
    why = f"Revision {world.revision} is in spec now, in place of {candidate.revision}."
    return turned_back(world, status, Outcome.SUPERSEDED, why)


def crashed_back(world: World, status: ModelDeploymentStatus) -> Plan | None:
    """Return the plan that turns back because a container of the candidate keeps ending, whatever was measured; or None."""
    ends = world.ends()
    return turned_back(world, status, Outcome.ROLLED_BACK, ends) if ends else None


def rolling_back(world: World) -> Plan:
    """Give stable all traffic back, as fast as it can carry it, and end when every router has let go."""
    candidate, stable = candidate_of(world.status), stable_of(world)
    plan = Plan(
        status=world.status,
        message=world.status.decision,
        replicas=_as_they_are(world, candidate),
        weights=_back(world, candidate),
    )
    if world.weight(candidate.revision) > 0 or world.acked_time is None:
        if dict(plan.weights).get(candidate.revision, 0) == 0:
            return plan
        lacking = f"Stable revision {stable} has {world.ready(stable)} of {world.replicas} pods ready; {candidate.revision} keeps what stable cannot carry."
        return plan.to(message=f"{world.status.decision} {lacking}")
    return _rolled_back(world, plan, candidate)


def _back(world: World, candidate: CandidateStatus) -> Weights:
    """Return the weights on the way back; never more for the candidate, and no more for stable than it can carry.

    A candidate without a ready pod answers nothing, and one with little traffic is not worth keeping, for stable carries
    nearly all of it as it is: then one ready pod of stable is enough.
    """
    stable, ready = stable_of(world), world.ready(stable_of(world))
    now = world.weight(candidate.revision)
    little = now <= 100 * (1 - ENOUGH) or world.ready(candidate.revision) == 0
    if (little and ready > 0) or ready >= ceil(ENOUGH * world.replicas):
        left = 0
    else:
        left = min(now, 100 - 100 * ready // world.replicas)
    if candidate.revision not in world.weights:
        return ((stable, 100),)
    return ((candidate.revision, left), (stable, 100 - left))


def _rolled_back(world: World, plan: Plan, candidate: CandidateStatus) -> Plan:
    """End the rollout: nobody sends to the candidate any more; its pods go when the routers have forgotten it."""
    stable = stable_of(world)
    outcome = candidate.outcome or Outcome.ROLLED_BACK
    status = ended(world, world.status, outcome)
    ending = plan.to(replicas={stable: world.replicas}, weights=((stable, 100),))
    if outcome is Outcome.SUPERSEDED:
        message = f"Revision {candidate.revision} was superseded; {stable} serves."
        return ending.to(status=entered(status, Stage.STABLE), message=message, again_in=0.0)
    entry = Quarantined(revision=candidate.revision, reason=world.status.decision, time=moment(world.now))
    others = [one for one in status.quarantined if one.revision != candidate.revision]
    status = entered(status, Stage.ROLLED_BACK, quarantined=[entry, *others][:MOST_QUARANTINED])
    message = f"Revision {candidate.revision} was rolled back and {stable} serves. {world.status.decision}"
    note = Note("Warning", "RolledBack", message[:1024])
    return ending.to(status=status, message=sentence(message), notes=(note,))


def promoting(world: World) -> Plan:
    """Bring the candidate to full strength, give it all traffic, and end when every router sends it there."""
    turn = aborted(world, world.status)
    if turn is not None:
        return turn
    candidate, stable = candidate_of(world.status), stable_of(world)
    revision, ready = candidate.revision, world.ready(candidate.revision)
    message = f"{ready} of {world.replicas} pods of revision {revision} are ready to take all traffic."
    plan = Plan(
        status=world.status,
        message=message,
        replicas={stable: world.replicas, revision: world.replicas},
        weights=kept_weights(world),
    )
    if world.weight(revision) == 100 and world.acked_time is not None:  # noqa: PLR2004 - percent
        return _promoted(world, plan, candidate)
    if ready >= world.replicas:
        return plan.to(weights=((revision, 100), (stable, 0)))
    crashed = crashed_back(world, world.status)
    if crashed is not None:
        return crashed
    late = since(world.status.decision_time, world.now) >= world.resource.spec.analysis.deadline_seconds
    if late:
        why = f"Only {ready} of {world.replicas} pods became ready to take all traffic. {world.stuck(revision)}"
        return turned_back(world, world.status, Outcome.ROLLED_BACK, why.strip())
    if ready == 0 and world.ready(stable) > 0:
        plan = plan.to(weights=((revision, 0), (stable, 100)))
    return plan.to(problem=not_ready(world, revision))


def _promoted(world: World, plan: Plan, candidate: CandidateStatus) -> Plan:
    revision = candidate.revision
    status = ended(world, world.status, Outcome.PROMOTED)
    serving = StableStatus(revision=revision, digest=candidate.digest, weight=100, ready=world.ready(revision))
    message = f"Revision {revision} serves all traffic."
    return plan.to(
        status=entered(status, Stage.STABLE, stable=serving),
        message=message,
        replicas={revision: world.replicas},
        weights=((revision, 100),),
        notes=(Note("Normal", "Promoted", f"{message} {world.status.decision}"[:1024]),),
        again_in=SOON,
    )


def _as_they_are(world: World, candidate: CandidateStatus) -> dict[str, int]:
    """Return stable at full strength, and the candidate at the size it has: it may still be answering."""
    deployment = world.deployments.get(candidate.revision)
    pods = {} if deployment is None else {candidate.revision: int((deployment.get("spec") or {}).get("replicas", 1))}
    return {stable_of(world): world.replicas, **pods}
