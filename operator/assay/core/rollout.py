"""What is to be done next for a ModelDeployment?

    look_at(resource, seen) ──> stage function ──> Plan ──> actions, status, notes

`decide` is total and pure: the same resource and the same world give the same decision, and whatever a crash has
swallowed is decided again. There is no finalizer: all that a rollout makes belongs to the ModelDeployment, so that
Kubernetes' garbage collection ends it, and there is nothing left to undo.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from assay.api.base import Manifest
from assay.api.modeldeployment import CandidateStatus, ModelDeployment, ModelDeploymentStatus, Stage
from assay.core import calm, canary, conditions, intent, manifests, revisions, router_manifests, trial, turns, world
from assay.core.conditions import Facts, Type, refused
from assay.core.decision import Action, Decision, Ensure, Needs, Ref, Remove, Seen
from assay.core.manifests import ManifestOptions
from assay.core.plan import SOON, Plan
from assay.core.prospects import underpowered, unforeseen
from assay.core.sound import sound
from assay.core.split import LARGEST_GENERATION, Backend, Split
from assay.core.times import moment, since
from assay.core.world import World, look_at

__all__ = ["TRANSITIONS", "Options", "decide", "needs", "refused"]

Options = ManifestOptions
DEFAULTS = ManifestOptions()

MOST_NAMED = 3  # routers that a message names
PATIENCE = 0.25  # of the time that was waited in vain so far
LONGEST_WAIT = 30.0  # seconds between two looks at what does not come
DRAIN_SECONDS = 5.0  # between the moment when no router knows a revision any more and the end of its pods

TRANSITIONS: Mapping[Stage | None, frozenset[Stage]] = {
    None: frozenset({Stage.INITIALISING}),
    Stage.INITIALISING: frozenset({Stage.STABLE}),
    Stage.STABLE: frozenset({Stage.PREPARING, Stage.ROLLED_BACK}),
    Stage.PREPARING: frozenset({Stage.ANALYSING, Stage.PROMOTING, Stage.ROLLING_BACK}),
    Stage.ANALYSING: frozenset({Stage.PREPARING, Stage.PROMOTING, Stage.ROLLING_BACK}),
    Stage.PROMOTING: frozenset({Stage.STABLE, Stage.ROLLING_BACK}),
    Stage.ROLLING_BACK: frozenset({Stage.ROLLED_BACK, Stage.STABLE}),
    Stage.ROLLED_BACK: frozenset({Stage.STABLE, Stage.PREPARING}),
}
"""From each stage, the stages that may follow; every stage may also stay."""

STAGES: Mapping[Stage, Callable[[World], Plan]] = {
    Stage.INITIALISING: calm.initialising,
    Stage.STABLE: calm.stable,
    Stage.PREPARING: trial.preparing,
    Stage.ANALYSING: trial.analysing,
    Stage.PROMOTING: turns.promoting,
    Stage.ROLLING_BACK: turns.rolling_back,
    Stage.ROLLED_BACK: calm.rolled_back,
}


def needs(resource: ModelDeployment, now: datetime) -> Needs:
    """Return what must be looked at to decide."""
    return world.needs(sound(resource, now), now)


def decide(resource: ModelDeployment, seen: Seen, options: ManifestOptions = DEFAULTS) -> Decision:
    """Return what to do, what to save, what to tell, and when to look again.

    Args:
        resource: As read from the API server.
        seen: What `needs` named.
        options: What the operator's settings say.
    """
    if "deletionTimestamp" in resource.metadata:
        return Decision(status=resource.status)
    resource = sound(resource, seen.now)
    found = look_at(resource, seen)
    plan = intent.told(found, STAGES[_stage(found)](found))
    split = _split(found, plan)
    if found.split == split:
        plan = _told_of_routers(found, plan)
    leftovers = [one for one in {**found.deployments, **found.services} if one not in plan.replicas]
    return Decision(
        status=_status(found, plan, split),
        actions=(
            # The split comes first: on the way back, milliseconds count. It is guarded: whoever decided on an older split, or
            # on a status that is older than the split, must not take traffic to where another has taken it away.
            Ensure(router_manifests.split_config_map(resource, split), guarded=True),
            *_children(found, plan, options),
            *_removals(found, plan, split, leftovers),
        ),
        notes=plan.notes,
        doubtful=found.split != split and found.generation > resource.status.split_generation,
        again_in=_again_in(found, plan, leftovers),
    )


def _again_in(found: World, plan: Plan, leftovers: list[str]) -> float:
    """Return when to look again.

    What has not come for long is looked for less and less often: whatever comes wakes us, for Deployments and
    acknowledgements are watched, and many that wait in vain must not take the turns of those that move.
    """
    seconds = min(plan.again_in, SOON) if leftovers or found.acked_time is None else plan.again_in
    began = next((one.last_transition_time for one in found.status.conditions if one.type == Type.RECONCILING), None)
    if plan.status.stage not in (Stage.INITIALISING, Stage.PREPARING) or began is None or plan.again_in == 0:
        return seconds
    looks = LONGEST_WAIT if plan.status.stage is Stage.INITIALISING else found.resource.spec.analysis.interval_seconds
    return max(seconds, min(since(began, found.now) * PATIENCE, looks, LONGEST_WAIT))


def _stage(found: World) -> Stage:
    """Return the stage to act in; a status that lacks what its stage needs was lost or spoilt, and is built anew."""
    status = found.status
    if status.stage is None or status.stable is None:
        return Stage.INITIALISING
    if _another_serves(found, status.stable.revision):
        return Stage.INITIALISING
    if status.candidate is None and status.stage not in (Stage.STABLE, Stage.ROLLED_BACK):
        return Stage.STABLE
    return status.stage


def _another_serves(found: World, stable: str) -> bool:
    """Return whether status takes for stable what nobody knows, or what answers nothing while another revision does.

    Who serves is then read back: traffic is not moved to where nobody answers because a status says so.
    """
    if stable not in {**found.recorded, **found.deployments}:
        return True
    if found.weight(stable) > 0 or found.ready(stable) > 0:
        return False
    candidate = found.candidate.revision if found.candidate else None
    answering = (one for one, weight in found.weights.items() if weight > 0 and found.ready(one) > 0)
    return any(one != candidate and one in found.recorded for one in answering)


def _told_of_routers(found: World, plan: Plan) -> Plan:
    """Return the plan with the names of the routers that are waited for."""
    if not found.behind:
        return plan
    them = ", ".join(found.behind[:MOST_NAMED]) + (", …" if len(found.behind) > MOST_NAMED else "")
    told = f"Not every router sends as it should yet; waited for: {them}."
    problem = plan.problem and replace(plan.problem, message=f"{plan.problem.message} {told}")
    return plan.to(message=f"{plan.message} {told}", problem=problem)


def _split(found: World, plan: Plan) -> Split:
    """Return the split to be written: the one that is there where it says the same, else one of the next generation."""
    spec, old = found.resource.spec, found.split
    router = spec.traffic.router
    wanted = Split(
        deployment=found.resource.metadata["name"],
        generation=old.generation if old else 1,
        backends=tuple(Backend(revision=revision, weight=weight) for revision, weight in plan.weights),
        sticky_header=spec.traffic.sticky_header,
        salt=plan.weights[0][0] if len(plan.weights) > 1 else "",
        allow_revision_header=router is not None and router.revision_header == "Allow",
        timeout_seconds=router.timeout_seconds if router else 60,
    )
    if wanted == old:
        return wanted
    known = (0, found.status.split_generation, old.generation if old else 0, found.highest_ack)
    return wanted.model_copy(update={"generation": 1 + max(one for one in known if one <= LARGEST_GENERATION)})


def _children(found: World, plan: Plan, options: ManifestOptions) -> list[Ensure]:
    """Return all that must be there."""
    resource, status = found.resource, plan.status
    children: list[Manifest] = []
    for revision, replicas in plan.replicas.items():
        recorded = found.recorded.get(revision)
        if recorded is None:
            continue  # its ControllerRevision was deleted by hand; what runs is left running
        if revision not in found.kept:
            children.append(manifests.controller_revision(resource, recorded))
        children.append(manifests.revision_service(resource, recorded))
        children.append(manifests.model_deployment(resource, recorded, replicas))
    stable = found.recorded.get(status.stable.revision) if status.stable else None
    candidate = found.recorded.get(status.candidate.revision) if status.candidate else None
    children += manifests.services(resource, stable, candidate)
    # Before the pods, which cannot be created without their ServiceAccount. Nobody reads these; the adapter writes what
    # nobody reads once a minute, so they do not cost four requests in every second.
    children += router_manifests.router_rights(resource)
    children += router_manifests.router_pods(resource, options)
    return [Ensure(one) for one in children]


def _removals(found: World, plan: Plan, split: Split, leftovers: list[str]) -> list[Action]:
    """Return what may go: revisions that no router knows any more and has drained, and the oldest records."""
    name = str(found.resource.metadata["name"])
    going: list[Action] = []
    if found.split == split and found.acked_time is not None:
        drained = (found.now - found.acked_time).total_seconds() >= DRAIN_SECONDS
        listed = dict(plan.weights)
        for revision in (one for one in leftovers if drained and one not in listed):
            child = manifests.revision_name(name, revision)
            going += [Remove(Ref("apps/v1", "Deployment", child)), Remove(Ref("v1", "Service", child))]
    live = {*plan.replicas, *found.weights, *found.deployments, found.revision}
    kept = {revision: found.recorded[revision] for revision in found.kept}
    for revision in revisions.surplus(kept, live, found.resource.spec.revision_history_limit):
        going.append(Remove(Ref(revisions.API_VERSION, revisions.KIND, manifests.revision_name(name, revision))))
    return going


def _status(found: World, plan: Plan, split: Split) -> ModelDeploymentStatus:
    """Return the plan's status with what was read back, the split, and the conditions."""
    status, generation = plan.status, int(found.resource.metadata.get("generation", 0))
    unchanged = found.split == split and found.acked_time is not None
    update: dict[str, object] = {
        "observed_generation": generation,
        "split_generation": split.generation,
        "split_acked_time": moment(found.acked_time) if unchanged and found.acked_time else None,
    }
    if status.stable is not None:
        now = {"weight": found.weight(status.stable.revision), "ready": found.ready(status.stable.revision)}
        update["stable"] = status.stable.model_copy(update=now)
    if status.candidate is not None:
        update["candidate"] = _candidate(found, status.candidate, moved=found.split != split)
    if found.split != split:
        # Nothing is counted from the moment a weight is written, so there is nothing to subtract from either.
        update["checks"] = [one.model_copy(update={"counters": []}) for one in status.checks]
    facts = _facts(found, plan)
    update["conditions"] = conditions.merge(status.conditions, conditions.of(facts, generation, found.now), found.now)
    return status.model_copy(update=update)


def _candidate(found: World, candidate: CandidateStatus, *, moved: bool) -> CandidateStatus:
    steps = len(canary.steps(found.resource.spec))
    now: dict[str, object] = {
        "weight": found.weight(candidate.revision),
        "ready": found.ready(candidate.revision),
        "step_text": f"{min(candidate.step + 1, steps)}/{steps}",
    }
    if moved:
        now["count_time"] = None
    return candidate.model_copy(update=now)


def _facts(found: World, plan: Plan) -> Facts:
    stable = plan.status.stable
    serving = [revision for revision, weight in found.weights.items() if weight > 0 and found.ready(revision) == 0]
    unavailable = ""
    if stable is None:
        unavailable = "No revision serves yet."
    elif serving:
        unavailable = f"Revision {serving[0]} has traffic but no ready pod."
    elif found.routers == 0:
        unavailable = "No router pod is ready."
    return Facts(
        stage=plan.status.stage or Stage.INITIALISING,
        message=plan.message,
        problem=plan.problem,
        paused=plan.paused,
        available=not unavailable,
        unavailable=unavailable,
        underpowered=underpowered(found.resource.spec, plan.status),
        unforeseen=unforeseen(found.resource.spec, plan.status),
    )
