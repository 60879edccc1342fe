"""How are objects read and written through a Kubernetes API server?"""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import TypeAlias
from urllib.parse import quote, urlencode

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import OpenApiException

from assay.api.base import GROUP, VERSION, Manifest
from assay.core.decision import Listing, Note, Ref
from assay.core.errors import ApiUnavailable, AssayError, Conflict, Forbidden, InvalidSpec
from assay.core.names import FIELD_MANAGER

TIMEOUT_SECONDS = 10.0
PAGE = 500  # objects of one page of a list
REASSERT_SECONDS = 60.0  # between two writes of the same manifest to an object that nobody reads
REMEMBERED = 20_000  # applied objects; beyond it all are forgotten, which costs each one write

# The kinds that Assay touches, so that nothing has to be discovered and the chart's rights can be compared with it.
PLURALS = {
    ("v1", "ConfigMap"): "configmaps",
    ("v1", "Pod"): "pods",
    ("v1", "Service"): "services",
    ("v1", "ServiceAccount"): "serviceaccounts",
    ("apps/v1", "ControllerRevision"): "controllerrevisions",
    ("apps/v1", "Deployment"): "deployments",
    ("discovery.k8s.io/v1", "EndpointSlice"): "endpointslices",
    ("events.k8s.io/v1", "Event"): "events",
    ("policy/v1", "PodDisruptionBudget"): "poddisruptionbudgets",
    ("rbac.authorization.k8s.io/v1", "Role"): "roles",
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): "rolebindings",
    (f"{GROUP}/{VERSION}", "ModelDeployment"): "modeldeployments",
}

OnCall: TypeAlias = Callable[[str, str, str], None]
"""Told of each call: verb and resource as RBAC names them, and the HTTP status or `error`."""

_FOREIGN = (OpenApiException, urllib3.exceptions.HTTPError, HTTPException, config.ConfigException, OSError, ValueError)
# What server-side apply says, with status 500, of a field that the schema does not know or of a wrong type: a pod
# template is the user's, and our own schema keeps it as it was written (seen with Kubernetes 1.35).
_MALFORMED = ("failed to create typed patch object", "failed to convert new object")
_REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}


def connect(threads: int) -> client.ApiClient:
    """Return a client for the cluster that this process runs in, or else for the current kubeconfig context.

    Args:
        threads: How many threads will use it at once; each gets a connection of its own.

    Raises:
        InvalidSpec: There is neither a service account nor a usable kubeconfig.
    """
    settings = client.Configuration()
    try:
        try:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            config.load_kube_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise InvalidSpec(
            f"No cluster to talk to: {str(error).rstrip('.')}. Run inside a cluster, or set KUBECONFIG to a file with a current context."
        ) from error
    settings.connection_pool_maxsize = threads
    settings.retries = False  # the queue retries, with backoff; a library's retries would multiply the timeout
    return client.ApiClient(settings)


@dataclass(frozen=True, slots=True)
class _Applied:
    """What we last made of an object."""

    digest: str
    version: str
    at: float


