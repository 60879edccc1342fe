"""A real Envoy on loopback fed by a real agent, model servers behind it and callers in front."""

import asyncio
import contextlib
import io
import json
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from assay.core.names import DEPLOYMENT_LABEL, REVISION_LABEL, SPLIT_KEY
from assay.router.admin import Admin
from assay.router.agent import Agent, Patience
from assay.router.converge import Convergence
from assay.router.layout import Layout
from assay.router.reading import read_replicas, read_split
from router.model import Model

ENVOY = Path(sys.prefix) / "bin" / "envoy"
A, B, C = "aaaaaaaa", "bbbbbbbb", "cccccccc"
T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on; all are held until all are known, so that they differ.

    They lie below the range from which the kernel gives ports to clients: one of those would be taken, now and then, by
    a connection of the test's own before the server has it.
    """
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            each, port = stack.enter_context(socket.socket()), secrets.randbelow(12_000) + 20_000
            with contextlib.suppress(OSError):
                each.bind(("127.0.0.1", port))
                found.append(port)
    return found


def until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.01)


def split_map(generation: int, backends: Mapping[str, int], **fields: object) -> dict[str, Any]:
    """Return the ConfigMap of a split."""
    listed = [{"revision": revision, "weight": weight} for revision, weight in backends.items()]
    split = {"deployment": "m", "generation": generation, "backends": listed, **fields}
    return {"metadata": {"name": "m-router", "resourceVersion": "1"}, "data": {SPLIT_KEY: json.dumps(split)}}


def slice_of(revision: str, ports: list[int], *, ready: bool | None = True, name: str = "") -> list[dict[str, Any]]:
    """Return the EndpointSlices of a revision: one for each port, because these replicas share one address."""
    return [
        {
            "metadata": {
                "name": f"{name or 'm-' + revision}-{port}",
                "labels": {DEPLOYMENT_LABEL: "m", REVISION_LABEL: revision},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {} if ready is None else {"ready": ready}}],
        }
        for port in ports
    ]


@dataclass(frozen=True)
class Answer:
    """What a caller got; status 0: the connection broke."""

    status: int
    revision: str | None = None
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def seen(self) -> dict[str, str]:
        """The request's headers as the model saw them, in lower case."""
        headers: dict[str, str] = json.loads(self.text)["headers"]
        return {name.lower(): value for name, value in headers.items()}


class Acks:
    """Where the agent's acknowledgements go."""

    def __init__(self) -> None:
        self.written: list[int | None] = []
        self.before: Callable[[int | None], None] = lambda _: None

    def acknowledge(self, pod: str, generation: int | None) -> None:
        assert pod == "m-router-0"
        self.before(generation)
        self.written.append(generation)


