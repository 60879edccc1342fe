"""A ModelDeployment under traffic, and hands that kill, stop and delete what belongs to it."""

import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from assay.sandbox import orders
from assay.sandbox.layout import Layout
from e2e.operators import process
from flights.shop import CALLERS, HERE, Shop, ShopError, until

API = "/apis/assay.dev/v1alpha1/namespaces/{namespace}/modeldeployments/{name}"
ANSWERS = (
    "from http.server import *; H = type('H', (BaseHTTPRequestHandler,), {'do_GET': lambda self: self.send_error(204)});"
    "ThreadingHTTPServer(('', 8080), H).serve_forever()"
)
TINY = {
    "name": "model",
    "image": "flights:0.1.0",
    "command": ["python", "-c", ANSWERS],
    "ports": [{"containerPort": 8080}],
}


def dying(how: str) -> dict[str, Any]:
    """A container that answers as the tiny one does, and comes to its end after three seconds."""
    timer = f"import threading; threading.Timer(3, lambda: {how}).start();"
    return {"command": ["python", "-c", timer + ANSWERS]}


def tiny(name: str, version: str = "1", *, container: dict[str, Any] | None = None, **analysis: Any) -> dict[str, Any]:
    """A ModelDeployment with one pod that starts at once, predicts nothing, and stays on trial for an hour."""
    template = {"terminationGracePeriodSeconds": 1, "containers": [{**TINY, **(container or {})}]}
    return {
        "apiVersion": "assay.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "model": {"name": "tiny", "version": version},
            "template": {"spec": template},
            "serving": {"protocol": "http"},
            "traffic": {"router": {"replicas": 1}},
            "strategy": {"canary": {"steps": [{"weight": 5, "minSeconds": 3600}]}},
            "analysis": {"checks": [{"name": "errors", "preset": "error-ratio"}], "warmupSeconds": 0, **analysis},
        },
    }


