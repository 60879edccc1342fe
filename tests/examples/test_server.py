import asyncio
import contextlib
import http.client
import json
import signal
import socket
from collections.abc import Callable

import aiohttp
import pytest

from examples.rig import Server, run, tensor
from flights.revisions import REVISIONS
from flights.server import _unlucky


@pytest.fixture(scope="module")
def v2(serve: Callable[..., Server]) -> Server:
    return serve("v2")


def test_health_and_metadata_are_told_as_the_protocol_says(v2: Server) -> None:
    assert v2.ask("/v2/health/live")[0] == 200
    assert v2.ask("/v2/health/ready")[0] == 200
    assert v2.ask("/v2/models/flights/ready")[0] == 200
    assert set(json.loads(v2.ask("/v2")[2])) == {"name", "version", "extensions"}
    described = json.loads(v2.ask("/v2/models/flights")[2])
    assert {"name", "versions", "platform", "inputs", "outputs"} <= set(described)
    assert {"name": "dep_delay", "datatype": "FP64", "shape": [-1]} in described["inputs"]


def test_a_long_delay_at_departure_means_a_late_arrival_and_an_early_departure_does_not(v2: Server) -> None:
    status, said = v2.infer(tensor("dep_delay", 120.0, -5.0), tensor("carrier", "UA", "UA"), identifier="x")
    assert status == 200
    assert (said["id"], said["model_name"], said["model_version"]) == ("x", "flights", "v2")
    probability, late = said["outputs"]
    assert late["data"] == [True, False]
    assert all(0 <= one <= 1 for one in probability["data"])


def test_a_batch_is_answered_as_its_flights_one_by_one(v2: Server) -> None:
    delays = [-10.0, 0.0, 12.0, None, 300.0]
    _, batch = v2.infer(tensor("dep_delay", *delays), tensor("distance", *[700.0] * 5))
    single = [v2.infer(tensor("dep_delay", one), tensor("distance", 700.0))[1] for one in delays]
    assert batch["outputs"][0]["data"] == [one["outputs"][0]["data"][0] for one in single]


def test_bad_input_is_answered_400_with_one_signed_sentence(v2: Server) -> None:
    status, headers, body = v2.ask("/v2/models/flights/infer", b"hello")
    assert (status, headers["x-flights-model"]) == (400, "v2")
    assert json.loads(body) == {
        "error": "The body is not JSON; send an inference request of the Open Inference Protocol V2."
    }


def test_another_model_is_not_here(v2: Server) -> None:
    status, _, body = v2.ask("/v2/models/weather/infer", {})
    assert status == 404
    assert json.loads(body)["error"].startswith("/v2/models/weather/infer is not here")


def test_a_body_that_is_too_large_is_refused(serve: Callable[..., Server]) -> None:
    status, _, body = serve("v1").ask("/v2/models/flights/infer", b" " * (8 * 1024 * 1024 + 1))
    assert status == 413
    assert "at most 8388608 bytes" in json.loads(body)["error"]


def test_predictions_are_counted_and_nothing_else_is(serve: Callable[..., Server]) -> None:
    server = serve("v1")
    server.infer(tensor("distance", 500.0))
    server.infer(tensor("distance", "far"))
    status, headers, body = server.ask("/metrics")
    lines = body.decode().splitlines()
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    assert 'assay_predictions_total{status="200"} 1.0' in lines
    assert 'assay_predictions_total{status="400"} 1.0' in lines
    assert 'assay_predictions_total{status="500"} 0.0' in lines
    assert "assay_prediction_seconds_count 2.0" in lines


def test_a_prediction_has_an_id_under_which_its_label_is_sent(serve: Callable[..., Server]) -> None:
    server = serve("v2", labels="0.05, 3600")
    outcomes = []
    for delays, label in (([300.0], True), ([300.0, -5.0], [True, False])):
        body = {"inputs": [tensor("dep_delay", *delays)]}
        identifier = server.ask("/v2/models/flights/infer", body)[1]["x-assay-prediction-id"]
        outcomes.append({"id": identifier, "label": label})
    outcomes.append({"id": "somebody-else's", "label": True})
    status, _, said = server.ask("/assay/outcomes", {"outcomes": outcomes})
    assert (status, json.loads(said)) == (200, {"outcomes": 3, "known": 2})
    counted = 'assay_outcomes_total{age_seconds="0.05",outcome="%s"} '
    total = 0.0
    while total < 2:
        lines = server.ask("/metrics")[2].decode().splitlines()
        total = sum(
            float(line.split()[1]) for line in lines if line.startswith('assay_outcomes_total{age_seconds="0.05"')
        )
    assert total == 2
    assert any(line.startswith(counted % "wrong") and line.endswith(" 0.0") for line in lines)
    assert 'assay_outcomes_total{age_seconds="3600",outcome="correct"} 0.0' in lines


def test_without_label_delays_a_prediction_has_no_id(v2: Server) -> None:
    _, headers, _ = v2.ask("/v2/models/flights/infer", {"inputs": [tensor("dep_delay", 2.0)]})
    assert "x-assay-prediction-id" not in headers


