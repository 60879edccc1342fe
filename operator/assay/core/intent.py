"""What does `spec.intent` ask for, and what became of it?

A stage asks `wants` whether a wish names its revision and has not been spent, and says with `acted` that it followed it:
the record, and the mark that the wish is spent, are saved with the status that turns the direction. Whatever is left is
explained by `told`, at the end of each round. A mark lasts as long as the wish stands in spec as it is.
"""

from dataclasses import replace
from typing import Any

from assay.api.modeldeployment import (
    CandidateStatus,
    IntentEntry,
    IntentName,
    ModelDeploymentStatus,
    Stage,
    WishState,
    WishStatus,
)
from assay.core.decision import Note
from assay.core.plan import Plan
from assay.core.sentences import sentence
from assay.core.times import moment, since
from assay.core.world import JUDGED, World

WISHES = (IntentName.PROMOTE, IntentName.ABORT, IntentName.RETRY)
SPENT = frozenset({WishState.ACTED, WishState.LAPSED})
MOST_ENTRIES = 10
PAUSED = "spec.intent.paused is true: no weight grows and nothing is promoted until it is false; harm still rolls back."


def paused(world: World) -> bool:
    """Return whether no rollout may begin or go forward."""
    return world.resource.spec.intent.paused


def wish(world: World, name: IntentName) -> tuple[str, str]:
    """Return a wish as spec has it, and the revision that it names; both empty where there is none."""
    text = str(getattr(world.resource.spec.intent, name.lower()))
    return text, text.partition("-")[0]


def wants(world: World, name: IntentName, revision: str) -> bool:
    """Return whether a wish names this revision and is not spent."""
    text, named = wish(world, name)
    return bool(text) and named == revision and not _is_spent(_mark(world.status, name), text)


def again(world: World, name: IntentName, revision: str) -> str:
    """Return what to write into spec, so that a wish for this revision is one that is not spent."""
    text, named = wish(world, name)
    if named != revision or not _is_spent(_mark(world.status, name), text):
        return revision
    number = int(text.partition("-")[2] or 1) % 9999
    return f"{revision}-{number + 1}" if number else revision


def acted(world: World, plan: Plan, name: IntentName, revision: str, message: str) -> Plan:
    """Return the plan with a wish followed: put on record, marked as spent, told as an Event."""
    text, _ = wish(world, name)
    mark = WishStatus(wish=text, state=WishState.ACTED, message=sentence(message))
    return _recorded(world, _marked(plan, **{name.lower(): mark}), name, revision, message)


def paused_seconds(world: World, candidate: CandidateStatus) -> float:
    """Return how long pauses have held this rollout, the present one included."""
    began = world.status.intent.paused_time
    return candidate.paused_seconds + (max(0.0, since(began, world.now)) if began else 0.0)


def told(world: World, plan: Plan) -> Plan:
    """Return the plan with a pause begun or ended, and with what became of each wish that stands in spec."""
    plan = _paused(world, plan)
    return _marked(plan, **{name.lower(): _standing(world, plan, name) for name in WISHES})


def _paused(world: World, plan: Plan) -> Plan:
    began, candidate = world.status.intent.paused_time, plan.status.candidate
    if plan.paused:
        problem = plan.problem and replace(plan.problem, message=f"{PAUSED} {plan.problem.message}")
        plan = plan.to(message=f"{PAUSED} {plan.message}", problem=problem)
    if paused(world) == (began is not None):
        return plan
    revision = candidate.revision if candidate else None
    if paused(world):
        plan = _marked(plan, paused_time=moment(world.now))
        return _recorded(world, plan, IntentName.PAUSE, revision, _what_a_pause_does(plan.status))
    if candidate is not None and world.candidate is not None:
        held = round(paused_seconds(world, world.candidate), 3)
        status = plan.status.model_copy(update={"candidate": candidate.model_copy(update={"paused_seconds": held})})
        plan = plan.to(status=status)
    return _recorded(world, _marked(plan, paused_time=None), IntentName.RESUME, revision, "Rollouts go on")


