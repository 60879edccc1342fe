"""Which processes does the bench run beside the sandbox's API server, and how are they begun and ended?"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from assay.sandbox.layout import Layout, program

PROMETHEUS_PORT, EXPORTER_PORT, OPERATOR_PORT = 9390, 9391, 9392
SCRAPE_SECONDS = 5
HALTED = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")

SCRAPING = f"""
global: {{scrape_interval: {SCRAPE_SECONDS}s, scrape_timeout: {SCRAPE_SECONDS}s}}
scrape_configs:
  - job_name: assay-routers
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{EXPORTER_PORT}"]}}]
"""

Sample = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""(name, sorted labels) -> value."""


@contextmanager
def process(argv: list[str], log: Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for a while; its output goes to the log."""
    with log.open("ab") as output:
        started = subprocess.Popen(argv, stdout=output, stderr=output, env=os.environ | (env or {}))
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(30)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextmanager
def without_pods(layout: Layout) -> Iterator[None]:
    """Halt what would make and run pods; it goes on afterwards as if nothing had been."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _is_halted(entry, layout)]
    if len(pids) != len(HALTED):
        raise SystemExit(f"Sandbox {layout.name} should run {len(HALTED)} parts that look after pods, not {len(pids)}.")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _is_halted(entry: Path, layout: Layout) -> bool:
    argv: list[str] = []
    with suppress(OSError):
        argv = (entry / "cmdline").read_text().split("\0")
    return len(argv) > 1 and argv[1] in HALTED and any(str(layout.config) in word for word in argv)


@contextmanager
def garbage_collector(kubeconfig: Path, folder: Path) -> Iterator[None]:
    """Run Kubernetes' garbage collector, without the controllers that make pods."""
    argv = [
        program("kubernetes"), "kube-controller-manager", f"--kubeconfig={kubeconfig}", "--secure-port=0",
        "--controllers=garbage-collector-controller", "--leader-elect=false", "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]  # fmt: skip
    with process(argv, folder / "collector.log"):
        yield


@contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    """Run Prometheus, which scrapes the stand-in's counters; yield its address."""
    config = folder / "prometheus.yml"
    config.write_text(SCRAPING)
    argv = [
        program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{PROMETHEUS_PORT}", "--log.level=warn",
    ]  # fmt: skip
    address = f"http://127.0.0.1:{PROMETHEUS_PORT}"
    with process(argv, folder / "prometheus.log") as started:
        _until_answers(f"{address}/-/ready", started, folder / "prometheus.log")
        yield address


class Operator:
    """The operator's process, as anybody would run it."""

    def __init__(self, started: subprocess.Popen[bytes]) -> None:
        self.process = started

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    def sample(self) -> Sample:
        """Return its own metrics, now."""
        text = _get(f"http://127.0.0.1:{OPERATOR_PORT}/metrics", seconds=60)
        return {
            (one.name, tuple(sorted(one.labels.items()))): one.value
            for family in text_string_to_metric_families(text)
            for one in family.samples
        }


@contextmanager
def operator(kubeconfig: Path, prometheus_url: str, folder: Path) -> Iterator[Operator]:
    """Run `assay run` with its defaults."""
    env = {
        "KUBECONFIG": str(kubeconfig),
        "ASSAY_HTTP_HOST": "127.0.0.1",
        "ASSAY_HTTP_PORT": str(OPERATOR_PORT),
        "ASSAY_PROMETHEUS_URL": prometheus_url,
        "ASSAY_LOG_LEVEL": "warning",
    }
    log = folder / "operator.log"
    with process([sys.executable, "-m", "assay", "run"], log, env) as started:
        _until_answers(f"http://127.0.0.1:{OPERATOR_PORT}/readyz", started, log)
        yield Operator(started)


def _until_answers(url: str, started: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and started.poll() is None:
        with suppress(OSError):
            _get(url)
            return
        time.sleep(0.1)
    raise SystemExit(f"{url} did not answer; the end of {log}:\n{log.read_text()[-2000:]}")


def _get(url: str, seconds: float = 10) -> str:
    with urllib.request.urlopen(url, timeout=seconds) as answer:  # noqa: S310 - our own constants
        return str(answer.read().decode())


def kubeconfig_inside(layout: Layout) -> Path:
    """Return the kubeconfig of an administrator inside the sandbox's network."""
    return layout.config / "admin.kubeconfig"


def enter(layout: Layout, *argv: str) -> list[str]:
    """Return a command that runs a program in the sandbox's network, past the keeper's forwarding."""
    keeper = json.loads(layout.state.read_text())["pid"]
    return ["nsenter", f"--target={keeper}", "--net", "--", *argv]
