import asyncio
import subprocess
import sys

import pytest

from assay.outcomes import Outcomes
from assay.telemetry import CONTENT_TYPE, Application, Message, Receive, Send, Telemetry


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(name, labels)


def serve(
    telemetry: Telemetry, app: Application, path: str = "/v2/models/m/infer", kind: str = "http"
) -> list[Message]:
    """Send one request through the middleware and return what the application sent."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    wrapped = telemetry.middleware(app, measured=lambda path: path.endswith("/infer"))

    async def one() -> None:
        await wrapped({"type": kind, "path": path}, receive, send)

    asyncio.run(one())
    return sent


def answering(status: int) -> Application:
    async def app(_scope: Message, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    return app


def test_an_answer_is_counted_by_its_status_and_timed() -> None:
    telemetry = Telemetry()
    sent = serve(telemetry, answering(429))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert value(telemetry, "assay_predictions_total", status="429") == 1
    assert value(telemetry, "assay_prediction_seconds_count") == 1


def test_an_application_that_fails_is_counted_as_500_and_its_error_goes_on() -> None:
    async def broken(_scope: Message, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("model on fire")

    telemetry = Telemetry()
    with pytest.raises(RuntimeError, match="model on fire"):
        serve(telemetry, broken)
    assert value(telemetry, "assay_predictions_total", status="500") == 1
    assert value(telemetry, "assay_predictions_in_progress") == 0


def test_a_request_is_in_progress_until_it_is_answered() -> None:
    telemetry = Telemetry()
    seen: list[float | None] = []

    async def looking(_scope: Message, _receive: Receive, _send: Send) -> None:
        seen.append(value(telemetry, "assay_predictions_in_progress"))

    serve(telemetry, looking)
    assert [*seen, value(telemetry, "assay_predictions_in_progress")] == [1, 0]


@pytest.mark.parametrize(("path", "kind"), [("/v2/health/ready", "http"), ("/v2/models/m/infer", "websocket")])
def test_what_is_no_prediction_is_not_counted(path: str, kind: str) -> None:
    telemetry = Telemetry()
    serve(telemetry, answering(200), path, kind)
    assert value(telemetry, "assay_predictions_total", status="200") == 0


def test_errors_begin_at_zero_so_that_the_first_one_can_be_seen_as_a_difference() -> None:
    assert 'assay_predictions_total{status="500"} 0.0' in Telemetry().exposition().decode().splitlines()
    assert CONTENT_TYPE.startswith("text/plain")


def test_two_applications_in_one_process_do_not_mix() -> None:
    one, other = Telemetry(), Telemetry(buckets=(0.1, 1.0))
    one.observe(200, 0.5)
    assert value(other, "assay_predictions_total", status="200") == 0
    other.observe(200, 0.5)
    assert value(other, "assay_prediction_seconds_bucket", le="1.0") == 1
    assert value(other, "assay_prediction_seconds_bucket", le="0.1") == 0


def test_a_model_server_gets_no_more_of_assay_than_it_needs() -> None:
    script = "import sys, assay.telemetry; print(*sorted(n for n in sys.modules if n.split('.')[0] in ('assay', 'kopf', 'kubernetes', 'pydantic', 'numpy')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["assay", "assay.core", "assay.core.names", "assay.outcomes", "assay.telemetry"]


def label(telemetry: Telemetry, *parts: bytes, method: str = "POST") -> tuple[int, bytes, int]:
    """Send labels through the middleware; return the status, the answer, and how many parts of the body were read."""
    sent: list[Message] = []
    left = list(parts)

    async def receive() -> Message:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: Message) -> None:
        sent.append(message)

    async def one() -> None:
        app = telemetry.middleware(answering(418), measured=lambda _: False)
        await app({"type": "http", "method": method, "path": "/assay/outcomes"}, receive, send)

    asyncio.run(one())
    return sent[0]["status"], sent[1]["body"], len(parts) - len(left)


def test_the_middleware_takes_labels_itself() -> None:
    outcomes = Outcomes((60.0,))
    telemetry = Telemetry(outcomes=outcomes)
    body = b'{"outcomes": [{"id": "%s", "label": 1}]}' % str(outcomes.predicted(1)).encode()
    assert label(telemetry, body[:20], body[20:]) == (200, b'{"outcomes": 1, "known": 1}', 2)
    assert label(telemetry, b"{}")[0] == 400
    assert label(telemetry, method="GET")[0] == 405


def test_a_body_of_labels_that_is_too_large_is_not_read_to_its_end() -> None:
    telemetry = Telemetry(outcomes=Outcomes((60.0,)))
    status, _, read = label(telemetry, *[b"x" * 400_000] * 10)
    assert (status, read) == (413, 3)


def test_without_outcomes_the_path_of_labels_is_the_applications_own() -> None:
    assert label(Telemetry(), b"{}")[0] == 418


def test_outcomes_are_counted_in_the_same_exposition() -> None:
    assert b"assay_outcomes_total" in Telemetry(outcomes=Outcomes((60.0,))).exposition()
    assert b"assay_outcomes_total" not in Telemetry().exposition()
