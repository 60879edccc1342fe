"""What does a model server say about its own predictions?

A small library for model servers written in Python; it needs `prometheus-client` and nothing else. Around an ASGI
application:

    telemetry = Telemetry()
    app = telemetry.middleware(app, measured=lambda path: path.endswith("/infer"))
    # and answer GET /metrics with telemetry.exposition()

or, in any other server, call `telemetry.observe(status, seconds)` once per prediction request.

Where the truth is learned later, give each prediction an id and let callers send its label:

    outcomes = Outcomes(label_delays=(60.0,))
    telemetry = Telemetry(outcomes=outcomes)
    identifier = outcomes.predicted(value)    # unless it is None: the response header PREDICTION_HEADER

The middleware then answers `POST /assay/outcomes` itself (`assay.outcomes`); other servers give its body to
`outcomes.answer`. One process per pod: labels find the pod that predicted, not a worker inside it.

| metric | type | labels | meaning |
|---|---|---|---|
| `assay_predictions_total` | counter | `status`: the HTTP status, as digits | prediction requests answered; a batch is one |
| `assay_prediction_seconds` | histogram | none | time from the request's arrival to the end of its answer |
| `assay_predictions_in_progress` | gauge | none | prediction requests that have come and are not yet answered |
| `assay_outcomes_total` | counter | `outcome`: correct, wrong, unlabelled; `age_seconds` | predictions, each counted once when it reaches this age |
| `assay_outcomes_unmatched_total` | counter | `reason`: late, unknown, incomparable | labels that count nowhere |
| `assay_predictions_untracked_total` | counter | none | predictions without an id, because too many waited |

Which revision answered is no label here: the pod's labels say so, and a process serves one revision.
"""

import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from assay.core import names
from assay.outcomes import MAX_BYTES, Outcomes

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
"""An ASGI 3 application: scope, receive, send."""

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
"""Content type of `Telemetry.exposition`."""

PREDICTION_HEADER: Final = names.PREDICTION_HEADER
"""Response header that tells a caller the id under which to send the label."""

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Default bounds of the latency buckets, in seconds."""

UNANSWERED: Final = 500
"""Status counted for a request whose application failed before it answered: what the server then says to the caller."""


class Telemetry:
    """The counters of one model server.

    Each instance has a registry of its own, so that two applications in one process do not mix.
    """

    def __init__(
        self,
        *,
        buckets: Sequence[float] = SECONDS,
        registry: CollectorRegistry | None = None,
        outcomes: Outcomes | None = None,
    ) -> None:
        """Create the counters, at zero.

        Args:
            buckets: Bounds of the latency buckets in seconds, rising.
            registry: Where to register; a new registry by default.
            outcomes: Predictions that wait for their labels; without it, there are no labels.
        """
        self.registry = CollectorRegistry() if registry is None else registry
        self._outcomes = outcomes
        if outcomes is not None:
            self.registry.register(outcomes)
        self._predictions = Counter(
            "assay_predictions", "Prediction requests answered, by HTTP status.", ["status"], registry=self.registry
        )
        self._seconds = Histogram(
            "assay_prediction_seconds",
            "Time from a prediction request's arrival to the end of its answer.",
            buckets=buckets,
            registry=self.registry,
        )
        self._in_progress = Gauge(
            "assay_predictions_in_progress", "Prediction requests not yet answered.", registry=self.registry
        )
        # A series that begins at its first event hides that event from whoever takes differences.
        for status in (200, 500):
            self._predictions.labels(str(status))

    def observe(self, status: int, seconds: float) -> None:
        """Count one answered prediction request.

        Args:
            status: HTTP status of the answer.
            seconds: How long it took.
        """
        self._predictions.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format; its content type is `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    def middleware(self, app: Application, *, measured: Callable[[str], bool]) -> Application:
        """Wrap an ASGI application so that its prediction requests are counted, and labels are taken.

        Args:
            app: The application.
            measured: Whether a request to this path is a prediction.

        Returns:
            The application to serve in its place.
        """

        async def counted(scope: Message, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
            elif self._outcomes is not None and scope["path"] == names.OUTCOMES_PATH:
                await _label(self._outcomes, scope["method"], receive, send)
            elif measured(scope["path"]):
                await self._counted(app, scope, receive, send)
            else:
                await app(scope, receive, send)

        return counted

    async def _counted(self, app: Application, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one prediction request and count it, also when the application fails."""
        status = UNANSWERED
        begin = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        with self._in_progress.track_inprogress():
            try:
                await app(scope, receive, watched)
            finally:
                self.observe(status, time.perf_counter() - begin)


async def _label(outcomes: Outcomes, method: str, receive: Receive, send: Send) -> None:
    """Take the labels of one request."""
    body, more = b"", method == "POST"
    while more and len(body) <= MAX_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    status, said = outcomes.answer(body) if method == "POST" else (405, b'{"error": "Labels are sent by POST."}')
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(said)).encode())]
    if method != "POST":
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": said})
