"""The first release's operator begins a rollout, today's ends it: no model pod restarts and no evidence is lost.

The old operator runs as a process of this machine, from the first release's sources as Git has them. A checkout without
that commit cannot do so; there, the recorded state (tests/core/test_upgrade.py) has to do.
"""

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from assay.sandbox.layout import Layout
from flights.shop import Shop, until

ROOT = Path(__file__).parents[2]
FIRST = "f7c49b9"
STEPS = [{"weight": 20, "minSeconds": 4}, {"weight": 50, "minSeconds": 20}]  # long enough to be upgraded in
CHECKS = [{"name": "errors", "preset": "error-ratio", "negligible": "0.005"}]  # the first release knows no other preset


@dataclass
class Story:
    """What was seen."""

    pods: dict[str, Any]
    pods_after: dict[str, Any]
    checks: list[list[dict[str, Any]]] = field(default_factory=list)
    """The checks of every status that was read, from the old operator's last one on."""
    ended: dict[str, Any] = field(default_factory=dict)
    started: str = ""
    heard: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the first release."""
    done = subprocess.run(["git", "archive", FIRST, "operator"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"Git does not have the commit {FIRST} of the first release here; fetch the whole history")
    folder = tmp_path_factory.mktemp("first")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "operator"


@pytest.fixture(scope="module")
def shop(sandbox: Layout) -> Iterator[Shop]:
    shop = Shop.in_sandbox(sandbox, "upgrade-models", "upgrade-operator", "upgraded")
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shop.namespace}}
    shop.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(ROOT / "crds"))
    shop.kubectl("apply", "--server-side", "--filename", "-", given=json.dumps(space))
    yield shop
    shop.uninstall()


@contextmanager
def forwarded(shop: Shop) -> Iterator[str]:
    """Reach the sandbox's Prometheus from this machine."""
    command = [*shop.kubectl_program, "port-forward", "--namespace", "monitoring", "service/prometheus", ":9090"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
        assert forward.stdout is not None
        port = re.search(r":(\d+) ->", forward.stdout.readline())
        assert port is not None
        try:
            yield f"http://127.0.0.1:{port[1]}"
        finally:
            forward.terminate()


@contextmanager
def old_operator(sources: Path, shop: Shop, sandbox: Layout) -> Iterator[None]:
    """Run the first release's operator; its routers have another name for the same image, so the upgrade rolls them."""
    with forwarded(shop) as prometheus:
        env = os.environ | {
            "PYTHONPATH": str(sources),
            "KUBECONFIG": str(sandbox.kubeconfig),
            "ASSAY_NAMESPACES": shop.namespace,
            "ASSAY_HTTP_HOST": "127.0.0.1",
            "ASSAY_HTTP_PORT": "0",
            "ASSAY_PROMETHEUS_URL": prometheus,
            "ASSAY_ROUTER_IMAGE": "docker.io/library/assay-router:0.1.0",
        }
        with subprocess.Popen([sys.executable, "-m", "assay", "run"], env=env, cwd=sources) as operator:
            try:
                yield
            finally:
                operator.terminate()


def pods(shop: Shop) -> dict[str, Any]:
    """Name -> uid and restarts of every model pod."""
    found = json.loads(shop.kubectl("get", "pods", "--selector", "assay.dev/revision", "--output", "json"))["items"]
    return {
        one["metadata"]["name"]: (
            one["metadata"]["uid"],
            [c["restartCount"] for c in one["status"]["containerStatuses"]],
        )
        for one in found
    }


@pytest.fixture(scope="module")
def story(first: Path, shop: Shop, sandbox: Layout) -> Story:
    def judged() -> dict[str, Any]:
        """Return the status at the last step, when a few looks have counted there."""
        status = shop.stage("Analysing", weight=50)
        return status if status["candidate"]["step"] == 1 and status["candidate"]["stepRequests"] > 100 else {}

    with old_operator(first, shop, sandbox):
        shop.release("v1", steps=STEPS, checks=CHECKS)
        shop.stage("Stable")
        shop.call("--url", "http://flights:8080", "--rate", "100")
        until(lambda: shop.heard().get("answered", 0) > 0, "the first request is answered")
        shop.release("v2", steps=STEPS, checks=CHECKS)
        begun = until(judged, "the candidate is judged at the last step")
    seen = Story(pods(shop), {}, [shop.status()["checks"]], started=begun["candidate"]["startTime"])
    shop.install()

    def ended() -> bool:
        status = shop.status()
        seen.checks.append(status.get("checks", seen.checks[-1]))
        return status.get("stage") in {"Stable", "RolledBack"}

    until(ended, "the rollout ended")
    seen.ended, seen.pods_after, seen.heard = shop.status(), pods(shop), shop.heard()
    return seen


def test_the_rollout_that_the_old_operator_began_is_ended_by_the_new_one(story: Story) -> None:
    (ended,) = story.ended["history"]

    assert (ended["outcome"], ended["startTime"]) == ("Promoted", story.started)


def test_no_model_pod_that_served_was_restarted_or_replaced(story: Story) -> None:
    assert len(story.pods) >= 2
    for name, pod in story.pods.items():
        assert story.pods_after.get(name, pod) == pod
    candidate = story.ended["history"][0]["revision"]
    assert {name for name in story.pods if candidate in name} <= set(story.pods_after)


def test_no_evidence_was_lost(story: Story) -> None:
    totals = [tuple(check["totals"]) for (check,) in story.checks]

    assert totals[0][0] > 0
    assert all(later >= earlier for one, two in pairwise(totals) for earlier, later in zip(one, two, strict=True))
    assert all(len(check["lattice"]) == len(story.checks[0][0]["lattice"]) for (check,) in story.checks)


def test_no_request_was_lost(story: Story) -> None:
    assert story.heard["lost"] == 0