def test_v3_takes_minutes_for_seconds(serve: Callable[..., Server], v2: Server) -> None:
    slight = tensor("dep_delay", 2.0)
    assert v2.infer(slight)[1]["outputs"][1]["data"] == [False]
    said = serve("v3").infer(slight)[1]
    assert said["outputs"][1]["data"] == [True]
    assert said["outputs"][0]["data"] == v2.infer(tensor("dep_delay", 120.0))[1]["outputs"][0]["data"]


def test_v4_takes_80_milliseconds_more(serve: Callable[..., Server]) -> None:
    server = serve("v4")
    server.infer(tensor("dep_delay", 2.0))
    seconds = [line for line in server.ask("/metrics")[2].decode().splitlines() if "_seconds_sum" in line]
    assert float(seconds[0].split()[1]) >= 0.08


def test_v5_fails_3_percent_of_ids_and_the_same_ones_again(serve: Callable[..., Server]) -> None:
    ids = [f"0-flight-{number}" for number in range(20_000)]
    share = REVISIONS["v5"].error_share
    failing = [one for one in ids if _unlucky(one, share)]
    assert 0.025 < len(failing) / len(ids) < 0.035
    assert 0.02 < sum(_unlucky("", share) for _ in range(20_000)) / 20_000 < 0.04  # 8 sigma
    server = serve("v5")
    for _ in range(2):
        assert server.infer(tensor("dep_delay", 2.0), identifier=failing[0]) == (500, {"error": "The model failed."})
    assert server.infer(tensor("dep_delay", 2.0), identifier=next(one for one in ids if one not in failing))[0] == 200


def test_a_stop_under_load_loses_nothing(serve: Callable[..., Server]) -> None:
    server = serve("v4", drain=1.0)  # 80 ms an answer: there is always something in flight

    async def caller(session: aiohttp.ClientSession, started: asyncio.Event) -> int:
        answered = 0
        while True:  # as a proxy does: leave when told that the connection closes
            body = {"inputs": [tensor("dep_delay", 3.0)]}
            async with session.post("/v2/models/flights/infer", json=body) as response:
                assert response.status == 200
                await response.read()
            answered += 1
            started.set()
            if response.headers.get("connection") == "close":
                return answered

    async def load() -> list[int]:
        async with aiohttp.ClientSession(server.url) as session, asyncio.TaskGroup() as group:
            started = asyncio.Event()
            callers = [group.create_task(caller(session, started)) for _ in range(20)]
            await started.wait()
            server.process.send_signal(signal.SIGTERM)
        return [one.result() for one in callers]

    assert min(asyncio.run(load())) >= 1
    assert server.process.communicate(timeout=20)[1] == ""
    assert server.process.returncode == 0


def test_requests_that_are_in_flight_when_the_door_closes_are_answered(serve: Callable[..., Server]) -> None:
    server = serve("v2", drain=0.0)
    body = json.dumps({"inputs": [tensor("dep_delay", 3.0)]}).encode()
    callers = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=30) for _ in range(5)]
    for caller in callers:  # half of a question: the server has begun, and cannot answer yet
        caller.putrequest("POST", "/v2/models/flights/infer")
        caller.putheader("content-length", str(len(body)))
        caller.endheaders(body[:10])
    while b"assay_predictions_in_progress 5.0" not in server.ask("/metrics")[2]:
        pass
    server.process.send_signal(signal.SIGTERM)
    with contextlib.suppress(ConnectionError):
        while True:
            with socket.create_connection(("127.0.0.1", server.port)):
                pass
    for caller in callers:
        caller.send(body[10:])
        answer = caller.getresponse()
        assert (answer.status, answer.getheader("connection")) == (200, "close")
        answer.read()
        caller.close()
    assert server.process.wait(timeout=20) == 0


def test_while_draining_the_server_answers_but_is_not_ready(serve: Callable[..., Server]) -> None:
    server = serve("v2", drain=60.0)
    server.process.send_signal(signal.SIGTERM)
    while server.ask("/v2/health/ready")[0] == 200:
        pass
    status, headers, _ = server.ask("/v2/models/flights/infer", {"inputs": [tensor("dep_delay", 2.0)]})
    assert (status, headers["connection"]) == (200, "close")  # so that whoever keeps connections moves elsewhere
    server.process.send_signal(signal.SIGTERM)  # a second one ends the drain
    assert server.process.wait(timeout=20) == 0


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"FLIGHTS_REVISION": "v9"}, "FLIGHTS_REVISION is 'v9'; it must be one of v1, v2, v3, v4, v5."),
        ({"FLIGHTS_LISTEN": "tcp://10.0.0.1"}, "FLIGHTS_LISTEN is 'tcp://10.0.0.1'; it must be an address and a port"),
        ({"FLIGHTS_DRAIN_SECONDS": "soon"}, "FLIGHTS_DRAIN_SECONDS is 'soon'; it must be a number of seconds"),
        (
            {"FLIGHTS_LABEL_DELAYS": "5,late"},
            "FLIGHTS_LABEL_DELAYS is '5,late'; it must be different numbers of seconds",
        ),
        ({"FLIGHTS_ARTEFACTS": "/nowhere"}, "FLIGHTS_ARTEFACTS: /nowhere/baseline.json does not exist"),
    ],
)
def test_a_wrong_setting_ends_the_server_with_one_sentence(environment: dict[str, str], sentence: str) -> None:
    process = run("flights.server", **environment)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert errors.startswith(sentence)
    assert errors.count("\n") == 1
