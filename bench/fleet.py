"""What is the fleet that the operator is measured with, and who plays its pods?

The API server, the operator, Prometheus and all requests between them are real; pods are not run, for 2,000 of them do
not fit on one machine. The stand-in does what they would have been seen to do, through the API and at once: Deployments
report their replicas as ready, each router has a pod that is ready and acknowledges each split, and one exporter shows
the counters of all routers to Prometheus. Kubernetes' own garbage collector runs; its other controllers are halted.
"""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field

from aiohttp import web

from assay.api.base import GROUP, VERSION
from assay.core.names import ACKS_CONFIG_MAP, COMPONENT_LABEL, DEPLOYMENT_LABEL, MANAGED_BY, REQUESTS_METRIC, SPLIT_KEY
from bench.api import Api, Manifest

OURS = ",".join(f"{label}={value}" for label, value in MANAGED_BY.items())
PER_NAMESPACE = 50
ROLLING, IDLE = "rolling", "idle"
ENDED = ("Stable", "RolledBack")
RATE = {ROLLING: 1000.0, IDLE: 10.0}  # requests per second
ERRORS, FAULTY_ERRORS = 0.01, 0.05  # share of the requests that fail, and that of a revision that must go back
FAULTY = 4  # every fourth release is faulty
PAUSE_SECONDS = 2.0  # between the end of a rollout and the next
PATH = f"/apis/{GROUP}/{VERSION}"


def model(name: str, namespace: str) -> Manifest:
    """Return a ModelDeployment with the least that can be rolled out."""
    container = {"name": "model", "image": "nowhere.invalid/none:1", "ports": [{"containerPort": 8080}]}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 1,
            "model": {"name": "flights", "version": "1"},
            "template": {"spec": {"containers": [container]}},
            "traffic": {"router": {"replicas": 1}},
            "strategy": {"canary": {"steps": [{"weight": 5, "minSeconds": 10}, {"weight": 50, "minSeconds": 10}]}},
            "analysis": {
                "intervalSeconds": 5,
                "warmupSeconds": 0,
                "checks": [{"name": "errors", "preset": "error-ratio"}],
            },
        },
    }


@dataclass(slots=True)
class Traffic:
    """What the routers of one ModelDeployment have counted."""

    rate: float
    weights: dict[str, int] = field(default_factory=dict)
    faulty: set[str] = field(default_factory=set)
    counted: dict[tuple[str, str], float] = field(default_factory=dict)
    """(revision, response class) -> requests."""

    def split(self, weights: dict[str, int]) -> None:
        """Send it elsewhere; what is no backend any more is forgotten, as Envoy does."""
        self.weights = weights
        self.counted = {key: count for key, count in self.counted.items() if key[0] in weights}

    def flow(self, seconds: float) -> None:
        """Let traffic flow for so long."""
        for revision, weight in self.weights.items():
            share = FAULTY_ERRORS if revision in self.faulty else ERRORS
            for group, part in (("2", 1 - share), ("5", share)):
                key = (revision, group)
                self.counted[key] = self.counted.get(key, 0.0) + self.rate * weight / 100 * part * seconds


