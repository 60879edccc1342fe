"""Will this flight arrive late? The model server that says so, in the Open Inference Protocol V2 over HTTP.

    FLIGHTS_REVISION=v2 FLIGHTS_ARTEFACTS=build/flights python -m flights.server

Stopping: at SIGTERM the server turns unready and goes on answering for FLIGHTS_DRAIN_SECONDS, with `connection: close`,
so that callers move elsewhere by themselves; then it finishes what is in flight and ends with exit status 0.
"""

import asyncio
import hashlib
import os
import random
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from assay.outcomes import Outcomes
from assay.telemetry import CONTENT_TYPE, PREDICTION_HEADER, Telemetry
from flights.model import Model, load
from flights.protocol import BadRequest, answer, metadata, parse
from flights.revisions import REVISIONS, Revision

SIGNATURE: Final = "x-flights-model"
"""Response header, on every answer that comes from a model and not from something before it; its value is the revision."""

KEEP_ALIVE_SECONDS: Final = 3660
"""Longer than any proxy keeps an idle connection (Envoy: an hour), so that a request never meets a connection being closed."""


MAX_BYTES: Final = 8 * 1024 * 1024
"""Largest body of a request."""


class Flights:
    """One revision of the model behind the endpoints."""

    def __init__(self, revision: Revision, model: Model, outcomes: Outcomes) -> None:
        self.revision = revision
        self.model = model
        self.features = {feature.name: feature for feature in model.features}
        self.outcomes = outcomes
        self.telemetry = Telemetry(outcomes=outcomes)
        self.draining = False

    def application(self) -> Any:  # noqa: ANN401 - two libraries, two spellings of "ASGI application"
        """Return the ASGI application."""
        model = "/v2/models/{name}"
        routes = [
            Route("/v2/models/flights/infer", self.infer, methods=["POST"]),
            Route(f"/v2/models/flights/versions/{self.revision.name}/infer", self.infer, methods=["POST"]),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            Route("/v2", self.server_metadata),
            Route("/v2/models/flights/ready", self.ready),
            Route("/v2/models/flights", self.model_metadata),
            Route(model + "/{rest:path}", self.unknown, methods=["GET", "POST"]),
            Route(model, self.unknown),
            Route("/metrics", self.metrics),
        ]
        return self.telemetry.middleware(Starlette(routes=routes), measured=lambda path: path.endswith("/infer"))

    async def infer(self, request: Request) -> Response:
        """Predict for a batch of flights."""
        body = await _body(request)
        if body is None:
            return self._json({"error": f"The body is too large; it must have at most {MAX_BYTES} bytes."}, 413)
        try:
            inference = parse(body, self.features)
        except BadRequest as error:
            return self._json({"error": str(error)}, 400)
        if self.revision.added_seconds:
            await asyncio.sleep(self.revision.added_seconds)
        if _unlucky(inference.identifier, self.revision.error_share):
            return self._json({"error": "The model failed."}, 500)
        columns = inference.columns
        if self.revision.delay_factor != 1.0 and "dep_delay" in columns:
            delays = [value if value is None else value * self.revision.delay_factor for value in columns["dep_delay"]]
            columns = {**columns, "dep_delay": delays}
        rows = self.model.encode(columns, inference.count)
        said = answer(inference, self.revision.name, self.model.probability(rows))
        response = self._json(said)
        late = said["outputs"][1]["data"]
        waiting = self.outcomes.predicted(late[0] if len(late) == 1 else late)
        if waiting is not None:
            response.headers[PREDICTION_HEADER] = waiting
        return response

    async def live(self, _: Request) -> Response:
        """Say that the process answers."""
        return self._json({"live": True})

    async def ready(self, _: Request) -> Response:
        """Say whether new requests are welcome: the model is loaded, and the server is not about to stop."""
        return self._json({"name": "flights", "ready": not self.draining}, 503 if self.draining else 200)

    async def server_metadata(self, _: Request) -> Response:
        """Say what this server is."""
        return self._json({"name": "assay-flights", "version": self.revision.name, "extensions": []})

    async def model_metadata(self, _: Request) -> Response:
        """Say what the model takes and gives."""
        return self._json(metadata(self.features, self.revision.name, self.revision.summary))

    async def unknown(self, request: Request) -> Response:
        """Refuse other models, versions and verbs."""
        return self._json(
            {
                "error": f"{request.url.path} is not here; this server has the model flights, version {self.revision.name}."
            },
            404,
        )

    async def metrics(self, _: Request) -> Response:
        """Return the metrics for Prometheus."""
        return Response(self.telemetry.exposition(), media_type=None, headers={"content-type": CONTENT_TYPE})

    def _json(self, content: dict[str, Any], status: int = 200) -> Response:
        """Return a signed answer."""
        headers = {SIGNATURE: self.revision.name}
        if self.draining:
            headers["connection"] = "close"
        return JSONResponse(content, status, headers)


