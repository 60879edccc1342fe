"""The fake cluster keeps the promises that rollouts rely on."""

import json
from typing import Any

import pytest

from assay.adapters.memory import Crash, MemoryCluster, MemoryMetrics
from assay.api.base import Manifest
from assay.core.decision import Listing, Missing, Query, Ref, Series
from assay.core.errors import ApiUnavailable, Conflict, InvalidSpec

MAP = Ref("v1", "ConfigMap", "acks")
OWNER = {"kind": "ModelDeployment", "name": "m", "uid": "u-m", "controller": True}


@pytest.fixture
def cluster() -> MemoryCluster:
    return MemoryCluster()


def a_map(name: str = "acks", data: dict[str, str] | None = None, **meta: Any) -> Manifest:
    manifest: Manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "shop", "ownerReferences": [OWNER], **meta},
    }
    return manifest if data is None else {**manifest, "data": data}


def the_map(cluster: MemoryCluster) -> Manifest:
    found = cluster.get(MAP, "shop")
    assert found is not None
    return found


def a_router(replicas: int = 2) -> Manifest:
    labels = {"assay.dev/deployment": "m", "app.kubernetes.io/component": "router"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "m-router",
            "namespace": "shop",
            "labels": {"assay.dev/deployment": "m"},
            "ownerReferences": [OWNER],
        },
        "spec": {"replicas": replicas, "template": {"metadata": {"labels": labels}, "spec": {}}},
    }


