"""What does the operator cost as its fleet grows? Prints lines of JSON; runs in a sandbox's network (`bench.processes.enter`).

    10 rolling ──> 50 rolling, 50 idle ──> 1,050 idle ──> 50 rolling, 1,000 idle ──> --minutes ──> a restart

Rolling means: a rollout that has ended is followed by the next at once, and every fourth candidate is faulty. A window
is measured when every ModelDeployment has reached its first stable revision.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
from aiohttp import web

from assay.core.plan import CALM
from assay.sandbox.layout import Layout
from bench import processes
from bench.api import connected
from bench.fleet import IDLE, ROLLING, Fleet
from bench.processes import EXPORTER_PORT, Operator, Sample
from bench.profile import Line, recorded

SETTLE_SECONDS = 900.0
SMALL = 10  # ModelDeployments of the first window
MEGA = 1e6
ROUNDS = "assay_operator_reconciles_total"


def tell(what: str) -> None:
    """Say on standard error what is going on."""
    sys.stderr.write(f"... {what}\n")


@dataclass(slots=True)
class Window:
    """What one stretch of time cost."""

    name: str
    objects: int
    rolling: int
    seconds: float
    rounds: float
    round_seconds: float
    """Mean."""
    cpu_seconds: float
    memory_mb: float
    """Resident, at its end."""
    queries: float
    calls: dict[str, float] = field(default_factory=dict)
    """`verb resource` -> count."""
    lags: list[float] = field(default_factory=list)
    """How long the oldest due object had been waiting, twice a second."""


def total(sample: Sample, name: str) -> float:
    """Return the sum of a metric over its labels."""
    return sum(value for (metric, _), value in sample.items() if metric == name)


def calls(sample: Sample) -> Counter[str]:
    """Return the calls to the API server by verb and resource."""
    found: Counter[str] = Counter()
    for (metric, labels), value in sample.items():
        if metric == "assay_operator_api_calls_total":
            named = dict(labels)
            found[f"{named['verb']} {named['resource']}"] += value  # type: ignore[assignment]  # counters are floats
    return found


def failed(sample: Sample) -> float:
    """Return how many rounds did not do what they should."""
    rounds = ((dict(labels)["outcome"], value) for (name, labels), value in sample.items() if name == ROUNDS)
    return sum(value for outcome, value in rounds if outcome not in ("Saved", "Unchanged", "Gone", "Conflict"))


def decided(sample: Sample) -> float:
    """Return how many rollouts were promoted or turned back."""
    name = "assay_operator_decisions_total"
    stages = ((dict(labels)["stage"], value) for (metric, labels), value in sample.items() if metric == name)
    return sum(value for stage, value in stages if stage in ("Promoting", "RollingBack"))


def moment(sample: Sample, seconds: float) -> dict[str, float]:
    """Return what a long run keeps of a sample."""
    return {
        "seconds": seconds,
        "memory_mb": memory(sample),
        "objects": total(sample, "assay_operator_queue_keys"),
        "rounds": total(sample, ROUNDS),
        "decided": decided(sample),
        "failed": failed(sample),
    }


def memory(sample: Sample) -> float:
    """Return the resident memory in MB."""
    return total(sample, "process_resident_memory_bytes") / MEGA


async def measure(name: str, operator: Operator, fleet: Fleet, seconds: float) -> Window:
    """Measure for so many seconds."""
    tell(f"measuring: {name}")
    before, begin, lags = await asyncio.to_thread(operator.sample), time.monotonic(), []
    while time.monotonic() < begin + seconds:
        await asyncio.sleep(0.5)
        after = await asyncio.to_thread(operator.sample)
        lags.append(total(after, "assay_operator_queue_lag_seconds"))
    took = time.monotonic() - begin

    def grown(metric: str) -> float:
        return total(after, metric) - total(before, metric)

    rounds = grown(ROUNDS)
    return Window(
        name=name,
        objects=len(fleet.traffic),
        rolling=fleet.rolling(),
        seconds=took,
        rounds=rounds,
        round_seconds=grown("assay_operator_reconcile_seconds_sum") / max(rounds, 1),
        cpu_seconds=grown("process_cpu_seconds_total"),
        memory_mb=memory(after),
        queries=grown("assay_operator_prometheus_queries_total"),
        calls=dict(calls(after) - calls(before)),
        lags=lags,
    )


async def until(true: Callable[[], bool], what: str, told: Callable[[], object] = lambda: "") -> float:
    """Wait until something is true; return the seconds that it took. What is `told` says what is so where it never is."""
    begin = time.monotonic()
    while not true():
        if time.monotonic() > begin + SETTLE_SECONDS:
            raise SystemExit(f"Waited {SETTLE_SECONDS:.0f} s in vain: {what}. {told()}")
        await asyncio.sleep(0.2)
    return time.monotonic() - begin


class Bench:
    """The fleet, the operator, and what was measured of them."""

    def __init__(self, layout: Layout, folder: Path, fleet: Fleet, prometheus: str) -> None:
        self.fleet = fleet
        self._layout = layout
        self._folder = folder
        self._prometheus = prometheus
        self.windows: list[Window] = []
        self.profile: list[Line] = []

    def operator(self) -> Any:  # noqa: ANN401 - a context manager
        """Run the operator for a while."""
        return processes.operator(processes.kubeconfig_inside(self._layout), self._prometheus, self._folder)

    async def grown(self, role: str, count: int) -> float:
        """Let the fleet grow; return the seconds until all of it serves."""
        tell(f"growing to {count} {role}")
        begin = time.monotonic()
        await self.fleet.grow(role, count)
        await until(self.fleet.serving, "every ModelDeployment serves", self.fleet.waiting)
        return time.monotonic() - begin

    async def growth(self, operator: Operator, idle: int, rolling: int, seconds: float) -> dict[str, float]:
        """Measure fleets that grow."""
        few, half = min(SMALL, rolling), min(rolling, idle)
        found = {"first_memory_mb": memory(operator.sample())}
        await self.grown(ROLLING, few)
        await self._measure(f"{few} rolling", operator, seconds)
        await self.grown(ROLLING, rolling)
        await self.grown(IDLE, half)
        await self._measure(f"{rolling} rolling, {half} idle", operator, seconds)
        self.fleet.releasing = False
        found |= {"grown_objects": idle - half, "grown_seconds": await self.grown(IDLE, idle)}
        await until(self.fleet.calm, "every rollout has ended")
        # A whole turn, so that each of them has been looked at once.
        await self._measure(f"{len(self.fleet.traffic):,} idle", operator, min(CALM, 8 * seconds))
        await self.fleet.release()
        await until(lambda: self.fleet.rolling() >= rolling // 2, "the rollouts have begun again")
        await self._measure(f"{rolling} rolling, {idle:,} idle", operator, 2 * seconds)
        tell("profiling")
        self.profile = await recorded(operator.pid, seconds, self._folder / "profile.txt")
        sizes = sorted(self.fleet.status_bytes.values())
        return found | {"status_bytes": statistics.median(sizes[-rolling:]), "idle_bytes": sizes[0]}

    async def _measure(self, name: str, operator: Operator, seconds: float) -> None:
        self.windows.append(await measure(name, operator, self.fleet, seconds))

    async def restart(self) -> dict[str, float]:
        """Measure how long a new operator takes until nobody waits for it."""
        tell("starting the operator anew")
        begin = time.monotonic()
        with self.operator() as operator:
            ready = time.monotonic() - begin
            rounds, sample = len(self.fleet.traffic), operator.sample()
            while total(sample, ROUNDS) < rounds or _late(sample) > 1.0:
                await asyncio.sleep(0.5)
                sample = await asyncio.to_thread(operator.sample)
            return {
                "restart_ready_seconds": ready,
                "restart_steady_seconds": time.monotonic() - begin,
                "restart_calls_per_object": total(sample, "assay_operator_api_calls_total") / rounds,
                "restart_memory_mb": memory(sample),
            }

    async def soak(self, operator: Operator, minutes: float) -> list[dict[str, float]]:
        """Keep the fleet rolling, replace an idle one every five seconds, and tell what the operator holds."""
        tell(f"rolling for {minutes:g} minutes")
        told: list[dict[str, float]] = []
        begin = time.monotonic()
        while time.monotonic() < begin + 60 * minutes:
            await self.fleet.delete(IDLE)
            await self.fleet.create(IDLE)
            await asyncio.sleep(5)
            sample = await asyncio.to_thread(operator.sample)
            if len(told) % 12 == 0:
                tell(f"minute {(time.monotonic() - begin) / 60:.0f}: {memory(sample):.0f} MB")
            told.append(moment(sample, time.monotonic() - begin))
        return told


def _late(sample: Sample) -> float:
    return total(sample, "assay_operator_queue_lag_seconds")


@asynccontextmanager
async def bench(layout: Layout) -> AsyncIterator[Bench]:
    """Prepare the sandbox, the stand-in and Prometheus."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kubeconfig = processes.kubeconfig_inside(layout)
        fleet = Fleet(await stack.enter_async_context(connected(kubeconfig)))
        page = web.Application()
        page.router.add_get("/metrics", fleet.scraped)
        runner = web.AppRunner(page, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", EXPORTER_PORT).start()
        stack.enter_context(processes.without_pods(layout))
        stack.enter_context(processes.garbage_collector(kubeconfig, folder))
        yield Bench(layout, folder, fleet, stack.enter_context(processes.prometheus(folder)))


async def measured(layout: Layout, idle: int, rolling: int, seconds: float, minutes: float) -> None:
    """Measure, and print what was found as soon as it is; the stand-in plays meanwhile, and its failure ends the bench."""
    async with bench(layout) as prepared, asyncio.TaskGroup() as group:
        playing = group.create_task(prepared.fleet.play())
        with prepared.operator() as operator:
            facts = await prepared.growth(operator, idle, rolling, seconds)
            windows, profile = ([asdict(one) for one in many] for many in (prepared.windows, prepared.profile))
            click.echo(json.dumps({"windows": windows, "profile": profile}))
            if minutes:
                click.echo(json.dumps({"soak": await prepared.soak(operator, minutes)}))
        click.echo(json.dumps({"facts": facts | await prepared.restart()}))
        await prepared.fleet.leave()
        playing.cancel()


@click.command()
@click.option(
    "--sandbox", required=True, help="Name of a sandbox with our custom resources, and nothing that uses them."
)
@click.option("--idle", default=1000, help="ModelDeployments that only serve. [default: 1000]")
@click.option("--rolling", default=50, help="ModelDeployments that roll without end. [default: 50]")
@click.option("--seconds", default=15.0, help="How long a window lasts; two of them last longer. [default: 15]")
@click.option("--minutes", default=0.0, help="How long memory is watched afterwards. [default: 0]")
def main(sandbox: str, idle: int, rolling: int, seconds: float, minutes: float) -> None:
    """Measure what the operator costs."""
    asyncio.run(measured(Layout(sandbox), idle, rolling, seconds, minutes))


if __name__ == "__main__":
    main()
