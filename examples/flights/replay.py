"""What do the flights' passengers get, when they all ask in the order in which their flights really left?

    python -m flights.replay --url http://127.0.0.1:8080 --rate 200 --duration 60

Prints one JSON object a second on standard output (`event: progress`) and one at the end (`event: summary`); what is
counted, and what a lost request is, says `flights.tally`. The load is open-loop: every request has a time of its own at
which it is sent, however slow the answers are. When a flight lands, in the flights' own time, the pod that predicted is
told whether it was late. SIGTERM and SIGINT end it: no new requests, the waiting ones are waited
for, then the summary.
"""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import click

from flights import traffic
from flights.labels import Labels
from flights.tally import UNROUTED, Tally
from flights.traffic import Request

USER_HEADER = "x-user-id"
REVISION_HEADER = "x-assay-revision"
SIGNATURE = "x-flights-model"
INFER = "/v2/models/flights/infer"
LABEL_PAUSE = 0.25  # seconds between two batches of labels


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send, where, and until when."""

    url: str
    rate: float | None
    """Requests per second; None: by the flights' own clock."""
    speedup: float
    """Seconds of the flights' own time that pass in one second."""
    duration: float | None
    requests: int | None
    timeout: float
    connections: int
    labels: bool = True
    """Whether labels are sent."""

    def due(self, index: int, elapsed: float) -> float:
        """Return when a request is to be sent, in seconds after the beginning.

        Args:
            index: Which request, from 0.
            elapsed: Its flight's own time since the first flight, in seconds.
        """
        return index / self.rate if self.rate is not None else elapsed / self.speedup

    def flights_time(self, newest: float, seconds: float) -> float:
        """Return the flights' own time since the first flight: nights pass as quickly as days, unless --rate skips them.

        Args:
            newest: When the flight departed that was asked about last.
            seconds: How long the replay has run.
        """
        return newest if self.rate is not None else max(newest, seconds * self.speedup)

    def client_timeout(self) -> aiohttp.ClientTimeout:
        """Return when a request counts as lost; waiting for a free connection is part of it."""
        return aiohttp.ClientTimeout(total=self.timeout)

    def over(self, index: int, due: float) -> bool:
        """Say whether a request lies beyond the end."""
        return (self.requests is not None and index >= self.requests) or (
            self.duration is not None and due >= self.duration
        )


