"""What cannot be carried out is put on record, and keeps nothing else from it."""

import dataclasses
from datetime import datetime

import pytest

from app.scene import Deployment, Scene
from assay.api.base import Manifest
from assay.api.modeldeployment import ModelDeployment, Stage
from assay.app.kinds import Key
from assay.app.queue import Again
from assay.app.reconcile import reconcile
from assay.core.decision import Decision, Ensure, Listing, Needs, Ref, Remove, Seen
from assay.core.errors import Forbidden, InvalidSpec

GET_CHILD, APPLY = 2, 3  # calls of a first round


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


def test_a_bug_before_the_object_is_read_ends_no_worker(
    scene: Scene, deployment: Deployment, key: Key, caplog: pytest.LogCaptureFixture
) -> None:
    scene.cluster.create(deployment())
    scene.cluster.fail(1, RecursionError("maximum recursion depth exceeded"))

    assert reconcile(key, scene.world) is None
    assert "RecursionError" in caplog.text


def test_a_name_that_is_taken_is_put_on_record_and_the_rest_goes_on(
    scene: Scene, deployment: Deployment, key: Key
) -> None:
    scene.cluster.create(deployment())
    theirs: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flights", "namespace": "shop"}}
    scene.cluster.create({**theirs, "data": {"theirs": "1"}})
    before = scene.cluster.objects("ConfigMap")["flights"]

    def more(resource: ModelDeployment, seen: Seen) -> Decision:
        decision = decide(resource, seen)
        (first,) = decision.actions
        assert isinstance(first, Ensure)
        second = Ensure({**first.manifest, "metadata": {**first.manifest["metadata"], "name": "second"}})
        return dataclasses.replace(decision, actions=(first, second))

    decide = scene.world.kinds["ModelDeployment"].decide
    scene.with_kind(decide=more)
    rounds = [reconcile(key, scene.world) for _ in range(3)]

    assert scene.cluster.objects("ConfigMap")["flights"] == before
    assert "second" in scene.cluster.objects("ConfigMap")
    assert (scene.stalled.reason, scene.stalled.message) == (
        "InvalidSpec",
        "ConfigMap flights exists and does not belong to this ModelDeployment; rename one of them.",
    )
    assert scene.status.stage is Stage.STABLE
    assert rounds == [Again(after=60.0)] * 3, "no retry storm"
    assert [note.reason for _, note in scene.cluster.events] == ["Stable", "InvalidSpec"]


def test_what_was_left_by_a_deleted_object_of_the_same_name_is_waited_for(
    scene: Scene, deployment: Deployment, key: Key
) -> None:
    scene.cluster.create(deployment())
    owner = {"kind": "ModelDeployment", "name": "flights", "uid": "earlier", "controller": True}
    meta = {"name": "flights", "namespace": "shop", "ownerReferences": [owner]}
    scene.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})

    assert reconcile(key, scene.world) is None
    assert scene.status.conditions == []


def test_only_what_belongs_to_the_object_is_removed(scene: Scene, deployment: Deployment, key: Key) -> None:
    scene.cluster.create(deployment())
    uid = scene.cluster.objects("ModelDeployment")["flights"]["metadata"]["uid"]
    owner = {"kind": "ModelDeployment", "name": "flights", "uid": uid, "controller": True}
    for name, owners in (("old", [owner]), ("theirs", [])):
        meta = {"name": name, "namespace": "shop", "ownerReferences": owners}
        scene.cluster.create({"apiVersion": "v1", "kind": "Service", "metadata": meta})

    def looking(resource: ModelDeployment, now: datetime) -> Needs:
        return dataclasses.replace(needs(resource, now), listings=(Listing("v1", "Service", ()),))

    def removing(resource: ModelDeployment, seen: Seen) -> Decision:
        names = ("theirs", "old", "never-seen")
        return dataclasses.replace(
            decide(resource, seen), actions=tuple(Remove(Ref("v1", "Service", name)) for name in names)
        )

    needs, decide = scene.world.kinds["ModelDeployment"].needs, scene.world.kinds["ModelDeployment"].decide
    scene.with_kind(needs=looking, decide=removing)
    reconcile(key, scene.world)

    assert set(scene.cluster.objects("Service")) == {"theirs"}
    assert [call for call in scene.writes() if call[0] == "delete"] == [("delete", "Service/old")]
    assert scene.stalled.message.startswith("Service theirs exists and does not belong to this ModelDeployment")


def test_what_a_newer_release_wrote_is_left_as_it_is_and_the_conditions_say_so(
    scene: Scene, deployment: Deployment, key: Key
) -> None:
    theirs = {"stateVersion": 1000, "stage": "FromTheFuture", "evidence": {"of": ["another", "shape"]}}
    scene.cluster.create({**deployment(), "status": theirs})

    for _ in range(3):
        assert reconcile(key, scene.world) == Again(after=300)

    left = scene.cluster.objects("ModelDeployment")["flights"]["status"]
    (stalled,) = left.pop("conditions")
    assert left == theirs
    assert stalled["reason"] == "NewerState"
    assert stalled["message"].startswith("status.stateVersion: is 1000, and this release of Assay knows ")
    assert [note.reason for _, note in scene.cluster.events] == ["NewerState"]
    assert {verb for verb, _ in scene.writes()} == {"update", "create"}  # the conditions, and the event


def test_conditions_that_cannot_be_read_are_left_too(scene: Scene, deployment: Deployment, key: Key) -> None:
    theirs = {"stateVersion": 1000, "conditions": [{"kind": "of another shape"}]}
    scene.cluster.create({**deployment(), "status": theirs})

    assert reconcile(key, scene.world) == Again(after=300)

    assert scene.cluster.objects("ModelDeployment")["flights"]["status"] == theirs