class Fleet:
    """ModelDeployments, their traffic, and the stand-in for their pods."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.stages: dict[tuple[str, str], str] = {}
        self.traffic: dict[tuple[str, str], Traffic] = {}
        self.status_bytes: dict[tuple[str, str], int] = {}
        self.releasing = True
        self._made: Counter[str] = Counter()
        self._newest: dict[tuple[str, str], int] = {}  # generation of the split
        self._version: dict[tuple[str, str], int] = {}
        self._namespaces: dict[str, asyncio.Task[None]] = {}
        self._group = asyncio.TaskGroup()
        self._last = time.monotonic()

    # What the users do.

    async def grow(self, role: str, count: int) -> None:
        """Create ModelDeployments until there are so many of a role."""
        have = sum(name.startswith(role) for _, name in self.traffic)
        await asyncio.gather(*(self.create(role) for _ in range(count - have)))

    async def create(self, role: str) -> None:
        """Create one more."""
        number = self._made[role]
        self._made[role] += 1
        namespace, name = f"fleet-{role}-{number // PER_NAMESPACE % 40}", f"{role}-{number}"
        self.traffic[namespace, name] = Traffic(RATE[role])
        if namespace not in self._namespaces:
            self._namespaces[namespace] = asyncio.create_task(self._make(namespace))
        await self._namespaces[namespace]
        await self._api.call("POST", f"{PATH}/namespaces/{namespace}/modeldeployments", model(name, namespace))

    async def _make(self, namespace: str) -> None:
        await self._api.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        account = {"metadata": {"name": "default"}}  # its controller is halted
        await self._api.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account)

    async def delete(self, role: str) -> None:
        """Delete the oldest of a role; Kubernetes collects what it owned."""
        key = next(key for key in self.traffic if key[1].startswith(role))
        del self.traffic[key]
        await self._api.call("DELETE", f"{PATH}/namespaces/{key[0]}/modeldeployments/{key[1]}")

    async def leave(self) -> None:
        """Delete everything; Kubernetes goes on with it when its controllers do."""
        self.releasing = False
        for namespace in self._namespaces:
            await self._api.call("DELETE", f"/api/v1/namespaces/{namespace}")

    async def release(self) -> None:
        """Let every ModelDeployment that rolls begin its next rollout."""
        self.releasing = True
        for key in [key for key, stage in self.stages.items() if key[1].startswith(ROLLING) and stage in ENDED]:
            self._group.create_task(self._release(key, self._version[key] + 1))

    def serving(self) -> bool:
        """Return whether every ModelDeployment has reached a revision that serves."""
        return not self.waiting()

    def waiting(self) -> dict[str, str]:
        """Return those that do not serve yet, with their stages."""
        found = {"/".join(key): self.stages.get(key, "not seen") for key in self.traffic}
        return {name: stage for name, stage in found.items() if stage in ("", "Initialising", "not seen")}

    def rolling(self) -> int:
        """Return how many are amid a rollout."""
        return sum(stage not in ("", "Initialising", *ENDED) for stage in self.stages.values())

    def calm(self) -> bool:
        """Return whether every ModelDeployment serves and none rolls."""
        return len(self.stages) == len(self.traffic) and all(stage in ENDED for stage in self.stages.values())

    # What the pods would do.

    async def play(self) -> None:
        """Watch and answer, for ever."""
        async with asyncio.TaskGroup() as self._group:
            group = self._group
            group.create_task(self._deployments())
            group.create_task(self._splits())
            group.create_task(self._resources())

    async def _deployments(self) -> None:
        async for event, one in self._api.watch("/apis/apps/v1/deployments", OURS):
            meta, seen = one["metadata"], one.get("status", {}).get("observedGeneration")
            if event != "DELETED" and seen != meta["generation"]:
                self._group.create_task(self._ready(one))
            if event == "ADDED" and seen is None and meta["labels"].get(COMPONENT_LABEL) == "router":
                self._group.create_task(self._router(one))

    async def _ready(self, one: Manifest) -> None:
        meta, pods = one["metadata"], one["spec"]["replicas"]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), pods)
        path = f"/apis/apps/v1/namespaces/{meta['namespace']}/deployments/{meta['name']}/status"
        await self._api.call("PATCH", path, {"status": {"observedGeneration": meta["generation"], **counts}})

    async def _router(self, one: Manifest) -> None:
        meta, template = one["metadata"], one["spec"]["template"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods"
        pod = {
            "metadata": {
                "name": _pod(meta["labels"][DEPLOYMENT_LABEL]),
                "labels": template["metadata"]["labels"],
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"], "uid": meta["uid"]}
                ],
            },
            # A scheduler that does not exist: nobody takes it, and no kubelet runs it.
            "spec": {**template["spec"], "schedulerName": "bench", "serviceAccountName": "default"},
        }
        await self._api.call("POST", path, pod)
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": meta["creationTimestamp"]}
        status = {"phase": "Running", "conditions": [ready]}
        await self._api.call("PATCH", f"{path}/{pod['metadata']['name']}/status", {"status": status})

    async def _splits(self) -> None:
        async for event, one in self._api.watch("/api/v1/configmaps", OURS):
            text = one.get("data", {}).get(SPLIT_KEY)
            if event == "DELETED" or text is None:
                continue
            split, namespace = json.loads(text), one["metadata"]["namespace"]
            traffic = self.traffic.get((namespace, split["deployment"]))
            if traffic is not None:
                self._flow()
                traffic.split({backend["revision"]: backend["weight"] for backend in split["backends"]})
                self._group.create_task(self._acknowledge(namespace, split["deployment"], split["generation"]))

    async def _acknowledge(self, namespace: str, name: str, generation: int) -> None:
        path = f"/api/v1/namespaces/{namespace}/configmaps/{ACKS_CONFIG_MAP.format(name=name)}"
        self._newest[namespace, name] = generation
        # Where to write it is made a moment after the split; by then there may be another, and no router goes back.
        while self._newest[namespace, name] == generation:
            if await self._api.call("PATCH", path, {"data": {_pod(name): str(generation)}}) is not None:
                return
            await asyncio.sleep(0.2)

    async def _resources(self) -> None:
        async for event, one in self._api.watch(f"{PATH}/modeldeployments"):
            meta, status = one["metadata"], one.get("status", {})
            key = (meta["namespace"], meta["name"])
            traffic = self.traffic.get(key)
            if event == "DELETED" or traffic is None:
                self.stages.pop(key, None)
                self.status_bytes.pop(key, None)
                continue
            stage, before = status.get("stage", ""), self.stages.get(key)
            self.stages[key] = stage
            self.status_bytes[key] = len(json.dumps(status, separators=(",", ":")))
            version = self._version[key] = int(one["spec"]["model"]["version"])
            candidate = (status.get("candidate") or {}).get("revision")
            if candidate is not None and version % FAULTY == 0:
                traffic.faulty = {candidate}
            if stage in ENDED and before not in (*ENDED, None) and meta["name"].startswith(ROLLING):
                self._group.create_task(self._release(key, version + 1))

    async def _release(self, key: tuple[str, str], version: int) -> None:
        await asyncio.sleep(PAUSE_SECONDS)
        if self.releasing and key in self.traffic:
            path = f"{PATH}/namespaces/{key[0]}/modeldeployments/{key[1]}"
            await self._api.call("PATCH", path, {"spec": {"model": {"version": str(version)}}})

    # What Prometheus sees.

    async def scraped(self, _: web.Request) -> web.Response:
        """Answer a scrape with the counters of all routers."""
        self._flow()
        lines = [f"# TYPE {REQUESTS_METRIC} counter"]
        for (namespace, name), traffic in self.traffic.items():
            pod = f'namespace="{namespace}",pod="{_pod(name)}",assay_deployment="{name}",assay_via="split"'
            lines += [
                f'{REQUESTS_METRIC}{{{pod},assay_revision="{revision}",envoy_response_code_class="{group}"}} {count:.0f}'
                for (revision, group), count in traffic.counted.items()
            ]
        return web.Response(text="\n".join([*lines, ""]))

    def _flow(self) -> None:
        now = time.monotonic()
        for traffic in self.traffic.values():
            traffic.flow(now - self._last)
        self._last = now


def _pod(deployment: str) -> str:
    return f"{deployment}-router-0"
