"""How do the CustomResourceDefinitions of this release get into a cluster, and never in place of newer ones?"""

from collections.abc import Iterator

from assay.adapters.apiserver import ApiServer, Endpoint
from assay.api import crd, served
from assay.api.base import Manifest
from assay.core.errors import ApiUnavailable, InvalidSpec

RESOURCE = "customresourcedefinitions"
# Helm 4 applies crds/ under this name when it installs, and gives up where another owns what differs: under a name of
# ours, a chart could never be installed again in another version.
FIELD_MANAGER = "helm"


def apply(server: ApiServer, *, only_existing: bool = False) -> Iterator[str]:
    """Apply every definition by server-side apply; yield a sentence about each.

    A definition that has all of ours and more is of a newer release: it is left as it is, so that a downgrade takes no
    field from what is stored.

    Args:
        server: The API server.
        only_existing: Leave out a definition that is not there: whoever installs brings it.

    Raises:
        InvalidSpec: The definition that is there has fields that ours lacks, and lacks others of ours.
        Forbidden, ApiUnavailable: The API server says no, or nothing.
    """
    for definition in crd.crds():
        name = definition["metadata"]["name"]
        found = server.call("get", _at(name))
        if found is None and only_existing:
            yield f"{name} is not there; left to whoever installs it."
        elif found is not None and _is_newer(found, definition):
            yield f"{name} is of a newer release; left as it is."
        else:
            _write(server, definition)
            yield f"{name} applied."


def _is_newer(found: Manifest, ours: Manifest) -> bool:
    """Return whether a definition has all of ours and more.

    Raises:
        InvalidSpec: Each has what the other lacks.
    """
    taken = next(served.losses(found, ours), None)
    lacking = next(served.losses(ours, found), None)
    if taken is not None and lacking is not None:
        raise InvalidSpec(
            f"{found['metadata']['name']} has {taken}, which this release does not know, and lacks {lacking}, which it needs;"
            " compare them with `assay crds | kubectl diff --server-side -f -`, and apply yours by hand if it may go."
        )
    return taken is not None


def _write(server: ApiServer, definition: Manifest) -> None:
    answer = server.call(
        "patch",
        _at(definition["metadata"]["name"]),
        query={"fieldManager": FIELD_MANAGER, "force": "true"},
        content_type="application/apply-patch+yaml",
        body=definition,
    )
    if answer is None:
        raise ApiUnavailable(f"Could not apply {definition['metadata']['name']}: this API server has no {RESOURCE}.")


def _at(name: str) -> Endpoint:
    return Endpoint(RESOURCE, f"/apis/apiextensions.k8s.io/v1/{RESOURCE}/{name}")
