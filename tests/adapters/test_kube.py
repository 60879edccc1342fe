"""The real client against a scripted API server."""

import inspect
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
import urllib3
from kubernetes import client
from kubernetes.client import exceptions as theirs
from kubernetes.config import ConfigException

from adapters.script import Script
from assay.adapters.kube import KubeCluster, connect
from assay.api.base import Manifest
from assay.core import errors as ours
from assay.core.decision import Listing, Note, Ref

CHILD = Ref("apps/v1", "Deployment", "flights-0a1b2c3d")
MANIFEST: Manifest = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "flights-0a1b2c3d", "namespace": "shop"},
    "spec": {"replicas": 2},
}
RESOURCE: Manifest = {
    "apiVersion": "assay.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "flights", "namespace": "shop", "resourceVersion": "41", "uid": "u-1"},
    "spec": {"replicas": 1},
}


def stored(version: str) -> Manifest:
    return {**MANIFEST, "metadata": {**MANIFEST["metadata"], "resourceVersion": version}}


@pytest.fixture
def api(server: Script) -> Iterator[client.ApiClient]:
    settings = client.Configuration(host=server.url, api_key={"BearerToken": "Bearer secret"})
    settings.retries = False
    with client.ApiClient(settings) as api:
        yield api


@pytest.fixture
def calls() -> list[tuple[str, str, str]]:
    return []


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def cluster(api: client.ApiClient, calls: list[tuple[str, str, str]], now: list[float]) -> KubeCluster:
    return KubeCluster(api, lambda *call: calls.append(call), lambda: now[0])


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
    server.says(404, {})
    cluster.get(Ref("v1", "ConfigMap", "../secrets/x"), "shop")

    assert server.last[1] == "/api/v1/namespaces/shop/configmaps/..%2Fsecrets%2Fx"


