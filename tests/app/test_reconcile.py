"""Whole rounds, in memory."""

import dataclasses

import pytest

from app.scene import Deployment, Scene
from assay.adapters.memory import Crash
from assay.api.base import Manifest
from assay.api.modeldeployment import ModelDeployment, Stage
from assay.app.kinds import Key
from assay.app.queue import Again
from assay.app.reconcile import reconcile
from assay.core.decision import Decision, Edit, Ensure, Missing, Note, Ref, Remove, Seen
from assay.core.errors import ApiUnavailable, Conflict, Forbidden, InvalidSpec

GET_IT, GET_CHILD, APPLY, SAVE, POST = 1, 2, 3, 4, 5  # the calls of a first round, in order


def test_a_round_acts_then_saves_then_tells(scene: Scene, deployment: Deployment, key: Key) -> None:
    scene.cluster.create(deployment())

    again = reconcile(key, scene.world)

    assert again == Again(after=0.0)
    assert scene.writes() == [
        ("patch", "ConfigMap/flights"),
        ("update", "ModelDeployment/flights"),
        ("create", "Event/flights"),
    ]
    assert scene.status.stage is Stage.INITIALISING


def test_a_round_that_changes_nothing_saves_and_tells_nothing(scene: Scene, deployment: Deployment, key: Key) -> None:
    scene.cluster.create(deployment())
    reconcile(key, scene.world)
    reconcile(key, scene.world)
    before = len(scene.cluster.events), scene.cluster.objects("ModelDeployment")

    again = reconcile(key, scene.world)

    assert again == Again(after=60.0)
    assert (len(scene.cluster.events), scene.cluster.objects("ModelDeployment")) == before


def test_an_object_that_is_gone_is_forgotten(scene: Scene, key: Key) -> None:
    assert reconcile(key, scene.world) == Again(after=None)


def test_children_of_an_object_that_is_being_deleted_are_not_created_again(
    scene: Scene, deployment: Deployment, key: Key
) -> None:
    raw = deployment()
    raw["metadata"]["finalizers"] = ["somebody.else/waits"]
    scene.cluster.create(raw)
    scene.cluster.delete(Ref("assay.dev/v1alpha1", "ModelDeployment", "flights"), "shop")

    assert reconcile(key, scene.world) == Again(after=None)
    assert scene.cluster.objects("ConfigMap") == {}


def test_a_spec_that_does_not_fit_is_stalled_with_the_name_of_the_field(
    scene: Scene, deployment: Deployment, key: Key
) -> None:
    raw = deployment()
    raw["spec"]["analysis"]["checks"][0]["name"] = "Not A Name"
    scene.cluster.create(raw)

    again = reconcile(key, scene.world)

    assert again is not None
    assert again.after == 300
    assert scene.stalled.reason == "InvalidSpec"
    assert scene.stalled.message.startswith("spec.analysis.checks[0].name: ")
    assert scene.cluster.objects("ConfigMap") == {}


def test_a_refusal_is_told_once(scene: Scene, deployment: Deployment, key: Key) -> None:
    scene.cluster.create(deployment(replicas=0))

    for _ in range(3):
        reconcile(key, scene.world)

    assert [note.reason for _, note in scene.cluster.events] == ["InvalidSpec"]


def test_a_status_that_cannot_be_read_is_left_as_it_is(scene: Scene, deployment: Deployment, key: Key) -> None:
    raw = deployment()
    raw["status"] = {"stage": "FromTheFuture"}
    scene.cluster.create(raw)

    reconcile(key, scene.world)

    assert scene.cluster.objects("ModelDeployment")["flights"]["status"] == {"stage": "FromTheFuture"}


@pytest.mark.parametrize("call", [GET_IT, GET_CHILD, APPLY, SAVE])
def test_an_api_server_that_is_away_at_any_call_costs_only_the_round(
    scene: Scene, deployment: Deployment, key: Key, call: int
) -> None:
    scene.cluster.create(deployment())
    scene.cluster.fail(call, ApiUnavailable("The API server did not answer."))

    assert reconcile(key, scene.world) is None
    assert scene.status.stage is None

    reconcile(key, scene.world)
    assert scene.status.stage in {Stage.INITIALISING, Stage.STABLE}


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("call", [GET_IT, GET_CHILD, APPLY, SAVE, POST])
def test_a_process_killed_at_any_call_goes_on_where_it_was(
    scene: Scene,
    deployment: Deployment,
    key: Key,
    call: int,
    done: bool,  # noqa: FBT001 - drawn
) -> None:
    scene.cluster.create(deployment())
    scene.cluster.fail(call, Crash(), done=done)

    with pytest.raises(Crash):
        reconcile(key, scene.world)
    reconcile(key, scene.world)
    reconcile(key, scene.world)

    assert scene.status.stage is Stage.STABLE
    assert scene.cluster.objects("ConfigMap")["flights"]["data"] == {"version": "1"}