class Replay:
    """One run: sends, counts, reports."""

    def __init__(self, plan: Plan, session: aiohttp.ClientSession) -> None:
        self.tally = Tally()
        self._plan = plan
        self._session = session
        self._labels = Labels(session, self.tally)
        self._newest = 0.0  # when the flight departed that was asked about last
        self._ended = False
        self._begin = time.monotonic()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Send nothing more."""
        self._stopping.set()

    async def run(self, requests: Iterator[tuple[float, Request]]) -> None:
        """Send everything at its time, then wait for what is under way."""
        under_way: set[asyncio.Task[None]] = set()
        reporting = asyncio.create_task(self._report_every_second())
        labelling = asyncio.create_task(self._label_until_the_end())
        for index, (elapsed, request) in enumerate(requests):
            due = self._plan.due(index, elapsed)
            if self._plan.over(index, due) or await self._stopped_before(due):
                break
            self.tally.sent += 1
            self._newest = elapsed
            task = asyncio.create_task(self._ask(request))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if under_way:
            await asyncio.wait(under_way)
        self._ended = True
        await labelling
        await self._send_labels()
        reporting.cancel()
        self._report("summary")

    async def _stopped_before(self, due: float) -> bool:
        """Wait until a request is due; True when told to stop before that."""
        wait = self._begin + due - time.monotonic()
        if wait > 0 and not self._stopping.is_set():
            try:
                await asyncio.wait_for(self._stopping.wait(), wait)
            except TimeoutError:
                return False
        elif self.tally.sent % 16 == 0:
            await asyncio.sleep(0)  # behind schedule: still let answers in
        return self._stopping.is_set()

    async def _ask(self, request: Request) -> None:
        """Send one request and count what comes of it."""
        headers = {USER_HEADER: request.user, "content-type": "application/json"}
        try:
            async with self._session.post(INFER, data=request.body, headers=headers) as response:
                body = await response.read()
        except TimeoutError:
            self.tally.lose("timeout")
            return
        except aiohttp.ClientError as error:
            self.tally.lose(type(error).__name__)
            return
        if SIGNATURE not in response.headers:
            self.tally.lose(f"unsigned {response.status}")
            return
        revision = response.headers.get(REVISION_HEADER, UNROUTED)
        self.tally.answer(revision, response.status, request.user, outcome(response.status, body, request.late), _now())

        if self._plan.labels and response.status == 200 and request.late is not None:  # noqa: PLR2004 - HTTP OK
            self._labels.expect(response.headers, request.arrival, late=request.late)

    async def _label_until_the_end(self) -> None:
        """Send labels again and again."""
        while not self._ended:
            await asyncio.sleep(LABEL_PAUSE)
            await self._send_labels()

    async def _send_labels(self) -> None:
        """Send the labels of flights that have landed."""
        await self._labels.send(self._plan.flights_time(self._newest, time.monotonic() - self._begin))

    async def _report_every_second(self) -> None:
        """Print progress until cancelled."""
        second = 0
        while True:
            second += 1
            await asyncio.sleep(max(0.0, self._begin + second - time.monotonic()))
            self._report("progress")

    def _report(self, event: str) -> None:
        """Print one line."""
        elapsed = round(time.monotonic() - self._begin, 3)
        print(json.dumps({"event": event, "time": _now(), "elapsed": elapsed, **self.tally.written()}), flush=True)


def outcome(status: int, body: bytes, late: bool | None) -> str | None:  # noqa: FBT001 - the label is a bool
    """Compare a prediction with what happened: correct, wrong or unlabelled; None where there is no prediction."""
    if status != 200:  # noqa: PLR2004 - HTTP OK
        return None
    if late is None:
        return "unlabelled"
    predicted = next(one["data"][0] for one in json.loads(body)["outputs"] if one["name"] == "late")
    return "correct" if predicted == late else "wrong"


def _now() -> int:
    """Return milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


async def _replay(plan: Plan, requests: Iterator[tuple[float, Request]]) -> None:
    """Run a plan to its end or to a signal."""
    connector = aiohttp.TCPConnector(limit=plan.connections)
    async with aiohttp.ClientSession(plan.url, connector=connector, timeout=plan.client_timeout()) as session:
        replay = Replay(plan, session)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, replay.stop)
        await replay.run(requests)


@click.command()
@click.option("--url", required=True, help="Where the model is served, without a path.")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="Requests per second. Default: as the flights left, see --speedup.",
)
@click.option(
    "--speedup",
    type=click.FloatRange(0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Without --rate: flight seconds in one second.",
)
@click.option("--duration", type=click.FloatRange(0, min_open=True), help="Stop sending after so many seconds.")
@click.option("--requests", type=click.IntRange(1), help="Stop sending after so many requests.")
@click.option(
    "--passengers", type=click.IntRange(1), default=2, show_default=True, help="Passengers of one flight who ask."
)
@click.option("--users", type=click.IntRange(1), default=20_000, show_default=True, help="How many people fly.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds until a request is lost.",
)
@click.option("--connections", type=click.IntRange(1), default=256, show_default=True, help="Most connections at once.")
@click.option("--labels/--no-labels", default=True, show_default=True, help="Tell who predicted what came of it.")
@click.option(
    "--flights",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("build/flights") / traffic.FILE,
    show_default=True,
    envvar="FLIGHTS_TRAFFIC",
    help="The held-out flights, as training writes them.",
)
def main(path: Path, passengers: int, users: int, **options: Any) -> None:  # noqa: ANN401 - click names them
    """Replay the held-out flights as inference requests."""
    try:
        flights = traffic.load(path)
    except FileNotFoundError:
        sys.exit(f"--flights: {path} does not exist; `python -m flights.train` writes it.")
    asyncio.run(_replay(Plan(**options), flights.requests(passengers, users)))


if __name__ == "__main__":
    main()
