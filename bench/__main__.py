"""What does Assay cost, and how fast does it act? Writes docs/explanation/performance.md; each figure is of one run.

`make bench` measures the router on loopback, then brings up a sandbox, releases a model that fails 3 % of its requests, and reads
the two reaction times off the callers' own clock. Then it measures the operator with a thousand ModelDeployments.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from assay.sandbox import cluster
from assay.sandbox.cli import progress
from assay.sandbox.layout import Layout
from bench import looks, page
from bench.processes import enter
from bench.router import added_latency
from flights.shop import Shop, until

PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure."""

    name: str
    value: float
    unit: str


@contextmanager
def sandbox() -> Iterator[Layout]:
    """Bring up a sandbox of our own; take it down afterwards."""
    layout = Layout("bench")
    with ExitStack() as up:
        with progress() as report:
            up.enter_context(cluster.running(layout, report))
        yield layout


@contextmanager
def shop(layout: Layout) -> Iterator[Shop]:
    """Install everything in a sandbox of our own; remove it afterwards."""
    place = Shop.in_sandbox(layout, "bench", "assay-system")
    with progress() as report:
        cluster.load_project(layout, PROJECT, report)
        report("installing the operator", None)
        place.install()
        report("releasing a model that fails", None)
        yield place
        place.kubectl("delete", "namespace", place.namespace, "--wait=true")
        place.uninstall()


def reactions(place: Shop) -> list[Figure]:
    """Release a failing revision under traffic, and measure its first and its last request."""
    place.release("v1")
    place.stage("Stable")
    place.call("--url", "http://flights:8080", "--rate", "200")
    until(lambda: place.heard().get("answered", 0) > 0, "the first request is answered")
    applied = time.time()
    place.release("v5")
    status = place.stage("RolledBack", "Stable")
    ended = status["history"][0]
    until(lambda: place.heard().get("time", 0) > (time.time() - 1) * 1000, "the callers have told the newest")
    heard = place.heard()
    candidate = heard["revisions"][ended["revision"]]
    verdict = datetime.fromisoformat(ended["endTime"]).timestamp() * 1000
    return [
        Figure("kubectl apply to first candidate request", candidate["firstAnswer"] / 1000 - applied, "s"),
        Figure("verdict to last candidate answer", candidate["lastAnswer"] - verdict, "ms"),
        Figure("candidate requests until rolled back", candidate["answered"], "requests"),
        Figure("requests lost", heard["lost"], f"of {heard['sent']}"),
    ]


def scale(layout: Layout, *argv: str) -> dict[str, Any]:
    """Measure the operator with a fleet; in the sandbox's network, where nothing stands between it and the API server."""
    command = enter(layout, sys.executable, "-m", "bench.scale", "--sandbox", layout.name, *argv)
    found = subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE).stdout
    measured: dict[str, Any] = {}
    for line in found.splitlines():
        measured |= json.loads(line)
    return measured


def router() -> list[Figure]:
    """Measure the router alone."""
    figures = []
    for work in (0.0, 0.005):
        added = added_latency(requests=2000, work=work)
        for name in ("p50", "p99"):
            label = f"latency {name}, router / direct, model of {work * 1000:.0f} ms"
            figures.append(Figure(label, added[f"{name}_ratio"], "ratio"))
    return figures


@click.command()
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="For people or machines.")
@click.option("--router-only", is_flag=True, help="Measure the router alone; needs no sandbox, and writes no page.")
@click.option("--minutes", default=0.0, help="How long the operator's memory is watched afterwards. [default: 0]")
@click.option(
    "--looks-only", is_flag=True, help="Measure what a look costs, which needs no sandbox, and write the page."
)
@click.option("--page-only", is_flag=True, help="Write the page anew from what was measured last.")
def main(output: str, *, router_only: bool, minutes: float, looks_only: bool, page_only: bool) -> None:
    """Measure what Assay costs and how fast it acts."""
    if page_only or looks_only:
        page.write(page.keep({"looks": looks.measured()} if looks_only else {}))
        return
    figures = router()
    if not router_only:
        with sandbox() as layout:
            with shop(layout) as place:
                figures += reactions(place)
            measured = scale(layout, f"--minutes={minutes}")
        kept = {"cores": os.cpu_count(), "caution": "", "figures": [asdict(figure) for figure in figures]}
        kept |= {"looks": looks.measured(), **measured}
        page.write(page.keep(kept))
    if output == "json":
        click.echo(json.dumps([asdict(figure) for figure in figures]))
        return
    table = Table("figure", "value", "unit", title="Measured in this run")
    for figure in figures:
        table.add_row(figure.name, f"{figure.value:.3g}", figure.unit)
    Console().print(table)
    if not router_only:
        Console().print(f"The rest stands in {page.PAGE.relative_to(PROJECT)}.")


if __name__ == "__main__":
    main()
