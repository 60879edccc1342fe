"""A child of a ModelDeployment, as it is wanted and as a server stores it."""

import json

from adapters.script import Script
from assay.api.base import Manifest
from assay.core.decision import Ref

CHILD = Ref("apps/v1", "Deployment", "flights-0a1b2c3d")
OWNER = {"kind": "ModelDeployment", "name": "flights", "uid": "u-1", "controller": True}
LABELS = {"app.kubernetes.io/managed-by": "assay", "assay.dev/deployment": "flights"}
MANIFEST: Manifest = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "flights-0a1b2c3d", "namespace": "shop", "ownerReferences": [OWNER]},
    "spec": {"replicas": 2},
}


def stored(version: str, **meta: object) -> Manifest:
    return {**MANIFEST, "metadata": {**MANIFEST["metadata"], "resourceVersion": version, "uid": "u-7", **meta}}


def applied(server: Script) -> Manifest:
    """Return what the last request applied."""
    assert server.last[2] == {"fieldManager": ["assay"], "force": ["true"]}
    manifest: Manifest = json.loads(server.last[4])
    return manifest
