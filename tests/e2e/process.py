"""The operator's process outside the cluster, and a namespace for it to work in."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from assay.sandbox import cluster
from assay.sandbox.layout import Layout
from flights.shop import until

NOWHERE = "nowhere.invalid/none:1"  # nothing here needs a pod that runs, and one without an image costs nothing

SPEC: dict[str, Any] = {
    "replicas": 1,
    "model": {"name": "flights", "version": "1"},
    "template": {"spec": {"containers": [{"name": "model", "image": NOWHERE, "ports": [{"containerPort": 8080}]}]}},
    "traffic": {"router": {"replicas": 1}},
    "strategy": {"canary": {"steps": [{"weight": 5}]}},
    "analysis": {"checks": [{"name": "errors", "preset": "error-ratio"}]},
}


class Place:
    """A namespace of its own."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.namespace = f"operator-{secrets.token_hex(4)}"

    def kubectl(self, *argv: str, given: str | None = None) -> str:
        return cluster.kubectl(self.layout, "-n", self.namespace, *argv, given=given)

    def apply(self, **spec: Any) -> None:
        meta = {"name": "flights", "namespace": self.namespace}
        head = {"apiVersion": "assay.dev/v1alpha1", "kind": "ModelDeployment", "metadata": meta}
        self.kubectl("apply", "-f", "-", given=json.dumps({**head, "spec": {**SPEC, **spec}}))

    def read(self, kind: str = "modeldeployment", name: str = "flights") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json", "--show-managed-fields"))
        return found

    def observed(self, generation: int) -> bool:
        return bool(self.read().get("status", {}).get("observedGeneration") == generation)

    def condition(self, kind: str) -> tuple[str, str]:
        """Return status and message of a condition."""
        conditions = self.read().get("status", {}).get("conditions", [])
        return next(((one["status"], one["message"]) for one in conditions if one["type"] == kind), ("Unknown", ""))

    def owner(self, kind: str, name: str) -> str:
        """Return the uid of an object's controller."""
        return next(str(one["uid"]) for one in self.read(kind, name)["metadata"]["ownerReferences"])

    def names(self, *kinds: str) -> set[str]:
        return set(self.kubectl("get", ",".join(kinds), "-o", "jsonpath={.items[*].metadata.name}").split())


class Operator:
    """`assay run` outside the cluster, with the sandbox's kubeconfig."""

    def __init__(self, place: Place, folder: Path, **env: str) -> None:
        self._place = place
        self._env = env
        self._log = folder / "operator.log"
        self.process = self.start()

    def start(self, *, ready: bool = True) -> subprocess.Popen[bytes]:
        env = os.environ | {
            "KUBECONFIG": str(self._place.layout.kubeconfig),
            "ASSAY_NAMESPACES": self._place.namespace,
            "ASSAY_HTTP_HOST": "127.0.0.1",
            "ASSAY_HTTP_PORT": "0",
            "ASSAY_PROMETHEUS_URL": "http://127.0.0.1:1",
            "ASSAY_ROUTER_IMAGE": NOWHERE,
            **self._env,
        }
        self._log.write_text("")
        with self._log.open("a") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "assay", "run"], env=env, stderr=log)
        if ready:
            until(lambda: self.answers("/readyz"), "the operator is ready")
        return self.process

    def answers(self, path: str) -> bool:
        """Return whether a probe succeeds."""
        assert self.process.poll() is None, self._log.read_text()
        with suppress(OSError, HTTPException, StopIteration):
            return self.get(path) is not None
        return False

    def get(self, path: str) -> str | None:
        """Return the answer to a request, or None where it is not 200."""
        lines = self._log.read_text().splitlines()
        port = int(next(line for line in lines if "metrics on port " in line).rsplit(" ", 1)[1])
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode()
            return text if answer.status == 200 else None
        finally:
            connection.close()

    def said(self) -> str:
        """Return its log since it was started."""
        return self._log.read_text()

    def end(self, number: signal.Signals) -> tuple[int, float]:
        started = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(30)
        return code, time.monotonic() - started
