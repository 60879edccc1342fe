"""Are the children what Kubernetes, the router and least rights ask for?"""

import json
from typing import Any

import pytest

from assay.api.base import Manifest
from assay.api.modeldeployment import ModelDeployment
from assay.core import manifests, revisions, router_manifests
from assay.core.decision import Ref
from assay.core.manifests import ManifestOptions
from assay.core.references import references
from assay.core.split import Backend, Split
from core.simulation import a_spec


def a_resource(**changes: Any) -> ModelDeployment:
    metadata = {"name": "m", "namespace": "ns", "uid": "u"}
    return ModelDeployment.model_validate({"metadata": metadata, "spec": a_spec("1", **changes)})


def children(resource: ModelDeployment) -> list[Manifest]:
    recorded = revisions.record(resource.spec, 1)
    split = Split(deployment="m", generation=3, backends=(Backend(revision=recorded.revision, weight=100),))
    options = ManifestOptions(router_image="router:1")
    return [
        manifests.controller_revision(resource, recorded),
        manifests.model_deployment(resource, recorded, 2),
        manifests.revision_service(resource, recorded),
        *manifests.services(resource, recorded, None),
        router_manifests.split_config_map(resource, split),
        *router_manifests.router_pods(resource, options),
        *router_manifests.router_rights(resource),
    ]


def one(kind: str, name: str, **changes: Any) -> Manifest:
    return next(it for it in children(a_resource(**changes)) if (it["kind"], it["metadata"]["name"]) == (kind, name))


def pod(**changes: Any) -> Manifest:
    """The template of the model's pods."""
    found = (it for it in children(a_resource(**changes)) if it["kind"] == "Deployment")
    template: Manifest = next(found)["spec"]["template"]
    return template


def test_every_child_belongs_to_the_model_deployment_and_is_found_by_its_label() -> None:
    for child in children(a_resource()):
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("ModelDeployment", "u", True)
        assert child["metadata"]["labels"]["assay.dev/deployment"] == "m"
        assert child["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "assay"
        assert child["metadata"]["namespace"] == "ns"


def test_no_child_shares_its_name_with_another_of_its_kind() -> None:
    names = [(it["kind"], it["metadata"]["name"]) for it in children(a_resource())]

    assert len(set(names)) == len(names)


def test_a_model_pod_is_the_users_template_with_our_labels_environment_and_probe() -> None:
    spec = pod(model__uri="s3://m")

    assert spec["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "assay",
        "app.kubernetes.io/component": "model",
        "assay.dev/deployment": "m",
        "assay.dev/revision": spec["metadata"]["labels"]["assay.dev/revision"],
    }
    (container,) = spec["spec"]["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment["ASSAY_MODEL_URI"] == "s3://m"
    assert environment["ASSAY_REVISION"] == spec["metadata"]["labels"]["assay.dev/revision"]
    assert "ASSAY_MODEL_DIGEST" not in environment
    assert container["readinessProbe"]["httpGet"] == {"path": "/v2/health/ready", "port": 8080}


def test_the_users_probe_and_environment_are_kept_but_ours_win() -> None:
    mine = {"tcpSocket": {"port": 1}}
    env = [{"name": "A", "value": "b"}, {"name": "ASSAY_REVISION", "value": "forged"}]
    container = {"name": "model", "image": "i", "readinessProbe": mine, "env": env}

    (found,) = pod(template={"spec": {"containers": [container]}})["spec"]["containers"]

    assert found["readinessProbe"] == mine
    assert {"name": "A", "value": "b"} in found["env"]
    assert [variable["value"] for variable in found["env"] if variable["name"] == "ASSAY_REVISION"] != ["forged"]
    assert len({variable["name"] for variable in found["env"]}) == len(found["env"])


@pytest.mark.parametrize(
    ("protocol", "probe"),
    [
        ("v1", {"httpGet": {"path": "/v1/models/flights", "port": 8080}}),
        ("openai", {"httpGet": {"path": "/health", "port": 8080}}),
        ("http", {"tcpSocket": {"port": 8080}}),
    ],
)
def test_the_probe_speaks_the_servers_protocol(protocol: str, probe: Manifest) -> None:
    (container,) = pod(serving={"protocol": protocol})["spec"]["containers"]

    assert probe.items() <= container["readinessProbe"].items()


def test_the_container_that_declares_the_port_is_probed() -> None:
    containers = [{"name": "proxy"}, {"name": "model", "ports": [{"containerPort": 8080}]}]

    proxy, model = pod(template={"spec": {"containers": containers}})["spec"]["containers"]

    assert "readinessProbe" not in proxy
    assert "readinessProbe" in model


def test_the_spec_is_never_changed_by_rendering_it() -> None:
    resource = a_resource()
    before = json.dumps(resource.spec.template)

    children(resource)

    assert json.dumps(resource.spec.template) == before


def test_a_router_has_least_rights_and_runs_confined() -> None:
    rules = one("Role", "m-router")["rules"]
    spec = one("Deployment", "m-router")["spec"]["template"]["spec"]

    assert {(rule["resources"][0], tuple(rule.get("resourceNames", ()))) for rule in rules} == {
        ("configmaps", ("m-router",)),
        ("configmaps", ("m-router-acks",)),
        ("endpointslices", ()),
    }
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch", "patch"}
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*spec["initContainers"], *spec["containers"]):
        context = container["securityContext"]
        assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"requests", "limits"} <= container["resources"].keys()
        assert container["image"] == "router:1"


