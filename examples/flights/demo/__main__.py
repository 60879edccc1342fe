"""`make demo`: a whole Kubernetes, real flights, a better model promoted and a failing one rolled back."""

import json
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
def sandboxed(*, keep: bool) -> Iterator[Shop]:
    """Bring up a sandbox with everything in it, and take it down at the end, however it comes."""
    layout = Layout("demo")
    config = f"--kubeconfig={layout.kubeconfig}"
    with ExitStack() as stack:
        with progress() as report:
            stack.enter_context(cluster.running(layout, report))
            cluster.load_project(layout, PROJECT, report)
        yield Shop([program("kubernetes"), "kubectl", config], [program("helm"), config], "flights", "assay-system")
        if keep:
            stack.pop_all()
            assay = ".venv/bin/assay sandbox"
            console.print(f"{assay} kubectl --name demo get modeldeployments --namespace flights --watch")
            console.print(f"{assay} kubectl --name demo describe modeldeployment flights --namespace flights")
            console.print(f'eval "$({assay} env --name demo)"    # for a kubectl of your own')
            console.print(f"{assay} down --name demo    # ends it")
        else:
            console.print("Taking everything down.")


@contextmanager
def current(*, keep: bool) -> Iterator[Shop]:
    """Use the current kubectl context, after asking; touch nothing that was there before."""
    for name in ("kubectl", "helm"):
        if not shutil.which(name):
            raise ShopError(f"{name} is not on PATH; CLUSTER=current needs it. `make demo` brings its own cluster.")
    shop = Shop(["kubectl"], ["helm"], "flights", "assay-system")
    context = shop.kubectl("config", "current-context").strip()
    ours = ("namespace/flights", "namespace/assay-system", "customresourcedefinition/modeldeployments.assay.dev")
    there = shop.kubectl("get", *ours, "--ignore-not-found", "--output", "name").split()
    if there:
        raise ShopError(f"The context {context} has {', '.join(there)} already; the demo would spoil them.")
    console.print(
        f"In the context [bold]{context}[/] the demo installs the CRDs, the chart (namespace assay-system) and the flights model "
        f"(namespace flights){'' if keep else ', and deletes all three at the end'}. The nodes must find the images assay, "
        f"assay-router and flights, tag {__version__}; Prometheus must answer at http://prometheus.monitoring:9090 and "
        "scrape the routers every second or two."
    )
    click.confirm("Go on?", abort=True)
    try:
        yield shop
    finally:
        if keep:
            console.print("kubectl get modeldeployments --namespace flights --watch")
            console.print("helm uninstall assay --namespace assay-system    # ends it")
        else:
            shop.uninstall()
            shop.kubectl("delete", *ours, "--ignore-not-found", "--wait=false")


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


@click.command()
@click.option("--cluster", "where", type=click.Choice(["sandbox", "current"]), default="sandbox", show_default=True,
              help="A cluster of its own, or the current kubectl context.")  # fmt: skip
@click.option("--keep", is_flag=True, help="Leave everything running, and say how to go on.")
def main(where: str, *, keep: bool) -> None:
    """Release two revisions of the flights model: one is promoted, one is rolled back."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with (sandboxed if where == "sandbox" else current)(keep=keep) as shop:
            acts = perform(shop)
            write(acts)
    except (ShopError, SandboxError) as error:
        raise click.ClickException(str(error)) from error
    wrong = [act.revision for act in acts if act.outcome != EXPECTED[act.revision] or act.lost_requests]
    if wrong:
        raise click.ClickException(f"Not as it should be: {', '.join(wrong)}; the page says what happened.")


if __name__ == "__main__":
    main()
