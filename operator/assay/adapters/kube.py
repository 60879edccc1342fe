"""How are objects read and written through a Kubernetes API server?"""

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

import yaml
from kubernetes import client, config

from assay.adapters import ownership
from assay.adapters.apiserver import ApiServer, Endpoint, OnCall
from assay.adapters.ownership import Owner, owner_of
from assay.api.base import GROUP, VERSION, Manifest
from assay.core.decision import Listing, Note, Ref
from assay.core.errors import ApiUnavailable, Conflict, InvalidSpec
from assay.core.names import FIELD_MANAGER

PAGE = 100  # objects of one page of a list: of 6 kB each, and ten times as much once read
REASSERT_SECONDS = 60.0  # between two writes of the same manifest to an object that nobody reads
REMEMBERED = (
    200_000  # applied objects, of 14,000 ModelDeployments; beyond it all are forgotten, which costs each one write
)
NEVER = "1"  # the resource version of the empty store: no object has it, so only an object that is not there passes

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

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""What an object can be called (a DNS subdomain, RFC 1123)."""


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
    except (config.ConfigException, OSError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise InvalidSpec(
            f"No cluster to talk to: {str(error).splitlines()[0].rstrip('.')}. Run inside a cluster, or set KUBECONFIG to a file with a current context."
        ) from error
    settings.connection_pool_maxsize = threads
    settings.retries = False  # the queue retries, with backoff; a library's retries would multiply the timeout
    return client.ApiClient(settings)


@dataclass(frozen=True, slots=True)
class _Applied:
    """What we last made of an object."""

    digest: str
    owner: Owner | None
    uid: str
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
        self._server = ApiServer(api, on_call)
        self._clock = clock
        self._applied: dict[tuple[str, ...], _Applied] = {}
        self._lock = threading.Lock()

    def schemas(self) -> dict[str, Manifest]:
        """Return the schema that is served of each of our kinds, by kind; everybody who may discover may read it."""
        about = Endpoint("openapi", f"/openapi/v3/apis/{GROUP}/{VERSION}")
        published = (self._server.call("get", about) or {}).get("components", {}).get("schemas", {})
        return {
            named["kind"]: schema
            for schema in published.values()
            for named in schema.get("x-kubernetes-group-version-kind", ())
            if (named["group"], named["version"]) == (GROUP, VERSION)
        }

    def get(self, ref: Ref, namespace: str) -> Manifest | None:
        """Return the object as it is now, or None where there is none."""
        if not NAME.fullmatch(ref.name):
            return None  # no object can have this name; in a path it would mean something else
        found = self._server.call("get", _at(ref.api_version, ref.kind, namespace, ref.name))
        if found is None:
            self._forget_children(ref, namespace)
        return found

    def list(self, listing: Listing, namespace: str | None) -> tuple[Manifest, ...]:
        """Return the objects with these labels; of all namespaces where `namespace` is None."""
        # Items of a list carry neither apiVersion nor kind; everybody downstream may expect both.
        said = {"apiVersion": listing.api_version, "kind": listing.kind}
        return tuple({**said, **item} for page in self._pages(listing, namespace) for item in page)

    def names(self, listing: Listing, namespace: str | None) -> set[tuple[str, str]]:
        """Return namespace and name of the same objects; of a large fleet no more than a page is held at once."""
        metas = (item["metadata"] for page in self._pages(listing, namespace) for item in page)
        return {(meta["namespace"], meta["name"]) for meta in metas}

    def _pages(self, listing: Listing, namespace: str | None) -> Iterator[tuple[Manifest, ...]]:
        about = _at(listing.api_version, listing.kind, namespace)
        selector = ",".join(f"{key}={value}" for key, value in listing.labels)
        token = ""
        while True:
            query = {"labelSelector": selector, "limit": str(PAGE), "continue": token}
            page = self._server.call("list", about, query={key: value for key, value in query.items() if value})
            if page is None:
                raise ApiUnavailable(
                    f"Could not list {about.resource}: the API server does not know them."
                    " Are the custom resource definitions installed (assay crds | kubectl apply --server-side -f -)?"
                )
            token = page.get("metadata", {}).get("continue", "")
            yield tuple(page["items"])
            if not token:
                return

    def apply(
        self, manifest: Manifest, seen: Manifest | None = None, *, absent: bool = False, guarded: bool = False
    ) -> None:
        """Make the fields of `manifest` so, by server-side apply; leave out a write that would change nothing.

        It would change nothing when the same manifest was the last that we applied and the object has not been written
        since: then `seen`, read in this round, still has the version that our apply resulted in. What the decider does
        not look at is written again after a minute. A new process writes everything once.

        What is not known to be ours is read first, and the write holds only for the object that was judged; where it is
        `guarded`, only for the version that was seen. Where there was none, the write itself finds out whether somebody
        has taken the name since.
        """
        meta = manifest["metadata"]
        key = (manifest["apiVersion"], manifest["kind"], meta["namespace"], meta["name"])
        digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
        if absent:
            self._forget(key)
        last = self._applied.get(key)
        if last is not None and last.digest == digest and self._holds(last, seen):
            return
        owner = owner_of(manifest)
        if absent:
            with suppress(Conflict):
                self._write(key, manifest, digest, {"resourceVersion": NEVER})
                return
        if seen is None and last is not None and last.owner == owner:
            judged = {"uid": last.uid}
        else:
            judged = _judged(seen or self._peek(_at(*key)), owner)
        if guarded and seen is not None:
            judged |= {"resourceVersion": seen["metadata"]["resourceVersion"]}
        self._write(key, manifest, digest, judged)

    def _write(self, key: tuple[str, str, str, str], manifest: Manifest, digest: str, judged: Manifest) -> None:
        """Apply a manifest to the object that was judged, or else to none, and remember what came of it."""
        try:
            result = self._server.call(
                "patch",
                _at(*key),
                query={"fieldManager": FIELD_MANAGER, "force": "true"},
                content_type="application/apply-patch+yaml",
                body={**manifest, "metadata": {**manifest["metadata"], **judged}},
            )
        except Conflict:
            self._forget(key)
            raise
        if result is None:
            raise ApiUnavailable(f"Could not apply {manifest['kind']} {key[-1]}: its namespace or kind is not there.")
        made = result["metadata"]
        with self._lock:
            if len(self._applied) >= REMEMBERED:
                self._applied.clear()
            self._applied[key] = _Applied(
                digest, owner_of(manifest), made["uid"], made["resourceVersion"], self._clock()
            )

    def delete(self, ref: Ref, namespace: str, uid: str) -> None:
        """Delete an object and, in the background, what it owns; `Conflict` where another has taken its name."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        key = (ref.api_version, ref.kind, namespace, ref.name)
        self._server.call("delete", _at(*key), body=options)
        self._forget(key)

    def save_status(self, manifest: Manifest, status: Manifest) -> None:
        """Replace the status; `Conflict` where the object was changed since `manifest` was read, or is gone."""
        meta = manifest["metadata"]
        if not meta.get("resourceVersion"):
            raise Conflict(f"{manifest['kind']} {meta['name']} was never read, so it cannot be replaced.")
        about = _at(manifest["apiVersion"], manifest["kind"], meta["namespace"], meta["name"], "status")
        body = {**manifest, "status": status}
        if self._server.call("update", about, query={"fieldManager": FIELD_MANAGER}, body=body) is None:
            raise Conflict(f"{manifest['kind']} {meta['name']} is gone.")

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
        self._server.call("create", _at("events.k8s.io/v1", "Event", meta["namespace"]), body=event)

    def _holds(self, last: "_Applied", seen: Manifest | None) -> bool:
        if seen is None:
            return self._clock() - last.at < REASSERT_SECONDS
        return bool(last.version == seen["metadata"]["resourceVersion"])

    def _peek(self, about: Endpoint) -> Manifest | None:
        """Read an object with no more than the right to patch it: an empty patch, tried and never carried out."""
        return self._server.call(
            "patch", about, query={"dryRun": "All"}, content_type="application/merge-patch+json", body={}
        )

    def _forget(self, key: tuple[str, ...]) -> None:
        with self._lock:
            self._applied.pop(key, None)

    def _forget_children(self, ref: Ref, namespace: str) -> None:
        """Forget what an object owned that is gone: objects come and go, memory must not grow."""
        with self._lock:
            for key in [key for key, one in self._applied.items() if one.owner and key[2] == namespace]:
                owner = self._applied[key].owner
                if owner and (owner.kind, owner.name) == (ref.kind, ref.name):
                    del self._applied[key]


def _judged(found: Manifest | None, owner: Owner | None) -> Manifest:
    """Return what a manifest must say of itself, so that it is applied to the object found, or else to none."""
    if found is None:
        return {"resourceVersion": NEVER}
    ownership.check(found, owner)
    return {"uid": found["metadata"]["uid"]}


def _at(
    api_version: str, kind: str, namespace: str | None, name: str | None = None, subresource: str | None = None
) -> Endpoint:
    plural = PLURALS[api_version, kind]
    root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
    place = f"/namespaces/{quote(namespace, safe='')}" if namespace is not None else ""
    leaf = f"/{quote(name, safe='')}" if name is not None else ""
    more = f"/{subresource}" if subresource is not None else ""
    return Endpoint(plural + more, f"{root}{place}/{plural}{leaf}{more}")
