"""The operator's process against a real API server: what it writes, how it dies, how it stops."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from assay.sandbox import cluster
from assay.sandbox.errors import SandboxError
from assay.sandbox.layout import Layout
from e2e.older import older, put

STOP_SECONDS = 5.0
NOWHERE = "nowhere.invalid/none:1"  # nothing here needs a pod that runs, and one without an image costs nothing

SPEC: dict[str, Any] = {
    "replicas": 1,
    "model": {"name": "flights", "version": "1"},
    "template": {"spec": {"containers": [{"name": "model", "image": NOWHERE, "ports": [{"containerPort": 8080}]}]}},
    "traffic": {"router": {"replicas": 1}},
    "strategy": {"canary": {"steps": [{"weight": 5}]}},
    "analysis": {"checks": [{"name": "errors", "preset": "error-ratio"}]},
}


def until(true: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.1)


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

    def __init__(self, place: Place, folder: Path) -> None:
        self._place = place
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

    def said(self) -> str:
        """Return its log."""
        return self._log.read_text()

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

    def end(self, number: signal.Signals) -> tuple[int, float]:
        started = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(30)
        return code, time.monotonic() - started


@pytest.fixture
def place(sandbox: Layout) -> Iterator[Place]:
    place = Place(sandbox)
    crds = Path(__file__).parents[2] / "crds"
    cluster.kubectl(sandbox, "apply", "--server-side", "--force-conflicts", "-f", str(crds))
    cluster.kubectl(sandbox, "create", "namespace", place.namespace)
    yield place
    cluster.kubectl(sandbox, "delete", "namespace", place.namespace, "--wait=false")


@pytest.fixture
def operator(place: Place, tmp_path: Path) -> Iterator[Operator]:
    operator = Operator(place, tmp_path)
    yield operator
    if operator.process.poll() is None:
        operator.process.kill()
        operator.process.wait()


def test_it_writes_the_status_and_nothing_else_of_a_users_object(place: Place, operator: Operator) -> None:
    place.apply()
    until(lambda: place.observed(1), "the first generation is observed")

    found = place.read()
    ours = [one for one in found["metadata"]["managedFields"] if one["manager"] == "assay"]
    assert [(one["operation"], one.get("subresource")) for one in ours] == [("Update", "status")]
    assert "finalizers" not in found["metadata"]
    assert set(found["metadata"]["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
    assert operator.answers("/healthz")


def test_killed_it_goes_on_where_it_was_and_stops_within_seconds_when_asked(place: Place, operator: Operator) -> None:
    place.apply()
    until(lambda: place.observed(1), "the first generation is observed")
    before = place.read()["status"]

    operator.end(signal.SIGKILL)
    place.apply(replicas=2)
    operator.start()
    until(lambda: place.observed(2), "the generation that came while it was dead is observed")
    after = place.read()["status"]
    code, seconds = operator.end(signal.SIGTERM)

    assert after["stage"] == before["stage"]
    assert after.get("candidate") == before.get("candidate")
    assert code == 0
    assert seconds < STOP_SECONDS


def test_what_somebody_deletes_of_ours_comes_back_at_once(place: Place, operator: Operator) -> None:
    place.apply()
    until(lambda: place.observed(1), "the first generation is observed")
    first = place.read("configmap", "flights-router")["metadata"]["uid"]

    place.kubectl("delete", "configmap", "flights-router")

    def back() -> bool:
        with suppress(SandboxError):
            return bool(place.read("configmap", "flights-router")["metadata"]["uid"] != first)
        return False

    until(back, "the ConfigMap is back", 10)
    assert operator.process.poll() is None


def test_a_restart_changes_nothing_that_is_as_it_should_be(place: Place, operator: Operator) -> None:
    place.apply()
    until(lambda: place.observed(1), "the first generation is observed")
    operator.end(signal.SIGTERM)
    kinds = "configmap,service,role,rolebinding,serviceaccount,controllerrevision"
    versions = (
        "get",
        kinds,
        "-o",
        "jsonpath={range .items[*]}{.kind}/{.metadata.name}@{.metadata.resourceVersion} {end}",
    )
    before = place.kubectl(*versions)

    operator.start()
    until(lambda: "reconciles_total{" in (operator.get("/metrics") or ""), "a look is over")

    assert 'verb="patch"' in (operator.get("/metrics") or "")
    assert place.kubectl(*versions) == before


def test_over_an_older_definition_it_reconciles_nothing_says_what_to_do_and_goes_on_by_itself(
    place: Place, operator: Operator
) -> None:
    operator.end(signal.SIGTERM)
    put(place.layout, older())
    place.apply()

    operator.start(ready=False)
    sentence = "is older than this operator: it would lose status.history."
    until(lambda: sentence in operator.said(), "the sentence is in the log")
    assert not operator.answers("/readyz")
    assert "status" not in place.read()
    put(place.layout)

    until(lambda: place.observed(1), "the first generation is observed")
    assert operator.said().count(sentence) == 1


def test_a_service_of_somebody_else_is_left_alone_and_named(place: Place, operator: Operator) -> None:
    spec = {"selector": {"app": "theirs"}, "ports": [{"port": 80}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "flights"}, "spec": spec}
    place.kubectl("apply", "-f", "-", given=json.dumps(service))
    before = place.read("service")

    place.apply()
    sentence = "Service flights exists and does not belong to this ModelDeployment; rename one of them."
    until(lambda: place.condition("Stalled") == ("True", sentence), "the sentence is in the status")

    assert place.read("service", "flights-stable")["metadata"]["ownerReferences"], "everything else goes on"
    assert place.read("configmap", "flights-router")["metadata"]["ownerReferences"]
    place.kubectl("delete", "modeldeployment", "flights")
    until(lambda: not place.names("configmap", "service") & {"flights-router", "flights-stable"}, "ours are collected")
    assert place.read("service") == before
    assert operator.process.poll() is None


def test_the_name_is_taken_as_soon_as_it_is_free(place: Place, operator: Operator) -> None:
    place.kubectl("create", "service", "clusterip", "flights", "--tcp=80")
    place.apply()
    until(lambda: place.condition("Stalled")[0] == "True", "it is stalled")

    place.kubectl("delete", "service", "flights")

    until(lambda: place.condition("Stalled")[0] == "False", "it is no longer stalled")
    assert place.owner("service", "flights") == place.read()["metadata"]["uid"]
    assert operator.process.poll() is None


def test_applied_again_at_once_it_waits_for_what_the_deleted_one_left(place: Place, operator: Operator) -> None:
    place.apply()
    until(lambda: place.observed(1), "the first generation is observed")
    place.kubectl("delete", "modeldeployment", "flights")

    place.apply()
    until(lambda: place.observed(1), "the second one is observed")

    uid = place.read()["metadata"]["uid"]
    children = ("configmap", "flights-router"), ("serviceaccount", "flights-router"), ("service", "flights")
    assert [place.owner(*child) for child in children] == [uid] * 3
    assert "InvalidSpec" not in place.kubectl("get", "events", "-o", "jsonpath={.items[*].reason}")
    assert operator.process.poll() is None