def test_a_router_is_replaced_without_a_gap_and_outlives_its_requests() -> None:
    spec = one("Deployment", "m-router", traffic={"router": {"timeoutSeconds": 300}})["spec"]

    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > 300
    assert one("PodDisruptionBudget", "m-router")["spec"]["maxUnavailable"] == 1


def test_the_operator_never_writes_what_routers_acknowledge() -> None:
    assert "data" not in one("ConfigMap", "m-router-acks")


def test_the_routers_find_the_split_and_the_pods_of_each_revision() -> None:
    service = one("Service", "m-8dd370d9")

    split = json.loads(one("ConfigMap", "m-router")["data"]["split.json"])
    assert Split.model_validate(split).generation == 3
    assert service["metadata"]["labels"]["assay.dev/revision"] == "8dd370d9"
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", False)
    assert [port["name"] for port in service["spec"]["ports"]] == ["http"]


def test_the_services_reach_routers_stable_and_for_want_of_a_candidate_nobody() -> None:
    ports = {"name": "http", "port": 8080, "targetPort": 10000, "protocol": "TCP"}

    assert one("Service", "m")["spec"]["ports"] == [ports]
    assert "assay.dev/revision" not in one("Service", "m-stable")["metadata"]["labels"]
    assert one("Service", "m-stable")["spec"]["selector"]["assay.dev/revision"] == "8dd370d9"
    assert one("Service", "m-candidate")["spec"]["selector"]["assay.dev/revision"] == "none"


def test_the_config_maps_of_a_template_are_found_wherever_it_names_them() -> None:
    template = {
        "spec": {
            "volumes": [
                {"name": "a", "configMap": {"name": "volume"}},
                {
                    "name": "b",
                    "projected": {"sources": [{"configMap": {"name": "projected"}}, {"secret": {"name": "s"}}]},
                },
                {"name": "c", "configMap": {"name": "optional", "optional": True}},
            ],
            "containers": [
                {
                    "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "variable", "key": "a"}}}],
                    "envFrom": [{"configMapRef": {"name": "all"}}, {"secretRef": {"name": "s"}}],
                }
            ],
            "initContainers": [{"envFrom": [{"configMapRef": {"name": "all"}}]}],
        }
    }

    assert [ref.name for ref in references(template)] == ["all", "projected", "variable", "volume"]
    assert references(template)[0] == Ref("v1", "ConfigMap", "all")
    assert references({}) == references({"spec": {"containers": "nonsense", "volumes": [3]}}) == ()
