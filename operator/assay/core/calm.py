"""What happens while no candidate is on trial: Initialising, Stable and RolledBack?"""

from assay.api.modeldeployment import Outcome, StableStatus, Stage
from assay.core.conditions import Problem, Reason
from assay.core.decision import Note
from assay.core.manifests import declared_ports
from assay.core.plan import CALM, SOON, Plan, entered, not_ready, stable_of
from assay.core.references import references
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
    """Return the revision to bring up: one that serves already, should status have been lost, else the one in spec."""
    serving = {revision: weight for revision, weight in world.weights.items() if world.ready(revision) > 0}
    known = {revision: weight for revision, weight in serving.items() if revision in world.recorded and weight > 0}
    return max(known, key=lambda revision: known[revision], default=world.revision)


def _kept(world: World) -> tuple[tuple[str, int], ...]:
    return tuple(world.weights.items())


def stable(world: World) -> Plan:
    """Serve; begin a rollout when spec asks for another revision."""
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


def rolled_back(world: World) -> Plan:
    """Serve with the revision that was good; begin again when spec asks for yet another."""
    return stable(world) if world.revision == stable_of(world) else _wanted(world)


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
        return _refused(calm, revision, serving, failure)
    problem = problem_of(world)
    if problem is not None:
        news = () if _told(world, problem) else (Note("Warning", problem.reason, problem.message),)
        return calm.to(message=problem.message, problem=problem, notes=news, again_in=CALM / 6)
    return start(world)


def _refused(calm: Plan, revision: str, serving: str, failure: str) -> Plan:
    remedy = f"Change the template or the model, which makes a new revision, or apply revision {serving} again."
    message = f"Revision {revision} failed and {serving} serves. {failure} {remedy}"
    if calm.status.stage is Stage.ROLLED_BACK:
        return calm.to(message=message)
    note = Note(
        "Warning", Reason.QUARANTINED, f"Revision {revision} is refused, because it failed before. {failure}"[:1024]
    )
    return calm.to(
        status=entered(calm.status, Stage.ROLLED_BACK),
        message=message,
        problem=Problem(Reason.QUARANTINED, message),
        notes=(note,),
    )


def _failure(world: World) -> str | None:
    """Return why the revision in spec failed, if it did and may not be tried again."""
    status = world.status
    last = status.history[0] if status.history else None
    ended = status.stage is Stage.ROLLED_BACK and last is not None and last.outcome is Outcome.ROLLED_BACK
    if ended and last is not None and last.revision == world.revision:
        # Without quarantine it may be tried again, but only when somebody applies it again: never in a loop.
        return last.reason
    if not world.resource.spec.rollback.quarantine:
        return None
    return next((one.reason for one in status.quarantined if one.revision == world.revision), None)


def _told(world: World, problem: Problem) -> bool:
    return any(one.type == "Stalled" and one.reason == problem.reason for one in world.status.conditions)