def _what_a_pause_does(status: ModelDeploymentStatus) -> str:
    if status.candidate is None:
        return "No rollout begins"
    revision, weight = status.candidate.revision, status.candidate.weight
    match status.stage:
        case Stage.PROMOTING:
            return f"It is too late for revision {revision}, which is being promoted; no other rollout begins"
        case Stage.ROLLING_BACK:
            return f"Revision {revision} goes back all the same; no other rollout begins"
        case _:
            return f"Revision {revision} stays where it is, at {weight} % of the traffic; harm still rolls it back"


def _standing(world: World, plan: Plan, name: IntentName) -> WishStatus | None:
    """Return what became of a wish that stands in spec."""
    text, revision = wish(world, name)
    mark = _mark(plan.status, name)
    if not text or _is_spent(mark, text):
        return mark if text else None
    state, message = _why_not_yet(world, plan.status, name, revision)
    return WishStatus(wish=text, state=state, message=message)


def _why_not_yet(world: World, status: ModelDeploymentStatus, name: IntentName, revision: str) -> tuple[WishState, str]:
    """Return why a wish has not acted. What can only come true in a later rollout lapses, or it would surprise."""
    ended = world.candidate is not None and status.candidate is None and world.candidate.revision == revision
    if status.stable is not None and status.stable.revision == revision:
        return WishState.LAPSED, f"Revision {revision} serves already."
    if status.candidate is not None and status.candidate.revision == revision:
        return _of_the_candidate(status, name, revision)
    if any(one.revision == revision for one in status.quarantined):
        return _of_the_quarantined(name, revision, ended=ended)
    if ended:
        return WishState.LAPSED, f"The rollout of revision {revision} ended before this could act."
    if revision not in world.recorded:
        return WishState.UNKNOWN, f"No revision {revision} is on trial, in quarantine or kept."
    return _of_the_kept(name, revision)


def _of_the_kept(name: IntentName, revision: str) -> tuple[WishState, str]:
    if name is IntentName.RETRY:
        return WishState.LAPSED, f"Revision {revision} is not in quarantine."
    return WishState.WAITING, f"Revision {revision} is not on trial; it acts as soon as it is."


def _of_the_candidate(status: ModelDeploymentStatus, name: IntentName, revision: str) -> tuple[WishState, str]:
    if status.stage is Stage.ROLLING_BACK and name is IntentName.RETRY:
        return WishState.WAITING, f"Revision {revision} is being rolled back; it may be tried again after that."
    if name is IntentName.RETRY:
        return WishState.LAPSED, f"Revision {revision} is on trial, and not in quarantine."
    if status.stage not in JUDGED:
        return WishState.LAPSED, sentence(f"it is too late, revision {revision} is {status.stage}: {status.decision}")
    return WishState.WAITING, f"Revision {revision} is on trial; it acts as soon as spec.intent.paused is false."


def _of_the_quarantined(name: IntentName, revision: str, *, ended: bool) -> tuple[WishState, str]:
    if name is IntentName.ABORT or (ended and name is IntentName.PROMOTE):
        return WishState.LAPSED, f"Revision {revision} was rolled back before this could act."
    if name is IntentName.PROMOTE:
        return WishState.WAITING, f"Revision {revision} is in quarantine: first let spec.intent.retry name it."
    return WishState.WAITING, "It waits for the end of the present rollout."


def _mark(status: ModelDeploymentStatus, name: IntentName) -> WishStatus | None:
    found: WishStatus | None = getattr(status.intent, name.lower())
    return found


def _is_spent(mark: WishStatus | None, text: str) -> bool:
    return mark is not None and mark.wish == text and mark.state in SPENT


def _marked(plan: Plan, **marks: Any) -> Plan:  # noqa: ANN401 - whatever the fields are
    intent = plan.status.intent.model_copy(update=marks)
    return plan.to(status=plan.status.model_copy(update={"intent": intent}))


def _recorded(world: World, plan: Plan, name: IntentName, revision: str | None, message: str) -> Plan:
    entry = IntentEntry(name=name, revision=revision, time=moment(world.now), message=sentence(message))
    entries = [entry, *plan.status.intent_history][:MOST_ENTRIES]
    note = Note("Normal", f"Intent{name}", entry.message)
    return plan.to(status=plan.status.model_copy(update={"intent_history": entries}), notes=(*plan.notes, note))
