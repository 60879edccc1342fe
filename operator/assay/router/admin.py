"""What does Envoy itself, asked on loopback, say that it runs, and whom it is still serving?"""

import http.client
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from assay.core.errors import Retryable
from assay.router.layout import ROUTES, Endpoint, Via, cluster_name

TIMEOUT = 2.0  # seconds; it answers in a millisecond, or it hangs


Json = dict[str, Any]


class EnvoyUnavailable(Retryable):
    """Envoy's admin interface did not answer."""


class EnvoyGone(EnvoyUnavailable):
    """Nobody listens on Envoy's admin port: it has ended, or not yet begun."""


@dataclass(frozen=True, slots=True)
class Running:
    """What Envoy runs."""

    routes: str | None
    """Version of the routes in force."""
    refused: str
    """Why Envoy refused newer routes; empty if it did not."""
    replicas: Mapping[str, frozenset[Endpoint]]
    """Endpoints of each cluster that is ready for traffic (warm)."""


class Admin:
    """Envoy's admin interface."""

    def __init__(self, port: int) -> None:
        self._port = port

    def look(self) -> Running:
        """Return what Envoy runs.

        Raises:
            EnvoyUnavailable: it did not answer.
        """
        dump = self._json("/config_dump?resource=dynamic_route_configs")
        table: Json = next((entry for entry in dump.get("configs", []) if entry["route_config"]["name"] == ROUTES), {})
        statuses = self._json("/clusters?format=json").get("cluster_statuses", [])
        return Running(
            routes=table.get("version_info"),
            refused=table.get("error_state", {}).get("details", ""),
            replicas={status["name"]: frozenset(_addresses(status)) for status in statuses},
        )

    def in_flight(self, revision: str) -> int:
        """Return how many requests a revision is answering for us."""
        names = [f"cluster.{cluster_name(via, revision)}.upstream_rq_active" for via in Via]
        return sum(self._gauges(names))

    def callers(self) -> tuple[int, int]:
        """Return the open connections of callers and the requests in flight on them."""
        connections, requests = (f"http.{ROUTES}.downstream_{what}_active" for what in ("cx", "rq"))
        return sum(self._gauges([connections])), sum(self._gauges([requests]))

    def fail_readiness(self) -> None:
        """Make /ready answer 503, and every response ask its caller to reconnect; requests are served as before."""
        self._ask("POST", "/healthcheck/fail")

    def _gauges(self, names: Iterable[str]) -> list[int]:
        pattern = "|".join(f"^{re.escape(name)}$" for name in names)
        quoted = "".join(f"%{ord(sign):02X}" for sign in pattern)
        stats = self._json(f"/stats?format=json&filter={quoted}").get("stats", [])
        return [int(stat["value"]) for stat in stats if "value" in stat]

    def _json(self, path: str) -> Json:
        try:
            answer: Json = json.loads(self._ask("GET", path))
        except ValueError as error:
            raise EnvoyUnavailable(
                f"Envoy's admin interface answered {path} with something that is no JSON."
            ) from error
        return answer

    def _ask(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
        except ConnectionRefusedError as error:
            raise EnvoyGone(f"Envoy does not run (nobody listens on 127.0.0.1:{self._port}).") from error
        except (OSError, http.client.HTTPException) as error:
            raise EnvoyUnavailable(
                f"Envoy's admin interface (127.0.0.1:{self._port}) does not answer: {error}"
            ) from error
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise EnvoyUnavailable(f"Envoy's admin interface answered {method} {path} with {answer.status}.")
        return body


def _addresses(status: Mapping[str, Any]) -> Iterable[Endpoint]:
    for host in status.get("host_statuses", []):
        address = host["address"]["socket_address"]
        yield Endpoint(address["address"], address["port_value"])
