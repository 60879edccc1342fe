"""What happens in one round of one object?

get ──> parse ──> look ──> decide ──> act ──> save ──> post
 |        |         |        |         |        └ Conflict: drop the round
 |        |         └────────┼─────────┴ Retryable: again after a backoff
 gone     InvalidSpec ───────┴ InvalidSpec, Forbidden, a bug: saved as Stalled
"""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from pydantic import ValidationError

from assay.adapters import ownership
from assay.adapters.ownership import Owner
from assay.adapters.ports import Cluster, Metrics
from assay.api.base import ConditionStatus, Manifest
from assay.api.modeldeployment import ModelDeployment, ModelDeploymentStatus, Stage
from assay.app import logs
from assay.app.kinds import Key, Kind, Refusal, urgent
from assay.app.metrics import Instruments
from assay.app.queue import Again
from assay.core.conditions import Reason
from assay.core.decision import Action, Decision, Ensure, Needs, Note, Ref, Remove, Seen
from assay.core.errors import AssayError, Conflict, Forbidden, InvalidSpec, NewerState, Retryable
from assay.core.migrations import migrated

CONFLICT_SECONDS = 0.5  # somebody is writing; give them the time of a few writes
REFUSED_SECONDS = 300.0  # a change of the spec wakes us; this is for what the operator itself misread
REFUSED_ACTION_SECONDS = 15.0  # until a child is tried again that the API server refused

MESSAGE = 1024  # characters that a condition and an event hold

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class World:
    """All that a round touches."""

    kinds: Mapping[str, Kind]
    cluster: Cluster
    metrics: Metrics
    instruments: Instruments
    now: Callable[[], datetime]


def reconcile(key: Key, world: World) -> Again | None:
    """Run one round; return when to come back, or None where it failed and is to be tried again after a backoff."""
    started = time.perf_counter()
    with logs.about(key):
        again, outcome = _guarded(key, world)
    world.instruments.round(key.kind, outcome, time.perf_counter() - started)
    return again


def _guarded(key: Key, world: World) -> tuple[Again | None, str]:
    """Run one round and turn what the world did to it into an outcome."""
    kind = world.kinds[key.kind]
    try:
        raw = world.cluster.get(Ref(kind.api_version, kind.name, key.name), key.namespace)
        if raw is None or "deletionTimestamp" in raw["metadata"]:
            # Nothing of ours is to be undone; what we own goes with it, and must not be created again meanwhile.
            log.debug("Forgot it: it is gone, or going")
            return Again(after=None), "Gone"
        return _recorded(kind, key, raw, world)
    except Conflict as error:
        log.info("Dropped the round: %s", error)
        return Again(after=CONFLICT_SECONDS), "Conflict"
    except (Retryable, Forbidden, InvalidSpec) as error:
        log.warning("Gave the round up: %s", error)
        return None, "Unavailable"
    except Exception:  # nothing may end a worker: the same object would end them all, one after the other
        log.exception("Met a bug of Assay's own, and cannot put it on record")
        return None, "InternalError"


def _recorded(kind: Kind, key: Key, raw: Manifest, world: World) -> tuple[Again | None, str]:
    """Run one round and put on record why it could not be run, where somebody must act."""
    try:
        return _round(kind, key, raw, world)
    except InvalidSpec as error:
        _refuse(kind, raw, error.reason, str(error), world)
        return Again(after=REFUSED_SECONDS), "Refused"
    except NewerState as error:
        _leave(kind, raw, error, world)
        return Again(after=REFUSED_SECONDS), "NewerState"
    except Forbidden as error:
        _refuse(kind, raw, "Forbidden", str(error), world)
        return None, "Forbidden"
    except AssayError:
        raise
    except Exception as error:  # the one place: what nobody foresaw is a bug, and must not take the others along
        log.exception("Met a bug of Assay's own")
        _refuse(kind, raw, "InternalError", f"Assay has a bug: {type(error).__name__}: {error}", world)
        return None, "InternalError"


