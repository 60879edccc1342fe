"""What would Assay have decided on counters that somebody recorded? `assay replay`."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from assay.adapters import past as past_of
from assay.adapters import recording
from assay.adapters.prometheus import PrometheusMetrics
from assay.api.base import Manifest
from assay.api.modeldeployment import CheckStatus, ModelDeployment, ModelDeploymentSpec
from assay.app.given import read_resource, refusing
from assay.core.errors import InvalidSpec
from assay.core.replay import Decision, Judged, Recording
from assay.core.replay import replay as looks_of
from assay.core.scrapes import Arms

FEW = 20  # runs that are shown one by one
CHUNK = 8  # runs that a process is given at once


@click.command
@click.option(
    "--spec", required=True, type=click.Path(path_type=Path), help="The ModelDeployment whose checks judge, as YAML."
)
@click.option("--samples", type=click.Path(path_type=Path), help="The recorded counters, as CSV.")
@click.option("--prometheus", help="In place of --samples: the URL of the Prometheus that saw the rollout.")
@click.option("--start", help="With --prometheus: from when, as 2026-11-21T11:00:00Z or in seconds since the epoch.")
@click.option("--end", help="With --prometheus: until when.")
@click.option("--stable", default="", help="With --prometheus: the stable revision, where there were more than two.")
@click.option("--candidate", default="", help="With --prometheus: the candidate.")
@click.option(
    "--interval",
    type=click.FloatRange(1),
    help="Look every so many seconds, not at each recorded time: for instances that were scraped at different moments.",
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "json", "html"]), default="table", help="Format. [default: table]"
)
@click.option(
    "--workers", type=click.IntRange(min=1), default=os.cpu_count(), help="Processes. [default: one per core]"
)
def replay(
    *, spec: Path, samples: Path | None, interval: float | None, output: str, workers: int, **past: str | None
) -> None:
    """Judge recorded counters exactly as the operator would, look by look.

    Columns of the CSV file: time (seconds; each distinct time is a look), check (its name in the spec), role (stable or
    candidate), series (total, bad or good; buckets such as le=0.25; of a mean count, sum and sumsq), value (the cumulative counter as scraped); and, where wanted, run (many
    recordings in one file), instance (counters are subtracted per instance), weight (the candidate's percent).

    The first time is what the next is subtracted from, so begin with the counters as they were before the first look. Steps,
    pods and the deadline play no part: Promote means that every required check passed.

    \b
    assay replay --spec modeldeployment.yaml --samples looks.csv
    assay replay --spec modeldeployment.yaml --samples looks.csv --output json | jq '.runs[].decision'
    assay replay --spec modeldeployment.yaml --prometheus http://127.0.0.1:9090 --start 2026-11-21T11:00:00Z --end 2026-11-21T12:00:00Z
    """  # noqa: D301 - click's mark of what is not to be wrapped
    with refusing():
        resource = read_resource(spec)
        if not math.isfinite(interval or 0.0):
            raise InvalidSpec(f"--interval {interval:g}: must be a finite number of seconds.")
        if (samples is None) == (past["prometheus"] is None):
            raise InvalidSpec("Give exactly one of --samples and --prometheus.")
        if samples is None:
            tapes = {"1": _past(resource, past, interval)}
        else:
            named = recording.read(samples, resource.spec.analysis.checks)
            tapes = {name: Tape(one, every=interval or 0.0) for name, one in named.items()}
        with judged(resource.spec, tapes, workers) as runs:
            {"json": write_json, "html": write_html, "table": write_table}[output](runs)


@dataclass(frozen=True, slots=True)
class Tape:
    """A recording, and how it is to be looked at."""

    recording: Recording
    history: Recording | None = None
    every: float = 0.0


def _past(resource: ModelDeployment, past: Mapping[str, str | None], interval: float | None) -> Tape:
    """Return what Prometheus has kept, to be looked at as often as the operator would."""
    start, end = (_moment(name, past[name]) for name in ("start", "end"))
    if start >= end:
        raise InvalidSpec("--end must come after --start.")
    named = past["stable"], past["candidate"]
    if any(named) and not all(named):
        raise InvalidSpec("Give both of --stable and --candidate, or none.")
    arms = Arms(named[0], named[1]) if named[0] and named[1] else None
    metrics = PrometheusMetrics(past["prometheus"] or "")
    try:
        counters, before = past_of.read(metrics, resource, (start, end), arms)
    finally:
        metrics.close()
    return Tape(counters, before, interval or float(resource.spec.analysis.interval_seconds))


def _moment(name: str, text: str | None) -> float:
    """Return a moment in seconds since the epoch."""
    with suppress(ValueError):
        seconds = float(text or "")
        if not 0 <= seconds <= recording.LATEST:
            raise InvalidSpec(f"--{name} is {text!r}: must be a time such as 2026-11-21T11:00:00Z.")
        return seconds
    try:
        given = datetime.fromisoformat(text or "")
    except ValueError as error:
        raise InvalidSpec(f"--{name} is {text!r}: must be a time such as 2026-11-21T11:00:00Z.") from error
    if given.tzinfo is None:
        raise InvalidSpec(f"--{name} is {text!r}: must say its time zone, as 2026-11-21T11:00:00Z does.")
    return given.timestamp()


@contextmanager
def judged(spec: ModelDeploymentSpec, tapes: Mapping[str, Tape], workers: int) -> Iterator[Iterator[Manifest]]:
    """Judge all recordings, on as many processes, and give the runs in their order as they come, with progress on a terminal."""
    one = partial(_run, spec)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("judging", total=len(tapes))

        def told(runs: Iterator[Manifest]) -> Iterator[Manifest]:
            for run in runs:
                yield run
                progress.advance(task)

        if workers == 1 or len(tapes) <= CHUNK:
            yield told(map(one, tapes.items()))
        else:
            with ProcessPoolExecutor(workers) as pool:
                yield told(pool.map(one, tapes.items(), chunksize=CHUNK))


def _run(spec: ModelDeploymentSpec, named: tuple[str, Tape]) -> Manifest:
    name, tape = named
    looks: list[Manifest] = []
    for one in looks_of(spec, tape.recording, tape.history, tape.every):
        looks.append(_look(one))
        last = one
    if not looks:
        return {"run": name, "decision": str(Decision.UNDECIDED), "reason": "Nothing was recorded.", "looks": []}
    decision: Manifest = {"run": name, "decision": str(last.decision), "reason": last.reason}
    if last.decision is not Decision.UNDECIDED:
        decision |= {"time": last.time}
    if last.check:
        decision |= {"check": last.check}
    return {**decision, "looks": looks}


def _look(one: Judged) -> Manifest:
    return {"time": one.time, "checks": list(map(_check, one.checks, one.evidence))}


def _check(status: CheckStatus, evidence: tuple[float, float]) -> Manifest:
    harm, safety = (float(f"{share:.6g}") for share in evidence)
    told: Manifest = {
        "name": status.name,
        "verdict": str(status.verdict),
        "harm": harm,
        "safety": safety,
        "reason": status.reason,
    }
    if status.totals:
        totals = dict(zip(("candidateTotal", "candidateBad", "stableTotal", "stableBad"), status.totals, strict=True))
        told |= {**totals, "effect": status.effect, "interval": status.interval, "dispersion": status.dispersion}
    if status.harm.sums:
        estimates = {"candidate": status.estimate_candidate, "stable": status.estimate_stable}
        told |= {**estimates, "effect": status.effect, "interval": status.interval}
    return told


def write_json(runs: Iterator[Manifest]) -> None:
    """Print `{"runs": [...]}`, run by run, for there may be more than memory should hold."""
    click.echo('{"runs": [')
    for number, run in enumerate(runs):
        click.echo(("," if number else "") + json.dumps(run, separators=(",", ":")))
    click.echo("]}")


def write_html(runs: Iterator[Manifest]) -> None:
    """Print a page with a picture of each run, where they are few."""
    from assay.app import replay_page  # noqa: PLC0415 - a second that only a page should pay

    click.echo(replay_page.render(runs, FEW))


def write_table(runs: Iterator[Manifest]) -> None:
    """Print how each run ended, where they are few, and how many ended how."""
    console = Console()
    few: list[Manifest] = []
    count: Counter[str] = Counter()
    for run in runs:
        count[run["decision"]] += 1
        if len(few) <= FEW:
            few.append(run)
    if len(few) == 1:
        console.print(_looks(few[0]))
    if len(few) <= FEW:
        table = Table("run", "decision", "at", "check", "reason")
        for run in few:
            at = f"{run['time']:g} s" if "time" in run else ""
            table.add_row(*map(escape, (run["run"], run["decision"], at, run.get("check", ""), run["reason"])))
        console.print(table)
    total = count.total()
    shares = (f"{name} {count[name]} ({count[name] / total:.2%})" for name in Decision)
    console.print(f"{total} {'run' if total == 1 else 'runs'}: {', '.join(shares)}")


def _looks(run: Mapping[str, Any]) -> Table:
    table = Table("time", "check", "verdict", "harm", "safety", "effect", "interval", title=escape(f"Run {run['run']}"))
    for look in run["looks"]:
        for check in look["checks"]:
            shares = (f"{check[key]:.1%}" for key in ("harm", "safety"))
            effect = (check.get(key, "") for key in ("effect", "interval"))
            table.add_row(f"{look['time']:g}", check["name"], check["verdict"], *shares, *effect)
    return table
