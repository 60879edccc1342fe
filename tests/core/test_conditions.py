"""Do the conditions mean to Kubernetes' tools what the stage means to us?"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from assay.api.base import Condition, ConditionStatus, Manifest
from assay.api.modeldeployment import ModelDeploymentStatus, Stage
from assay.core import conditions
from assay.core.conditions import Facts, Problem, Reason

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)

EXPECTED = {
    Stage.INITIALISING: "InProgress",
    Stage.STABLE: "Current",
    Stage.PREPARING: "InProgress",
    Stage.ANALYSING: "InProgress",
    Stage.PROMOTING: "InProgress",
    Stage.ROLLING_BACK: "InProgress",
    Stage.ROLLED_BACK: "Failed",
}


@dataclass(frozen=True)
class Refused:
    reason: str = "Forbidden"
    message: str = "The operator may not patch deployments."
    generation: int = 7
    now: datetime = LATER


def kstatus(resource: Manifest) -> str:
    """Restate the order in which Kubernetes' kstatus judges an object of a kind that it does not know."""
    metadata, status = resource["metadata"], resource.get("status", {})
    if "deletionTimestamp" in metadata:
        return "Terminating"
    if "observedGeneration" in status and status["observedGeneration"] != metadata["generation"]:
        return "InProgress"
    found = {one["type"]: one["status"] for one in status.get("conditions", [])}
    if found.get("Stalled") == "True":
        return "Failed"
    if found.get("Reconciling") == "True":
        return "InProgress"
    if "Ready" in found:
        return "Current" if found["Ready"] == "True" else "InProgress"
    return "Current"


def judged(found: tuple[Condition, ...], generation: int = 1) -> str:
    status = ModelDeploymentStatus(observed_generation=1, conditions=list(found)).to_manifest()
    return kstatus({"metadata": {"generation": generation}, "status": status})


@pytest.mark.parametrize("stage", list(Stage))
def test_kstatus_understands_every_stage(stage: Stage) -> None:
    found = conditions.of(Facts(stage, "So it is."), 1, NOW)

    assert judged(found) == EXPECTED[stage]
    assert judged(found, generation=2) == "InProgress"


@pytest.mark.parametrize("stage", list(Stage))
def test_kstatus_calls_every_problem_failed(stage: Stage) -> None:
    problem = Problem(Reason.PORT_NOT_FOUND, "Declare the port.")

    found = conditions.of(Facts(stage, "So it is.", problem=problem), 1, NOW)

    assert judged(found) == "Failed"
    assert {one.message for one in found if one.type in ("Ready", "Stalled")} == {"Declare the port."}


@pytest.mark.parametrize("stage", list(Stage))
def test_kstatus_goes_on_waiting_for_what_is_paused_and_calls_it_no_failure(stage: Stage) -> None:
    assert judged(conditions.of(Facts(stage, "So it is.", paused=True), 1, NOW)) == "InProgress"


def test_every_stage_sets_every_condition() -> None:
    for stage in Stage:
        assert {one.type for one in conditions.of(Facts(stage, ""), 1, NOW)} == set(conditions.Type)


def test_a_transition_time_moves_only_with_the_status() -> None:
    old = conditions.of(Facts(Stage.PREPARING, "One."), 1, NOW)

    new = conditions.merge(old, conditions.of(Facts(Stage.ANALYSING, "Two."), 2, LATER), LATER)
    assert {one.last_transition_time for one in new} == {"2026-01-01T00:00:00Z"}
    assert {one.observed_generation for one in new} == {2}

    turned = conditions.merge(new, conditions.of(Facts(Stage.STABLE, "Three."), 2, LATER), LATER)
    moved = {one.type for one in turned if one.last_transition_time == "2026-01-01T01:00:00Z"}
    assert moved == {"Ready", "Progressing", "Reconciling"}


def test_conditions_of_others_survive_in_their_place() -> None:
    other = Condition(
        type="Others", status=ConditionStatus.TRUE, reason="Theirs", last_transition_time="2025-01-01T00:00:00Z"
    )

    merged = conditions.merge([other], conditions.of(Facts(Stage.STABLE, ""), 1, NOW), NOW)

    assert merged[0] == other
    assert len(merged) == 1 + len(conditions.Type)


def test_a_refusal_stalls_and_keeps_the_rest_of_the_status() -> None:
    before = ModelDeploymentStatus(
        stage=Stage.STABLE, conditions=list(conditions.of(Facts(Stage.STABLE, ""), 6, NOW)), observed_generation=6
    )

    after = conditions.refused(before, Refused())

    assert (after.stage, after.observed_generation) == (Stage.STABLE, 7)
    assert kstatus({"metadata": {"generation": 7}, "status": after.to_manifest()}) == "Failed"
    assert next(one for one in after.conditions if one.type == "Available").status is ConditionStatus.TRUE


def test_messages_never_grow_beyond_what_status_holds() -> None:
    found = conditions.of(Facts(Stage.ANALYSING, "x" * 5000), 1, NOW)

    assert max(len(one.message) for one in found) == 1024
