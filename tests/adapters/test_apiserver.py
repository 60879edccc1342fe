"""The real client against a scripted API server: what its answers mean, and what happens where there is none."""

import inspect
from collections.abc import Iterator
from datetime import UTC, datetime
from types import ModuleType

import pytest
import urllib3
from kubernetes import client
from kubernetes.client import exceptions as theirs
from kubernetes.config import ConfigException

from adapters.child import CHILD, stored
from adapters.script import Script
from assay.adapters.kube import KubeCluster
from assay.core import errors as ours
from assay.core.decision import Listing, Note

SEEN = stored("7")


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
        cluster.apply(SEEN, SEEN)


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
        cluster.apply(SEEN, SEEN)


def test_a_namespace_that_is_being_deleted_is_no_missing_right(cluster: KubeCluster, server: Script) -> None:
    causes = [{"reason": "NamespaceTerminating", "message": "namespace shop is being terminated", "field": "metadata"}]
    server.says(403, {"kind": "Status", "message": "unable to create new content", "details": {"causes": causes}})

    with pytest.raises(ours.ApiUnavailable):
        cluster.apply(SEEN, SEEN)


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
        lambda: cluster.apply(SEEN, SEEN),
        lambda: cluster.apply(SEEN),
        lambda: cluster.delete(CHILD, "shop", "u-7"),
        lambda: cluster.save_status(SEEN, {}),
        lambda: cluster.post_event(SEEN, Note("Normal", "A", "b"), datetime(2013, 1, 1, tzinfo=UTC)),
    ):
        with pytest.raises(ours.ApiUnavailable):
            call()

    assert timeouts == [10.0] * 7
