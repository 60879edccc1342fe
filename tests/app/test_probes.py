"""The probes answer over HTTP, also about what is wrong."""

from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from assay.app.probes import Probes, Pulse


class Patient:
    """What the probes ask about."""

    def __init__(self) -> None:
        self.ill: str | None = None
        self.busy: str | None = "Has not seen the cluster yet."


@pytest.fixture
def patient() -> Patient:
    return Patient()


@pytest.fixture
def probes(patient: Patient) -> Iterator[Probes]:
    with Probes(
        ("127.0.0.1", 0), healthy=lambda: patient.ill, ready=lambda: patient.busy, page=lambda: b"up 1\n"
    ) as probes:
        yield probes


def ask(probes: Probes, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", probes.port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_liveness_and_readiness_are_answered_apart(probes: Probes, patient: Patient) -> None:
    assert ask(probes, "/healthz") == (200, "ok\n")
    assert ask(probes, "/readyz") == (503, "Has not seen the cluster yet.\n")

    patient.ill, patient.busy = "A worker died.", None
    assert ask(probes, "/healthz") == (503, "A worker died.\n")
    assert ask(probes, "/readyz") == (200, "ok\n")


def test_metrics_are_served_and_other_paths_are_not(probes: Probes) -> None:
    assert ask(probes, "/metrics") == (200, "up 1\n")
    assert ask(probes, "/other")[0] == 404


def test_a_pulse_that_stops_is_noticed_after_a_minute() -> None:
    now = [0.0]
    pulse = Pulse(lambda: now[0])

    now[0] = 60.0
    assert not pulse.still()
    now[0] = 60.1
    assert pulse.still()
    pulse.beat()
    assert not pulse.still()