def test_a_conflict_drops_the_round_and_comes_back_soon(scene: Scene, deployment: Deployment, key: Key) -> None:
    scene.cluster.create(deployment())
    scene.cluster.fail(SAVE, Conflict("Somebody wrote."))

    again = reconcile(key, scene.world)

    assert again == Again(after=0.5)
    assert scene.status.stage is None
    assert scene.cluster.events == []


def test_a_write_in_between_is_seen_as_a_conflict(scene: Scene, deployment: Deployment, key: Key) -> None:
    scene.cluster.create(deployment())

    def write_in_between(resource: ModelDeployment, seen: Seen) -> Decision:
        scene.cluster.create(deployment(replicas=3))
        return decide(resource, seen)

    decide = scene.world.kinds["ModelDeployment"].decide
    scene.with_kind(decide=write_in_between)

    assert reconcile(key, scene.world) == Again(after=0.5)
    assert scene.status.stage is None


def test_an_event_that_cannot_be_posted_does_not_fail_the_round(scene: Scene, deployment: Deployment, key: Key) -> None:
    scene.cluster.create(deployment())
    scene.cluster.fail(POST, ApiUnavailable("The API server did not answer."))

    assert reconcile(key, scene.world) == Again(after=0.0)
    assert scene.status.stage is Stage.INITIALISING


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Forbidden("May not patch configmaps."), "Forbidden"),
        (InvalidSpec("The API server refused it."), "InvalidSpec"),
    ],
)
def test_a_refused_action_is_put_on_record_and_keeps_nothing_else_from_it(
    scene: Scene, deployment: Deployment, key: Key, error: InvalidSpec | Forbidden, reason: str
) -> None:
    scene.cluster.create(deployment())
    scene.cluster.fail(APPLY, error)

    again = reconcile(key, scene.world)

    assert again == Again(after=0.0)
    assert scene.status.stage is Stage.INITIALISING
    assert (scene.stalled.reason, scene.stalled.message) == (reason, str(error))


def test_an_action_refused_at_every_look_is_saved_and_told_once(scene: Scene, deployment: Deployment, key: Key) -> None:
    scene.cluster.create(deployment())
    calls: list[None] = []

    def refusing(resource: ModelDeployment, seen: Seen) -> Decision:
        scene.clock = scene.clock.replace(minute=scene.clock.minute + 1)
        calls.append(None)
        scene.cluster.fail(1, Forbidden("May not patch configmaps."))
        return dataclasses.replace(decide(resource, seen), notes=())

    decide = scene.world.kinds["ModelDeployment"].decide
    scene.with_kind(decide=refusing)
    for _ in range(4):
        reconcile(key, scene.world)

    saves = [call for call in scene.writes() if call[0] == "update"]
    assert len(calls) == 4
    assert len(saves) == 1
    assert [note.reason for _, note in scene.cluster.events] == ["Forbidden"]


def test_what_may_not_be_read_is_put_on_record(scene: Scene, deployment: Deployment, key: Key) -> None:
    scene.cluster.create(deployment())
    scene.cluster.fail(GET_CHILD, Forbidden("May not get configmaps."))

    assert reconcile(key, scene.world) is None
    assert scene.stalled.reason == "Forbidden"


def test_a_bug_is_put_on_record_and_tried_again_with_backoff(
    scene: Scene, deployment: Deployment, key: Key, caplog: pytest.LogCaptureFixture
) -> None:
    scene.cluster.create(deployment())

    def broken(_resource: ModelDeployment, _seen: Seen) -> Decision:
        raise ZeroDivisionError("division by zero")

    scene.with_kind(decide=broken)

    assert reconcile(key, scene.world) is None
    assert scene.stalled.reason == "InternalError"
    assert "ZeroDivisionError" in scene.stalled.message
    assert "Traceback" not in scene.stalled.message
    assert "Traceback" in caplog.text


