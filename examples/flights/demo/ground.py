"""Where does the demo play: on a Kubernetes of its own, or on one that is there? Either way nothing stays behind."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console

from assay import __version__
from assay.sandbox import cluster
from assay.sandbox.cli import progress
from assay.sandbox.layout import Layout, program
from flights.shop import Shop, ShopError

LAYOUT = Layout("demo")
NAMESPACE, OPERATOR = "flights", "assay-system"
OURS = (f"namespace/{NAMESPACE}", f"namespace/{OPERATOR}", "customresourcedefinition/modeldeployments.assay.dev")


@contextmanager
def sandboxed(project: Path, console: Console, *, keep: bool) -> Iterator[Shop]:
    """Bring up a Kubernetes of its own with the project's images, and end it, whatever happens.

    Args:
        project: The checkout, with the Containerfiles.
        console: Where people read.
        keep: Leave it running once it is up, also when the demo fails, and say how to go on.

    Raises:
        SandboxError: This machine cannot carry it, or it is up already.
    """
    with ExitStack() as stack:
        with progress() as report:
            cluster.check_down(LAYOUT)
            # A callback, no context manager made of a generator: one that is let go of runs its end all the same.
            stack.callback(cluster.down, LAYOUT)
            cluster.up(LAYOUT, report)
            stack.callback(_let_nothing_interrupt)
            cluster.load_project(LAYOUT, project, report)
        try:
            yield Shop.in_sandbox(LAYOUT, NAMESPACE, OPERATOR)
        finally:
            if keep:
                stack.pop_all()
                assay = ".venv/bin/assay sandbox"
                _go_on(console, f"{assay} kubectl --name {LAYOUT.name}", f"{assay} down --name {LAYOUT.name}",
                       f'eval "$({assay} env --name {LAYOUT.name})"    # for a kubectl of your own')  # fmt: skip
            else:
                console.print("Taking everything down.")


@contextmanager
def current(console: Console, *, keep: bool) -> Iterator[Shop]:
    """Use the cluster of the current kubectl context, after asking; touch nothing that was there before.

    Raises:
        ShopError: A program is missing, there is no context, or something of ours is there already.
    """
    shop = Shop(_program("kubectl", "kubernetes", "kubectl"), _program("helm", "helm"), NAMESPACE, OPERATOR)
    try:
        context = shop.kubectl("config", "current-context").strip()
    except ShopError as error:
        raise ShopError("kubectl has no current context; `kubectl config use-context NAME` sets one.") from error
    there = shop.kubectl("get", *OURS, "--ignore-not-found", "--output", "name").split()
    if there:
        raise ShopError(f"The cluster {context} has {', '.join(there)} already, which the demo would spoil; "
                        "remove that first, or use another context.")  # fmt: skip
    console.print(
        f"In the cluster [bold]{context}[/] the demo installs the CRD of ModelDeployment, the chart (namespace {OPERATOR}) and the "
        f"flights model (namespace {NAMESPACE}){'' if keep else ', and deletes all of it at the end'}. The nodes must find the "
        f"images assay, assay-router and flights, tag {__version__}; Prometheus must answer at http://prometheus.monitoring:9090 "
        "and scrape the routers every second or two."
    )
    click.confirm("Go on?", abort=True)
    try:
        yield shop
    finally:
        _let_nothing_interrupt()
        if keep:
            kubectl, helm = " ".join(shop.kubectl_program), " ".join(shop.helm_program)
            _go_on(console, kubectl, f"{kubectl} delete namespace {NAMESPACE}; {helm} uninstall assay --namespace "
                   f"{OPERATOR}; {kubectl} delete {' '.join(OURS[1:])}")  # fmt: skip
        else:
            console.print("Taking everything down.")
            shop.uninstall()
            shop.kubectl("delete", *OURS, "--ignore-not-found")


def _program(name: str, built: str, *argv: str) -> list[str]:
    """Return a program of PATH, or the one that a sandbox has built here."""
    found = shutil.which(name)
    if found:
        return [found]
    if Path(program(built)).exists():
        return [program(built), *argv]
    raise ShopError(f"{name} is not on PATH, and CLUSTER=current needs it; `make demo` alone builds its own.")


def _let_nothing_interrupt() -> None:
    """Ignore a second Ctrl-C from here on: what follows is the taking down."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _go_on(console: Console, kubectl: str, ending: str, *first: str) -> None:
    """Say how to go on with kubectl."""
    lines = [
        *first,
        f"{kubectl} get modeldeployments --namespace {NAMESPACE} --watch",
        f"{kubectl} describe modeldeployment flights --namespace {NAMESPACE}",
        f"{kubectl} logs --follow flights-replay --namespace {NAMESPACE}",
        f"{ending}    # ends it all",
    ]
    console.print("Everything is left running. To go on:")
    for line in lines:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
