"""One training for all tests of the flights example, and its servers."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest

from examples.rig import Server, run
from flights import data, traffic, train


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

        def start(revision: str, *, drain: float = 0.0, labels: str = "") -> Server:
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))
                port = taken.getsockname()[1]
            environment = {"FLIGHTS_ARTEFACTS": str(artefacts), "FLIGHTS_LISTEN": f"127.0.0.1:{port}",
                           "FLIGHTS_DRAIN_SECONDS": str(drain), "FLIGHTS_LABEL_DELAYS": labels}  # fmt: skip
            process = run("flights.server", FLIGHTS_REVISION=revision, **environment)
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
