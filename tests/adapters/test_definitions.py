"""The definitions are applied where they are older, and left where they are newer."""

import copy
import json
from typing import Any

import pytest
from kubernetes import client

from adapters.script import Script
from assay.adapters import definitions
from assay.adapters.apiserver import ApiServer
from assay.adapters.kube import KubeCluster
from assay.api import crd, served
from assay.core.errors import InvalidSpec

NAME = "modeldeployments.assay.dev"


@pytest.fixture
def here(api: client.ApiClient) -> ApiServer:
    return ApiServer(api, lambda _verb, _resource, _code: None)


def definition(**changes: dict[str, Any]) -> dict[str, Any]:
    """Our definition, with fields of the status added, replaced, or taken away where they are empty."""
    (made,) = (copy.deepcopy(one) for one in crd.crds() if one["metadata"]["name"] == NAME)
    fields = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    fields |= changes
    for name in [name for name, schema in changes.items() if not schema]:
        del fields[name]
    return made


@pytest.mark.parametrize("there", [definition(), definition(stage={}), definition(stage={"enum": ["Stable"]})])
def test_an_equal_or_older_definition_is_replaced_by_server_side_apply(
    here: ApiServer, server: Script, there: dict[str, Any]
) -> None:
    server.says(200, there)

    assert list(definitions.apply(here)) == [f"{NAME} applied."]
    method, path, query, headers, body = server.last
    assert (method, path) == ("PATCH", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{NAME}")
    assert query == {"fieldManager": ["helm"], "force": ["true"]}
    assert headers["Content-Type"] == "application/apply-patch+yaml"
    assert json.loads(body) == definition()


def test_a_newer_definition_is_left_so_that_nothing_stored_is_lost(here: ApiServer, server: Script) -> None:
    server.says(200, definition(evidenceOfTomorrow={"type": "string"}))

    assert list(definitions.apply(here)) == [f"{NAME} is of a newer release; left as it is."]
    assert [method for method, *_ in server.requests] == ["GET"]


def test_a_definition_with_a_version_that_we_do_not_know_is_newer(here: ApiServer, server: Script) -> None:
    there = definition()
    there["spec"]["versions"].append({"name": "v1", "schema": {"openAPIV3Schema": {}}})
    server.says(200, there)

    assert list(definitions.apply(here)) == [f"{NAME} is of a newer release; left as it is."]


def test_of_two_that_each_lack_something_none_is_chosen(here: ApiServer, server: Script) -> None:
    server.says(200, definition(stage={}, mine={"type": "string"}))

    with pytest.raises(
        InvalidSpec, match=r"has status\.mine, which .* not know, and lacks status\.stage, which it needs"
    ):
        list(definitions.apply(here))
    assert [method for method, *_ in server.requests] == ["GET"]


def test_what_is_not_there_is_created_or_left_to_whoever_installs(here: ApiServer, server: Script) -> None:
    server.says(404, {})

    assert list(definitions.apply(here, only_existing=True)) == [f"{NAME} is not there; left to whoever installs it."]
    server.says(200, definition())
    assert list(definitions.apply(here)) == [f"{NAME} applied."]


def test_the_schemas_are_read_from_what_the_api_server_publishes(cluster: KubeCluster, server: Script) -> None:
    schema = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    named = {
        "x-kubernetes-group-version-kind": [{"group": "assay.dev", "version": "v1alpha1", "kind": "ModelDeployment"}]
    }
    server.says(200, {"components": {"schemas": {"dev.assay.v1alpha1.ModelDeployment": schema | named, "other": {}}}})

    found = cluster.schemas()

    assert server.last[:2] == ("GET", "/openapi/v3/apis/assay.dev/v1alpha1")
    assert set(found) == {"ModelDeployment"}
    assert served.outdated(found) is None


def test_where_the_group_is_not_served_the_sentence_says_how_to_install_it(
    cluster: KubeCluster, server: Script
) -> None:
    server.says(404, {})

    assert served.outdated(cluster.schemas()) == (
        f"The CustomResourceDefinition {NAME} is not in this cluster; apply it:"
        " assay crds | kubectl apply --server-side --force-conflicts -f -"
    )
