"""One training for all tests of the flights example, and its servers as processes."""

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from flights import data, traffic, train

EXAMPLES = Path(__file__).parents[2] / "examples"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(EXAMPLES), str(EXAMPLES.parent / "operator")])}


def run(module: str, *argv: str, **environment: str) -> subprocess.Popen[str]:
    """Start a program of the example."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *argv],
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass
class Server:
    """A model server on loopback."""

    process: subprocess.Popen[str]
    port: int
    _connections: list[http.client.HTTPConnection] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, body: object = None) -> tuple[int, dict[str, str], bytes]:
        """GET, or POST a body: raw bytes as they are, everything else as JSON."""
        if not self._connections:
            self._connections.append(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30))
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._connections[0].request("GET" if body is None else "POST", path, None if body is None else raw)
        answer = self._connections[0].getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def infer(self, *tensors: dict[str, object], identifier: str = "") -> tuple[int, dict[str, object]]:
        status, _, body = self.ask("/v2/models/flights/infer", {"id": identifier, "inputs": list(tensors)})
        return status, json.loads(body)

    def end(self) -> None:
        for connection in self._connections:
            connection.close()
        self.process.kill()
        self.process.communicate()


def tensor(name: str, *values: object) -> dict[str, object]:
    datatype = "BYTES" if any(isinstance(value, str) for value in values) else "FP64"
    return {"name": name, "shape": [len(values)], "datatype": datatype, "data": list(values)}


@pytest.fixture(scope="session")
def departures() -> pd.DataFrame:
    return data.departures()


@pytest.fixture(scope="session")
def training(departures: pd.DataFrame) -> pd.DataFrame:
    return departures[(departures["month"] < data.FIRST_HELD_OUT_MONTH) & departures["late"].notna()]


@pytest.fixture(scope="session")
def held_out(departures: pd.DataFrame) -> pd.DataFrame:
    return departures[departures["month"] >= data.FIRST_HELD_OUT_MONTH]


@pytest.fixture(scope="session")
def artefacts(training: pd.DataFrame, held_out: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flights")
    train.train(training, folder)
    traffic.save(held_out, folder / traffic.FILE)
    return folder


@pytest.fixture(scope="module")
def serve(artefacts: Path) -> Iterator[Callable[..., Server]]:
    """Start a server of a revision and wait until it is ready."""
    with ExitStack() as stack:

        def start(revision: str, *, drain: float = 0.0) -> Server:
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))
                port = taken.getsockname()[1]
            environment = {"FLIGHTS_ARTEFACTS": str(artefacts), "FLIGHTS_LISTEN": f"127.0.0.1:{port}"}
            process = run(
                "flights.server", FLIGHTS_REVISION=revision, FLIGHTS_DRAIN_SECONDS=str(drain), **environment
            )
            server = Server(process, port)
            stack.callback(server.end)
            while process.poll() is None:
                try:
                    assert server.ask("/v2/health/ready")[0] == 200
                except ConnectionRefusedError:
                    continue
                return server
            raise AssertionError(process.communicate()[1])

        yield start
