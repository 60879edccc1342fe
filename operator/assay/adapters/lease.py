"""How is a Lease read and written through a Kubernetes API server?"""

from urllib.parse import quote

from kubernetes import client

from assay.adapters.apiserver import ApiServer, Endpoint, OnCall
from assay.api.base import Manifest
from assay.core.errors import ApiUnavailable

TIMEOUT_SECONDS = 4.0  # of one call, so that there is time for another before the lease is lost


class KubeLease:
    """A `LeaseStore` over the API server."""

    def __init__(self, api: client.ApiClient, on_call: OnCall, namespace: str, name: str) -> None:
        self._server = ApiServer(api, on_call, TIMEOUT_SECONDS)
        path = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace, safe='')}/leases"
        self._all, self._one = Endpoint("leases", path), Endpoint("leases", f"{path}/{quote(name, safe='')}")
        self._meta = {"name": name, "namespace": namespace}

    def read(self) -> Manifest | None:
        """Return the Lease as it is now, or None where there is none."""
        return self._server.call("get", self._one)

    def write(self, manifest: Manifest) -> None:
        """Replace the Lease that was read, or create it where none was; `Conflict` where it is no longer so."""
        head = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": self._meta}
        made = "metadata" in manifest
        answer = self._server.call(
            "update" if made else "create", self._one if made else self._all, body={**head, **manifest}
        )
        if answer is None:
            raise ApiUnavailable(f"Could not write the Lease {self._meta['name']}: it or its namespace is not there.")
