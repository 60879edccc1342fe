"""What do a resource's conditions say, so that kubectl wait, Helm, Flux and Argo CD understand it?

Kubernetes' kstatus reads them in this order: a generation not observed yet is in progress; `Stalled` True has failed;
`Reconciling` True is in progress; `Ready` True is current, anything else in progress.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from assay.api.base import Condition, ConditionStatus
from assay.api.modeldeployment import ModelDeploymentStatus, Stage
from assay.core.times import second

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
LONGEST = 1024
MOST = 16  # conditions of a status, those of other writers included


class Reason(StrEnum):
    """One word for machines, why a condition is as it is."""

    INITIALISING = "Initialising"  # the first revision comes up
    STABLE = "Stable"  # the revision in spec serves all traffic
    PREPARING = "Preparing"  # pods of the candidate come up, or the routers take a new weight
    ANALYSING = "Analysing"  # the candidate has traffic and is judged
    PROMOTING = "Promoting"  # the candidate takes all traffic
    ROLLING_BACK = "RollingBack"  # stable takes all traffic back
    ROLLED_BACK = "RolledBack"  # the revision in spec failed; stable serves
    NO_DATA = "NoData"  # a required check cannot be measured; the rollout holds
    PAUSED = "Paused"  # spec.intent.paused holds a rollout, or keeps it from beginning
    DEADLINE_EXCEEDED = "DeadlineExceeded"  # nothing was decided within deadlineSeconds; the rollout holds
    NOT_READY = "NotReady"  # pods cannot start, or do not become ready in the time that Kubernetes gives them
    QUARANTINED = "Quarantined"  # the revision in spec failed before and is refused
    PORT_NOT_FOUND = "PortNotFound"  # no container declares serving.port
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound"  # the template names a ConfigMap that does not exist
    INVALID_SPEC = "InvalidSpec"  # spec, or a child made of it, was refused
    FORBIDDEN = "Forbidden"  # the operator lacks a right
    NEWER_STATE = "NewerState"  # a newer release of Assay wrote the status; this one leaves everything as it is
    INTERNAL_ERROR = "InternalError"  # a bug of Assay's own
    STABLE_UNAVAILABLE = "StableUnavailable"  # stable has no ready pod or no router, so traffic may be lost
    PROGRESSING = "Progressing"  # nothing keeps the operator from going on
    SERVING = "Serving"  # stable and a router are ready
    UNDERPOWERED = "Underpowered"  # a required check will probably not be decided before deadlineSeconds


class Type(StrEnum):
    """The conditions that Assay sets."""

    READY = "Ready"  # the revision in spec serves all traffic
    AVAILABLE = "Available"  # some revision answers, whatever spec says
    PROGRESSING = "Progressing"  # a rollout moves
    RECONCILING = "Reconciling"  # abnormal when True: what spec wants is not so yet
    STALLED = "Stalled"  # abnormal when True: somebody must act
    UNDERPOWERED = "Underpowered"  # abnormal when True: the evidence will probably not come before deadlineSeconds; Unknown: nobody can tell


class Refusal(Protocol):
    """Why a resource cannot be carried out."""

    @property
    def reason(self) -> str:
        """One CamelCase word."""

    @property
    def message(self) -> str:
        """One sentence: which field, what is wrong, what would be right."""

    @property
    def generation(self) -> int:
        """The generation that was refused."""

    @property
    def now(self) -> datetime:
        """When."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that only a person can mend, or that a person should know."""

    reason: Reason
    message: str


