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
from assay.core.decision import Decision, Ensure, Missing, Note, Ref, Seen
from assay.core.errors import ApiUnavailable, Conflict

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
    uid = scene.cluster.objects("ModelDeployment")["flights"]["metadata"]["uid"]
    scene.cluster.delete(Ref("assay.dev/v1alpha1", "ModelDeployment", "flights"), "shop", uid)

    assert reconcile(key, scene.world) == Again(after=None)
    assert scene.cluster.objects("ConfigMap") == {}


@pytest.mark.parametrize("call", [GET_IT, GET_CHILD, APPLY, SAVE])
@pytest.mark.reliability(trouble="API server away at any call", stage="any", outcome="costs the round")
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


@pytest.mark.parametrize("stage", Stage)
def test_what_has_a_candidate_does_not_wait_behind_what_merely_serves(
    scene: Scene, deployment: Deployment, key: Key, stage: Stage
) -> None:
    scene.cluster.create(deployment())

    def staged(resource: ModelDeployment, seen: Seen) -> Decision:
        decision = decide(resource, seen)
        return dataclasses.replace(decision, status=decision.status.model_copy(update={"stage": stage}))

    decide = scene.world.kinds["ModelDeployment"].decide
    scene.with_kind(decide=staged)

    candidate = stage in {Stage.PREPARING, Stage.ANALYSING, Stage.PROMOTING, Stage.ROLLING_BACK}
    assert reconcile(key, scene.world) == Again(after=0.0, urgent=candidate)


def test_what_was_read_in_the_round_is_handed_to_the_writer(
    scene: Scene, deployment: Deployment, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.cluster.create(deployment())
    reconcile(key, scene.world)
    handed: list[tuple[Manifest | None, bool]] = []
    apply = scene.cluster.apply

    def listening(
        manifest: Manifest, seen: Manifest | None = None, *, absent: bool = False, guarded: bool = False
    ) -> None:
        handed.append((seen, absent))
        apply(manifest, seen, absent=absent, guarded=guarded)

    monkeypatch.setattr(scene.cluster, "apply", listening)

    reconcile(key, scene.world)
    child = scene.cluster.objects("ConfigMap")["flights"]["metadata"]
    scene.cluster.delete(Ref("v1", "ConfigMap", "flights"), "shop", child["uid"])
    reconcile(key, scene.world)

    (seen, absent), gone = handed
    assert seen is not None
    assert seen["metadata"]["resourceVersion"]
    assert not absent
    assert gone == (None, True)  # looked for and gone: to be written, whatever was written before


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
