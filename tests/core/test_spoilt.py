"""Whatever stands in status, and whatever hands have done to the children: there is always a decision, and it can be saved."""

import copy
import json
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import fuzzing
from assay.api.base import Manifest
from assay.api.modeldeployment import ModelDeploymentStatus, Stage
from assay.core.decision import Decision, Ensure
from assay.core.names import SPLIT_KEY
from assay.core.split import Split
from core.simulation import Cluster, a_spec

pytestmark = pytest.mark.exhaustive

EXAMPLES = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
)
STAGES = ("Stable", "Preparing", "Analysing", "Promoting", "RollingBack", "RolledBack")
SPOILT_DATA = st.sampled_from(["", "{", "null", "[]", "{}", "999999999999", "-1", "1e9", "NaN", "9" * 400, "☃"])


@cache
def met(stage: str) -> Cluster:
    """Return a world in which a rollout stands in this stage."""
    cluster = Cluster(a_spec("1")).settle()
    if stage == "Stable":
        return cluster
    if stage in ("RollingBack", "RolledBack"):
        cluster.errors["2"] = 0.5
    cluster.apply(a_spec("2"))
    return cluster.run(
        600,
        until=lambda one: (
            one.state().stage == stage
            and (stage != "Analysing" or bool(one.state().checks and one.state().checks[0].counters))
        ),
    )


def decided(cluster: Cluster, status: Manifest) -> Decision:
    cluster = copy.copy(cluster)
    cluster.status = status
    return cluster.decide()[1]


def weights(decision: Decision) -> dict[str, int]:
    """Return the split that a decision writes."""
    manifests = [action.manifest for action in decision.actions if isinstance(action, Ensure)]
    (text,) = (one["data"][SPLIT_KEY] for one in manifests if SPLIT_KEY in one.get("data", {}))
    return {one.revision: one.weight for one in Split.model_validate_json(text).backends}


def is_sound(decision: Decision) -> None:
    """Assert that a decision can be carried out, saved as the API server demands, and gone on from."""
    saved = json.loads(json.dumps(decision.status.to_manifest(), allow_nan=False))
    assert ModelDeploymentStatus.model_validate(saved) == decision.status
    assert 0 <= decision.again_in <= 3600
    for action in decision.actions:
        if isinstance(action, Ensure):
            json.dumps(action.manifest, allow_nan=False)
            if SPLIT_KEY in action.manifest.get("data", {}):
                split = Split.model_validate_json(action.manifest["data"][SPLIT_KEY])
                assert len({one.revision for one in split.backends}) == len(split.backends)


@pytest.mark.parametrize("stage", STAGES)
@given(data=st.data())
@EXAMPLES
def test_any_status_that_fits_the_schema_can_be_gone_on_from(stage: str, data: st.DataObject) -> None:
    cluster = met(stage)
    assert cluster.state().stage is Stage(stage)
    status = data.draw(fuzzing.statuses(cluster.status, [cluster.revision("1"), cluster.revision("2")]))
    try:
        ModelDeploymentStatus.model_validate(status)
    except ValueError:
        return  # the API server refuses it

    decision = decided(cluster, status)
    is_sound(decision)
    before = cluster.weights()
    grown = [revision for revision, weight in weights(decision).items() if weight > before.get(revision, 0)]
    assert all(cluster.ready(revision) > 0 for revision in grown), "no traffic moves to where nobody answers"


@pytest.mark.parametrize("stage", STAGES)
@given(data=st.data())
@EXAMPLES
def test_any_child_that_hands_have_spoilt_can_be_gone_on_from(stage: str, data: st.DataObject) -> None:
    cluster = copy.copy(met(stage))
    cluster.objects = copy.deepcopy(cluster.objects)
    for manifest in cluster.objects.values():
        spoil(data, manifest)

    is_sound(cluster.decide()[1])