# What each stage means, before anything unusual: (Ready, Progressing, Reconciling, Stalled, reason).
TABLE: Mapping[Stage, tuple[bool, bool, bool, bool, Reason]] = {
    Stage.INITIALISING: (False, True, True, False, Reason.INITIALISING),
    Stage.STABLE: (True, False, False, False, Reason.STABLE),
    Stage.PREPARING: (False, True, True, False, Reason.PREPARING),
    Stage.ANALYSING: (False, True, True, False, Reason.ANALYSING),
    Stage.PROMOTING: (False, True, True, False, Reason.PROMOTING),
    Stage.ROLLING_BACK: (False, True, True, False, Reason.ROLLING_BACK),
    Stage.ROLLED_BACK: (False, False, False, True, Reason.ROLLED_BACK),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What conditions are made of."""

    stage: Stage
    message: str
    """One sentence: what is so."""
    problem: Problem | None = None
    """Stalled, and why."""
    paused: bool = False
    """Whether a person holds what would go on."""
    available: bool = True
    unavailable: str = ""
    """Why not."""
    underpowered: str = ""
    """Which check will probably not be decided in time, and what helps; empty where all will."""
    unforeseen: str = ""
    """Of which check nobody can tell that; empty where everything is known."""


def of(facts: Facts, generation: int, now: datetime) -> tuple[Condition, ...]:
    """Return the conditions of a stage. A problem turns Ready, Progressing and Reconciling off and Stalled on.

    What is paused is neither there nor moving, and nobody need act: Reconciling alone is on, so that whoever waits for
    Ready goes on waiting, and nobody is told of a failure.
    """
    ready, progressing, reconciling, stalled, reason = TABLE[facts.stage]
    if facts.paused:
        ready, progressing, reconciling, stalled, reason = False, False, True, False, Reason.PAUSED
    told, message = reason, facts.message
    if facts.problem is not None:
        ready, progressing, reconciling, stalled = False, False, False, True
        told, message = facts.problem.reason, facts.problem.message
    calm = Reason.PROGRESSING if reconciling else reason
    rows = (
        (Type.READY, ready, told, message),
        (Type.AVAILABLE, facts.available, *_availability(facts)),
        (Type.PROGRESSING, progressing, told, message),
        (Type.RECONCILING, reconciling, told, message if reconciling else ""),
        (Type.STALLED, stalled, told if stalled else calm, message if stalled else ""),
    )
    found = [(kind, TRUE if holds else FALSE, why, text) for kind, holds, why, text in rows]
    found.append((Type.UNDERPOWERED, *_power(facts, calm)))
    return tuple(
        Condition(
            type=kind,
            status=holds,
            reason=why,
            message=text[:LONGEST],
            observed_generation=generation,
            last_transition_time=second(now),
        )
        for kind, holds, why, text in found
    )


def _availability(facts: Facts) -> tuple[Reason, str]:
    return (Reason.SERVING, "") if facts.available else (Reason.STABLE_UNAVAILABLE, facts.unavailable)


def _power(facts: Facts, calm: Reason) -> tuple[ConditionStatus, Reason, str]:
    """Return whether some check will come too late; what nobody can tell is no promise that it will not."""
    if facts.underpowered:
        return TRUE, Reason.UNDERPOWERED, facts.underpowered
    return (UNKNOWN if facts.unforeseen else FALSE), calm, facts.unforeseen


def merge(old: Sequence[Condition], new: Sequence[Condition], now: datetime) -> list[Condition]:
    """Return the new conditions over the old ones; a transition time moves only where the status does.

    Conditions of other writers survive, in their place, as far as there is room for them.
    """
    before = {one.type: one for one in old}
    moved = {one.type: _with_time(one, before.get(one.type), now) for one in new}
    theirs = [one.type for one in old if one.type not in moved][: MOST - len(moved)]
    old = [one for one in old if one.type in moved or one.type in theirs]
    return [moved.pop(one.type, one) for one in old] + list(moved.values())


def _with_time(new: Condition, old: Condition | None, now: datetime) -> Condition:
    same = old is not None and old.status is new.status
    time = old.last_transition_time if old is not None and same else second(now)
    return new.model_copy(update={"last_transition_time": time})


def refused(status: ModelDeploymentStatus, refusal: Refusal) -> ModelDeploymentStatus:
    """Return the status of a resource that cannot be carried out: as it was, and Stalled."""
    rows = (
        (Type.READY, FALSE, refusal.reason, refusal.message),
        (Type.PROGRESSING, FALSE, refusal.reason, refusal.message),
        (Type.RECONCILING, FALSE, refusal.reason, ""),
        (Type.STALLED, TRUE, refusal.reason, refusal.message),
    )
    conditions = [
        Condition(
            type=kind,
            status=holds,
            reason=reason,
            message=message[:LONGEST],
            observed_generation=refusal.generation,
            last_transition_time=second(refusal.now),
        )
        for kind, holds, reason, message in rows
    ]
    merged = merge(status.conditions, conditions, refusal.now)
    return status.model_copy(update={"conditions": merged, "observed_generation": refusal.generation})