def _round(kind: Kind, key: Key, raw: Manifest, world: World) -> tuple[Again, str]:
    resource = parse(kind, raw)
    seen = look(kind.needs(resource, world.now()), key, world)
    decision = kind.decide(resource, seen)
    if decision.doubtful:
        _check_still_so(raw, world.cluster)
    refusal = act(decision.actions, seen, raw, world.cluster)
    outcome = "Unchanged"
    if refusal is not None:
        # The other actions were carried out and the decision is saved all the same: what was refused of one child
        # must not keep a rollback from being recorded.
        decision = _with_refusal(kind, resource, decision, refusal, seen.now)
        outcome = "Refused"
    if _save(raw, resource.status, decision.status, world.cluster):
        outcome = "Saved" if refusal is None else outcome
        _tell(kind, raw, resource.status, decision, world)
    hurry = urgent({"metadata": raw["metadata"], "status": decision.status.to_manifest()})
    # What was refused before is refused again until somebody acts, and that wakes us; a rollback keeps its own pace.
    known = refusal is not None and _stalled(resource.status) == _reason(refusal)
    patient = known and decision.status.stage is not Stage.ROLLING_BACK
    again = max(decision.again_in, REFUSED_ACTION_SECONDS) if patient else decision.again_in
    return Again(after=again, urgent=hurry), outcome


def parse(kind: Kind, raw: Manifest) -> ModelDeployment:
    """Return the object as a value.

    Raises:
        InvalidSpec: It does not fit the model; the message names up to three fields.
        NewerState: Its status is not ours to read.
    """
    return validated(kind.model, {**raw, "status": migrated(raw.get("status", {}))})


def validated(model: type[ModelDeployment], raw: Manifest) -> ModelDeployment:
    """Return the object as a value, its status read as it stands.

    Raises:
        InvalidSpec: It does not fit the model; the message names up to three fields.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        sentences = [f"{_field(one['loc'])}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()[:3]]
        raise InvalidSpec("; ".join(sentences)) from error


def _field(place: tuple[int | str, ...]) -> str:
    """Return the place of a field as one writes it: `spec.analysis.checks[0].name`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")


def look(needs: Needs, key: Key, world: World) -> Seen:
    """Read all that is needed; objects before counters, so that a counter is never older than the split it is judged by."""
    objects = {ref: world.cluster.get(ref, key.namespace) for ref in needs.objects}
    listings = {listing: world.cluster.list(listing, key.namespace) for listing in needs.listings}
    series = {query: world.metrics.series(query, key.namespace, key.name) for query in needs.queries}
    return Seen(now=world.now(), objects=objects, listings=listings, series=series)


def _check_still_so(raw: Manifest, cluster: Cluster) -> None:
    """Raise `Conflict` where the resource was changed since it was read."""
    now = cluster.get(_ref(raw), raw["metadata"]["namespace"])
    if now is None or now["metadata"]["resourceVersion"] != raw["metadata"]["resourceVersion"]:
        raise Conflict(f"{raw['kind']} {raw['metadata']['name']} was changed in between.")


def act(actions: tuple[Action, ...], seen: Seen, raw: Manifest, cluster: Cluster) -> InvalidSpec | Forbidden | None:
    """Carry out the actions for `raw` in the decider's order; return the first refusal, after which the others still go on.

    Raises:
        Retryable, Conflict: The world was not ready; the rest was left out, for it would fail too.
    """
    known = {_ref(one): one for group in seen.listings.values() for one in group}
    known |= {ref: one for ref, one in seen.objects.items() if one is not None}
    sought = {(listing.api_version, listing.kind) for listing in seen.listings}
    refusal = None
    for action in actions:
        try:
            match action:
                case Ensure(manifest, guarded):
                    ref = _ref(manifest)
                    absent = ref not in known and (ref in seen.objects or (ref.api_version, ref.kind) in sought)
                    cluster.apply(manifest, known.get(ref), absent=absent, guarded=guarded)
                case Remove(ref):
                    _remove(known.get(ref), raw, cluster)
                case _:
                    assert_never(action)
        except (InvalidSpec, Forbidden) as error:
            refusal = refusal or error
    return refusal


def _remove(found: Manifest | None, raw: Manifest, cluster: Cluster) -> None:
    if found is not None:  # a decider removes what it has seen
        meta = raw["metadata"]
        ownership.check(found, Owner(raw["kind"], meta["name"], meta["uid"]))
        cluster.delete(_ref(found), meta["namespace"], found["metadata"]["uid"])


