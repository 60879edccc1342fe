"""How to have definitions of another release in a cluster."""

import copy
import json

from assay.api import crd, served
from assay.api.base import Manifest
from assay.sandbox.cluster import kubectl
from assay.sandbox.layout import Layout

LACKING = "history"  # of the status; without it, the record of past rollouts would be dropped
NAME = "modeldeployments.assay.dev"


def older() -> Manifest:
    """Return our definition as a release would have it that did not know a field yet."""
    (made,) = (copy.deepcopy(one) for one in crd.crds() if one["metadata"]["name"] == NAME)
    del _status(made)["properties"][LACKING]
    return made


def newer() -> Manifest:
    """Return our definition as a release will have it that knows a field more."""
    (made,) = (copy.deepcopy(one) for one in crd.crds() if one["metadata"]["name"] == NAME)
    _status(made)["properties"]["ofTomorrow"] = {"type": "string"}
    return made


def put(sandbox: Layout, *definitions: Manifest) -> None:
    """Apply definitions as Helm does; those of this checkout where none is given."""
    listed = {"apiVersion": "v1", "kind": "List", "items": list(definitions) or crd.crds()}
    kubectl(sandbox, "apply", "--server-side", "--force-conflicts", "--field-manager=helm", "-f", "-",
            given=json.dumps(listed))  # fmt: skip


def lost(sandbox: Layout, definition: Manifest) -> list[str]:
    """Return what objects under a definition would lose under the one that is in the cluster."""
    found = json.loads(kubectl(sandbox, "get", "customresourcedefinition", NAME, "-o", "json"))
    return list(served.losses(definition, found))


def _status(definition: Manifest) -> Manifest:
    status: Manifest = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    return status
