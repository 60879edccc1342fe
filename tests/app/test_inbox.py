"""Events wake whom they concern, and nobody else."""

from typing import Any

import pytest

from app.scene import KIND
from assay.api.base import Manifest
from assay.app.inbox import Inbox
from assay.app.kinds import Key, urgent
from assay.app.metrics import Instruments
from assay.app.queue import Again, WorkQueue

KEY = Key("ModelDeployment", "shop", "flights")


class Desk:
    """An inbox and the queue behind it."""

    def __init__(self) -> None:
        self.queue: WorkQueue[Key] = WorkQueue()
        self.inbox = Inbox(self.queue, Instruments())

    def woken(self) -> list[Key]:
        keys = []
        while (key := self.queue.take(timeout=0)) is not None:
            keys.append(key)
            self.queue.done(key, Again(after=1e6))
        return keys


@pytest.fixture
def desk() -> Desk:
    return Desk()


def a_resource(name: str = "flights", stage: str = "Stable", **meta: Any) -> Manifest:
    meta = {"name": name, "namespace": "shop", "uid": "u", "generation": 1, **meta}
    return {"kind": KIND, "metadata": meta, "status": {"stage": stage}}


def test_what_is_there_at_the_start_is_woken(desk: Desk) -> None:
    desk.inbox.resource(KIND, None, a_resource())

    assert desk.woken() == [KEY]


def test_an_echo_of_our_own_status_write_wakes_nobody(desk: Desk) -> None:
    desk.inbox.resource(KIND, "ADDED", a_resource(resourceVersion="1"))
    desk.woken()
    desk.inbox.resource(KIND, "MODIFIED", a_resource(stage="Analysing", resourceVersion="2"))

    assert desk.woken() == []


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 2},
        {"annotations": {"a": "b"}},
        {"labels": {"a": "b"}},
        {"deletionTimestamp": "2013-01-01T00:00:00Z"},
        {"uid": "another of the same name"},
    ],
)
def test_what_a_user_changes_wakes(desk: Desk, change: dict[str, Any]) -> None:
    desk.inbox.resource(KIND, "ADDED", a_resource())
    desk.woken()
    desk.inbox.resource(KIND, "MODIFIED", a_resource(**change))

    assert desk.woken() == [KEY]


def test_a_deletion_wakes_and_is_no_memory(desk: Desk) -> None:
    for event in ("ADDED", "DELETED", "ADDED"):
        desk.inbox.resource(KIND, event, a_resource())
        assert desk.woken() == [KEY]


def test_deletions_and_rollbacks_go_before_the_rest(desk: Desk) -> None:
    desk.inbox.resource(KIND, None, a_resource("a"))
    desk.inbox.resource(KIND, None, a_resource("b", stage="RollingBack"))
    desk.inbox.resource(KIND, None, a_resource("c"))
    desk.inbox.resource(KIND, None, a_resource("d", deletionTimestamp="2013-01-01T00:00:00Z"))

    assert [key.name for key in desk.woken()] == ["b", "d", "a", "c"]


def test_a_child_wakes_its_owner(desk: Desk) -> None:
    labels = {"assay.dev/deployment": "flights"}
    desk.inbox.child(KIND, "configmaps", {"metadata": {"name": "x", "namespace": "shop", "labels": labels}})

    assert desk.woken() == [KEY]


def test_an_object_that_belongs_to_nobody_wakes_nobody(desk: Desk) -> None:
    desk.inbox.child(KIND, "configmaps", {"metadata": {"name": "x", "namespace": "shop"}})

    assert desk.woken() == []


@pytest.mark.reliability(trouble="watch gap", stage="any", outcome="a lost deletion is found by the audit")
def test_the_audit_wakes_what_was_missed_and_ghosts_but_not_the_rest(desk: Desk) -> None:
    missed, ghost = Key("ModelDeployment", "shop", "missed"), Key("ModelDeployment", "shop", "ghost")
    for key in (KEY, ghost):
        desk.inbox.resource(KIND, None, a_resource(key.name))
    desk.woken()

    desk.inbox.audited(KIND, {KEY, missed})

    assert set(desk.woken()) == {missed, ghost}


def test_a_ghost_that_comes_back_is_seen_again(desk: Desk) -> None:
    desk.inbox.resource(KIND, None, a_resource())
    desk.woken()
    desk.inbox.audited(KIND, set())
    desk.woken()
    desk.inbox.resource(KIND, "ADDED", a_resource())

    assert desk.woken() == [KEY]


@pytest.mark.parametrize(
    ("wish", "spent", "hurries"),
    [
        ("1a2b3c4d", "", True),
        ("1a2b3c4d-2", "1a2b3c4d", True),
        ("1a2b3c4d", "1a2b3c4d", False),
        ("00000000", "", False),
    ],
)
def test_an_abort_of_the_candidate_that_has_not_acted_yet_is_urgent(wish: str, spent: str, hurries: bool) -> None:  # noqa: FBT001 - drawn
    status = {"candidate": {"revision": "1a2b3c4d"}, "intent": {"abort": {"wish": spent}} if spent else {}}

    assert urgent({"metadata": {}, "spec": {"intent": {"abort": wish}}, "status": status}) is hurries
