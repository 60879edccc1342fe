"""The API server takes the generated CRDs, and refuses and accepts what the operator's own models do."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from pydantic import ValidationError

from assay.api.base import GROUP, VERSION, Manifest
from assay.api.modeldeployment import ModelDeployment
from assay.sandbox.cluster import kubectl
from assay.sandbox.layout import Layout
from drawing import model_deployments
from modeldeployments import REFUSED, WRONG, Wrong, written

CRDS = Path(__file__).parents[2] / "crds"
NAMESPACE = "rules"  # stays empty: all is asked by dry runs
OF_CEL = ("evaluation error", "no such key", "type conversion")
"""What the API server says when a rule of ours fails by itself."""


class Server:
    """The API server, asked by dry runs."""

    def __init__(self, api: client.ApiClient) -> None:
        self._objects = client.CustomObjectsApi(api)

    def complaint(self, manifest: Manifest) -> str:
        """Return what the API server says is wrong, empty where it would take the manifest."""
        try:
            self._objects.create_namespaced_custom_object(
                GROUP, VERSION, NAMESPACE, "modeldeployments", manifest, dry_run="All"
            )
        except ApiException as error:
            answer = json.loads(error.body or "{}")
            assert answer["reason"] == "Invalid"
            return str(answer["message"])
        return ""


@pytest.fixture(scope="module")
def server(sandbox: Layout) -> Server:
    kubectl(sandbox, "apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    kubectl(sandbox, "wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    kubectl(sandbox, "apply", "--server-side", "-f", "-", given=json.dumps(space))
    return Server(config.new_client_from_config(str(sandbox.kubeconfig)))  # type: ignore[no-untyped-call]


def accepted(manifest: Manifest) -> bool:
    """Return whether the operator itself would accept a manifest."""
    try:
        ModelDeployment.model_validate(manifest)
    except ValidationError:
        return False
    return True


@pytest.mark.usefixtures("server")
def test_what_is_right_is_taken_and_gets_the_same_defaults(sandbox: Layout) -> None:
    answer = kubectl(
        sandbox, "create", "--dry-run=server", "-n", NAMESPACE, "-o", "json", "-f", "-", given=json.dumps(written())
    )

    assert ModelDeployment.model_validate(json.loads(answer)).spec == ModelDeployment.model_validate(written()).spec


@pytest.mark.parametrize("wrong", [pytest.param(one, id=name) for name, one in WRONG.items()])
def test_a_broken_rule_is_answered_with_its_field_and_one_sentence(server: Server, wrong: Wrong) -> None:
    said = server.complaint(wrong.manifest)

    assert wrong.sentence in said
    assert wrong.field in said
    assert not any(words in said for words in OF_CEL)


@pytest.mark.parametrize("manifest", [pytest.param(one, id=name) for name, one in REFUSED.items()])
def test_what_is_no_value_of_the_field_is_refused(server: Server, manifest: Manifest) -> None:
    assert server.complaint(manifest)


@given(manifest=model_deployments())
@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_the_server_accepts_exactly_what_the_operator_accepts(server: Server, manifest: Manifest) -> None:
    said = server.complaint(manifest)

    assert accepted(manifest) == (said == ""), said
    assert not any(words in said for words in OF_CEL)


@pytest.mark.usefixtures("server")
def test_kubectl_explains_every_field_with_its_default(sandbox: Layout) -> None:
    said = kubectl(sandbox, "explain", "modeldeployment.spec.analysis", "--recursive=false")

    assert "Chance that the whole rollout rolls back a candidate that is not worse" in said
    assert "<string>" in said


@pytest.mark.usefixtures("server")
def test_a_release_is_found_by_its_category_and_short_name(sandbox: Layout) -> None:
    listed = kubectl(sandbox, "api-resources", "--categories=assay", "--no-headers")

    assert listed.split()[:3] == ["modeldeployments", "mdep", f"{GROUP}/{VERSION}"]