class DrainingServer(uvicorn.Server):
    """Uvicorn, but at the first signal it goes on for a while, so that callers can leave before the door closes."""

    def __init__(self, config: uvicorn.Config, flights: Flights, drain_seconds: float) -> None:
        super().__init__(config)
        self._flights = flights
        self._drain_seconds = drain_seconds

    async def serve(self, sockets: Any = None) -> None:  # noqa: ANN401 - as uvicorn has it
        """Serve until a signal comes and the drain is over."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; a second signal ends the drain."""
        del sig, frame  # uvicorn would raise the signal again after it has stopped: that is no exit status 0
        if self._flights.draining:
            self.should_exit = True
            return
        self._flights.draining = True
        self._loop.call_soon_threadsafe(self._loop.call_later, self._drain_seconds, self._stop)

    def _stop(self) -> None:
        """Close the door; uvicorn finishes what is in flight."""
        self.should_exit = True


async def _body(request: Request) -> bytes | None:
    """Return the body, or None when there is too much of it."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            return None
    return body


def _unlucky(identifier: str, share: float) -> bool:
    """Decide whether this request fails: always the same for one id, drawn anew for a request without id."""
    if share <= 0:
        return False
    if not identifier:
        return random.random() < share  # noqa: S311 - nobody gains by guessing it
    digest = hashlib.blake2b(identifier.encode(), digest_size=8).digest()
    return int.from_bytes(digest) < share * 2**64


def _listen(value: str) -> tuple[str, int]:
    """Read an address such as 0.0.0.0:8080."""
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal():
        sys.exit(f"FLIGHTS_LISTEN is {value!r}; it must be an address and a port, such as 0.0.0.0:8080.")
    return host, int(port)


def _drain(value: str) -> float:
    """Read how long to drain."""
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < KEEP_ALIVE_SECONDS:
        sys.exit(f"FLIGHTS_DRAIN_SECONDS is {value!r}; it must be a number of seconds, 0 or more.")
    return seconds


def _outcomes(value: str) -> Outcomes:
    """Read label delays such as 5,60."""
    try:
        return Outcomes([float(one) for one in value.split(",") if one.strip()])
    except ValueError:
        sys.exit(f"FLIGHTS_LABEL_DELAYS is {value!r}; it must be different numbers of seconds above 0, such as 5,60.")


def _flights(name: str, folder: Path, outcomes: Outcomes) -> Flights:
    """Load what a revision needs, or end with a sentence."""
    if name not in REVISIONS:
        sys.exit(f"FLIGHTS_REVISION is {name!r}; it must be one of {', '.join(REVISIONS)}.")
    revision = REVISIONS[name]
    path = folder / f"{revision.artefact}.json"
    try:
        return Flights(revision, load(path), outcomes)
    except FileNotFoundError:
        sys.exit(f"FLIGHTS_ARTEFACTS: {path} does not exist; `python -m flights.train --out {folder}` writes it.")
    except ValueError as error:
        sys.exit(str(error))


def main() -> None:
    """Serve the revision that the environment names."""
    # No name here may look like FLIGHTS_PORT: Kubernetes itself sets that in every pod beside a Service `flights`.
    environment = os.environ
    host, port = _listen(environment.get("FLIGHTS_LISTEN", "0.0.0.0:8080"))
    drain_seconds = _drain(environment.get("FLIGHTS_DRAIN_SECONDS", "5"))
    outcomes = _outcomes(environment.get("FLIGHTS_LABEL_DELAYS", ""))
    folder = Path(environment.get("FLIGHTS_ARTEFACTS", "build/flights"))
    flights = _flights(environment.get("FLIGHTS_REVISION", "v1"), folder, outcomes)
    config = uvicorn.Config(
        flights.application(),
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=30,
        lifespan="off",
    )
    DrainingServer(config, flights, drain_seconds).run()


if __name__ == "__main__":
    main()
