"""`make demo`: a whole Kubernetes, real flights, a better model promoted, a failing and a wrong one rolled back."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(PROJECT / "examples"))  # the example is a folder of programs, not an installed package

import click  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.live import Live  # noqa: E402

from assay.sandbox.cli import progress  # noqa: E402
from assay.sandbox.errors import SandboxError  # noqa: E402
from flights.demo import ground, page, table, timeline  # noqa: E402
from flights.demo.play import play  # noqa: E402
from flights.demo.streams import Streams  # noqa: E402
from flights.demo.timeline import Act  # noqa: E402
from flights.shop import Shop, ShopError, until  # noqa: E402

BUILD = PROJECT / "build" / "demo"
ACTS = {
    "v2": "Act 1: a better model",
    "v5": "Act 2: a model that answers HTTP 500 to 3 % of the requests",
    "v3": "Act 3: a model fed seconds instead of minutes, which only labels give away",
    "v4": "Act 4: a model that is right, and 80 ms slower",
}
console = Console(width=None if sys.stdout.isatty() else 140)


def perform(shop: Shop, acts: list[Act]) -> None:
    """Install, serve v1, and play the acts; those that were played are added to `acts`, also when one fails."""
    with progress() as report:
        report("installing the operator through its Helm chart", None)
        shop.install("logFormat=json", "prometheusIntervalSeconds=1")
        report("serving v1", None)
        shop.release("v1")
        shop.kubectl("wait", "modeldeployment/flights", "--for=condition=Ready", "--timeout=120s")
        report("starting the passengers", None)
        shop.call("--url", "http://flights:8080", "--rate", "200")
        until(lambda: shop.heard().get("answered", 0) > 0, "the first request is answered")
    serving, lost = "v1", 0
    with Streams(shop) as streams:
        for revision, title in ACTS.items():
            acts.append(Act(revision, serving, title))
            act = _watched(acts, shop, streams, lost)
            if act.ending is not None:
                lost += act.ending.lost
                serving = revision if act.ending.outcome == "Promoted" else serving


def _watched(acts: list[Act], shop: Shop, streams: Streams, lost: int) -> Act:
    """Play the last act before the eyes of people."""

    def remembering(show: Callable[[Act], None]) -> Callable[[Act], None]:
        def seen(act: Act) -> None:
            acts[-1] = act
            show(act)

        return seen

    if console.is_terminal:
        with Live(table.live(acts[-1]), console=console, refresh_per_second=4) as screen:
            return play(acts[-1], shop, streams, lost, remembering(lambda act: screen.update(table.live(act))))
    marks: list[object] = []

    def tell(act: Act) -> None:
        if marks[-1:] != [table.mark(act)]:
            marks.append(table.mark(act))
            console.print(table.line(act), highlight=False, soft_wrap=True)

    return play(acts[-1], shop, streams, lost, remembering(tell))


def write(acts: Sequence[Act]) -> None:
    """Write what was seen as figures, as a timeline and as a page, and say it."""
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "demo.json").write_text(json.dumps({"acts": [act.summary() for act in acts]}, indent=1) + "\n")
    timeline.save(acts, BUILD / "timeline.json")
    (BUILD / "index.html").write_text(page.render(acts))
    console.print(table.summary(acts))
    console.print(f"The same with pictures: {BUILD / 'index.html'}    for machines: {BUILD / 'demo.json'}",
                  highlight=False, soft_wrap=True)  # fmt: skip


def _ended(*_: object) -> None:
    raise KeyboardInterrupt


@click.command()
@click.option("--cluster", "where", type=click.Choice(["sandbox", "current"]), default="sandbox", show_default=True,
              help="A cluster of its own, or the current kubectl context.")  # fmt: skip
@click.option("--keep", is_flag=True, help="Leave everything running, and say how to go on.")
def main(where: str, *, keep: bool) -> None:
    """Release four revisions of the flights model: one is promoted, three are rolled back."""
    signal.signal(signal.SIGTERM, _ended)
    acts: list[Act] = []
    place = ground.sandboxed(PROJECT, console, keep=keep) if where == "sandbox" else ground.current(console, keep=keep)
    try:
        with place as shop:
            shutil.rmtree(BUILD, ignore_errors=True)  # what an earlier demo saw
            try:
                perform(shop, acts)
            finally:
                if acts:
                    write(acts)
    except (ShopError, SandboxError, OSError, subprocess.SubprocessError) as error:
        raise click.ClickException(str(error)) from error
    wrong = [act.revision for act in acts if not act.succeeded]
    if wrong:
        raise click.ClickException(
            f"Not as it should be: {', '.join(wrong)}; the table above and the page say what happened."
        )


if __name__ == "__main__":
    main()
