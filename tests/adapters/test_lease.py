"""The Lease, through the real client and a scripted API server."""

import json

import pytest
from kubernetes import client

from adapters.script import Script
from assay.adapters.lease import KubeLease
from assay.core.errors import ApiUnavailable, Conflict, Forbidden

PATH = "/apis/coordination.k8s.io/v1/namespaces/assay-system/leases"
SPEC = {"holderIdentity": "a", "leaseDurationSeconds": 15}


@pytest.fixture
def lease(api: client.ApiClient, calls: list[tuple[str, str, str]]) -> KubeLease:
    return KubeLease(api, lambda *call: calls.append(call), "assay-system", "assay")


def test_one_that_is_not_there_is_created(lease: KubeLease, server: Script, calls: list[tuple[str, str, str]]) -> None:
    server.says(404, {"kind": "Status"})
    server.says(201, {})

    assert lease.read() is None
    lease.write({"spec": SPEC})

    method, path, _, _, body = server.last
    assert (method, path) == ("POST", PATH)
    assert json.loads(body) == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "assay", "namespace": "assay-system"},
        "spec": SPEC,
    }
    assert calls == [("get", "leases", "404"), ("create", "leases", "201")]


def test_one_that_is_there_is_replaced_if_it_is_as_it_was_read(lease: KubeLease, server: Script) -> None:
    meta = {"name": "assay", "namespace": "assay-system", "resourceVersion": "7"}
    server.says(200, {"metadata": meta, "spec": {}})
    server.says(409, {"message": "the object has been modified"})
    found = lease.read()
    assert found is not None

    with pytest.raises(Conflict, match="update leases"):
        lease.write({**found, "spec": SPEC})

    method, path, _, _, body = server.last
    assert (method, path) == ("PUT", f"{PATH}/assay")
    assert json.loads(body)["metadata"] == meta


def test_a_faster_one_is_a_conflict_and_a_missing_namespace_an_error(lease: KubeLease, server: Script) -> None:
    server.says(409, {"message": "already exists"})
    server.says(404, {"message": "namespaces not found"})
    server.says(403, {"message": "no"})

    with pytest.raises(Conflict):
        lease.write({"spec": SPEC})
    with pytest.raises(ApiUnavailable, match="its namespace is not there"):
        lease.write({"spec": SPEC})
    with pytest.raises(Forbidden, match="May not get leases"):
        lease.read()
