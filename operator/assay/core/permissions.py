"""What must the operator be allowed to do, and for what? The chart grants exactly this."""

from dataclasses import dataclass

from assay.api.base import GROUP


@dataclass(frozen=True, slots=True)
class Permission:
    """Some verbs on one resource."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    reason: str
    """What would not work without."""


APPLY = ("create", "patch")
"""Server-side apply: `patch` alone is refused where it would create."""

PERMISSIONS = (
    Permission(GROUP, "modeldeployments", ("get", "list", "watch"), "read what users want; never write it"),
    Permission(GROUP, "modeldeployments/status", ("update",), "say what is"),
    Permission(
        GROUP, "modeldeployments/finalizers", ("update",), "own children, where a cluster asks for this of an owner"
    ),
    Permission("apps", "deployments", (*APPLY, "delete", "list", "watch"), "run the pods of revisions and routers"),
    Permission("apps", "controllerrevisions", (*APPLY, "delete", "list"), "keep revisions, so that one can come back"),
    Permission(
        "", "configmaps", (*APPLY, "get", "list", "watch"), "tell routers the split, read what they acknowledge"
    ),
    Permission("", "services", (*APPLY, "delete", "list", "watch"), "give clients and routers names to call"),
    Permission("", "serviceaccounts", APPLY, "give each router an identity of its own"),
    Permission("", "pods", ("list",), "know which routers must acknowledge, and why a candidate does not start"),
    Permission(
        "discovery.k8s.io", "endpointslices", ("get", "list", "watch"), "grant it to routers: one grants what one has"
    ),
    Permission("policy", "poddisruptionbudgets", APPLY, "keep a router up while nodes drain"),
    Permission("rbac.authorization.k8s.io", "roles", APPLY, "give each router its least rights"),
    Permission("rbac.authorization.k8s.io", "rolebindings", APPLY, "give each router its least rights"),
    Permission("events.k8s.io", "events", ("create",), "tell people what was decided"),
)
"""Everything the operator may do in the namespaces that it looks after. It cannot read Secrets, and what it grants to routers it must hold itself."""

LEASE_PERMISSION = Permission(
    "coordination.k8s.io", "leases", ("get", "update", "create"), "hold the Lease, so that one operator works at a time"
)
"""What it may do in its own namespace besides; all but `create` for this one Lease."""
