"""What is the smallest world in which whole reconciles can be run, broken and looked at?

Public fakes of both ports. They keep what rollouts rely on: resource versions and conflicts, generations, field
ownership of server-side apply (lists as a whole), finalizers, garbage collection of owned objects. `settle` plays the
rest of the cluster: pods become ready and routers acknowledge.
"""

import itertools
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias, TypeVar

from assay.adapters import ownership
from assay.adapters.layers import copied, merged, without
from assay.adapters.ownership import owner_of
from assay.api import crd
from assay.api.base import Manifest
from assay.core.decision import Listing, Missing, Note, Query, Ref, Series
from assay.core.errors import Conflict
from assay.core.names import (
    ACKS_CONFIG_MAP,
    COMPONENT_LABEL,
    CONFIG_MAP,
    DEPLOYMENT_LABEL,
    METRIC_DEPLOYMENT,
    SPLIT_KEY,
)

Place: TypeAlias = tuple[Ref, str]
"""An object and its namespace."""

T = TypeVar("T")


class Crash(BaseException):
    """The process ended here: nothing that catches errors may catch it."""


class MemoryCluster:
    """A `Cluster` in a dictionary."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Note]] = []
        """(name of the object, what was told), oldest first."""
        self.calls: list[tuple[str, str]] = []
        """(verb, kind/name) of every call, oldest first."""
        self.served = {
            one["spec"]["names"]["kind"]: one["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for one in crd.crds()
        }
        """The schemas that it publishes; those of this release."""
        self._objects: dict[Place, Manifest] = {}  # what is stored is replaced, never changed: copies may share it
        self._applied: dict[Place, Manifest] = {}
        self._versions = itertools.count(1)
        self._troubles: dict[int, tuple[BaseException, bool]] = {}
        self._lock = threading.RLock()

    # What the operator sees.

    def schemas(self) -> dict[str, Manifest]:
        """Return the schema that is served of each of our kinds, by kind."""
        return self.served

    def get(self, ref: Ref, namespace: str) -> Manifest | None:
        """Return the object as it is now, or None where there is none."""
        return self._call("get", ref, lambda: copied(self._objects.get((ref, namespace))))

    def list(self, listing: Listing, namespace: str | None) -> tuple[Manifest, ...]:
        """Return the objects with these labels, sorted by name; of all namespaces where `namespace` is None."""
        return self._call(
            "list", Ref(listing.api_version, listing.kind, ""), lambda: tuple(self._matching(listing, namespace))
        )

    def names(self, listing: Listing, namespace: str | None) -> set[tuple[str, str]]:
        """Return namespace and name of the same objects."""
        return {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in self.list(listing, namespace)}

    def apply(
        self,
        manifest: Manifest,
        seen: Manifest | None = None,
        *,
        absent: bool = False,  # noqa: ARG002 - it remembers nothing
        guarded: bool = False,
    ) -> None:
        """Make the fields of `manifest` so, if the object is ours; fields applied before and absent now go."""
        place = _place(manifest)

        def write() -> None:
            before = self._objects.get(place, {})
            if seen is not None:
                self._same(place, seen["metadata"]["uid"])
                if guarded and before["metadata"]["resourceVersion"] != seen["metadata"]["resourceVersion"]:
                    raise Conflict(f"{place[0].kind} {place[0].name} was changed in between.")
            if before:
                ownership.check(before, owner_of(manifest))
            kept = without(before, self._applied.get(place, {}), manifest)
            self._store(place, merged(kept, manifest))
            self._applied[place] = copied(manifest)

        self._call("patch", place[0], write)

    def delete(self, ref: Ref, namespace: str, uid: str) -> None:
        """Delete an object and what it owns, if it is there; an object with finalizers waits for them."""

        def write() -> None:
            if (ref, namespace) in self._objects:
                self._same((ref, namespace), uid)
                self._delete((ref, namespace))

        self._call("delete", ref, write)

    def save_status(self, manifest: Manifest, status: Manifest) -> None:
        """Replace the status; `Conflict` where the object was changed since `manifest` was read, or is gone."""
        place = _place(manifest)
        self._call(
            "update", place[0], lambda: self._store(place, {**self._checked(manifest), "status": copied(status)})
        )

    def post_event(self, regarding: Manifest, note: Note, now: datetime) -> None:  # noqa: ARG002 - a port's signature
        """Keep the note."""
        name = regarding["metadata"]["name"]
        self._call("create", Ref("events.k8s.io/v1", "Event", name), lambda: self.events.append((name, note)))

    # What a test does.

    def create(self, manifest: Manifest) -> None:
        """Create or overwrite an object, as a user would."""
        with self._lock:
            self._store(_place(manifest), {**self._objects.get(_place(manifest), {}), **copied(manifest)})

    def fail(self, call: int, error: BaseException, *, done: bool = False) -> None:
        """Let the n-th call from now (1 is the next) raise `error`: before it does anything, or after, where `done`."""
        self._troubles[len(self.calls) + call] = (error, done)

    def objects(self, kind: str) -> dict[str, Manifest]:
        """Return copies of all objects of a kind by name."""
        return {ref.name: copied(one) for (ref, _), one in self._objects.items() if ref.kind == kind}

    def settle(self, *, broken: Iterable[str] = (), deaf: Iterable[str] = ()) -> None:
        """Let pods become ready and routers acknowledge the split.

        Args:
            broken: Names of Deployments whose pods never become ready.
            deaf: Names of router pods that acknowledge nothing.
        """
        with self._lock:
            for name, deployment in self._deployments():
                self._run(deployment, ready=name not in set(broken))
            for name, deployment in self._deployments():
                if deployment["spec"]["template"]["metadata"]["labels"].get(COMPONENT_LABEL) == "router":
                    self._acknowledge(name, deployment, set(deaf))

    # How it works.

    def _call(self, verb: str, ref: Ref, effect: Callable[[], T]) -> T:
        with self._lock:
            self.calls.append((verb, f"{ref.kind}/{ref.name}"))
            error, done = self._troubles.pop(len(self.calls), (None, False))
            if error is not None and not done:
                raise error
            result = effect()
            if error is not None:
                raise error
            return result

    def _matching(self, listing: Listing, namespace: str | None) -> Iterable[Manifest]:
        for (ref, place), one in sorted(self._objects.items(), key=lambda item: (item[0][1], item[0][0].name)):
            labels = one["metadata"].get("labels", {})
            if (
                (ref.api_version, ref.kind) == (listing.api_version, listing.kind)
                and namespace in {None, place}
                and all(labels.get(key) == value for key, value in listing.labels)
            ):
                yield copied(one)

    def _same(self, place: Place, uid: str) -> None:
        """Raise `Conflict` where this is not the uid of the object that is there now."""
        if self._objects.get(place, {}).get("metadata", {}).get("uid") != uid:
            raise Conflict(f"{place[0].kind} {place[0].name} is no longer the one that was seen.")

    def _checked(self, manifest: Manifest) -> Manifest:
        """Return the stored object; `Conflict` where `manifest` is not its latest version."""
        now = self._objects.get(_place(manifest))
        if now is None or now["metadata"]["resourceVersion"] != manifest["metadata"].get("resourceVersion"):
            raise Conflict(f"{manifest['kind']} {manifest['metadata']['name']} was changed in between.")
        return now

    def _store(self, place: Place, after: Manifest) -> None:
        """Write what is new, with the metadata that a server keeps; a write that changes nothing leaves no trace."""
        before = self._objects.get(place, {})
        meta = before.get("metadata", {"generation": 0})
        served = {
            key: meta[key] for key in ("uid", "resourceVersion", "generation", "deletionTimestamp") if key in meta
        }
        after = {**after, "metadata": {**after["metadata"], **served}}
        if after == before:
            return
        version = next(self._versions)
        after["metadata"] |= {"resourceVersion": str(version)}
        after["metadata"].setdefault("uid", f"uid-{version}")
        if after.get("spec") != before.get("spec") or not before:
            after["metadata"]["generation"] = meta["generation"] + 1
        self._objects[place] = after
        if "deletionTimestamp" in after["metadata"] and not after["metadata"].get("finalizers"):
            self._delete(place)

    def _delete(self, place: Place) -> None:
        one = self._objects.get(place)
        if one is None:
            return
        if one["metadata"].get("finalizers"):
            going = {"deletionTimestamp": "2013-01-01T00:00:00Z", "resourceVersion": str(next(self._versions))}
            self._objects[place] = {**one, "metadata": {**one["metadata"], **going}}
            return
        del self._objects[place]
        self._applied.pop(place, None)
        for other, child in list(self._objects.items()):
            if any(
                owner.get("uid") == one["metadata"]["uid"] for owner in child["metadata"].get("ownerReferences", [])
            ):
                self._delete(other)

    def _deployments(self) -> Sequence[tuple[str, Manifest]]:
        return [(ref.name, one) for (ref, _), one in self._objects.items() if ref.kind == "Deployment"]

    def _run(self, deployment: Manifest, *, ready: bool) -> None:
        """Give a Deployment its pods and its status."""
        meta, spec = deployment["metadata"], deployment["spec"]
        wanted = spec.get("replicas", 1)
        for (ref, namespace), pod in list(self._objects.items()):
            owners = [owner["uid"] for owner in pod["metadata"].get("ownerReferences", [])]
            if ref.kind == "Pod" and owners == [meta["uid"]] and int(ref.name.rsplit("-", 1)[1]) >= wanted:
                self._delete((ref, namespace))
        for number in range(wanted):
            conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    **spec["template"]["metadata"],
                    "name": f"{meta['name']}-{number}",
                    "namespace": meta["namespace"],
                    "ownerReferences": [{"kind": "ReplicaSet", "name": meta["name"], "uid": meta["uid"]}],
                },
                "spec": spec["template"].get("spec", {}),
                "status": {"phase": "Running", "conditions": conditions},
            }
            self._store(_place(pod), pod)
        up = wanted if ready else 0
        status = {"observedGeneration": meta["generation"], "replicas": wanted, "updatedReplicas": wanted}
        status |= {"readyReplicas": up, "availableReplicas": up} if up else {}
        self._store(_place(deployment), {**deployment, "status": status})

    def _acknowledge(self, router: str, deployment: Manifest, deaf: set[str]) -> None:
        """Let the router pods report the generation of the split that they can read."""
        namespace, owner = deployment["metadata"]["namespace"], deployment["metadata"]["labels"][DEPLOYMENT_LABEL]
        split = self._objects.get((Ref("v1", "ConfigMap", CONFIG_MAP.format(name=owner)), namespace))
        place = (Ref("v1", "ConfigMap", ACKS_CONFIG_MAP.format(name=owner)), namespace)
        acks = self._objects.get(place)
        if split is None or acks is None:
            return
        generation = str(json.loads(split["data"][SPLIT_KEY])["generation"])
        up = deployment.get("status", {}).get("readyReplicas", 0)
        heard = {f"{router}-{number}": generation for number in range(up) if f"{router}-{number}" not in deaf}
        self._store(place, {**acks, "data": {**acks.get("data", {}), **heard}})


class MemoryMetrics:
    """`Metrics` in a list; `add` is what a scrape would find."""

    def __init__(self) -> None:
        self.outage: str | None = None
        """Why nothing can be measured, while that is so."""
        self._found: dict[tuple[str, tuple[tuple[str, str], ...]], list[tuple[float, float]]] = {}

    def add(self, metric: str, labels: Mapping[str, str], at: float, value: float) -> None:
        """Add a sample of a counter; labels must name `namespace` and `assay_deployment`."""
        self._found.setdefault((metric, tuple(sorted(labels.items()))), []).append((at, value))

    def series(self, query: Query, namespace: str, deployment: str) -> tuple[Series, ...] | Missing:
        """Return the raw samples of one ModelDeployment's pods; empty where there are none."""
        if self.outage is not None:
            return Missing(self.outage)
        wanted = {("namespace", namespace), (METRIC_DEPLOYMENT, deployment), *query.match}
        return tuple(
            Series(dict(labels), tuple(samples))
            for (metric, labels), samples in self._found.items()
            if metric == query.metric
            and wanted <= set(labels)
            and all(dict(labels).get(label) in values for label, values in query.among)
        )


def _place(manifest: Manifest) -> Place:
    meta = manifest["metadata"]
    return Ref(manifest["apiVersion"], manifest["kind"], meta["name"]), meta["namespace"]
