"""How to kill an operator."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from flights.shop import Shop, until


def sigkill(shop: Shop) -> None:
    """Kill the operator's first process, as a lack of memory would, and wait until it is started again."""
    container = _container(shop)
    identity = str(container["containerID"]).removeprefix("containerd://")
    inside = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if identity in (entry / "cgroup").read_text():
                    inside.append(int(entry.name))
            except OSError:
                continue
    os.kill(min(inside), signal.SIGKILL)
    until(lambda: _container(shop)["restartCount"] > container["restartCount"], "the killed container is started again")


def _container(shop: Shop) -> dict[str, Any]:
    selector = f"app.kubernetes.io/instance={shop.operator_release}"
    pods = shop.kubectl("get", "pods", "--selector", selector, "--output", "json", namespace=shop.operator_namespace)
    status: dict[str, Any] = json.loads(pods)["items"][0]["status"]["containerStatuses"][0]
    return status
