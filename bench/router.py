"""How much longer does a request take through the router than straight to the model?

Both ways are measured in the same run, in turns, against the same server on loopback, over one kept connection each. Prints JSON: the
ratios of the quantiles (the machine's speed cancels) and the milliseconds they come from.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from assay.core.split import Backend, Split
from assay.router.admin import Admin
from assay.router.converge import Convergence
from assay.router.layout import Endpoint, Layout

REVISIONS = ("aaaaaaaa", "bbbbbbbb")
BODY = b'{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}'


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, work: float) -> None:
    """Answer requests with as little of our own cost as Python allows, after `work` seconds."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            if work:
                await asyncio.sleep(work)
            writer.write(answer)
    writer.close()


@contextlib.contextmanager
def model(work: float) -> Iterator[int]:
    """Serve on a free port in a thread of its own; yield the port."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(lambda r, w: _serve(r, w, work), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()


def _free_port() -> int:
    """Return a port below those that the kernel gives to clients, or one of them could take it before Envoy does."""
    while True:
        port = secrets.randbelow(12_000) + 20_000
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def router(port: int) -> Iterator[int]:
    """Run Envoy in front of a model under a 50/50 sticky split; yield its port."""
    split = Split(
        deployment="m", generation=1, sticky_header="x-user-id", salt="bench",
        backends=tuple(Backend(revision=revision, weight=50) for revision in REVISIONS),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        base = Layout(directory=Path(folder), host="127.0.0.1")
        layout = replace(base, http_port=_free_port(), metrics_port=_free_port(), admin_port=_free_port())
        convergence = Convergence(layout, Admin(layout.admin_port))
        replicas = {revision: (Endpoint("127.0.0.1", port),) for revision in REVISIONS}
        convergence.write_first(split, replicas)
        envoy = Path(sys.prefix) / "bin" / "envoy"
        command = [str(envoy), "-c", str(layout.bootstrap), "--concurrency", "2", "--disable-hot-restart"]
        with subprocess.Popen([*command, "--log-level", "error"]) as process:
            try:
                _until_ready(layout)
                yield layout.http_port
            finally:
                process.terminate()


def _until_ready(layout: Layout) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            asking = http.client.HTTPConnection("127.0.0.1", layout.metrics_port, timeout=1)
            asking.request("GET", "/ready")
            if asking.getresponse().status == http.client.OK:
                asking.close()
                return
        time.sleep(0.05)
    raise SystemExit("Envoy was not ready within 20 s.")


def _measure(port: int, requests: int) -> list[float]:
    """Return the seconds of each of some requests in turn over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    times = []
    for number in range(requests):
        begin = time.perf_counter()
        connection.request("POST", "/v2/models/m/infer", BODY, {"x-user-id": str(number)})
        answer = connection.getresponse()
        answer.read()
        times.append(time.perf_counter() - begin)
        if answer.status != http.client.OK:
            raise SystemExit(f"The model answered {answer.status}.")
    connection.close()
    return times


def added_latency(requests: int = 4000, rounds: int = 8, work: float = 0.0) -> dict[str, float]:
    """Measure both ways in turns.

    Args:
        requests: per way, over all rounds.
        rounds: turns; more of them make a drift of the machine's speed cancel better.
        work: seconds the model takes for a prediction.

    Returns:
        `p50_ratio` and `p99_ratio` (router / direct), and `*_ms` of each way.
    """
    direct: list[float] = []
    routed: list[float] = []
    with model(work) as port, router(port) as public:
        _measure(public, 200)
        _measure(port, 200)
        for _ in range(rounds):
            direct += _measure(port, requests // rounds)
            routed += _measure(public, requests // rounds)
    result: dict[str, float] = {"requests": len(direct), "model_ms": work * 1000}
    for name, percent in (("p50", 50), ("p99", 99)):
        straight, through = (statistics.quantiles(times, n=100)[percent - 1] for times in (direct, routed))
        result[f"{name}_ratio"] = round(through / straight, 2)
        result[f"{name}_direct_ms"] = round(straight * 1000, 3)
        result[f"{name}_router_ms"] = round(through * 1000, 3)
        result[f"{name}_added_ms"] = round((through - straight) * 1000, 3)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--work-ms", type=float, default=0.0, help="how long the model takes for a prediction")
    chosen = parser.parse_args()
    sys.stdout.write(json.dumps(added_latency(chosen.requests, work=chosen.work_ms / 1000)) + "\n")