def _ref(manifest: Manifest) -> Ref:
    return Ref(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"])


def _save(raw: Manifest, before: ModelDeploymentStatus, after: ModelDeploymentStatus, cluster: Cluster) -> bool:
    """Save the status if it changed; return whether it did."""
    if after == before:
        return False
    cluster.save_status(raw, after.to_manifest())
    return True


def _tell(kind: Kind, raw: Manifest, before: ModelDeploymentStatus, decision: Decision, world: World) -> None:
    """Log, count and post what is now on record."""
    stage = decision.status.stage
    if stage is not None and stage != before.stage:
        log.info("Entered stage %s", stage)
        world.instruments.decision(kind.name, stage)
    for note in decision.notes:
        _post(raw, note, world)


def _post(raw: Manifest, note: Note, world: World) -> None:
    """Post an event; it is news, not state, so a failure only leaves a line in the log."""
    log.info("Told: %s: %s", note.reason, note.message)
    try:
        world.cluster.post_event(raw, note, world.now())
    except AssayError as error:
        log.warning("Could not post the event %s: %s", note.reason, error)


def _refuse(kind: Kind, raw: Manifest, reason: str, message: str, world: World) -> None:
    """Put on record why the object cannot be carried out; tell it once per reason."""
    refusal = Refusal(reason, message[:MESSAGE], raw["metadata"].get("generation", 0), world.now())
    try:
        before = ModelDeploymentStatus.model_validate(migrated(raw.get("status", {})))
    except ValidationError:
        # Whatever wrote this status, its state is worth more than our sentence.
        log.warning("Refused it, but cannot say so in its status, which does not fit the model: %s", message)
        return
    if _save(raw, before, kind.refused(before, refusal), world.cluster) and _stalled(before) != reason:
        _post(raw, Note("Warning", reason, refusal.message), world)


def _leave(kind: Kind, raw: Manifest, error: NewerState, world: World) -> None:
    """Say in the conditions, and nowhere else, why a newer release's object is left alone: all other fields stay as read."""
    status, message = raw["status"], str(error)
    log.warning("Left it as it is: %s", message)
    try:
        before = ModelDeploymentStatus.model_validate({"conditions": status.get("conditions", [])})
    except ValidationError:
        return  # not even these can be read; the log and the metric have to do
    refusal = Refusal(Reason.NEWER_STATE, message, raw["metadata"].get("generation", 0), world.now())
    after = kind.refused(before, refusal)
    if after.conditions != before.conditions:
        world.cluster.save_status(raw, status | {"conditions": after.to_manifest()["conditions"]})
        _post(raw, Note("Warning", Reason.NEWER_STATE, message), world)


def _with_refusal(
    kind: Kind, resource: ModelDeployment, decision: Decision, error: InvalidSpec | Forbidden, now: datetime
) -> Decision:
    """Return the decision with the refusal in its conditions, and a note where it is news."""
    reason = _reason(error)
    if _stalled(resource.status) != reason:
        log.warning("Was refused an action: %s", error)
    refusal = Refusal(reason, str(error)[:MESSAGE], resource.metadata.get("generation", 0), now)
    status = _with_times_of(resource.status, kind.refused(decision.status, refusal))
    news = () if _stalled(resource.status) == reason else (Note("Warning", reason, refusal.message),)
    return dataclasses.replace(decision, status=status, notes=(*decision.notes, *news))


def _reason(error: InvalidSpec | Forbidden) -> str:
    return error.reason if isinstance(error, InvalidSpec) else "Forbidden"


def _stalled(status: ModelDeploymentStatus) -> str | None:
    """Return the reason why it was stalled before, if it was."""
    for condition in status.conditions:
        if condition.type == "Stalled" and condition.status is ConditionStatus.TRUE:
            return condition.reason
    return None


def _with_times_of(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """Keep the transition times of conditions that in the end did not change: a decider may have turned one and the refusal back."""
    times = {(one.type, one.status): one.last_transition_time for one in before.conditions}
    conditions = [
        one.model_copy(update={"last_transition_time": times.get((one.type, one.status), one.last_transition_time)})
        for one in after.conditions
    ]
    return after.model_copy(update={"conditions": conditions})