@dataclass(frozen=True)
class Scene:
    """One installation, its model `flights`, and its callers."""

    layout: Layout
    shop: Shop

    def apply(self, *wanted: dict[str, Any]) -> None:
        """Apply resources as a user does."""
        given = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(wanted)})
        self.shop.kubectl("apply", "--server-side", "--filename", "-", given=given)

    def release(self, revision: str, steps: Sequence[dict[str, Any]]) -> None:
        """Apply the flights with three replicas, so that a candidate at 50 % has two pods."""
        manifest = yaml.safe_load((HERE / "modeldeployment.yaml").read_text())
        manifest["spec"]["replicas"] = 3
        manifest["spec"]["strategy"]["canary"]["steps"] = list(steps)
        manifest["spec"]["analysis"]["deadlineSeconds"] = 1800
        manifest["spec"]["analysis"]["checks"] = [{"name": "errors", "preset": "error-ratio", "negligible": "0.02"}]
        manifest["spec"]["model"]["version"] = revision
        manifest["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = revision
        self.apply(manifest)

    def versions(self) -> tuple[str, str]:
        """Return the version of the flights model that is in the spec, and another one."""
        now = self.shop.kubectl("get", "modeldeployment", "flights", "--output", "jsonpath={.spec.model.version}")
        return now, "v1" if now == "v2" else "v2"

    # --- what callers hear ---

    def heard(self) -> dict[str, Any]:
        """Return the callers' last report, from the node: the API server may be dead."""
        (log,) = (self.layout.root / "pods").glob(f"{self.shop.namespace}_{CALLERS}_*/replay/0.log")
        report: dict[str, Any] = json.loads(log.read_text().splitlines()[-1].split(" ", 3)[3])
        return report

    def answered(self, more: int) -> dict[str, Any]:
        """Wait until callers got so many more answers; return what changed in sent, lost and answers per revision."""
        before = self.heard()
        until(lambda: self.heard()["answered"] >= before["answered"] + more, f"{more} more are answered", 30)
        return self.since(before)

    def since(self, before: dict[str, Any]) -> dict[str, Any]:
        """Return what callers got since an earlier report."""
        now = self.heard()
        earlier = {name: one["answered"] for name, one in before["revisions"].items()}
        revisions = {name: one["answered"] - earlier.get(name, 0) for name, one in now["revisions"].items()}
        losses = {name: count - before["losses"].get(name, 0) for name, count in now["losses"].items()}
        return {
            "sent": now["sent"] - before["sent"],
            "losses": {name: count for name, count in losses.items() if count},
            "revisions": {name: count for name, count in revisions.items() if count},
        }

    # --- what is there ---

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """Return the pods that are ready and not on their way out."""
        found = json.loads(self.shop.kubectl("get", "pods", "--selector", selector, "--output", "json"))["items"]
        return [
            one
            for one in found
            if "deletionTimestamp" not in one["metadata"]
            and {"type": "Ready", "status": "True"}.items()
            <= next((c for c in one["status"].get("conditions", []) if c["type"] == "Ready"), {}).items()
        ]

    def routers(self, name: str = "flights") -> list[dict[str, Any]]:
        """Return a ModelDeployment's routers."""
        return self.pods(f"assay.dev/deployment={name},app.kubernetes.io/component=router")

    def left_of(self, name: str) -> list[str]:
        """Return everything in the namespace that belongs to a ModelDeployment, whatever its kind."""
        kinds = self.shop.kubectl("api-resources", "--verbs=list", "--namespaced", "--output", "name").split()
        asked = ",".join(kind for kind in kinds if not kind.startswith("events"))
        return self.shop.kubectl("get", asked, "--selector", f"assay.dev/deployment={name}", "--output", "name").split()

    def live_of(self, name: str, revision: str) -> list[str]:
        """Return what is there of a revision, without its ControllerRevision, which is kept."""
        return [one for one in self.left_of(name) if revision in one and not one.startswith("controllerrevision")]

    # --- hands ---

    def lives(self, pod: dict[str, Any], container: str) -> int:
        """Return in which of its lives a container is, as the node's logs tell: the API server may be dead."""
        return max((int(log.stem) for log in log_folder(self.layout, pod, container).glob("?.log")), default=-1)

    def kill(self, pod: dict[str, Any], container: str, pid: int | None = None) -> None:
        """SIGKILL a container's first process and wait until the kubelet has started it again."""
        before = self.lives(pod, container)
        os.kill(pid or process(pod, container), signal.SIGKILL)
        what = f"{container} of {pod['metadata']['name']} is started again"
        until(lambda: self.lives(pod, container) > before, what, 60)

    @contextmanager
    def deaf_router(self, name: str) -> Iterator[None]:
        """Stop a router's agent: it acknowledges nothing, so that no change of weights is ever over."""
        pid = process(self.routers(name)[0], "agent")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextmanager
    def without_api_server(self) -> Iterator[None]:
        """Kill the API server, and start it again at the end."""
        orders.kill(self.layout, "kube-apiserver")
        try:
            yield
        finally:
            orders.start(self.layout, "kube-apiserver")

    def delete_at(self, stage: str, name: str, seconds: float = 120) -> None:
        """Delete a ModelDeployment at a stage: the API server refuses where its status has changed meanwhile."""

        def deleted() -> bool:
            found = json.loads(self.shop.kubectl("get", "modeldeployment", name, "--output", "json"))
            if found.get("status", {}).get("stage") != stage:
                return False
            same = {key: found["metadata"][key] for key in ("uid", "resourceVersion")}
            options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": same}
            path = API.format(namespace=self.shop.namespace, name=name)
            try:
                self.shop.kubectl("delete", "--raw", path, "--filename", "-", given=json.dumps(options))
            except ShopError as error:
                if "Conflict" in str(error) or "has been modified" in str(error):
                    return False
                raise
            return True

        until(deleted, f"{name} is deleted at {stage}", seconds)


def log_folder(layout: Layout, pod: dict[str, Any], container: str) -> Path:
    """Return where the node keeps what a container said, a file for each of its lives."""
    meta = pod["metadata"]
    return layout.root / "pods" / f"{meta['namespace']}_{meta['name']}_{meta['uid']}" / container
