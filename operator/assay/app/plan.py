"""How long will a rollout take, and what will it not see? `assay plan`."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.table import Table

from assay.api.checks import Check
from assay.api.modeldeployment import ModelDeploymentSpec
from assay.app.given import read_resource, refusing
from assay.core.errors import InvalidSpec
from assay.core.prospects import TIMES, UNLUCKY, Prospect, Traffic, Values, prospect
from assay.stats.means_power import LEAST_VARIATION, MOST_VARIATION


@click.command
@click.option("--spec", required=True, type=click.Path(path_type=Path), help="The ModelDeployment, as YAML.")
@click.option("--rate", "rates", required=True, multiple=True, metavar="[CHECK=]RATE",
              help="Requests per second, of all revisions together; of a check that counts something else (labels, users, sales) so many of those.")  # fmt: skip
@click.option("--baseline", "baselines", multiple=True, metavar="[CHECK=]RATE",
              help="Share of bad events of the stable revision, of every check or of one; may be given again.")  # fmt: skip
@click.option("--variation", "variations", multiple=True, metavar="[CHECK=]NUMBER",
              help="Of checks on a mean or ratio: standard deviation of a value over the mean (1 where values are as if exponential).")  # fmt: skip
@click.option(
    "--dispersion",
    type=click.FloatRange(1),
    help="How much more requests fail together than by chance. [default: analysis.dispersion, or 1.5]",
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="Format. [default: table]")
def plan(*, spec: Path, dispersion: float | None, output: str, **numbers: Sequence[str]) -> None:
    """Say how long a rollout needs to promote and to find harm, and which harm it will not find.

    Means, by a formula that simulation confirms to a third; nine of ten rollouts are decided within twice the time.

    Of a mean or ratio, 2 x worse is a mean twice as high, or with better: Higher half as high. Its --variation is told by the
    counters that the check reads: sqrt(squares / count - (sum / count)^2) / (sum / count).

    \b
    assay plan --spec modeldeployment.yaml --rate 100 --baseline 0.01
    assay plan --spec modeldeployment.yaml --rate 100 --baseline errors=0.01 --baseline accuracy=0.2
    assay plan --spec modeldeployment.yaml --rate 100 --baseline 0.01 --rate revenue=5 --variation revenue=1.3
    """  # noqa: D301 - click's mark of what is not to be wrapped
    with refusing():
        if dispersion is not None and not math.isfinite(dispersion):
            raise InvalidSpec(f"--dispersion {dispersion:g}: must be a finite number from 1 on.")
        judge = read_resource(spec).spec
        divisor = dispersion or float(judge.analysis.dispersion or 1.5)
        known = _traffic(judge, divisor, **numbers)
        found = [_prospect(judge, check, known[check.name]) for check in judge.analysis.checks if check.name in known]
        unforeseen = [check for check in judge.analysis.checks if check.name not in known]
        if output == "json":
            told = {"checks": [_json(one) for one in found], "unforeseen": [check.name for check in unforeseen]}
            click.echo(json.dumps(told))
        else:
            _print(found, unforeseen)


def _traffic(
    spec: ModelDeploymentSpec,
    divisor: float,
    *,
    rates: Sequence[str],
    baselines: Sequence[str],
    variations: Sequence[str],
) -> dict[str, Traffic | Values]:
    """Return what was given of each check; nothing of a gauge, nor of values whose variation was not."""
    of_events = [check.name for check in spec.analysis.checks if not check.of_values]
    of_values = [check.name for check in spec.analysis.checks if check.mean is not None or check.ratio is not None]
    shares = Asked("--baseline", "a share from 0 to below 1, such as 0.01", lambda value: 0 <= value < 1).of(baselines, of_events)  # fmt: skip
    spreads = Asked(
        "--variation",
        "a number from 0.000001 to 1000000, such as 1.3",
        lambda value: LEAST_VARIATION <= value <= MOST_VARIATION,
    ).of(variations, of_values)
    names = [*of_events, *spreads]
    per_second = Asked("--rate", "a finite number above 0", _is_positive).of(rates, [*of_events, *of_values])
    for option, lacking in (
        ("--baseline", [name for name in of_events if name not in shares]),
        ("--rate", [name for name in names if name not in per_second]),
    ):
        if lacking:
            raise InvalidSpec(f"{option} is needed for {', '.join(lacking)} too.")
    return {name: Traffic(per_second[name], share, divisor) for name, share in shares.items()} | {
        name: Values(per_second[name], spread) for name, spread in spreads.items()
    }


def _is_positive(value: float) -> bool:
    return 0 < value < math.inf


class Asked(NamedTuple):
    """An option that gives a number for every check, or for one."""

    option: str
    wanted: str
    fits: Callable[[float], bool]

    def of(self, given: Sequence[str], names: Sequence[str]) -> dict[str, float]:
        """Return the number of each check for which there is one; the last that was given holds."""
        found: dict[str, float] = {}
        for one in given:
            name, _, text = one.rpartition("=")
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not self.fits(value):
                raise InvalidSpec(f"{self.option} {one}: {text!r} must be {self.wanted}.")
            if name and name not in names:
                others = f", but {', '.join(names)}" if names else " of which this could be said"
                raise InvalidSpec(f"{self.option} {one}: the spec has no check {name!r}{others}.")
            found |= dict.fromkeys([name] if name else names, value)
        return found


def _prospect(spec: ModelDeploymentSpec, check: Check, traffic: Traffic | Values) -> Prospect:
    found = prospect(spec, check, traffic)
    if found is None:
        at = f" at a baseline of {traffic.rate:g}" if isinstance(traffic, Traffic) else ""
        raise InvalidSpec(f"Check {check.name}:{at} `margin` leaves no room for anything worse.")
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


def _print(found: Sequence[Prospect], unforeseen: Sequence[Check]) -> None:
    console = Console()
    table = Table(
        "check",
        "an equal candidate is promoted after",
        *(f"found when {times:g} x worse" for times in TIMES),
        "least harm found by the deadline",
    )
    for one in found:
        what = "values" if isinstance(one.traffic, Values) else "requests"
        detections = (_told(requests, seconds, what) for _, requests, seconds in one.detections)
        promoted = _told(one.promote_requests, one.promote_seconds, what)
        table.add_row(one.check, promoted, *detections, _least(one))
    if found:
        console.print(table)
        console.print(
            f"Means; nine of ten rollouts need at most {UNLUCKY:g} times as long. Starting pods is not counted."
        )
    for one in found:
        if one.underpowered:
            console.print(f"Underpowered: {one.underpowered}.", style="yellow")
    for check in unforeseen:
        console.print(_lacks(check), style="yellow")


def _least(one: Prospect) -> str:
    if one.smallest is None:
        return "none"
    return f"{one.smallest:.3g} times stable's" if isinstance(one.traffic, Values) else f"a rate of {one.smallest:.3g}"


def _lacks(check: Check) -> str:
    """Return what must be known before anything can be said of a check."""
    if check.gauge is not None:
        return f"Check {check.name} is a gauge, of which nothing can be foretold. `assay replay` shows it on what was recorded."
    return (
        f"Check {check.name} judges values: how long it takes depends on how much they differ. Give --variation"
        f" {check.name}=NUMBER, their standard deviation over their mean, or let `assay replay` judge what was recorded."
    )


def _told(requests: float, seconds: float, what: str) -> str:
    if math.isinf(seconds):
        return "never"
    minutes = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"  # noqa: PLR2004 - seconds
    return f"{minutes} ({requests:,.0f} {what})"
