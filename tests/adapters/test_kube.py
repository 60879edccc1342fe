"""The real client against a scripted API server: what is asked of it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.child import CHILD, MANIFEST, applied, stored
from adapters.script import Script
from assay.adapters.kube import KubeCluster, connect
from assay.api.base import Manifest
from assay.core import errors as ours
from assay.core.decision import Listing, Note, Ref

RESOURCE: Manifest = {
    "apiVersion": "assay.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "flights", "namespace": "shop", "resourceVersion": "41", "uid": "u-1"},
    "spec": {"replicas": 1},
}


def test_get_returns_the_object_as_plain_json(
    cluster: KubeCluster, server: Script, calls: list[tuple[str, str, str]]
) -> None:
    server.says(200, stored("7"))

    assert cluster.get(CHILD, "shop") == stored("7")
    method, path, _, headers, _ = server.last
    assert (method, path) == ("GET", "/apis/apps/v1/namespaces/shop/deployments/flights-0a1b2c3d")
    assert headers["authorization"] == "Bearer secret"
    assert calls == [("get", "deployments", "200")]


def test_get_returns_none_for_what_is_not_there(
    cluster: KubeCluster, server: Script, calls: list[tuple[str, str, str]]
) -> None:
    server.says(404, {"kind": "Status", "message": "not found"})

    assert cluster.get(CHILD, "shop") is None
    assert calls == [("get", "deployments", "404")]


def test_core_objects_live_below_api_v1(cluster: KubeCluster, server: Script) -> None:
    server.says(404, {})
    cluster.get(Ref("v1", "ConfigMap", "flights-router"), "shop")

    assert server.last[1] == "/api/v1/namespaces/shop/configmaps/flights-router"


def test_names_cannot_reach_another_path(cluster: KubeCluster, server: Script) -> None:
    for name in ("../secrets/x", "..", "a/b", "", "x" * 254):
        assert cluster.get(Ref("v1", "ConfigMap", name), "shop") is None

    server.says(200, stored("7"))
    cluster.apply({**MANIFEST, "metadata": {**MANIFEST["metadata"], "name": "../secrets/x"}}, stored("7"))
    assert server.last[1] == "/apis/apps/v1/namespaces/shop/deployments/..%2Fsecrets%2Fx"


def test_list_reads_all_pages_and_says_what_the_items_are(cluster: KubeCluster, server: Script) -> None:
    server.says(200, {"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "next"}})
    server.says(200, {"items": [{"metadata": {"name": "b"}}], "metadata": {}})

    found = cluster.list(Listing("v1", "Pod", (("app", "x"), ("tier", "y"))), "shop")

    assert [(one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in found] == [
        ("v1", "Pod", "a"),
        ("v1", "Pod", "b"),
    ]
    assert server.requests[0][2] == {"labelSelector": ["app=x,tier=y"], "limit": ["100"]}
    assert server.requests[1][2]["continue"] == ["next"]


def test_names_reads_all_pages(cluster: KubeCluster, server: Script) -> None:
    for name in ("a", "b"):
        meta = {"namespace": "shop", "name": name}
        server.says(200, {"items": [{"metadata": meta}], "metadata": {"continue": "next"}})
    server.says(200, {"items": [], "metadata": {}})

    found = cluster.names(Listing("assay.dev/v1alpha1", "ModelDeployment", ()), None)

    assert found == {("shop", "a"), ("shop", "b")}


def test_list_can_read_all_namespaces(cluster: KubeCluster, server: Script) -> None:
    server.says(200, {"items": [], "metadata": {}})
    cluster.list(Listing("assay.dev/v1alpha1", "ModelDeployment", ()), None)

    assert server.last[1] == "/apis/assay.dev/v1alpha1/modeldeployments"


def test_listing_a_kind_that_is_not_installed_is_no_empty_list(cluster: KubeCluster, server: Script) -> None:
    server.says(404, {})

    with pytest.raises(ours.ApiUnavailable):
        cluster.list(Listing("assay.dev/v1alpha1", "ModelDeployment", ()), None)


def test_apply_is_a_forced_server_side_apply_of_our_field_manager_to_the_object_that_was_seen(
    cluster: KubeCluster, server: Script, calls: list[tuple[str, str, str]]
) -> None:
    server.says(200, stored("8"))
    cluster.apply(MANIFEST, stored("7"))

    method, path, query, headers, body = server.last
    assert (method, path) == ("PATCH", "/apis/apps/v1/namespaces/shop/deployments/flights-0a1b2c3d")
    assert query == {"fieldManager": ["assay"], "force": ["true"]}
    assert headers["Content-Type"] == "application/apply-patch+yaml"
    assert json.loads(body) == {**MANIFEST, "metadata": {**MANIFEST["metadata"], "uid": "u-7"}}
    assert calls == [("patch", "deployments", "200")]


def test_a_guarded_apply_holds_only_for_the_version_that_was_seen(cluster: KubeCluster, server: Script) -> None:
    server.says(409, {"message": "the object has been modified"})

    with pytest.raises(ours.Conflict):
        cluster.apply(MANIFEST, stored("7"), guarded=True)

    assert applied(server)["metadata"]["resourceVersion"] == "7"


def test_apply_leaves_out_a_write_only_when_it_is_known_to_change_nothing(cluster: KubeCluster, server: Script) -> None:
    server.says(200, stored("8"))
    cluster.apply(MANIFEST, stored("7"))
    assert len(server.requests) == 1

    cluster.apply(MANIFEST, stored("8"))
    assert len(server.requests) == 1, "the same manifest on the version that it resulted in"
    cluster.apply(MANIFEST, stored("9"))
    assert len(server.requests) == 2, "somebody wrote since"
    cluster.apply({**MANIFEST, "spec": {"replicas": 3}}, stored("8"))
    assert len(server.requests) == 3, "another manifest"


def test_what_nobody_reads_is_written_again_after_a_minute(
    cluster: KubeCluster, server: Script, now: list[float]
) -> None:
    server.says(200, stored("8"))
    cluster.apply(MANIFEST, stored("7"))
    now[0] = 59.9
    cluster.apply(MANIFEST)
    assert len(server.requests) == 1
    now[0] = 60.0
    cluster.apply(MANIFEST)
    assert len(server.requests) == 2
    cluster.apply({**MANIFEST, "spec": {"replicas": 3}})
    assert len(server.requests) == 3


def test_what_was_looked_for_and_is_not_there_is_created_with_one_request(cluster: KubeCluster, server: Script) -> None:
    server.says(201, stored("8"))
    cluster.apply(MANIFEST, absent=True)

    assert len(server.requests) == 1
    assert applied(server)["metadata"]["resourceVersion"] == "1", "it passes only where there is still nothing"


def test_children_of_what_is_gone_are_forgotten(cluster: KubeCluster, server: Script) -> None:
    server.says(200, stored("8"))
    for number in range(50):
        owner = {"kind": "ModelDeployment", "name": f"m-{number}", "uid": f"u-{number}", "controller": True}
        meta = {"name": f"m-{number}-0a1b2c3d", "namespace": "shop", "ownerReferences": [owner]}
        cluster.apply({**MANIFEST, "metadata": meta}, absent=True)
    cluster.apply(MANIFEST, absent=True)
    server.answers = [(404, {})]
    for number in range(50):
        cluster.get(Ref("assay.dev/v1alpha1", "ModelDeployment", f"m-{number}"), "shop")
    cluster.get(Ref("assay.dev/v1alpha1", "ModelDeployment", "flights"), "another")

    assert [key[-1] for key in cluster._applied] == [MANIFEST["metadata"]["name"]]


def test_a_deleted_object_is_written_again(cluster: KubeCluster, server: Script) -> None:
    server.says(200, stored("8"))
    cluster.apply(MANIFEST, stored("7"))
    cluster.delete(CHILD, "shop", "u-7")
    server.answers = [(404, {}), (201, stored("9"))]
    cluster.apply(MANIFEST)

    assert [request[0] for request in server.requests] == ["PATCH", "DELETE", "PATCH", "PATCH"]
    assert applied(server)["metadata"]["resourceVersion"] == "1"


def test_status_is_replaced_under_the_version_that_was_read(
    cluster: KubeCluster, server: Script, calls: list[tuple[str, str, str]]
) -> None:
    server.says(200, RESOURCE)
    cluster.save_status(RESOURCE, {"stage": "Stable"})

    method, path, query, headers, body = server.last
    assert (method, path) == ("PUT", "/apis/assay.dev/v1alpha1/namespaces/shop/modeldeployments/flights/status")
    assert query == {"fieldManager": ["assay"]}
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {**RESOURCE, "status": {"stage": "Stable"}}
    assert calls == [("update", "modeldeployments/status", "200")]


def test_an_object_called_status_is_not_taken_for_the_subresource(
    cluster: KubeCluster, server: Script, calls: list[tuple[str, str, str]]
) -> None:
    server.says(404, {})
    cluster.get(Ref("v1", "ConfigMap", "status"), "shop")

    assert calls == [("get", "configmaps", "404")]


def test_a_write_to_what_is_gone_or_was_never_read_is_a_conflict(cluster: KubeCluster, server: Script) -> None:
    server.says(404, {})

    with pytest.raises(ours.Conflict):
        cluster.save_status(RESOURCE, {})
    with pytest.raises(ours.Conflict):
        cluster.save_status(MANIFEST, {})


def test_delete_takes_the_children_along_and_does_not_mind_absence(cluster: KubeCluster, server: Script) -> None:
    server.says(404, {})
    cluster.delete(CHILD, "shop", "u-7")

    options = json.loads(server.last[4])
    assert options["propagationPolicy"] == "Background"
    assert options["preconditions"] == {"uid": "u-7"}


def test_events_are_about_the_object(cluster: KubeCluster, server: Script) -> None:
    server.says(201, {})
    cluster.post_event(RESOURCE, Note("Warning", "RolledBack", "x" * 2000), datetime(2013, 1, 1, tzinfo=UTC))

    event = json.loads(server.last[4])
    assert server.last[1] == "/apis/events.k8s.io/v1/namespaces/shop/events"
    assert event["regarding"]["uid"] == "u-1"
    assert (event["type"], event["reason"], len(event["note"])) == ("Warning", "RolledBack", 1024)
    assert event["eventTime"] == "2013-01-01T00:00:00.000000Z"


def test_without_a_cluster_the_message_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))

    with pytest.raises(ours.InvalidSpec, match="KUBECONFIG"):
        connect(threads=1)
