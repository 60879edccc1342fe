"""The flights model in a cluster, with its callers: what the demo, the end-to-end tests and the bench drive.

Everything goes through `kubectl` and `helm`, as a user's hands would.
"""

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml

from assay.sandbox.layout import Layout, program

Found = TypeVar("Found")

HERE = Path(__file__).parent
CHART = HERE.parents[1] / "charts" / "assay"
CALLERS = "flights-replay"


class ShopError(Exception):
    """What was asked did not happen; the message says what, and what the cluster said."""


def until(true: Callable[[], Found], what: str, seconds: float = 120.0) -> Found:
    """Wait until something is true, and return it.

    Raises:
        ShopError: It was not, for so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not (found := true()):
        if time.monotonic() > deadline:
            raise ShopError(f"Waited {seconds:.0f} s in vain: {what}.")
        time.sleep(0.1)
    return found


@dataclass(frozen=True, slots=True)
class Shop:
    """A namespace with the flights model and its callers, and the operator that looks after it."""

    kubectl_program: Sequence[str]
    helm_program: Sequence[str]
    namespace: str
    operator_namespace: str
    operator_release: str = "assay"

    @classmethod
    def in_sandbox(
        cls, layout: Layout, namespace: str, operator_namespace: str, operator_release: str = "assay"
    ) -> Self:
        """Return a shop in a sandbox that is up."""
        config = f"--kubeconfig={layout.kubeconfig}"
        kubectl, helm = [program("kubernetes"), "kubectl", config], [program("helm"), config]
        return cls(kubectl, helm, namespace, operator_namespace, operator_release)

    def kubectl(self, *argv: str, given: str | None = None, namespace: str = "") -> str:
        """Run kubectl in the shop's namespace, or another, and return what it says."""
        return _run([*self.kubectl_program, "--namespace", namespace or self.namespace, *argv], given)

    def helm(self, *argv: str) -> str:
        """Run Helm in the operator's namespace and return what it says."""
        return _run([*self.helm_program, "--namespace", self.operator_namespace, *argv], None)

    def install(self, *settings: str) -> None:
        """Install the chart, looking after this namespace alone, and wait until the operator is ready."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(CHART / "crds"))
        for name in (self.namespace, self.operator_namespace):
            space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            self.kubectl("apply", "--server-side", "--filename", "-", given=json.dumps(space))
        chosen = [part for one in (f"namespaces={{{self.namespace}}}", *settings) for part in ("--set", one)]
        self.helm("upgrade", "--install", self.operator_release, str(CHART), *chosen, "--wait", "--timeout", "180s")

    def uninstall(self) -> None:
        """Take the model and the operator away."""
        self.kubectl("delete", "namespace", self.namespace, "--wait=false", "--ignore-not-found")
        self.helm("uninstall", self.operator_release, "--wait", "--ignore-not-found")

    def release(
        self,
        revision: str,
        name: str = "flights",
        steps: Sequence[Mapping[str, Any]] = (),
        checks: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Apply the example with another revision, and with other steps and checks where they are given."""
        manifest = yaml.safe_load((HERE / "modeldeployment.yaml").read_text())
        manifest["metadata"]["name"] = name
        if steps:
            manifest["spec"]["strategy"]["canary"]["steps"] = list(steps)
        if checks:
            manifest["spec"]["analysis"]["checks"] = list(checks)
        manifest["spec"]["model"]["version"] = revision
        manifest["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = revision
        self.kubectl("apply", "--server-side", "--filename", "-", given=json.dumps(manifest))

    def call(self, *argv: str, pod: str = CALLERS) -> None:
        """Start callers: `flights.replay` with these options, as a pod."""
        manifest = yaml.safe_load((HERE / "replay.yaml").read_text())
        manifest["metadata"]["name"] = pod
        manifest["spec"]["containers"][0]["command"] = ["python", "-m", "flights.replay", *argv]
        self.kubectl("apply", "--server-side", "--filename", "-", given=json.dumps(manifest))
        self.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=120s")

    def heard(self, pod: str = CALLERS) -> dict[str, Any]:
        """Return the callers' last report; empty before the first."""
        lines = self.kubectl("logs", pod, "--tail=1").splitlines()
        report: dict[str, Any] = json.loads(lines[-1]) if lines else {}
        return report

    def status(self, name: str = "flights") -> dict[str, Any]:
        """Return the status, empty until it is about the newest spec."""
        found = json.loads(self.kubectl("get", "modeldeployment", name, "--output", "json"))
        status: dict[str, Any] = found.get("status", {})
        return status if status.get("observedGeneration") == found["metadata"]["generation"] else {}

    def stage(self, *wanted: str, name: str = "flights", weight: int = 0, seconds: float = 240) -> dict[str, Any]:
        """Wait until the machine is in one of these stages, and the candidate has this weight at least."""

        def there() -> dict[str, Any]:
            status = self.status(name)
            carried = status.get("candidate", {}).get("weight", 0)
            return status if status.get("stage") in wanted and carried >= weight else {}

        return until(there, f"{name} is {' or '.join(wanted)}", seconds)


def _run(argv: Sequence[str], given: str | None) -> str:
    done = subprocess.run(argv, input=given, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        words = " ".join(argv[1:])
        raise ShopError(f"{argv[0].rpartition('/')[2]} {words}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
