"""Bring a sandbox up, look at it, and take it down again without a trace."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from assay import __version__
from assay.sandbox import images, machine, programs
from assay.sandbox.cached import Report, run
from assay.sandbox.errors import SandboxError
from assay.sandbox.images import Image
from assay.sandbox.layout import API_PORT, Layout, program
from assay.sandbox.parts import kubeconfig, write_configuration
from assay.sandbox.programs import HERE

SERVICES = {  # forwarded to loopback outside: name -> (fixed address inside, port)
    "api": ("127.0.0.1", API_PORT),
    "prometheus": ("10.96.0.90", 9090),
    "alertmanager": ("10.96.0.93", 9093),
}
ADDONS = ("coredns.yaml", "prometheus.yaml")
ADDON_NAMESPACES = {"kube-system": ("coredns",), "monitoring": ("prometheus", "alertmanager")}


@contextlib.contextmanager
def running(layout: Layout, report: Report) -> Iterator[None]:
    """Bring a sandbox up for a while; whatever ends the while, an interrupt of `up` included, takes it down."""
    check_down(layout)
    try:
        up(layout, report)
        yield
    finally:
        down(layout)


def check_down(layout: Layout) -> None:
    """Raise a sentence where the sandbox is up."""
    if alive(layout):
        raise SandboxError(f"Sandbox {layout.name} is already up; `assay sandbox down --name {layout.name}` ends it.")


def up(layout: Layout, report: Report) -> None:
    """Build what is missing, start every part, and return when all of them are ready.

    Raises:
        SandboxError: The sandbox is up already, the machine lacks something, or a part died: its last lines.
    """
    machine.check()
    check_down(layout)
    down(layout)  # what a crash has left
    for name in programs.GO_PROGRAMS:
        programs.build_program(name, report)
    base = images.build_base(report)
    needed = [
        *(images.program_image(f"assay/{name}:1", Path(program(name))) for name in ("pause", "coredns", "prometheus")),
        *(images.debian_image(name, base, report) for name in images.DEBIAN_PROGRAMS),
    ]
    report("starting Kubernetes", None)
    _start(layout)
    _await(layout, "Kubernetes", lambda: _parts(layout).get("ready"), 120)
    for image in needed:
        report(f"loading {image.name}", None)
        load(layout, image)
    _await(layout, "the default service account", lambda: not _fails(layout, "get", "serviceaccount", "default"), 60)
    for manifest in ADDONS:
        kubectl(layout, "apply", "--server-side", "--filename", str(HERE / "manifests" / manifest))
    _await(layout, "the node", lambda: not _fails(layout, "wait", "--for=condition=Ready", "node", "--all"), 60)
    for namespace, deployments in ADDON_NAMESPACES.items():
        for deployment in deployments:
            report(f"waiting for {deployment}", None)
            kubectl(layout, "rollout", "status", "--namespace", namespace, f"deployment/{deployment}", "--timeout=120s")


def add_gateway(layout: Layout, report: Report) -> None:
    """Add the Gateway API, with Traefik to implement it."""
    report("fetching the Gateway API", None)
    definitions = programs.module_folder("gateway") / "config" / "crd" / "standard"
    kubectl(layout, "apply", "--server-side", "--filename", str(definitions))
    load(layout, images.program_image("assay/traefik:1", programs.wheel_program("traefik", report)))
    kubectl(layout, "apply", "--server-side", "--filename", str(HERE / "manifests" / "traefik.yaml"))
    report("waiting for traefik", None)
    kubectl(layout, "rollout", "status", "--namespace", "gateway-system", "deployment/traefik", "--timeout=120s")


def _start(layout: Layout) -> None:
    layout.root.mkdir(parents=True, exist_ok=True)
    layout.root.chmod(0o700)
    write_configuration(layout)
    # Listening sockets belong to the network in which they were made: these accept outside, and the keeper that
    # inherits them connects inside.
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in SERVICES}
    ports = {name: listening.getsockname()[1] for name, listening in sockets.items()}
    layout.kubeconfig.write_text(json.dumps(kubeconfig(layout, "admin", f"https://127.0.0.1:{ports['api']}")))
    layout.kubeconfig.chmod(0o600)
    forwards = json.dumps([[sockets[name].fileno(), *address] for name, address in SERVICES.items()])
    argv = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc",
            "tini", "-g", "--", sys.executable, "-m", "assay.sandbox.keeper", layout.name, forwards]  # fmt: skip
    pid = _detach(argv, layout.logs / "keeper.log", [listening.fileno() for listening in sockets.values()])
    for listening in sockets.values():
        listening.close()
    layout.state.write_text(json.dumps({"pid": pid, "started": _started(pid), "ports": ports}))


def _detach(argv: list[str], log: Path, inherited: list[int]) -> int:
    """Start a process that outlives this one and is nobody's child to wait for; return its pid."""
    for descriptor in inherited:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - the function takes no name for it
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent.parent)}
    return os.posix_spawnp(argv[0], argv, environment, file_actions=actions, setsid=True)


