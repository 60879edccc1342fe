"""`assay sandbox`: a whole Kubernetes on this machine, from the command line."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from assay.sandbox import cluster, orders
from assay.sandbox.cached import Report
from assay.sandbox.errors import SandboxError
from assay.sandbox.images import PROJECT_IMAGES, Image
from assay.sandbox.layout import Layout, program

NAME = click.option("--name", default="default", show_default=True, help="Which sandbox; several may run side by side.")


class Speaking(click.Group):
    """A group whose failures are sentences."""

    def invoke(self, ctx: click.Context) -> object:
        """Turn what the sandbox raises into click's one-sentence errors."""
        try:
            return super().invoke(ctx)
        except SandboxError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Speaking)
def sandbox() -> None:
    """Start a whole, unmodified single-node Kubernetes on this machine, with Prometheus and Alertmanager.

    \b
    assay sandbox up                      build (once) and start it
    eval "$(assay sandbox env)"           point kubectl at it
    assay sandbox load assay flights      build and load the project's images
    assay sandbox down                    end it and leave nothing behind

    Needs Linux, root and Go; nothing of it touches the machine's own network.
    """  # noqa: D301 - click's mark of what is not to be wrapped


@contextmanager
def progress() -> Iterator[Report]:
    """Show what is being done: a live line on a terminal, a line per task elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        told: list[str] = []

        def tell(what: str, _fraction: float | None) -> None:
            if told[-1:] != [what]:
                told.append(what)
                console.print(f"... {what}", highlight=False)

        yield tell
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, fraction: float | None) -> None:
            if what not in tasks:
                for task in tasks.values():
                    bars.update(task, visible=False)
                tasks[what] = bars.add_task(what, total=None if fraction is None else 1.0)
            bars.update(tasks[what], completed=fraction or 0.0)

        yield show


@sandbox.command()
@NAME
@click.option("--gateway", is_flag=True, help="Add the Gateway API, with Traefik to implement it.")
def up(name: str, *, gateway: bool) -> None:
    """Build what is missing, start everything, return when it is ready.

    The first time compiles Kubernetes and bootstraps a base system (10 to 15 minutes on 2 cores); later it is
    half a minute.
    """
    with progress() as report:
        cluster.up(Layout(name), report)
        if gateway:
            cluster.add_gateway(Layout(name), report)
    click.echo(f'Sandbox {name} is up. Point kubectl at it with:  eval "$(assay sandbox env --name {name})"')


@sandbox.command()
@NAME
def down(name: str) -> None:
    """End all that `up` started, also after a crash, and remove its folder."""
    cluster.down(Layout(name))
    click.echo(f"Sandbox {name} is down.")


@sandbox.command()
@NAME
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="For people or for machines.")
def status(name: str, output: str) -> None:
    """Say what runs, what died and with which last lines, and where to reach it. Exits 1 when it is not healthy."""
    found = cluster.status(Layout(name))
    if output == "json":
        click.echo(json.dumps(found))
    else:
        for key, value in found.items():
            click.echo(f"{key + ':':14}{', '.join(value) if isinstance(value, list) else value}")
    sys.exit(0 if found["up"] and not found["problem"] else 1)


@sandbox.command()
@NAME
@click.argument("part")
def kill(name: str, part: str) -> None:
    """End a part (etcd, kube-apiserver, kubelet, ...) with SIGKILL; nothing starts it again but `start`."""
    orders.kill(_up(name), part)
    click.echo(f"Part {part} is dead; `assay sandbox start --name {name} {part}` starts it again.")


@sandbox.command()
@NAME
@click.argument("part")
def start(name: str, part: str) -> None:
    """Start a part that has ended, and return when it answers."""
    orders.start(_up(name), part)
    click.echo(f"Part {part} runs.")


def _up(name: str) -> Layout:
    """Return where a sandbox is; raise a sentence where it is not up."""
    layout = Layout(name)
    if not cluster.alive(layout):
        raise SandboxError(f"Sandbox {name} is not up; `assay sandbox up` starts it.")
    return layout


@sandbox.command()
@NAME
def env(name: str) -> None:
    """Print what a shell must export to reach the sandbox."""
    found = cluster.status(_up(name))
    click.echo(f"export KUBECONFIG={found['kubeconfig']}")
    click.echo(f"export ASSAY_PROMETHEUS_URL={found['prometheus']}")
    click.echo(f"export ASSAY_ALERTMANAGER_URL={found['alertmanager']}")


@sandbox.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@NAME
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl(name: str, arguments: tuple[str, ...]) -> None:
    """Run kubectl against the sandbox."""
    layout = _up(name)
    os.environ["KUBECONFIG"] = str(layout.kubeconfig)
    sys.stdout.flush()
    os.execv(program("kubernetes"), ["kubectl", *arguments])  # noqa: S606 - the user's own words to kubectl


@sandbox.command()
@NAME
@click.option("--project", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".",
              help="Checkout that holds the Containerfiles.")  # fmt: skip
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
def load(name: str, project: Path, images: tuple[str, ...]) -> None:
    """Load images into the sandbox: an archive (OCI or Docker), or one of the project's own by name.

    The project's images are assay, assay-router and flights; they are built from their Containerfiles first.
    """
    for image in images:
        if image not in PROJECT_IMAGES and not Path(image).is_file():
            raise SandboxError(f"{image} is neither an archive nor one of {', '.join(PROJECT_IMAGES)}.")
    layout = _up(name)
    with progress() as report:
        for image in images:
            if image in PROJECT_IMAGES:
                cluster.load_project(layout, project.resolve(), report, image)
            else:
                cluster.load(layout, Image(image, Path(image)))
    click.echo(f"Loaded {', '.join(images)}.")