def spoil(data: st.DataObject, manifest: dict[str, Any]) -> None:
    """Spoil what a hand can write, as far as the API server would take it: any text in a ConfigMap, anything in a ControllerRevision."""
    if not data.draw(fuzzing.ONE_IN_FOUR):
        return
    match manifest["kind"]:
        case "ConfigMap":
            manifest["data"] = {key: data.draw(SPOILT_DATA) for key in manifest.get("data", {})}
        case "ControllerRevision":
            manifest["data"] = data.draw(fuzzing.mutated(manifest["data"], {}))
            manifest["revision"] = data.draw(st.sampled_from([-(2**63), 0, 2**63 - 1]))
        case "Deployment":
            manifest["spec"]["replicas"] = data.draw(st.sampled_from([0, 1, 2**31 - 1]))
        case _:
            manifest["metadata"]["labels"] = {}


def check_of(status: Manifest) -> dict[str, Any]:
    check: dict[str, Any] = status["checks"][0]
    return check


def test_evidence_that_no_look_can_have_left_begins_anew_and_promotes_nothing() -> None:
    status = copy.deepcopy(met("Analysing").status)
    check_of(status).update(verdict="Pass", safety={"score": 1e308, "logs": [0.0] * 4})
    status["candidate"].update(step=1, stepStartTime="2013-01-01T00:00:00.000Z", stepRequests=10**6)

    decision = decided(met("Analysing"), status)

    assert decision.status.stage is not Stage.PROMOTING
    assert not [one for one in decision.status.checks if one.verdict == "Pass"]


@pytest.mark.parametrize("field", ["logs", "totals", "lattice", "pooled", "odds"])
def test_evidence_of_another_length_begins_anew(field: str) -> None:
    status = copy.deepcopy(met("Analysing").status)
    place = check_of(status)["harm"] if field == "logs" else check_of(status)
    assert place[field]
    place[field] = place[field][:-1]

    is_sound(decided(met("Analysing"), status))


def test_a_look_that_is_yet_to_come_does_not_put_off_the_next_one() -> None:
    status = copy.deepcopy(met("Analysing").status)
    status["candidate"]["lookTime"] = "2999-01-01T00:00:00.000Z"

    found = decided(met("Analysing"), status).status.candidate

    assert found is not None
    assert found.look_time is not None
    assert found.look_time < "2027"


def test_a_candidate_that_is_the_stable_revision_is_none() -> None:
    status = copy.deepcopy(met("Analysing").status)
    status["candidate"]["revision"] = status["stable"]["revision"]

    decision = decided(met("Analysing"), status)

    is_sound(decision)
    assert decision.status.candidate is None or decision.status.candidate.revision != status["stable"]["revision"]


@pytest.mark.parametrize("generation", [10**12 - 1, 10**12, 2**53 - 1])
def test_a_generation_that_leaves_no_room_for_the_next_ones_is_not_counted_on_from(generation: int) -> None:
    cluster = copy.copy(met("Stable"))
    cluster.spec = a_spec("1", traffic__router={"timeoutSeconds": 5})

    decision = decided(cluster, {**cluster.status, "splitGeneration": generation})

    is_sound(decision)
    assert decision.status.split_generation < 100


def test_a_stable_revision_that_nobody_knows_takes_no_traffic_from_the_one_that_serves() -> None:
    cluster = met("Stable")
    before = cluster.weights()

    decision = decided(cluster, {**cluster.status, "stable": {"revision": "deadbeef", "weight": 100, "ready": 3}})

    assert weights(decision) == before


def test_conditions_of_others_leave_room_for_ours() -> None:
    theirs = {"status": "True", "reason": "A", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    conditions = [{**theirs, "type": f"Theirs{number}"} for number in range(16)]

    decision = decided(met("Stable"), {**met("Stable").status, "conditions": conditions})

    is_sound(decision)
    assert {one.type for one in decision.status.conditions} >= {"Ready", "Stalled", "Theirs0"}


def test_a_record_of_a_revision_that_cannot_be_made_a_pod_is_as_good_as_none() -> None:
    cluster = copy.copy(met("Stable"))
    cluster.objects = copy.deepcopy(cluster.objects)
    (record,) = (one for (kind, _), one in cluster.objects.items() if kind == "ControllerRevision")
    record["data"]["template"] = {"spec": {"containers": "none"}}
    record["revision"] = 2**63 - 1

    is_sound(cluster.decide()[1])
