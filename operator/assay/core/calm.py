"""What happens while no candidate is on trial: Initialising, Stable and RolledBack?"""

from dataclasses import replace

from assay.api.modeldeployment import IntentName, StableStatus, Stage
from assay.core import intent
from assay.core.conditions import LONGEST, Problem, Reason
from assay.core.decision import Note
from assay.core.manifests import declared_ports
from assay.core.plan import CALM, SOON, Plan, entered, not_ready, stable_of
from assay.core.references import references
from assay.core.sentences import sentence
from assay.core.trial import start
from assay.core.world import World


def problem_of(world: World) -> Problem | None:
    """Return what is wrong with the revision in spec, as far as only the operator can see it."""
    spec = world.resource.spec
    containers = spec.template["spec"]["containers"]
    declared = sorted(set().union(*(declared_ports(one) for one in containers)))
    if declared and spec.serving.port not in declared:
        ports = ", ".join(str(port) for port in declared)
        return Problem(
            Reason.PORT_NOT_FOUND,
            f"spec.serving.port is {spec.serving.port}, but the containers declare {ports}: set it to one of these,"
            " or declare the port.",
        )
    for ref in references(spec.template):
        if ref in world.seen.objects and world.seen.objects[ref] is None:
            return Problem(
                Reason.CONFIG_MAP_NOT_FOUND,
                f"spec.template names the ConfigMap {ref.name}, which does not exist in this namespace: create it,"
                " or mark the reference optional.",
            )
    return None


def initialising(world: World) -> Plan:
    """Bring up the first revision; there is nothing to compare it with."""
    revision = _first(world)
    ready, serving = world.ready(revision), world.weight(revision) == 100  # noqa: PLR2004 - percent
    problem = problem_of(world) if revision == world.revision and not serving else None
    replicas = {} if problem is not None and revision not in world.deployments else {revision: world.replicas}
    plan = Plan(
        status=entered(world.status, Stage.INITIALISING, candidate=None, stable=None),
        message=f"{ready} of {world.replicas} pods of the first revision {revision} are ready.",
        replicas=replicas,
        weights=((revision, 100),) if ready >= world.replicas or (serving and ready > 0) else _kept(world),
        problem=problem or not_ready(world, revision),
        again_in=CALM / 6 if problem else SOON,
    )
    if not (serving and world.acked_time is not None and world.weights == {revision: 100}):
        return plan
    digest = world.recorded[revision].model.digest or ""
    stable = StableStatus(revision=revision, digest=digest, weight=100, ready=ready)
    message = f"Revision {revision} serves all traffic."
    return plan.to(
        status=entered(world.status, Stage.STABLE, stable=stable, candidate=None),
        message=message,
        problem=None,
        notes=(Note("Normal", "Serving", message),),
    )


def _first(world: World) -> str:
    """Return the revision to bring up: the stable one of the split, should status have been lost, else the one in spec.

    A split has the candidate first and stable last. The greater weight would say less: a candidate may have more.
    """
    serving = (one for one, weight in world.weights.items() if weight > 0 and world.ready(one) > 0)
    return next((one for one in reversed([*serving]) if one in world.recorded), world.revision)


def _kept(world: World) -> tuple[tuple[str, int], ...]:
    return tuple(world.weights.items())


def stable(world: World) -> Plan:
    """Serve; begin a rollout when spec asks for another revision."""
    lifted = _quarantine_lifted(world)
    if lifted is not None:
        freed, revision, why = lifted
        return intent.acted(world, stable(freed), IntentName.RETRY, revision, why)
    revision = stable_of(world)
    if world.revision != revision:
        return _wanted(world)
    return Plan(
        status=entered(world.status, Stage.STABLE, candidate=None),
        message=f"Revision {revision} serves all traffic.",
        replicas={revision: world.replicas},
        weights=((revision, 100),),
        again_in=CALM,
    )


rolled_back = stable  # stable serves; what spec asks for failed, or is the stable one again, or yet another


def _quarantine_lifted(world: World) -> tuple[World, str, str] | None:
    """Return the world in which a revision may be tried again, which one, and what is told; None where nobody asks."""
    for entry in world.status.quarantined:
        if intent.wants(world, IntentName.RETRY, entry.revision):
            others = [one for one in world.status.quarantined if one is not entry]
            status = world.status.model_copy(update={"quarantined": others})
            freed = replace(world, resource=world.resource.model_copy(update={"status": status}))
            why = f"Revision {entry.revision} may be tried once more. It had failed: {entry.reason}"
            return freed, entry.revision, why
    return None


def _wanted(world: World) -> Plan:
    """Return the plan for a revision in spec that does not serve: a rollout, or why there is none."""
    serving, revision = stable_of(world), world.revision
    calm = Plan(
        status=world.status.model_copy(update={"candidate": None}),
        message="",
        replicas={serving: world.replicas},
        weights=((serving, 100),),
        again_in=CALM,
    )
    failure = _failure(world)
    if failure is not None:
        return _refused(world, calm, failure)
    problem = problem_of(world)
    if problem is not None:
        news = () if _told(world, problem) else (Note("Warning", problem.reason, problem.message),)
        return calm.to(message=problem.message, problem=problem, notes=news, again_in=CALM / 6)
    if intent.paused(world):
        return calm.to(message=f"Revision {serving} serves, and the rollout of {revision} does not begin.", paused=True)
    return start(world)


def _refused(world: World, calm: Plan, failure: str) -> Plan:
    """Return the plan of a revision that failed: at rest, and said why and how it might be tried once more."""
    revision, serving = world.revision, stable_of(world)
    remedy = (
        f'To try it once more, set spec.intent.retry to "{intent.again(world, IntentName.RETRY, revision)}";'
        f" or change the template or the model, which makes a new revision, or apply revision {serving} again."
    )
    message = (
        f"Revision {revision} failed and {serving} serves. {sentence(failure, LONGEST - len(remedy) - 60)} {remedy}"
    )
    problem = Problem(Reason.QUARANTINED, message)
    told, last = _told(world, problem), world.status.history[0] if world.status.history else None
    if calm.status.stage is Stage.ROLLED_BACK and last is not None and last.revision == revision and not told:
        return calm.to(message=message)  # it has just failed; nobody has applied it again
    news = Note(
        "Warning", problem.reason, f"Revision {revision} is refused, because it failed before. {failure}"[:1024]
    )
    return calm.to(
        status=entered(calm.status, Stage.ROLLED_BACK),
        message=message,
        problem=problem,
        notes=() if told else (news,),
    )


def _failure(world: World) -> str | None:
    """Return why the revision in spec failed, if it did and may not be tried again."""
    status = world.status
    reason = next((one.reason for one in status.quarantined if one.revision == world.revision), None)
    if world.resource.spec.rollback.quarantine:
        return reason
    # Without quarantine it may be tried again, but only when somebody applies it again: never in a loop.
    ended = status.stage is Stage.ROLLED_BACK and bool(status.history)
    return reason if ended and status.history[0].revision == world.revision else None


def _told(world: World, problem: Problem) -> bool:
    return any(one.type == "Stalled" and one.reason == problem.reason for one in world.status.conditions)
