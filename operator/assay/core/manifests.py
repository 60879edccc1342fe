"""What do the children of a ModelDeployment look like: the revisions, the Services?"""

import copy
from dataclasses import dataclass
from typing import Any

from assay import __version__
from assay.api.base import GROUP, VERSION, Manifest
from assay.api.modeldeployment import ModelDeployment
from assay.api.serving import ModelIdentity, Protocol, Serving
from assay.core import revisions
from assay.core.names import COMPONENT_LABEL, DEPLOYMENT_LABEL, MANAGED_BY, REVISION_LABEL, ROUTER_PORT
from assay.core.revisions import Recorded

SERVING_PORT = "http"
NOBODY = "none"  # no revision is called so: a Service that selects it has no endpoints

# A model pod's template may depend on nothing but the revision and these names: no operator version, no default of
# ours that might change, or an upgrade of the operator would restart every model.


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestOptions:
    """What the operator's settings say about manifests."""

    router_image: str = f"assay-router:{__version__}"
    """Image of the router's pods."""


def revision_name(deployment: str, revision: str) -> str:
    """Return the name of a revision's Deployment, Service and ControllerRevision."""
    return f"{deployment}-{revision}"


def labels(resource: ModelDeployment, revision: str | None = None) -> dict[str, str]:
    """Return the labels of a child."""
    found = {**MANAGED_BY, DEPLOYMENT_LABEL: str(resource.metadata["name"])}
    return found if revision is None else {**found, REVISION_LABEL: revision}


def child(resource: ModelDeployment, api_version: str, kind: str, name: str, revision: str | None = None) -> Manifest:
    """Return the beginning of a child: what it is, whose it is."""
    owner = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "ModelDeployment",
        "name": resource.metadata["name"],
        "uid": resource.metadata.get("uid", ""),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = {"name": name, "labels": labels(resource, revision), "ownerReferences": [owner]}
    if "namespace" in resource.metadata:
        metadata["namespace"] = resource.metadata["namespace"]
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def controller_revision(resource: ModelDeployment, recorded: Recorded) -> Manifest:
    """Return the ControllerRevision that keeps a revision, so that a rollback finds what `spec` no longer holds."""
    name = revision_name(resource.metadata["name"], recorded.revision)
    manifest = child(resource, revisions.API_VERSION, revisions.KIND, name, recorded.revision)
    return manifest | revisions.to_data(recorded)


def model_deployment(resource: ModelDeployment, recorded: Recorded, replicas: int) -> Manifest:
    """Return the Deployment of a revision."""
    name = str(resource.metadata["name"])
    manifest = child(
        resource, "apps/v1", "Deployment", revision_name(name, recorded.revision), revision=recorded.revision
    )
    manifest["spec"] = {
        "replicas": replicas,
        "revisionHistoryLimit": 1,
        "selector": {"matchLabels": {DEPLOYMENT_LABEL: name, REVISION_LABEL: recorded.revision}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
        "template": _pod_template(name, recorded),
    }
    return manifest


def _pod_template(name: str, recorded: Recorded) -> Manifest:
    """Return the user's template with what makes it a pod of ours."""
    template = copy.deepcopy(recorded.template)
    metadata = template.setdefault("metadata", {})
    metadata["labels"] = {
        **(metadata.get("labels") or {}),
        **MANAGED_BY,
        COMPONENT_LABEL: "model",
        DEPLOYMENT_LABEL: name,
        REVISION_LABEL: recorded.revision,
    }
    containers = template["spec"]["containers"]
    for container in containers:
        container["env"] = _environment(container.get("env") or [], recorded)
    serving = serving_container(containers, recorded.serving.port)
    if "readinessProbe" not in serving:
        # Without a probe a pod counts as ready before the model is loaded, and would be given traffic it cannot carry.
        serving["readinessProbe"] = _readiness(recorded.serving, recorded.model)
    return template


def serving_container(containers: list[dict[str, Any]], port: int) -> dict[str, Any]:
    """Return the container that serves: the one that declares the port, else the first."""
    declaring = [one for one in containers if port in declared_ports(one)]
    return declaring[0] if declaring else containers[0]


def declared_ports(container: Manifest) -> set[int]:
    """Return the container ports that a container declares."""
    ports = container.get("ports")
    if not isinstance(ports, list):
        return set()
    return {
        one["containerPort"] for one in ports if isinstance(one, dict) and isinstance(one.get("containerPort"), int)
    }


def _environment(written: list[Manifest], recorded: Recorded) -> list[Manifest]:
    model = recorded.model
    ours = {
        "ASSAY_MODEL_NAME": model.name,
        "ASSAY_MODEL_VERSION": model.version,
        "ASSAY_MODEL_URI": model.uri,
        "ASSAY_MODEL_DIGEST": model.digest,
        "ASSAY_REVISION": recorded.revision,
    }
    # Ours come first, so that $(ASSAY_MODEL_URI) can be used in what the user wrote.
    given = [{"name": name, "value": value} for name, value in ours.items() if value is not None]
    return given + [one for one in written if one.get("name") not in ours]


def _readiness(serving: Serving, model: ModelIdentity) -> Manifest:
    """Return the probe by which a server of this protocol says that its model is loaded."""
    paths = {
        Protocol.V1: f"/v1/models/{model.name}",
        Protocol.V2: "/v2/health/ready",
        Protocol.OPENAI: "/health",
    }
    path = paths.get(serving.protocol)
    how: Manifest = {"tcpSocket": {"port": serving.port}}
    if path is not None:
        how = {"httpGet": {"path": path, "port": serving.port}}
    return {**how, "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 3}


def revision_service(resource: ModelDeployment, recorded: Recorded) -> Manifest:
    """Return the headless Service of a revision, whose EndpointSlices the routers read."""
    name = str(resource.metadata["name"])
    manifest = child(resource, "v1", "Service", revision_name(name, recorded.revision), revision=recorded.revision)
    manifest["spec"] = {
        "clusterIP": "None",
        "publishNotReadyAddresses": False,
        "selector": {DEPLOYMENT_LABEL: name, REVISION_LABEL: recorded.revision},
        "ports": [_port(recorded.serving.port, recorded.serving.port)],
    }
    return manifest


def services(resource: ModelDeployment, stable: Recorded | None, candidate: Recorded | None) -> tuple[Manifest, ...]:
    """Return the Services that people and programs call."""
    name, port = str(resource.metadata["name"]), resource.spec.serving.port
    front = child(resource, "v1", "Service", name)
    front["spec"] = {
        "selector": {DEPLOYMENT_LABEL: name, COMPONENT_LABEL: "router"},
        "ports": [_port(port, ROUTER_PORT)],
    }
    roles = []
    for role, recorded in (("stable", stable), ("candidate", candidate)):
        service = child(resource, "v1", "Service", f"{name}-{role}")
        service["spec"] = {
            "selector": {DEPLOYMENT_LABEL: name, REVISION_LABEL: recorded.revision if recorded else NOBODY},
            "ports": [_port(port, recorded.serving.port if recorded else port)],
        }
        roles.append(service)
    return (front, *roles)


def _port(port: int, target: int) -> Manifest:
    return {"name": SERVING_PORT, "port": port, "targetPort": target, "protocol": "TCP"}
