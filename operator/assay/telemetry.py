"""What does a model server say about its own predictions?

A small library for model servers written in Python; it needs `prometheus-client` and nothing else. Around an ASGI
application:

    telemetry = Telemetry()
    app = telemetry.middleware(app, measured=lambda path: path.endswith("/infer"))
    # and answer GET /metrics with telemetry.exposition()

or, in any other server, call `telemetry.observe(status, seconds)` once per prediction request.

| metric | type | labels | meaning |
|---|---|---|---|
| `assay_predictions_total` | counter | `status`: the HTTP status, as digits | prediction requests answered; a batch is one |
| `assay_prediction_seconds` | histogram | none | time from the request's arrival to the end of its answer |
| `assay_predictions_in_progress` | gauge | none | prediction requests that have come and are not yet answered |

Which revision answered is no label here: the pod's labels say so, and a process serves one revision.
"""

import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
"""An ASGI 3 application: scope, receive, send."""

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
"""Content type of `Telemetry.exposition`."""

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Default bounds of the latency buckets, in seconds."""

UNANSWERED: Final = 500
"""Status counted for a request whose application failed before it answered: what the server then says to the caller."""


class Telemetry:
    """The counters of one model server.

    Each instance has a registry of its own, so that two applications in one process do not mix.
    """

    def __init__(self, *, buckets: Sequence[float] = SECONDS, registry: CollectorRegistry | None = None) -> None:
        """Create the counters, at zero.

        Args:
            buckets: Bounds of the latency buckets in seconds, rising.
            registry: Where to register; a new registry by default.
        """
        self.registry = CollectorRegistry() if registry is None else registry
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
        """Wrap an ASGI application so that its prediction requests are counted.

        Args:
            app: The application.
            measured: Whether a request to this path is a prediction.

        Returns:
            The application to serve in its place.
        """

        async def counted(scope: Message, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or not measured(scope["path"]):
                await app(scope, receive, send)
                return
            await self._counted(app, scope, receive, send)

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