def test_missing_measurements_reach_the_decider_as_a_value(scene: Scene, deployment: Deployment, key: Key) -> None:
    scene.cluster.create(deployment())
    scene.metrics.outage = "Prometheus did not answer."
    answers: list[object] = []

    def listening(resource: ModelDeployment, seen: Seen) -> Decision:
        answers.extend(seen.series.values())
        return decide(resource, seen)

    decide = scene.world.kinds["ModelDeployment"].decide
    scene.with_kind(decide=listening)
    reconcile(key, scene.world)

    assert answers == [Missing("Prometheus did not answer.")]


def test_edits_and_removals_are_carried_out_too(scene: Scene, deployment: Deployment, key: Key) -> None:
    scene.cluster.create(deployment())
    route = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "route", "namespace": "shop"},
        "spec": {"a": 1},
    }
    scene.cluster.create(route)
    scene.cluster.create({**route, "metadata": {"name": "old", "namespace": "shop"}})
    theirs = scene.cluster.objects("Service")["route"]

    def editing(resource: ModelDeployment, seen: Seen) -> Decision:
        actions = (
            Edit({**theirs, "spec": {"a": 2}}),
            Remove(Ref("v1", "Service", "old")),
            Remove(Ref("v1", "Pod", "x")),
        )
        return dataclasses.replace(decide(resource, seen), actions=actions)

    decide = scene.world.kinds["ModelDeployment"].decide
    scene.with_kind(decide=editing)
    reconcile(key, scene.world)

    services = scene.cluster.objects("Service")
    assert services["route"]["spec"] == {"a": 2}
    assert "old" not in services


def test_a_rollback_comes_back_as_urgent(scene: Scene, deployment: Deployment, key: Key) -> None:
    scene.cluster.create(deployment())

    def rolling_back(resource: ModelDeployment, seen: Seen) -> Decision:
        decision = decide(resource, seen)
        status = decision.status.model_copy(update={"stage": Stage.ROLLING_BACK})
        return dataclasses.replace(decision, status=status)

    decide = scene.world.kinds["ModelDeployment"].decide
    scene.with_kind(decide=rolling_back)

    assert reconcile(key, scene.world) == Again(after=0.0, urgent=True)


def test_what_was_read_in_the_round_is_handed_to_the_writer(
    scene: Scene, deployment: Deployment, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.cluster.create(deployment())
    reconcile(key, scene.world)
    handed: list[Manifest | None] = []
    apply = scene.cluster.apply

    def listening(manifest: Manifest, seen: Manifest | None = None) -> None:
        handed.append(seen)
        apply(manifest, seen)

    monkeypatch.setattr(scene.cluster, "apply", listening)

    reconcile(key, scene.world)

    assert handed[0] is not None
    assert handed[0]["metadata"]["resourceVersion"]


def test_every_round_is_counted_by_its_outcome(scene: Scene, deployment: Deployment, key: Key) -> None:
    reconcile(key, scene.world)
    scene.cluster.create(deployment())
    for _ in range(3):
        reconcile(key, scene.world)

    page = scene.world.instruments.page().decode()

    assert 'assay_operator_reconciles_total{kind="ModelDeployment",outcome="Gone"} 1.0' in page
    assert 'assay_operator_reconciles_total{kind="ModelDeployment",outcome="Saved"} 2.0' in page
    assert 'assay_operator_reconciles_total{kind="ModelDeployment",outcome="Unchanged"} 1.0' in page
    assert 'assay_operator_decisions_total{kind="ModelDeployment",stage="Stable"} 1.0' in page


def test_notes_are_posted_in_their_order(scene: Scene, deployment: Deployment, key: Key) -> None:
    scene.cluster.create(deployment())

    def talking(resource: ModelDeployment, seen: Seen) -> Decision:
        notes = (Note("Normal", "One", "First."), Note("Warning", "Two", "Second."))
        return dataclasses.replace(decide(resource, seen), notes=notes, actions=(Ensure(child()),))

    def child() -> Manifest:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "shop"}}

    decide = scene.world.kinds["ModelDeployment"].decide
    scene.with_kind(decide=talking)
    reconcile(key, scene.world)

    assert [note.reason for _, note in scene.cluster.events] == ["One", "Two"]