class Rig:
    """Envoy, agent, models and callers."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.url = f"http://127.0.0.1:{layout.http_port}"
        self.acks = Acks()
        patience = Patience(linger=0.5, idle=3, request_margin=2)
        self.agent = Agent(layout, "m", "m-router-0", self.acks, patience)
        self.models: list[Model] = []
        self._generation = 0
        self._loop = asyncio.new_event_loop()
        self._loop_thread = threading.Thread(target=self._loop.run_forever, name="models and callers")
        self._agent_thread = threading.Thread(target=self.agent.run, name="agent")
        self.envoy: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._loop_thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.envoy is not None:
            self.envoy.kill()  # the agent waits for no caller of an Envoy that is gone
            self.envoy.wait()
        self.agent.stop()
        if self._agent_thread.ident is not None:
            self._agent_thread.join(30)
        for model in self.models:
            self.do(model.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop_thread.join(10)
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end in the loop of models and callers."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    def model(self, revision: str) -> Model:
        """Start one replica."""
        model = Model(revision, free_ports(1)[0])
        self.do(model.start())
        self.models.append(model)
        return model

    def publish(self, models: list[Model] | None = None) -> None:
        """Tell the agent which replicas are ready; by default all."""
        self.agent.hear_slices(self.slices(models))

    def slices(self, models: list[Model] | None = None) -> list[dict[str, Any]]:
        """Return the EndpointSlices of some models; by default of all."""
        ready = self.models if models is None else models
        return [one for model in ready for one in slice_of(model.revision, [model.port])]

    def ask_for(self, backends: Mapping[str, int], *, wait: bool = True, **fields: Any) -> int:
        """Give the agent the next split and wait until it is acknowledged; return its generation."""
        self._generation += 1
        self.agent.hear_split([split_map(self._generation, backends, **fields)])
        if wait and self._agent_thread.ident is not None:
            generation = self._generation
            until(lambda: generation in self.acks.written, f"acknowledgement of generation {generation}")
        return self._generation

    def start(self, backends: Mapping[str, int], **fields: Any) -> None:
        """Start Envoy and the agent as a pod does: first files, then Envoy, then the agent."""
        self.publish()
        generation = self.ask_for(backends, **fields)
        split = read_split([split_map(generation, backends, **fields)], "m")
        Convergence(self.layout, Admin(self.layout.admin_port)).write_first(split, read_replicas(self.slices()))
        self.start_envoy()
        self._agent_thread.start()
        until(lambda: generation in self.acks.written, "the first acknowledgement")

    def start_envoy(self) -> None:
        command = [str(ENVOY), "-c", str(self.layout.bootstrap), "--concurrency", "2", "--disable-hot-restart"]
        self.envoy = subprocess.Popen([*command, "--log-level", "error"])
        until(self.ready, "Envoy is ready")

    def join_agent(self, seconds: float) -> bool:
        """Wait for the agent to end; return whether it did."""
        self._agent_thread.join(seconds)
        return not self._agent_thread.is_alive()

    def ready(self) -> bool:
        """Ask the metrics port whether Envoy is ready."""
        return self.get("/ready").status == 200

    def get(self, path: str, method: str = "GET") -> Answer:
        """Ask the metrics port."""
        return self.do(_once(method, f"http://127.0.0.1:{self.layout.metrics_port}{path}", {}, b""))

    def post(self, path: str = "/v2/models/m/infer", body: bytes = b"{}", **headers: str) -> Answer:
        """Send one request; header names have - for _."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.do(_once("POST", self.url + path, named, body))

    def post_many(self, headers: list[dict[str, str]], at_once: int = 16) -> list[Answer]:
        """Send many requests over kept connections; answers are in the order of the headers."""
        return self.do(_many(self.url + "/v2/models/m/infer", headers, at_once))

    @contextlib.contextmanager
    def load(self, at_once: int = 8) -> Iterator[Counter[tuple[int, str | None]]]:
        """Send requests without pause while the block runs; counts (status, revision) of the answers."""
        counts: Counter[tuple[int, str | None]] = Counter()
        stop = asyncio.Event()
        work = asyncio.run_coroutine_threadsafe(
            _load(self.url + "/v2/models/m/infer", at_once, stop, counts), self._loop
        )
        try:
            yield counts
        finally:
            self._loop.call_soon_threadsafe(stop.set)
            work.result(60)

    def samples(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return a metric's samples by their labels, sorted."""
        text = self.get("/metrics").text
        families = text_string_to_metric_families(text)
        # The parser calls every counter ..._total, whatever the exposition says; Prometheus itself does not.
        plain = rf"^{re.escape(name)}[{{ ]"
        exposed = name if re.search(plain, text, re.MULTILINE) else None
        found = [
            sample for family in families for sample in family.samples if sample.name.removesuffix("_total") == exposed
        ]
        return {tuple(sorted(sample.labels.items())): sample.value for sample in found}


async def _ask(session: aiohttp.ClientSession, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
    try:
        async with session.request(method, url, headers=headers, data=io.BytesIO(body)) as response:
            text = await response.text()
            found = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, found.get("x-assay-revision"), text, found)
    except (aiohttp.ClientError, OSError):
        return Answer(0)


async def _once(method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
    async with aiohttp.ClientSession() as session:
        return await _ask(session, method, url, headers, body)


async def _many(url: str, headers: list[dict[str, str]], at_once: int) -> list[Answer]:
    gate = asyncio.Semaphore(at_once)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:

        async def one(each: dict[str, str]) -> Answer:
            async with gate:
                return await _ask(session, "POST", url, each, b"{}")

        return await asyncio.gather(*(one(each) for each in headers))


async def _load(url: str, at_once: int, stop: asyncio.Event, counts: Counter[tuple[int, str | None]]) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:

        async def caller() -> None:
            while not stop.is_set():
                answer = await _ask(session, "POST", url, {}, b"{}")
                counts[answer.status, answer.revision] += 1

        await asyncio.gather(*(caller() for _ in range(at_once)))
