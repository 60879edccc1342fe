"""How to kill an operator, or any container, as a lack of memory would."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from flights.shop import Shop, until


def sigkill(shop: Shop) -> None:
    """Kill the operator's first process and wait until it is started again."""
    container = _operator(shop)
    os.kill(first_process(container), signal.SIGKILL)
    until(lambda: _operator(shop)["restartCount"] > container["restartCount"], "the killed container is started again")


def replace(shop: Shop) -> None:
    """Kill the operator's first process and its pod; another pod comes, without the kubelet's growing patience."""
    os.kill(operator_process(shop), signal.SIGKILL)
    selector = f"app.kubernetes.io/instance={shop.operator_release}"
    shop.kubectl("delete", "pods", "--selector", selector, "--force", namespace=shop.operator_namespace)


def operator_process(shop: Shop) -> int:
    """Return the pid of the operator's first process on the node."""
    return first_process(_operator(shop))


def process(pod: dict[str, Any], container: str) -> int:
    """Return the pid on the node of the first process of a container of a pod, as the API server has the pod."""
    statuses = [*pod["status"].get("initContainerStatuses", []), *pod["status"]["containerStatuses"]]
    return first_process(next(one for one in statuses if one["name"] == container))


def first_process(status: dict[str, Any]) -> int:
    """Return the pid on the node of a container's first process."""
    identity = str(status["containerID"]).removeprefix("containerd://")
    inside = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if identity in (entry / "cgroup").read_text():
                    inside.append(int(entry.name))
            except OSError:
                continue
    return min(inside)


def _operator(shop: Shop) -> dict[str, Any]:
    selector = f"app.kubernetes.io/instance={shop.operator_release}"
    pods = shop.kubectl("get", "pods", "--selector", selector, "--output", "json", namespace=shop.operator_namespace)
    status: dict[str, Any] = json.loads(pods)["items"][0]["status"]["containerStatuses"][0]
    return status
