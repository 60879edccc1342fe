"""What does a stage want of the world?"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias

from assay.api.modeldeployment import CandidateStatus, HistoryEntry, ModelDeploymentStatus, Outcome, Stage
from assay.core.conditions import Problem, Reason
from assay.core.decision import Note
from assay.core.times import moment
from assay.core.world import World

SOON = 1.0  # seconds until the next look while pods or routers are waited for
CALM = 120.0
LONGEST_HISTORY = 10
UNMADE = "CreateContainerConfigError"  # the kubelet's word for a Secret or ConfigMap that is missing

Weights: TypeAlias = tuple[tuple[str, int], ...]
"""(revision, percent), candidate first."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be so; carried out by `rollout`."""

    status: ModelDeploymentStatus
    """Stage, candidate, checks, history; the rest is filled in afterwards."""
    message: str
    """One sentence: what is so."""
    replicas: Mapping[str, int]
    """Revisions that live -> pods. Others are removed once the routers have let go of them."""
    weights: Weights
    """Revisions that the routers know -> percent; sums to 100, or there are none."""
    notes: tuple[Note, ...] = field(default=())
    problem: Problem | None = None
    paused: bool = False
    """Whether it would go on, were it not for spec.intent.paused."""
    again_in: float = SOON

    def to(self, **changes: Any) -> Self:  # noqa: ANN401 - whatever the fields are
        """Return the plan with other fields."""
        return replace(self, **changes)


def entered(status: ModelDeploymentStatus, stage: Stage, **updates: Any) -> ModelDeploymentStatus:  # noqa: ANN401
    """Return the status in another stage."""
    return status.model_copy(update={"stage": stage, **updates})


def stable_of(world: World) -> str:
    """Return the revision that serves; stages other than Initialising have one."""
    if world.status.stable is None:
        raise AssertionError("a stage without a stable revision was not sent to Initialising")
    return world.status.stable.revision


def candidate_of(status: ModelDeploymentStatus) -> CandidateStatus:
    """Return the revision on trial; only stages that have one are sent here."""
    if status.candidate is None:
        raise AssertionError("a stage that has a candidate was entered without one")
    return status.candidate


def not_ready(world: World, revision: str) -> Problem | None:
    """Return that pods do not come up, where Kubernetes has given up waiting or a pod lacks what it is made of."""
    stuck = world.stuck(revision)
    if not stuck or not (world.late(revision) or UNMADE in stuck):
        return None
    remedy = "See the events of its pods, then correct the template or create what it names."
    return Problem(Reason.NOT_READY, f"Revision {revision} does not become ready: {stuck}. {remedy}")


def kept_weights(world: World, most: int = 100) -> Weights:
    """Return the weights that stable and candidate have, as read back; stable has what is nobody's.

    Args:
        world: As seen.
        most: Percent that the candidate may have at most, should somebody else have written more.
    """
    stable = stable_of(world)
    revision = world.candidate.revision if world.candidate else None
    if revision is None or revision not in world.weights:
        return ((stable, 100),)
    weight = min(world.weight(revision), most)
    return ((revision, weight), (stable, 100 - weight))


def ended(world: World, status: ModelDeploymentStatus, outcome: Outcome) -> ModelDeploymentStatus:
    """Return the status with the rollout in its history and without a candidate."""
    candidate = candidate_of(status)
    entry = HistoryEntry(
        revision=candidate.revision,
        outcome=outcome,
        start_time=candidate.start_time,
        end_time=status.decision_time or moment(world.now),
        requests=candidate.requests,
        reason=status.decision,
        worst_check=status.worst_check,
    )
    return status.model_copy(update={"history": [entry, *status.history][:LONGEST_HISTORY], "candidate": None})
