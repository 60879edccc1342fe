"""`assay-router init` writes Envoy's first files; `assay-router run` keeps them true while Envoy serves."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import click

from assay.core.errors import ApiUnavailable, Forbidden, InvalidSpec
from assay.router.admin import Admin
from assay.router.agent import Agent
from assay.router.converge import Convergence
from assay.router.kube import Cluster
from assay.router.layout import Layout
from assay.router.reading import read_replicas, read_split

log = logging.getLogger("assay.router")

ENDING = {signal.SIGTERM, signal.SIGINT}
VARIABLES = ("ASSAY_DEPLOYMENT", "ASSAY_NAMESPACE", "ASSAY_POD")
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0  # seconds between tries; a pod waits for it to start
ALONE_AFTER = 5.0  # seconds without an API server after which the files of an earlier life are good enough
SAID_AGAIN = 30.0  # seconds; what is waited for is said again


def _settings() -> tuple[str, str, str, Layout]:
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        raise click.ClickException(
            f"{', '.join(missing)}: must be set in the environment, as the operator's manifest does."
        )
    deployment, namespace, pod = (os.environ[name] for name in VARIABLES)
    return deployment, namespace, pod, Layout(directory=Path(os.environ.get("ASSAY_RUN_DIRECTORY", "/run/assay")))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Feed Envoy with the split of one ModelDeployment."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")


@main.command()
def init() -> None:
    """Write what Envoy needs to start, then exit; wait while the API server or the ConfigMap is not there.

    A pod whose sandbox is made anew has the files of its earlier life: without an API server Envoy starts from them.
    """
    deployment, namespace, _, layout = _settings()
    for (
        number
    ) in ENDING:  # process 1 of a container ignores what it does not handle, and would wait out its grace period
        signal.signal(number, lambda *_: sys.exit(0))
    convergence = Convergence(layout, Admin(layout.admin_port))
    began, pause, said, told_at = time.monotonic(), FIRST_PAUSE, "", 0.0
    while True:
        try:
            cluster = Cluster.from_pod(namespace, deployment)
            split = read_split(cluster.split_map(), deployment)
            convergence.write_first(split, read_replicas(cluster.slices()))
        except (ApiUnavailable, Forbidden, InvalidSpec) as error:
            reason = str(error)
            if isinstance(error, ApiUnavailable) and time.monotonic() - began > ALONE_AFTER and convergence.can_start():
                log.warning("%s Envoy starts with what it ran last.", reason)
                return
        else:
            log.info("Envoy may start: its first files are in %s.", layout.directory)
            return
        if reason != said or time.monotonic() - told_at > SAID_AGAIN:
            log.warning("Waiting, because: %s", reason)
            said, told_at = reason, time.monotonic()
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


@main.command()
def run() -> None:
    """Follow the split and the replicas until SIGTERM, then drain Envoy."""
    deployment, namespace, pod, layout = _settings()
    try:
        cluster = Cluster.from_pod(namespace, deployment)
    except ApiUnavailable as error:
        raise click.ClickException(str(error)) from error
    agent = Agent(layout, deployment, pod, cluster)
    threading.excepthook = _end_at_once
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # before any thread begins: all inherit it
    threading.Thread(target=_await_end, args=(agent.stop,), name="signals", daemon=True).start()
    for mirror in (cluster.follow_split_map(agent.hear_split), cluster.follow_slices(agent.hear_slices)):
        mirror.start()
    agent.run()


def _await_end(stop: Callable[[], None]) -> None:
    """Wait for the signal in a thread: a handler could interrupt the agent while it holds the lock that `stop` needs."""
    signal.sigwait(ENDING)
    log.info("Draining: readiness fails, requests are still served.")
    stop()


def _end_at_once(thrown: threading.ExceptHookArgs) -> None:
    """End when a thread fails, for kubelet to start the agent anew: one that has gone deaf must not look well. Envoy serves on."""
    log.critical("A bug: the agent ends and is started anew.", exc_info=thrown.exc_value)
    os._exit(1)


if __name__ == "__main__":
    main()