def test_versions_change_with_every_change_and_only_then(cluster: MemoryCluster) -> None:
    cluster.apply(a_map(data={"a": "1"}))
    first = the_map(cluster)
    cluster.apply(a_map(data={"a": "1"}))
    assert the_map(cluster) == first

    cluster.apply(a_map(data={"a": "2"}))
    assert the_map(cluster)["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]


def test_apply_keeps_what_others_wrote_and_drops_what_it_wants_no_longer(cluster: MemoryCluster) -> None:
    cluster.apply(a_map(data={"ours": "1", "old": "1"}))
    cluster.create({**the_map(cluster), "data": {"ours": "1", "old": "1", "theirs": "1"}})

    cluster.apply(a_map(data={"ours": "2"}))

    assert the_map(cluster)["data"] == {"ours": "2", "theirs": "1"}


def test_a_stale_write_is_a_conflict(cluster: MemoryCluster) -> None:
    cluster.create(a_map(data={}))
    stale = the_map(cluster)
    cluster.save_status(stale, {"a": 1})

    with pytest.raises(Conflict):
        cluster.save_status(stale, {"a": 2})
    assert the_map(cluster)["status"] == {"a": 1}


def test_a_saved_status_does_not_touch_the_rest(cluster: MemoryCluster) -> None:
    cluster.create({**a_map(), "spec": 1})
    cluster.save_status({**the_map(cluster), "spec": 2}, {"a": 1})

    now = the_map(cluster)
    assert (now["spec"], now["status"], now["metadata"]["generation"]) == (1, {"a": 1}, 1)


def test_an_object_of_somebody_else_is_not_written(cluster: MemoryCluster) -> None:
    cluster.create(a_map(data={"theirs": "1"}, ownerReferences=[]))

    with pytest.raises(InvalidSpec, match="ConfigMap acks exists"):
        cluster.apply(a_map(data={"ours": "1"}))
    assert the_map(cluster)["data"] == {"theirs": "1"}


def test_an_object_that_took_the_name_of_the_one_seen_is_neither_written_nor_deleted(cluster: MemoryCluster) -> None:
    cluster.apply(a_map(data={"a": "1"}))
    seen = the_map(cluster)
    cluster.delete(MAP, "shop", seen["metadata"]["uid"])
    with pytest.raises(Conflict):
        cluster.apply(a_map(data={"a": "2"}), seen)

    cluster.apply(a_map(data={"a": "3"}))
    with pytest.raises(Conflict):
        cluster.delete(MAP, "shop", seen["metadata"]["uid"])
    assert the_map(cluster)["data"] == {"a": "3"}


def test_what_is_read_is_a_copy(cluster: MemoryCluster) -> None:
    cluster.create(a_map(data={"a": "1"}))
    the_map(cluster)["data"]["a"] = "2"

    assert the_map(cluster)["data"] == {"a": "1"}


def test_lists_select_by_labels_and_namespace(cluster: MemoryCluster) -> None:
    cluster.create(a_map("a", labels={"x": "1", "y": "1"}))
    cluster.create(a_map("b", labels={"x": "1"}))

    def names(*labels: tuple[str, str], namespace: str | None = "shop") -> list[str]:
        return [one["metadata"]["name"] for one in cluster.list(Listing("v1", "ConfigMap", labels), namespace)]

    assert names(("x", "1")) == ["a", "b"]
    assert names(("x", "1"), ("y", "1")) == ["a"]
    assert names(namespace="other") == []
    assert names(namespace=None) == ["a", "b"]


def test_the_owned_go_with_their_owner(cluster: MemoryCluster) -> None:
    cluster.create(a_map("owner"))
    uid = cluster.objects("ConfigMap")["owner"]["metadata"]["uid"]
    cluster.create(a_map("child", ownerReferences=[{"uid": uid}]))
    cluster.delete(Ref("v1", "ConfigMap", "owner"), "shop", uid)

    assert cluster.objects("ConfigMap") == {}


def test_finalizers_hold_a_deletion_until_they_are_gone(cluster: MemoryCluster) -> None:
    cluster.create(a_map(finalizers=["assay.dev/undo"]))
    cluster.delete(MAP, "shop", the_map(cluster)["metadata"]["uid"])
    held = the_map(cluster)
    assert held["metadata"]["deletionTimestamp"]

    del held["metadata"]["finalizers"]
    cluster.create(held)
    assert cluster.get(MAP, "shop") is None


def test_trouble_comes_at_the_call_it_was_ordered_for(cluster: MemoryCluster) -> None:
    cluster.fail(2, ApiUnavailable("away"))
    cluster.apply(a_map("a"))

    with pytest.raises(ApiUnavailable):
        cluster.apply(a_map("b"))
    cluster.apply(a_map("c"))
    assert set(cluster.objects("ConfigMap")) == {"a", "c"}


def test_trouble_can_come_after_the_deed(cluster: MemoryCluster) -> None:
    cluster.fail(1, Crash(), done=True)

    with pytest.raises(Crash):
        cluster.apply(a_map("a"))
    assert set(cluster.objects("ConfigMap")) == {"a"}


def test_pods_become_ready_except_where_they_are_broken(cluster: MemoryCluster) -> None:
    cluster.apply(a_router(2))
    cluster.settle()
    assert cluster.objects("Deployment")["m-router"]["status"]["readyReplicas"] == 2
    assert set(cluster.objects("Pod")) == {"m-router-0", "m-router-1"}

    cluster.apply(a_router(1))
    cluster.settle(broken=["m-router"])
    assert "readyReplicas" not in cluster.objects("Deployment")["m-router"]["status"]
    assert set(cluster.objects("Pod")) == {"m-router-0"}


def test_routers_acknowledge_the_split_except_the_deaf(cluster: MemoryCluster) -> None:
    cluster.apply(a_router(2))
    cluster.apply(a_map("m-router", data={"split.json": json.dumps({"generation": 3})}))
    cluster.apply(a_map("m-router-acks"))
    cluster.settle(deaf=["m-router-1"])

    assert cluster.objects("ConfigMap")["m-router-acks"]["data"] == {"m-router-0": "3"}


def test_measurements_belong_to_their_deployment_and_can_fail() -> None:
    metrics = MemoryMetrics()
    mine = {"namespace": "shop", "assay_deployment": "m", "code": "5", "pod": "a"}
    metrics.add("requests", mine, 1.0, 10)
    metrics.add("requests", mine, 2.0, 12)
    metrics.add("requests", {**mine, "assay_deployment": "other"}, 1.0, 99)

    found = metrics.series(Query("requests", (("code", "5"),)), "shop", "m")
    assert found == (Series(mine, ((1.0, 10), (2.0, 12))),)
    assert metrics.series(Query("requests", (("code", "2"),)), "shop", "m") == ()

    metrics.outage = "away"
    assert metrics.series(Query("requests"), "shop", "m") == Missing("away")