def _state(layout: Layout) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        state: dict[str, Any] = json.loads(layout.state.read_text())
        return state
    return {}


def _parts(layout: Layout) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        parts: dict[str, Any] = json.loads((layout.root / "parts.json").read_text())
        return parts
    return {}


def _started(pid: int) -> str:
    """Return the kernel's start time of a process, which tells it from a later one with the same pid."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def alive(layout: Layout) -> bool:
    """Return whether the sandbox's keeper runs."""
    state = _state(layout)
    return bool(state) and _started(state["pid"]) == state["started"] != ""


def _await(layout: Layout, what: str, condition: Callable[[], Any], seconds: float) -> None:
    """Wait until something holds; name a part that died meanwhile, with its last lines."""
    deadline = time.monotonic() + seconds
    while not condition():
        complaint = _complaint(layout)
        if complaint:
            raise SandboxError(complaint)
        if time.monotonic() > deadline:
            raise SandboxError(f"{what} was not ready after {seconds:.0f} s; the logs are in {layout.logs}.")
        time.sleep(0.2)


def _complaint(layout: Layout) -> str:
    """Return a sentence about what died, with its last lines, or nothing."""
    dead = dict(_parts(layout).get("dead", {}))
    if not dead and not alive(layout):
        dead = {"keeper": "no code"}
    for name, code in dead.items():
        log = layout.logs / f"{name}.log"
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:]) if log.exists() else ""
        return f"Part {name} ended (exit {code}). Its last lines, from {log}:\n{tail}"
    return ""


def down(layout: Layout) -> None:
    """End all that `up` started, also after a crash, and remove its folder."""
    state = _state(layout)
    if alive(layout):
        # unshare kills process 1 of the namespaces when it ends, and the kernel all others with that.
        os.kill(state["pid"], signal.SIGKILL)
        _await_end(state["pid"])
    _await_unmounted(layout)
    _remove_control_groups(layout)
    shutil.rmtree(layout.root, ignore_errors=True)


def _remove_control_groups(layout: Layout) -> None:
    """Remove the empty control groups that our containers have left, in both kinds of hierarchy."""
    known = layout.root / "containerd" / "io.containerd.grpc.v1.cri"
    for container in [*known.glob("containers/*"), *known.glob("sandboxes/*")]:
        for pattern in (f"*/k8s.io/{container.name}", f"k8s.io/{container.name}"):
            for group in Path("/sys/fs/cgroup").glob(pattern):
                with contextlib.suppress(OSError):
                    group.rmdir()


def _await_end(pid: int) -> None:
    deadline = time.monotonic() + 30
    while _started(pid):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > deadline:
            raise SandboxError(f"Process {pid} did not end within 30 s of SIGKILL.")
        time.sleep(0.05)


def _await_unmounted(layout: Layout) -> None:
    """Wait until no process has anything of the sandbox mounted."""
    deadline = time.monotonic() + 30
    while any(f"{layout.root}/" in _mounts(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        if time.monotonic() > deadline:
            raise SandboxError(f"Something still has {layout.root} mounted 30 s after the end of the sandbox.")
        time.sleep(0.1)


def _mounts(process: Path) -> str:
    try:
        return (process / "mounts").read_text()
    except OSError:
        return ""


def status(layout: Layout) -> dict[str, Any]:
    """Return what runs, what died, and where to reach it."""
    if not alive(layout):
        return {"name": layout.name, "up": False, "problem": _complaint(layout) if layout.root.exists() else ""}
    ports = _state(layout)["ports"]
    return {
        "name": layout.name,
        "up": True,
        "ready": bool(_parts(layout).get("ready")),
        "running": _parts(layout).get("running", []),
        "problem": _complaint(layout),
        "kubeconfig": str(layout.kubeconfig),
        "logs": str(layout.logs),
        "prometheus": f"http://127.0.0.1:{ports['prometheus']}",
        "alertmanager": f"http://127.0.0.1:{ports['alertmanager']}",
    }


def kubectl(layout: Layout, *argv: str, given: str | None = None) -> str:
    """Run kubectl against the sandbox and return its output; raise its sentence when it fails."""
    done = subprocess.run(
        [program("kubernetes"), "kubectl", *argv],
        env=os.environ | {"KUBECONFIG": str(layout.kubeconfig)},
        input=given, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SandboxError(f"kubectl {' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _fails(layout: Layout, *argv: str) -> bool:
    try:
        kubectl(layout, *argv)
    except SandboxError:
        return True
    return False


def load(layout: Layout, image: Image) -> None:
    """Put an image where the kubelet finds it."""
    run(["ctr", "--address", str(layout.containerd), "--namespace", "k8s.io", "images", "import",
                str(image.archive)], what=f"Loading {image.name}")  # fmt: skip


def load_project(layout: Layout, project: Path, report: Report, *names: str) -> None:
    """Build the project's images (all of them, unless some are named) from a checkout, and load them."""
    base = images.build_base(report)
    for name in names or images.PROJECT_IMAGES:
        report(f"loading the image {name}", None)
        load(layout, images.project_image(name, __version__, project, base, report))
