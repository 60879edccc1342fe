"""What does Assay cost, and how fast does it act? Prints a table, or JSON with `-o json`; each figure is of one run.

`make bench` measures the router on loopback, then brings up a sandbox, releases a model that fails 3 % of its requests, and reads
the two reaction times off the callers' own clock.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from assay.sandbox import cluster
from assay.sandbox.cli import progress
from assay.sandbox.layout import Layout, program
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
def shop() -> Iterator[Shop]:
    """Bring up a sandbox of our own with everything in it; take it down afterwards."""
    layout = Layout("bench")
    config = f"--kubeconfig={layout.kubeconfig}"
    place = Shop([program("kubernetes"), "kubectl", config], [program("helm"), config], "bench", "assay-system")
    with progress() as report, cluster.running(layout, report):
        cluster.load_project(layout, PROJECT, report)
        report("installing the operator", None)
        place.install()
        report("releasing a model that fails", None)
        yield place


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


@click.command()
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="For people or machines.")
@click.option("--router-only", is_flag=True, help="Measure the router alone; needs no sandbox.")
def main(output: str, *, router_only: bool) -> None:
    """Measure what Assay costs and how fast it acts."""
    figures = []
    for work in (0.0, 0.005):
        added = added_latency(requests=2000, work=work)
        for name in ("p50", "p99"):
            label = f"latency {name}, router / direct, model of {work * 1000:.0f} ms"
            figures.append(Figure(label, added[f"{name}_ratio"], "ratio"))
    if not router_only:
        with shop() as place:
            figures += reactions(place)
    if output == "json":
        click.echo(json.dumps([asdict(figure) for figure in figures]))
        return
    table = Table("figure", "value", "unit", title="Measured in this run")
    for figure in figures:
        table.add_row(figure.name, f"{figure.value:.3g}", figure.unit)
    Console().print(table)


if __name__ == "__main__":
    main()
