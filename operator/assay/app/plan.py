"""How long will a rollout take, and what will it not see? `assay plan`."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from assay.api.modeldeployment import ModelDeploymentSpec
from assay.app.given import read_resource, refusing
from assay.core.errors import InvalidSpec
from assay.core.prospects import TIMES, UNLUCKY, Prospect, Traffic, prospect


@click.command
@click.option("--spec", required=True, type=click.Path(path_type=Path), help="The ModelDeployment, as YAML.")
@click.option(
    "--rate",
    required=True,
    type=click.FloatRange(0, min_open=True),
    help="Requests per second, of all revisions together.",
)
@click.option("--baseline", "baselines", required=True, multiple=True, metavar="[CHECK=]RATE",
              help="Share of bad events of the stable revision, of every check or of one; may be given again.")  # fmt: skip
@click.option(
    "--dispersion",
    type=click.FloatRange(1),
    help="How much more requests fail together than by chance. [default: analysis.dispersion, or 1.5]",
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="Format. [default: table]")
def plan(spec: Path, rate: float, baselines: Sequence[str], dispersion: float | None, output: str) -> None:
    r"""Say how long a rollout needs to promote and to find harm, and which harm it will not find.

    Means, by a formula that simulation confirms to a third; nine of ten rollouts are decided within twice the time.

    \b
    assay plan --spec modeldeployment.yaml --rate 100 --baseline 0.01
    assay plan --spec modeldeployment.yaml --rate 100 --baseline errors=0.01 --baseline accuracy=0.2
    """
    with refusing():
        if not math.isfinite(rate):
            raise InvalidSpec(f"--rate {rate:g}: must be a finite number above 0.")
        if dispersion is not None and not math.isfinite(dispersion):
            raise InvalidSpec(f"--dispersion {dispersion:g}: must be a finite number from 1 on.")
        judge = read_resource(spec).spec
        divisor = dispersion or float(judge.analysis.dispersion or 1.5)
        found = [
            _prospect(judge, name, Traffic(rate, value, divisor))
            for name, value in _baselines(judge, baselines).items()
        ]
        unforeseen = [check.name for check in judge.analysis.checks if check.of_values]
        if output == "json":
            click.echo(json.dumps({"checks": [_json(one) for one in found], "unforeseen": unforeseen}))
        else:
            _print(found, unforeseen)


def _baselines(spec: ModelDeploymentSpec, given: Sequence[str]) -> dict[str, float]:
    names = [check.name for check in spec.analysis.checks if not check.of_values]
    found: dict[str, float] = {}
    for one in given:
        name, _, text = one.rpartition("=")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value < 1:
            raise InvalidSpec(f"--baseline {one}: {text!r} must be a share from 0 to below 1, such as 0.01.")
        if name and name not in names:
            raise InvalidSpec(f"--baseline {one}: the spec has no check {name!r}, but {', '.join(names)}.")
        found |= dict.fromkeys([name] if name else names, value)
    lacking = [name for name in names if name not in found]
    if lacking:
        raise InvalidSpec(f"--baseline is needed for {', '.join(lacking)} too.")
    return {name: found[name] for name in names}


def _prospect(spec: ModelDeploymentSpec, name: str, traffic: Traffic) -> Prospect:
    check = next(one for one in spec.analysis.checks if one.name == name)
    found = prospect(spec, check, traffic)
    if found is None:
        raise InvalidSpec(
            f"Check {name}: at a baseline of {traffic.rate:g} `margin` leaves no room for anything worse."
        )
    return found


def _json(one: Prospect) -> dict[str, Any]:
    """Return a prospect with null for what never happens."""
    return {
        "check": one.check,
        "promote": {"requests": _finite(one.promote_requests), "seconds": _finite(one.promote_seconds)},
        "detect": [
            {"times": times, "requests": _finite(requests), "seconds": _finite(seconds)}
            for times, requests, seconds in one.detections
        ],
        "smallestDetectable": one.smallest,
        "underpowered": one.underpowered,
    }


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else round(value)


def _print(found: Sequence[Prospect], unforeseen: Sequence[str]) -> None:
    console = Console()
    table = Table(
        "check",
        "an equal candidate is promoted after",
        *(f"found when {times:g} x worse" for times in TIMES),
        "least rate found by the deadline",
    )
    for one in found:
        detections = (_told(requests, seconds) for _, requests, seconds in one.detections)
        least = "none" if one.smallest is None else f"{one.smallest:.3g}"
        table.add_row(one.check, _told(one.promote_requests, one.promote_seconds), *detections, least)
    console.print(table)
    console.print(f"Means; nine of ten rollouts need at most {UNLUCKY:g} times as long. Starting pods is not counted.")
    for one in found:
        if one.underpowered:
            console.print(f"Underpowered: {one.underpowered}.", style="yellow")
    for name in unforeseen:
        told = "judges values: how long it takes depends on how much they differ, which nobody has told."
        console.print(f"Check {name} {told} `assay replay` shows it on what was recorded.", style="yellow")


def _told(requests: float, seconds: float) -> str:
    if math.isinf(seconds):
        return "never"
    minutes = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"  # noqa: PLR2004 - seconds
    return f"{minutes} ({requests:,.0f} requests)"
