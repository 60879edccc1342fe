"""The operator as users install it, and how to kill it."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assay.sandbox.cluster import kubectl
from assay.sandbox.layout import Layout, program

PROJECT = Path(__file__).parents[2]
RELEASE = "tested"


def until(true: Callable[[], Any], what: str, seconds: float = 120.0) -> Any:
    """Wait until something is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.1)
    return found


def helm(sandbox: Layout, namespace: str, *argv: str) -> str:
    done = subprocess.run(
        [program("helm"), "--kubeconfig", str(sandbox.kubeconfig), "--namespace", namespace, *argv],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def install(sandbox: Layout, namespace: str, watched: str) -> None:
    """Install the chart to look after one namespace, so that it meets no other test's operator."""
    kubectl(sandbox, "apply", "--server-side", "--force-conflicts", "-f", str(PROJECT / "crds"))
    for name in (namespace, watched):
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        kubectl(sandbox, "apply", "--server-side", "-f", "-", given=json.dumps(space))
    helm(sandbox, namespace, "upgrade", "--install", RELEASE, str(PROJECT / "charts" / "assay"), "--set",
         f"namespaces={{{watched}}}", "--wait", "--timeout", "180s")  # fmt: skip


def sigkill(sandbox: Layout, namespace: str, selector: str) -> None:
    """Kill the first process of a pod's first container, as a lack of memory would."""
    pods = json.loads(kubectl(sandbox, "get", "pods", "-n", namespace, "-l", selector, "-o", "json"))["items"]
    status = pods[0]["status"]["containerStatuses"][0]
    container = status["containerID"].removeprefix("containerd://")
    inside = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if container in (entry / "cgroup").read_text():
                    inside.append(int(entry.name))
            except OSError:
                continue
    os.kill(min(inside), signal.SIGKILL)
    name = pods[0]["metadata"]["name"]

    def restarted() -> bool:
        pod = json.loads(kubectl(sandbox, "get", "pod", "-n", namespace, name, "-o", "json"))
        return int(pod["status"]["containerStatuses"][0]["restartCount"]) > status["restartCount"]

    until(restarted, "the killed container is started again")
