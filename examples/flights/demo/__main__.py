"""`make demo`: a whole Kubernetes, real flights, a better model promoted and a failing one rolled back."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(PROJECT / "examples"))  # the example is a folder of programs, not an installed package

import click  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.live import Live  # noqa: E402

from assay import __version__  # noqa: E402
from assay.sandbox import cluster  # noqa: E402
from assay.sandbox.cli import progress  # noqa: E402
from assay.sandbox.errors import SandboxError  # noqa: E402
from assay.sandbox.layout import Layout, program  # noqa: E402
from flights.demo import page, table  # noqa: E402
from flights.demo.play import play  # noqa: E402
from flights.demo.timeline import Act  # noqa: E402
from flights.shop import Shop, ShopError, until  # noqa: E402

BUILD = PROJECT / "build" / "demo"
EXPECTED = {"v2": "Promoted", "v5": "RolledBack"}
ACTS = {
    "v2": "A better model",
    "v5": "A model that answers HTTP 500 to 3 % of the requests",
}
console = Console()


@contextmanager
def sandboxed() -> Iterator[Shop]:
    """Bring up a sandbox with everything in it."""
    layout = Layout("demo")
    with progress() as report:
        cluster.up(layout, report)
        cluster.load_project(layout, PROJECT, report)
    config = f"--kubeconfig={layout.kubeconfig}"
    yield Shop([program("kubernetes"), "kubectl", config], [program("helm"), config], "flights", "assay-system")


@contextmanager
def current() -> Iterator[Shop]:
    """Use the current kubectl context, after asking."""
    for name in ("kubectl", "helm"):
        if not shutil.which(name):
            raise ShopError(f"{name} is not on PATH; CLUSTER=current needs it. `make demo` brings its own cluster.")
    context = subprocess.run(["kubectl", "config", "current-context"], capture_output=True, text=True, check=False)
    if context.returncode:
        raise ShopError("kubectl has no current context; `kubectl config use-context` sets one.")
    console.print(
        f"The demo would install the CRDs, the chart (namespace assay-system) and the flights model (namespace flights) in the context "
        f"[bold]{context.stdout.strip()}[/]. Its nodes must find the images assay, assay-router and flights, tag {__version__}, and its "
        "Prometheus must answer at http://prometheus.monitoring:9090 and scrape every second or two."
    )
    click.confirm("Go on?", abort=True)
    yield Shop(["kubectl"], ["helm"], "flights", "assay-system")


def perform(shop: Shop) -> list[Act]:
    """Install, serve v1, and play the acts."""
    with progress() as report:
        report("installing the operator through its Helm chart", None)
        shop.install("logFormat=json")
        report("serving v1", None)
        shop.release("v1")
        shop.kubectl("wait", "modeldeployment/flights", "--for=condition=Ready", "--timeout=120s")
        report("starting the callers", None)
        shop.call("--url", "http://flights:8080", "--rate", "200")
        until(lambda: shop.heard().get("answered", 0) > 0, "the first request is answered")
    acts = [Act(revision, title) for revision, title in ACTS.items()]
    for act in acts:
        _watch(act, shop)
    return acts


def _watch(act: Act, shop: Shop) -> None:
    if not console.is_terminal:
        told: list[str] = []

        def tell(now: Act) -> None:
            if told[-1:] != [table.line(now)]:
                told.append(table.line(now))
                console.print(told[-1], highlight=False, soft_wrap=True)

        play(act, shop, tell)
        return
    with Live(table.live(act), console=console, refresh_per_second=4) as screen:
        play(act, shop, lambda now: screen.update(table.live(now)))


def write(acts: list[Act]) -> None:
    """Write demo.json, the timeline and the page."""
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "demo.json").write_text(json.dumps({"acts": [act.summary() for act in acts]}, indent=1) + "\n")
    (BUILD / "timeline.json").write_text(json.dumps({"acts": [act.written() for act in acts]}) + "\n")
    (BUILD / "index.html").write_text(page.render(acts))
    console.print(table.summary(acts))
    console.print(f"Pictures: {BUILD / 'index.html'}   Figures: {BUILD / 'demo.json'}", soft_wrap=True)


def leave(shop: Shop, where: str, *, keep: bool) -> None:
    """Leave nothing running, or say how to go on."""
    if keep:
        if where == "sandbox":
            console.print(f"export KUBECONFIG={Layout('demo').kubeconfig}", soft_wrap=True)
        console.print("kubectl get modeldeployments --namespace flights --watch")
        console.print("kubectl describe modeldeployment flights --namespace flights")
        ending = (
            "assay sandbox down --name demo" if where == "sandbox" else "helm uninstall assay --namespace assay-system"
        )
        console.print(f"{ending}    # ends it")
        return
    with console.status("taking everything down"):
        if where == "sandbox":
            cluster.down(Layout("demo"))
        else:
            shop.uninstall()


@click.command()
@click.option("--cluster", "where", type=click.Choice(["sandbox", "current"]), default="sandbox", show_default=True,
              help="A cluster of its own, or the current kubectl context.")  # fmt: skip
@click.option("--keep", is_flag=True, help="Leave everything running, and say how to go on.")
def main(where: str, *, keep: bool) -> None:
    """Release two revisions of the flights model: one is promoted, one is rolled back."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with sandboxed() if where == "sandbox" else current() as shop:
            try:
                acts = perform(shop)
                write(acts)
            finally:
                leave(shop, where, keep=keep)
    except (ShopError, SandboxError) as error:
        with suppress(SandboxError):
            if where == "sandbox" and not keep:
                cluster.down(Layout("demo"))
        raise click.ClickException(str(error)) from error
    wrong = [act.revision for act in acts if act.outcome != EXPECTED[act.revision] or act.lost_requests]
    if wrong:
        raise click.ClickException(f"Not as it should be: {', '.join(wrong)}; the page says what happened.")


if __name__ == "__main__":
    main()