class KubeCluster:
    """A `Cluster` over the API server; one instance serves all threads."""

    def __init__(
        self,
        api: client.ApiClient,
        on_call: OnCall = lambda _verb, _resource, _code: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._on_call = on_call
        self._clock = clock
        self._applied: dict[tuple[str, ...], _Applied] = {}
        self._lock = threading.Lock()

    def get(self, ref: Ref, namespace: str) -> Manifest | None:
        """Return the object as it is now, or None where there is none."""
        return self._call("get", "GET", _path(ref.api_version, ref.kind, namespace, ref.name))

    def list(self, listing: Listing, namespace: str | None) -> tuple[Manifest, ...]:
        """Return the objects with these labels; of all namespaces where `namespace` is None."""
        path = _path(listing.api_version, listing.kind, namespace)
        selector = ",".join(f"{key}={value}" for key, value in listing.labels)
        found: list[Manifest] = []
        token = ""
        while True:
            query = {"labelSelector": selector, "limit": str(PAGE), "continue": token}
            page = self._call("list", "GET", path, query={key: value for key, value in query.items() if value})
            if page is None:
                raise ApiUnavailable(
                    f"Could not list {_resource(path)}: the API server does not know them."
                    " Are the custom resource definitions installed (assay crds | kubectl apply --server-side -f -)?"
                )
            # Items of a list carry neither apiVersion nor kind; everybody downstream may expect both.
            found += [{"apiVersion": listing.api_version, "kind": listing.kind, **item} for item in page["items"]]
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                return tuple(found)

    def apply(self, manifest: Manifest, seen: Manifest | None = None) -> None:
        """Make the fields of `manifest` so, by server-side apply; leave out a write that would change nothing.

        It would change nothing when the same manifest was the last that we applied and the object has not been written
        since: then `seen`, read in this round, still has the version that our apply resulted in. What the decider does
        not look at is written again after a minute. A new process writes everything once.
        """
        meta = manifest["metadata"]
        key = (manifest["apiVersion"], manifest["kind"], meta["namespace"], meta["name"])
        digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
        last = self._applied.get(key)
        if last is not None and last.digest == digest and self._holds(last, seen):
            return
        result = self._call(
            "patch",
            "PATCH",
            _path(*key),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            content_type="application/apply-patch+yaml",
            body=manifest,
        )
        if result is None:
            raise ApiUnavailable(
                f"Could not apply {manifest['kind']} {meta['name']}: its namespace or kind is not there."
            )
        with self._lock:
            if len(self._applied) >= REMEMBERED:
                self._applied.clear()
            self._applied[key] = _Applied(digest, result["metadata"]["resourceVersion"], self._clock())

    def replace(self, manifest: Manifest) -> None:
        """Replace an object; `Conflict` where it was changed since its resourceVersion was read, or is gone."""
        self._put(manifest, subresource="")

    def delete(self, ref: Ref, namespace: str) -> None:
        """Delete an object and, in the background, what it owns, if it is there."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        self._call("delete", "DELETE", _path(ref.api_version, ref.kind, namespace, ref.name), body=body)
        with self._lock:
            self._applied.pop((ref.api_version, ref.kind, namespace, ref.name), None)

    def save_status(self, manifest: Manifest, status: Manifest) -> None:
        """Replace the status; `Conflict` where the object was changed since `manifest` was read, or is gone."""
        self._put({**manifest, "status": status}, subresource="/status")

    def post_event(self, regarding: Manifest, note: Note, now: datetime) -> None:
        """Tell people about an object, through `events.k8s.io`."""
        meta = regarding["metadata"]
        event = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"generateName": f"{meta['name']}-", "namespace": meta["namespace"]},
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": f"{GROUP}/operator",
            "reportingInstance": "operator",
            "action": "Reconcile",
            "type": note.type,
            "reason": note.reason,
            "note": note.message[:1024],
            "regarding": {
                "apiVersion": regarding["apiVersion"],
                "kind": regarding["kind"],
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta.get("uid", ""),
            },
        }
        path = _path("events.k8s.io/v1", "Event", meta["namespace"])
        self._call("create", "POST", path, body=event)

    def _holds(self, last: "_Applied", seen: Manifest | None) -> bool:
        if seen is None:
            return self._clock() - last.at < REASSERT_SECONDS
        return bool(last.version == seen["metadata"]["resourceVersion"])

    def _put(self, manifest: Manifest, subresource: str) -> None:
        meta = manifest["metadata"]
        if not meta.get("resourceVersion"):
            raise Conflict(f"{manifest['kind']} {meta['name']} was never read, so it cannot be replaced.")
        path = _path(manifest["apiVersion"], manifest["kind"], meta["namespace"], meta["name"]) + subresource
        if self._call("update", "PUT", path, query={"fieldManager": FIELD_MANAGER}, body=manifest) is None:
            raise Conflict(f"{manifest['kind']} {meta['name']} is gone.")

    def _call(  # noqa: PLR0913 - one place where a request is made
        self,
        verb: str,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
        body: Manifest | None = None,
    ) -> Manifest | None:
        """Make one request and return the answer; None for 404."""
        url = self._api.configuration.host + path + ("?" + urlencode(query) if query else "")
        headers = {**self._api.default_headers, "Accept": "application/json", "Content-Type": content_type}
        code = "error"
        try:
            self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
            reply = self._api.call_api(method, url, headers, body, _request_timeout=TIMEOUT_SECONDS)
            data = reply.read()  # type: ignore[no-untyped-call]
            code = str(reply.status)
            answer = json.loads(data) if data else {}
        except _FOREIGN as error:
            raise _unreachable(verb, path, error) from error
        finally:
            self._on_call(verb, _resource(path), code)
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        if reply.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise _refusal(verb, path, reply.status, answer)
        return dict(answer)


def _path(api_version: str, kind: str, namespace: str | None, name: str | None = None) -> str:
    root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
    place = f"/namespaces/{quote(namespace, safe='')}" if namespace is not None else ""
    leaf = f"/{quote(name, safe='')}" if name is not None else ""
    return f"{root}{place}/{PLURALS[api_version, kind]}{leaf}"


def _resource(path: str) -> str:
    """Return the resource of a path as RBAC names it, for example `modeldeployments/status`."""
    parts = path.split("/")
    plural = next(part for part in parts if part in _KNOWN)
    return f"{plural}/status" if parts[-1] == "status" and parts[-2] != plural else plural


_KNOWN = frozenset(PLURALS.values())


def _unreachable(verb: str, path: str, error: Exception) -> ApiUnavailable:
    return ApiUnavailable(f"Could not {verb} {_resource(path)}: the API server did not answer: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    """Return what happened without the headers and the body that the client library prints."""
    lines = str(getattr(error, "reason", None) or error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _refusal(verb: str, path: str, status: int, answer: object) -> AssayError:
    """Return the error of ours that an HTTP status means, with the server's own sentence."""
    said = answer.get("message") if isinstance(answer, dict) else None
    said = said or f"HTTP status {status}"
    match status:
        case HTTPStatus.CONFLICT:
            return Conflict(f"Could not {verb} {_resource(path)}: {said}")
        case HTTPStatus.FORBIDDEN if _ends(answer):
            # No right is missing: all of it is about to go, and nobody has to do anything.
            return ApiUnavailable(f"Could not {verb} {_resource(path)}: {said}")
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return Forbidden(f"May not {verb} {_resource(path)}: {said}")
        case _ if status in _REFUSED or str(said).startswith(_MALFORMED):
            return InvalidSpec(f"The API server refused to {verb} {_resource(path)}: {said}")
        case _:
            return ApiUnavailable(f"Could not {verb} {_resource(path)}: {said}")


def _ends(answer: object) -> bool:
    """Return whether the server refused because the namespace is being deleted."""
    details = answer.get("details") if isinstance(answer, dict) else None
    causes = details.get("causes") if isinstance(details, dict) else None
    return any(isinstance(one, dict) and one.get("reason") == "NamespaceTerminating" for one in causes or [])
