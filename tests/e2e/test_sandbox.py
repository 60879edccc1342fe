"""A sandbox is a whole Kubernetes, says what died, and leaves nothing behind."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from assay.sandbox import cli, cluster, orders
from assay.sandbox.errors import SandboxError
from assay.sandbox.layout import Layout, program
from flights.shop import until


@pytest.fixture
def second(sandbox: Layout) -> Iterator[Layout]:
    """A second sandbox beside the first."""
    layout = Layout(f"{sandbox.name}-second")
    cluster.up(layout, lambda _what, _fraction: None)
    yield layout
    cluster.down(layout)


def processes_with(text: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if text in command:
                found.append(int(entry.name))
    return found


def test_a_second_sandbox_runs_beside_the_first_and_goes_without_a_trace(sandbox: Layout, second: Layout) -> None:
    assert cluster.status(sandbox)["ready"]
    assert cluster.status(second)["ready"]
    assert (
        json.loads(cluster.kubectl(second, "get", "nodes", "-o", "json"))["items"][0]["metadata"]["name"] == second.node
    )

    cluster.down(second)

    assert processes_with(str(second.root)) == []
    assert not second.root.exists()
    assert str(second.root) not in Path("/proc/mounts").read_text()
    assert cluster.status(sandbox)["ready"]


def test_a_part_that_dies_is_named_with_its_last_lines_and_starts_again_when_asked(second: Layout) -> None:
    (scheduler,) = processes_with(f"{second.root}/config/scheduler.kubeconfig")

    os.kill(scheduler, signal.SIGKILL)
    until(lambda: "kube-scheduler" in cluster.status(second)["problem"], "the dead part is named", 30)

    shown = CliRunner().invoke(cli.sandbox, ["status", "--name", second.name])
    assert shown.exit_code == 1
    assert "Part kube-scheduler ended (exit -9). Its last lines, from" in shown.output

    orders.start(second, "kube-scheduler")

    assert cluster.status(second)["problem"] == ""
    with pytest.raises(SandboxError, match="Part kube-scheduler runs already"):
        orders.start(second, "kube-scheduler")
    with pytest.raises(SandboxError, match="There is no part scheduler; the parts are etcd, kube-apiserver"):
        orders.kill(second, "scheduler")


def test_down_ends_everything_also_when_the_keeper_was_killed(second: Layout) -> None:
    (keeper,) = [pid for pid in processes_with(f"assay.sandbox.keeper {second.name}") if _is_python(pid)]

    os.kill(keeper, signal.SIGKILL)
    cluster.down(second)

    assert processes_with(str(second.root)) == []
    assert not second.root.exists()


def _is_python(pid: int) -> bool:
    return "python" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()


def test_up_refuses_in_a_sentence_what_is_already_up(sandbox: Layout) -> None:
    with pytest.raises(SandboxError, match=f"Sandbox {sandbox.name} is already up"):
        cluster.up(sandbox, lambda _what, _fraction: None)


def test_the_sandbox_has_its_own_network_and_least_rights_are_real(sandbox: Layout) -> None:
    inside = {Path(f"/proc/{pid}/ns/net").readlink() for pid in processes_with(f"{sandbox.config}/containerd.toml")}
    assert len(inside) == 1
    assert inside != {Path("/proc/self/ns/net").readlink()}
    allowed = subprocess.run(
        [program("kubernetes"), "kubectl", "auth", "can-i", "list", "pods", "--as=system:serviceaccount:default:default"],
        env=os.environ | {"KUBECONFIG": str(sandbox.kubeconfig)},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert allowed.stdout.strip() == "no"


def test_the_gateway_api_is_there_when_asked_for(sandbox: Layout) -> None:
    cluster.add_gateway(sandbox, lambda _what, _fraction: None)

    cluster.kubectl(sandbox, "wait", "--for=condition=Accepted", "gatewayclass/traefik", "--timeout=60s")
    served = cluster.kubectl(sandbox, "api-resources", "--api-group=gateway.networking.k8s.io", "-o", "name").split()
    assert {"httproutes.gateway.networking.k8s.io", "tlsroutes.gateway.networking.k8s.io"} <= set(served)
