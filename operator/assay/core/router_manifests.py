"""What does the router of a ModelDeployment need: pods, rights, a split, a place to acknowledge it?"""

from assay.api.base import Manifest
from assay.api.modeldeployment import ModelDeployment
from assay.api.serving import Router
from assay.core.manifests import ManifestOptions, child, labels
from assay.core.names import (
    ACKS_CONFIG_MAP,
    COMPONENT_LABEL,
    CONFIG_MAP,
    DEPLOYMENT_LABEL,
    MANAGED_BY,
    ROUTER_METRICS_PORT,
    ROUTER_PORT,
    SPLIT_KEY,
)
from assay.core.split import Split

USER = 65532
DRAIN_MARGIN_SECONDS = 40  # the agent's own bounds: 5 s for callers not yet told, 20 s idle, 25 s beyond the timeout
RUN = "/run/assay"


def router_name(resource: ModelDeployment) -> str:
    """Return the name of the router's Deployment, ServiceAccount, Role, RoleBinding and PodDisruptionBudget."""
    return f"{resource.metadata['name']}-router"


def split_config_map(resource: ModelDeployment, split: Split) -> Manifest:
    """Return the ConfigMap by which the operator tells the routers the split."""
    manifest = child(resource, "v1", "ConfigMap", CONFIG_MAP.format(name=resource.metadata["name"]))
    return manifest | {"data": {SPLIT_KEY: split.model_dump_json(by_alias=True, exclude_none=True)}}


def router_pods(resource: ModelDeployment, options: ManifestOptions) -> tuple[Manifest, ...]:
    """Return the routers, and the ConfigMap in which they acknowledge the split."""
    acks = child(resource, "v1", "ConfigMap", ACKS_CONFIG_MAP.format(name=resource.metadata["name"]))
    # No `data` here: server-side apply then never touches what the routers write.
    return (acks, _deployment(resource, options))


def router_rights(resource: ModelDeployment) -> tuple[Manifest, ...]:
    """Return who the routers are, what they may do, and how many of them must stay."""
    account = child(resource, "v1", "ServiceAccount", router_name(resource))
    return (account, _role(resource), _role_binding(resource), _disruption_budget(resource))


def _role(resource: ModelDeployment) -> Manifest:
    name = resource.metadata["name"]
    role = child(resource, "rbac.authorization.k8s.io/v1", "Role", router_name(resource))
    role["rules"] = [
        _rule("", "configmaps", ["get", "list", "watch"], CONFIG_MAP.format(name=name)),
        _rule("", "configmaps", ["get", "patch"], ACKS_CONFIG_MAP.format(name=name)),
        _rule("discovery.k8s.io", "endpointslices", ["get", "list", "watch"]),
    ]
    return role


def _rule(group: str, resource: str, verbs: list[str], name: str | None = None) -> Manifest:
    rule: Manifest = {"apiGroups": [group], "resources": [resource], "verbs": verbs}
    return rule if name is None else {**rule, "resourceNames": [name]}


def _role_binding(resource: ModelDeployment) -> Manifest:
    name = router_name(resource)
    binding = child(resource, "rbac.authorization.k8s.io/v1", "RoleBinding", name)
    subject = {"kind": "ServiceAccount", "name": name}
    if "namespace" in resource.metadata:
        subject["namespace"] = resource.metadata["namespace"]
    return binding | {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [subject],
    }


def _selector(resource: ModelDeployment) -> dict[str, str]:
    return {DEPLOYMENT_LABEL: str(resource.metadata["name"]), COMPONENT_LABEL: "router"}


def _disruption_budget(resource: ModelDeployment) -> Manifest:
    budget = child(resource, "policy/v1", "PodDisruptionBudget", router_name(resource))
    # maxUnavailable, not minAvailable: with one replica the latter would block the drain of a node for ever.
    return budget | {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": _selector(resource)}}}


def _deployment(resource: ModelDeployment, options: ManifestOptions) -> Manifest:
    router = resource.spec.traffic.router or Router()
    selector = _selector(resource)
    deployment = child(resource, "apps/v1", "Deployment", router_name(resource))
    deployment["metadata"]["labels"] = {**labels(resource), COMPONENT_LABEL: "router"}
    deployment["spec"] = {
        "replicas": router.replicas,
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": selector},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": {**MANAGED_BY, **selector}}, "spec": _pod(resource, router, options)},
    }
    return deployment


def _pod(resource: ModelDeployment, router: Router, options: ManifestOptions) -> Manifest:
    """Return the router's pod: Envoy is a native sidecar, so it outlives the agent, which drains it on SIGTERM."""
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _selector(resource)},
    }
    return {
        "serviceAccountName": router_name(resource),
        "terminationGracePeriodSeconds": router.timeout_seconds + DRAIN_MARGIN_SECONDS,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [spread],
        "initContainers": [_agent(resource, options, "init", "init"), _envoy(options)],
        "containers": [_agent(resource, options, "agent", "run")],
        "volumes": [{"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}],
    }


def _container(options: ManifestOptions, name: str, command: list[str], resources: Manifest) -> Manifest:
    return {
        "name": name,
        "image": options.router_image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "run", "mountPath": RUN}],
    }


def _agent(resource: ModelDeployment, options: ManifestOptions, name: str, verb: str) -> Manifest:
    resources = {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "192Mi"}}
    environment = [
        {"name": "ASSAY_DEPLOYMENT", "value": resource.metadata["name"]},
        {"name": "ASSAY_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "ASSAY_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    return _container(options, name, ["assay-router", verb], resources) | {"env": environment}


def _envoy(options: ManifestOptions) -> Manifest:
    command = ["envoy", "-c", f"{RUN}/bootstrap.json", "--concurrency", "2", "--disable-hot-restart"]
    command += ["--drain-time-s", "20", "--log-level", "warn"]
    resources = {"requests": {"cpu": "100m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}}
    ready = {"httpGet": {"path": "/ready", "port": "metrics"}}
    return _container(options, "envoy", command, resources) | {
        "restartPolicy": "Always",
        "ports": [
            {"name": "http", "containerPort": ROUTER_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": ROUTER_METRICS_PORT, "protocol": "TCP"},
        ],
        "startupProbe": {**ready, "periodSeconds": 1, "failureThreshold": 60},
        "readinessProbe": {**ready, "periodSeconds": 2, "failureThreshold": 2},
        # Not /ready, which is 503 on purpose while Envoy drains.
        "livenessProbe": {"tcpSocket": {"port": "metrics"}, "periodSeconds": 10, "failureThreshold": 3},
    }
