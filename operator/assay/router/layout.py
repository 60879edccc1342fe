"""Where do Envoy and its agent meet: which files, ports and cluster names?"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from assay.core.names import ROUTER_ADMIN_PORT, ROUTER_METRICS_PORT, ROUTER_PORT

ROUTES = "assay"  # name of the one route configuration, and Envoy's stat prefix of the public listener


class Via(StrEnum):
    """How a request came to a revision; counted apart."""

    SPLIT = "split"  # by weight
    DIRECT = "direct"  # by the request header x-assay-revision


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One ready replica."""

    host: str
    """IP address."""
    port: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Files and ports of one router."""

    directory: Path = Path("/run/assay")
    host: str = "0.0.0.0"  # noqa: S104 - a pod is reached from outside
    http_port: int = ROUTER_PORT
    metrics_port: int = ROUTER_METRICS_PORT
    admin_port: int = ROUTER_ADMIN_PORT

    @property
    def bootstrap(self) -> Path:
        """What Envoy is started with; never changes."""
        return self.directory / "bootstrap.json"

    @property
    def routes(self) -> Path:
        """RDS: weights, headers, timeouts."""
        return self.directory / "routes.json"

    @property
    def clusters(self) -> Path:
        """CDS: one cluster per revision and way to it."""
        return self.directory / "clusters.json"

    def endpoints(self, revision: str) -> Path:
        """EDS: the replicas of one revision. Envoy takes only one load assignment from a file."""
        return self.directory / f"endpoints-{revision}.json"


def cluster_name(via: Via, revision: str) -> str:
    """Return the name of a cluster; the statistics are tagged by its two parts."""
    return f"{via}|{revision}"