def test_list_reads_all_pages_and_says_what_the_items_are(cluster: KubeCluster, server: Script) -> None:
    server.says(200, {"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "next"}})
    server.says(200, {"items": [{"metadata": {"name": "b"}}], "metadata": {}})

    found = cluster.list(Listing("v1", "Pod", (("app", "x"), ("tier", "y"))), "shop")

    assert [(one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in found] == [
        ("v1", "Pod", "a"),
        ("v1", "Pod", "b"),
    ]
    assert server.requests[0][2] == {"labelSelector": ["app=x,tier=y"], "limit": ["500"]}
    assert server.requests[1][2]["continue"] == ["next"]


def test_list_can_read_all_namespaces(cluster: KubeCluster, server: Script) -> None:
    server.says(200, {"items": [], "metadata": {}})
    cluster.list(Listing("assay.dev/v1alpha1", "ModelDeployment", ()), None)

    assert server.last[1] == "/apis/assay.dev/v1alpha1/modeldeployments"


def test_listing_a_kind_that_is_not_installed_is_no_empty_list(cluster: KubeCluster, server: Script) -> None:
    server.says(404, {})

    with pytest.raises(ours.ApiUnavailable):
        cluster.list(Listing("assay.dev/v1alpha1", "ModelDeployment", ()), None)


def test_apply_is_a_forced_server_side_apply_of_our_field_manager(
    cluster: KubeCluster, server: Script, calls: list[tuple[str, str, str]]
) -> None:
    server.says(200, stored("8"))
    cluster.apply(MANIFEST)

    method, path, query, headers, body = server.last
    assert (method, path) == ("PATCH", "/apis/apps/v1/namespaces/shop/deployments/flights-0a1b2c3d")
    assert query == {"fieldManager": ["assay"], "force": ["true"]}
    assert headers["Content-Type"] == "application/apply-patch+yaml"
    assert json.loads(body) == MANIFEST
    assert calls == [("patch", "deployments", "200")]


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
    cluster.apply(MANIFEST)
    now[0] = 59.9
    cluster.apply(MANIFEST)
    assert len(server.requests) == 1
    now[0] = 60.0
    cluster.apply(MANIFEST)
    assert len(server.requests) == 2
    cluster.apply({**MANIFEST, "spec": {"replicas": 3}})
    assert len(server.requests) == 3


def test_a_deleted_object_is_written_again(cluster: KubeCluster, server: Script) -> None:
    server.says(200, stored("8"))
    cluster.apply(MANIFEST)
    cluster.delete(CHILD, "shop")
    cluster.apply(MANIFEST)

    assert [request[0] for request in server.requests] == ["PATCH", "DELETE", "PATCH"]


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
        cluster.replace(MANIFEST)


def test_delete_takes_the_children_along_and_does_not_mind_absence(cluster: KubeCluster, server: Script) -> None:
    server.says(404, {})
    cluster.delete(CHILD, "shop")

    assert json.loads(server.last[4])["propagationPolicy"] == "Background"


def test_events_are_about_the_object(cluster: KubeCluster, server: Script) -> None:
    server.says(201, {})
    cluster.post_event(RESOURCE, Note("Warning", "RolledBack", "x" * 2000), datetime(2013, 1, 1, tzinfo=UTC))

    event = json.loads(server.last[4])
    assert server.last[1] == "/apis/events.k8s.io/v1/namespaces/shop/events"
    assert event["regarding"]["uid"] == "u-1"
    assert (event["type"], event["reason"], len(event["note"])) == ("Warning", "RolledBack", 1024)
    assert event["eventTime"] == "2013-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ours.InvalidSpec),
        (401, ours.Forbidden),
        (403, ours.Forbidden),
        (405, ours.ApiUnavailable),
        (409, ours.Conflict),
        (410, ours.ApiUnavailable),
        (413, ours.InvalidSpec),
        (415, ours.ApiUnavailable),
        (422, ours.InvalidSpec),
        (429, ours.ApiUnavailable),
        (500, ours.ApiUnavailable),
        (503, ours.ApiUnavailable),
        (504, ours.ApiUnavailable),
    ],
)
def test_every_refusal_becomes_an_error_of_ours_with_the_servers_sentence(
    cluster: KubeCluster, server: Script, status: int, error: type[ours.AssayError]
) -> None:
    server.says(status, {"kind": "Status", "message": "spec.replicas: must not be negative"})

    with pytest.raises(error, match=r"patch deployments.*spec\.replicas: must not be negative"):
        cluster.apply(MANIFEST)


@pytest.mark.parametrize(
    "said",
    [
        'failed to create typed patch object (shop/m; apps/v1, Kind=Deployment): .spec.template.spec.containers[name="x"].prots: field not declared in schema',
        "failed to convert new object (shop/m; apps/v1, Kind=Deployment) to proper version: quantities must match",
    ],
)
def test_a_template_that_apply_cannot_read_is_the_users_to_mend(
    cluster: KubeCluster, server: Script, said: str
) -> None:
    server.says(500, {"kind": "Status", "message": said})

    with pytest.raises(ours.InvalidSpec, match="refused to patch deployments"):
        cluster.apply(MANIFEST)


def test_a_namespace_that_is_being_deleted_is_no_missing_right(cluster: KubeCluster, server: Script) -> None:
    causes = [{"reason": "NamespaceTerminating", "message": "namespace shop is being terminated", "field": "metadata"}]
    server.says(403, {"kind": "Status", "message": "unable to create new content", "details": {"causes": causes}})

    with pytest.raises(ours.ApiUnavailable):
        cluster.apply(MANIFEST)


def test_a_refusal_without_a_sentence_names_its_number(cluster: KubeCluster, server: Script) -> None:
    server.says(500, ["what"])

    with pytest.raises(ours.ApiUnavailable, match="500"):
        cluster.get(CHILD, "shop")


def test_an_answer_that_is_no_json_is_no_answer(
    cluster: KubeCluster, server: Script, calls: list[tuple[str, str, str]]
) -> None:
    server.says(502, b"<html>Bad gateway</html>")

    with pytest.raises(ours.ApiUnavailable):
        cluster.get(CHILD, "shop")
    assert calls == [("get", "deployments", "502")]


def test_a_server_that_does_not_listen_is_unavailable(calls: list[tuple[str, str, str]]) -> None:
    settings = client.Configuration(host="http://127.0.0.1:1")
    settings.retries = False
    with client.ApiClient(settings) as api, pytest.raises(ours.ApiUnavailable, match="did not answer"):
        KubeCluster(api, lambda *call: calls.append(call)).get(CHILD, "shop")
    assert calls == [("get", "deployments", "error")]


def made(kind: type[Exception]) -> Exception:
    """Return an exception of the library without knowing its signature."""
    error = kind.__new__(kind)
    error.__dict__.update(status=0, reason="it broke", headers=None, body=None, data=None, partial=b"", expected=1)
    Exception.__init__(error, "it broke")
    return error


def exceptions_of(*modules: ModuleType) -> Iterator[type[Exception]]:
    for module in modules:
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Exception) and not issubclass(kind, Warning):
                yield kind


FOREIGN: set[type[Exception]] = {*exceptions_of(theirs, urllib3.exceptions), ConfigException, OSError, ValueError}


@pytest.mark.parametrize("kind", sorted(FOREIGN, key=str))
def test_every_exception_of_the_client_library_is_translated(
    cluster: KubeCluster, api: client.ApiClient, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise made(kind)

    monkeypatch.setattr(api, "call_api", broken)

    with pytest.raises(ours.ApiUnavailable, match="get deployments"):
        cluster.get(CHILD, "shop")


def test_every_call_has_a_timeout(cluster: KubeCluster, api: client.ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts: list[float | None] = []

    def broken(*_args: object, _request_timeout: float | None = None) -> None:
        timeouts.append(_request_timeout)
        raise OSError("stop here")

    monkeypatch.setattr(api, "call_api", broken)
    for call in (
        lambda: cluster.get(CHILD, "shop"),
        lambda: cluster.list(Listing("v1", "Pod", ()), "shop"),
        lambda: cluster.apply(MANIFEST),
        lambda: cluster.replace(RESOURCE),
        lambda: cluster.delete(CHILD, "shop"),
        lambda: cluster.save_status(RESOURCE, {}),
        lambda: cluster.post_event(RESOURCE, Note("Normal", "A", "b"), datetime(2013, 1, 1, tzinfo=UTC)),
    ):
        with pytest.raises(ours.ApiUnavailable):
            call()

    assert timeouts == [10.0] * 7


def test_without_a_cluster_the_message_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))

    with pytest.raises(ours.InvalidSpec, match="KUBECONFIG"):
        connect(threads=1)
