"""Is the process alive, is it ready, and what are its numbers?"""

import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

STILL_SECONDS = 60.0  # a loop that has not turned for so long does not turn any more


class Pulse:
    """When something last gave a sign of life."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """Give a sign of life."""
        self._last = self._clock()

    def still(self) -> bool:
        """Return whether there was none for too long."""
        return self._clock() - self._last > STILL_SECONDS


class Probes:
    """A small HTTP server in threads of its own, so that it answers also when the rest is stuck: that is what it reports."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        healthy: Callable[[], str | None],
        ready: Callable[[], str | None],
        page: Callable[[], bytes],
    ) -> None:
        """Listen.

        Args:
            address: Host and port; port 0 takes any that is free.
            healthy: Why the process should be restarted, or None.
            ready: Why the process does not do its work yet, or None.
            page: The metrics.
        """
        self._server = _Server(address, {"/healthz": healthy, "/readyz": ready}, page)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="probes", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_address[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], checks: dict[str, Callable[[], str | None]], page: Callable[[], bytes]
    ) -> None:
        super().__init__(address, _Handler)
        self.checks = checks
        self.page = page


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10.0

    def do_GET(self) -> None:
        """Answer one request."""
        if self.path == "/metrics":
            self._answer(HTTPStatus.OK, self.server.page(), "text/plain; version=0.0.4; charset=utf-8")
        elif self.path in self.server.checks:
            wrong = self.server.checks[self.path]()
            status = HTTPStatus.OK if wrong is None else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, f"{wrong or 'ok'}\n".encode())
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"Ask for /healthz, /readyz or /metrics.\n")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the standard library
        """Say nothing: probes come every few seconds."""
