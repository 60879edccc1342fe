"""The commands and resources of the how-to pages, run as they stand there."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.sandbox.cluster import kubectl
from assay.sandbox.layout import Layout, program

ROOT = Path(__file__).parents[2]
NAMESPACE = "docs"
STEER = "docs/how-to/steer-a-release.md"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def commands(page: str) -> list[list[str]]:
    lines = "\n".join(blocks(page, "console")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


@pytest.fixture(scope="module")
def reader(sandbox: Layout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A user's shell: kubectl, helm and assay on PATH, a namespace of its own as the default."""
    folder = tmp_path_factory.mktemp("bin")
    for name in ("kubectl", "helm"):
        (folder / name).symlink_to(program({"kubectl": "kubernetes"}.get(name, name)))
    config = folder / "kubeconfig"
    config.write_bytes(sandbox.kubeconfig.read_bytes())
    places = (str(folder), str(Path(sys.executable).parent), os.environ["PATH"])
    shell = os.environ | {"PATH": ":".join(places), "KUBECONFIG": str(config)}
    kubectl(sandbox, "create", "namespace", NAMESPACE)
    say(shell, "kubectl", "config", "set-context", "--current", f"--namespace={NAMESPACE}")
    yield shell
    # Left by a failure in the middle, an operator for all namespaces would fight with the other tests'.
    say(shell, "helm", "uninstall", "assay", "--namespace", "assay-system", "--ignore-not-found", "--wait")
    kubectl(sandbox, "delete", "namespace", NAMESPACE, "--wait=false")


def say(shell: dict[str, str], *command: str, given: str | None = None) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=shell, input=given, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stderr}"
    return done.stdout


def test_a_reader_installs_releases_upgrades_and_removes(reader: dict[str, str]) -> None:
    install, uninstall = commands("docs/how-to/install.md")
    upgrade, events, by_hand, by_program, back = commands("docs/how-to/upgrade.md")
    resource, *others = blocks("docs/how-to/release-a-model.md", "yaml")
    get, describe, wait = commands("docs/how-to/release-a-model.md")
    two_operators, get_lease = commands("docs/how-to/run-two-operators.md")

    say(reader, *install, "--wait")
    for other in others:
        say(reader, "kubectl", "apply", "--dry-run=server", "-f", "-", given=other)
    say(reader, "kubectl", "apply", "-f", "-", given=resource)
    said = say(reader, *wait)
    assert "condition met" in said
    assert "Stable" in say(reader, *get)
    assert "serves all traffic" in say(reader, *describe)
    say(reader, *by_hand)
    assert "modeldeployments.assay.dev applied." in say(reader, *by_program)
    say(reader, *upgrade, "--wait")
    assert "assay-crds" in say(reader, *events)
    say(reader, *back)
    say(reader, *two_operators, "--wait")
    assert re.search(r"^assay +assay-\S+", say(reader, *get_lease), re.MULTILINE), "the Lease names a pod"
    say(reader, "kubectl", "delete", "mdep", "--all")
    say(reader, *uninstall)


def test_a_reader_steers_a_release(reader: dict[str, str]) -> None:
    pause, go_on, abort, retry, promote, became, guard = blocks(STEER, "console")
    _, role = blocks(STEER, "yaml")
    resource, *_ = blocks("docs/how-to/release-a-model.md", "yaml")

    def run(block: str) -> str:
        return say(reader, "bash", "-euc", block)

    def wait(path: str, value: str) -> None:
        say(reader, "kubectl", "wait", "mdep", "flights", f"--for=jsonpath={path}={value}", "--timeout=90s")

    say(reader, *commands("docs/how-to/install.md")[0], "--wait")
    say(reader, "kubectl", "apply", "-f", "-", given=resource)
    say(reader, "kubectl", "wait", "mdep", "flights", "--for=condition=Ready", "--timeout=90s")
    run(pause)
    say(reader, "kubectl", "patch", "mdep", "flights", "--type=merge", "-p", "spec: {model: {version: '1.1.0'}}")
    wait('{.status.conditions[?(@.type=="Ready")].reason}', "Paused")
    assert say(reader, "kubectl", "get", "mdep", "flights", "-o", "jsonpath={.status.candidate}") == ""
    run(go_on)
    wait("{.status.stage}", "Preparing")
    run(abort)
    wait("{.status.stage}", "RolledBack")
    run(retry)
    wait("{.status.stage}", "Preparing")
    run(promote)
    say(reader, "kubectl", "wait", "mdep", "flights", "--for=condition=Ready", "--timeout=90s")
    said = run(became)
    assert [line.split()[1] for line in said.splitlines()[-5:]] == ["Promote", "Retry", "Abort", "Resume", "Pause"]
    assert said.count('"state":"Acted"') == 3
    run(guard)
    say(reader, "kubectl", "apply", "-f", "-", given=role)
    say(reader, "kubectl", "delete", "mdep", "--all")
    say(reader, *commands("docs/how-to/install.md")[-1])


def test_the_readme_is_accepted_by_the_api_server(reader: dict[str, str]) -> None:
    (resource,) = blocks("README.md", "yaml")

    assert "created (server dry run)" in say(reader, "kubectl", "apply", "--dry-run=server", "-f", "-", given=resource)


def test_every_command_of_the_readme_is_a_target_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    told = commands("README.md")
    assert {command[0] for command in told} == {"make"}
    assert {command[1] for command in told} <= targets
