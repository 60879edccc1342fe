"""What is the next step from what Envoy runs to what it shall run, so that no request ever meets a gap?

Order is everything. Endpoints and clusters are written first; routes only when Envoy says that all their clusters are
warm; a revision that the split no longer lists keeps its cluster until Envoy runs the new routes and the revision has
answered its last request. A revision gets its first weight when Envoy has a replica of it, and not before: until then the
routes stay as they are. A revision that has weight already waits for nobody. Each step looks at Envoy afresh, so that an agent or an Envoy that restarts goes on where it was.
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from assay.core.split import Split
from assay.router import envoy
from assay.router.admin import Admin, Running
from assay.router.bootstrap import bootstrap
from assay.router.layout import Endpoint, Layout, Via, cluster_name

# Envoy's main thread reports new routes an instant before its workers use them.
SETTLE = 1.0

Replicas = Mapping[str, tuple[Endpoint, ...]]


class Convergence:
    """Carries Envoy from the files it has to a split and its replicas, one step at a time."""

    def __init__(self, layout: Layout, admin: Admin, clock: Callable[[], float] = time.monotonic) -> None:
        self._layout = layout
        self._admin = admin
        self._clock = clock
        self._retiring: dict[str, float] = {}  # revision -> when Envoy was first seen to run routes without it

    def write_first(self, split: Split, replicas: Replicas) -> None:
        """Write all that Envoy needs to start; nobody reads the files yet."""
        self._layout.directory.mkdir(parents=True, exist_ok=True)
        live = [backend.revision for backend in split.backends]
        _swap(self._layout.bootstrap, bootstrap(self._layout))
        self._write_endpoints(live, replicas)
        _swap(self._layout.clusters, envoy.clusters(live, self._layout))
        _swap(self._layout.routes, envoy.routes(split))

    def can_start(self) -> bool:
        """Return whether the files of an earlier life, from which Envoy can start again, are all there and whole."""
        files = [self._layout.bootstrap, self._layout.clusters, self._layout.routes]
        return all(map(_read, [*files, *map(self._layout.endpoints, self._on_file())]))

    def step(self, split: Split, replicas: Replicas) -> str:
        """Take one step and return what is still missing, in words; nothing when Envoy runs all of it.

        Raises:
            EnvoyUnavailable: Envoy did not answer; what could be written is written.
        """
        live = [backend.revision for backend in split.backends]
        leaving = self._on_file() - set(live)
        self._write_endpoints(sorted(leaving.union(live)), replicas)
        _swap(self._layout.clusters, envoy.clusters(leaving.union(live), self._layout))
        running = self._admin.look()
        cold = [revision for revision in live if not _warm(running, revision)]
        if cold:
            return f"Envoy has not yet taken the clusters of {', '.join(cold)}"
        absent = self._newcomers(split) - {revision for revision in live if running.replicas[_shared(revision)]}
        if absent:
            return f"{', '.join(sorted(absent))} gets its first weight when Envoy has a ready replica of it"
        routes = envoy.routes(split)
        _swap(self._layout.routes, routes)
        if running.routes != routes["version_info"]:
            reason = f": it says {running.refused}" if running.refused else ""
            return f"Envoy does not yet run the routes of generation {split.generation}{reason}"
        kept = self._retire(leaving, split)
        if kept:
            return f"requests to {', '.join(kept)}, which the split no longer lists, are still in flight"
        return _missing_replicas(split, replicas, running)

    def _on_file(self) -> set[str]:
        """Return the revisions that have a cluster, from the file: the agent's memory may be younger than Envoy's."""
        content = _read(self._layout.clusters) or {"resources": []}
        return {cluster["eds_cluster_config"]["service_name"] for cluster in content["resources"]}

    def _newcomers(self, split: Split) -> set[str]:
        """Return the revisions to which the split gives weight and the routes on file none; nobody where those serve nobody."""
        served = envoy.weighted(_read(self._layout.routes))
        return {backend.revision for backend in split.backends if backend.weight} - served if served else set()

    def _write_endpoints(self, revisions: list[str], replicas: Replicas) -> None:
        for revision in revisions:
            _swap(self._layout.endpoints(revision), envoy.endpoints(revision, replicas.get(revision, ())))

    def _retire(self, leaving: set[str], split: Split) -> list[str]:
        """Take away the clusters of revisions that have answered their last request; return those that have not."""
        now = self._clock()
        self._retiring = {revision: self._retiring.get(revision, now) for revision in leaving}
        kept = {revision for revision, since in self._retiring.items() if self._holds(revision, now - since, split)}
        for revision in leaving - kept:
            del self._retiring[revision]
        if kept != leaving:
            remaining = kept.union(backend.revision for backend in split.backends)
            _swap(self._layout.clusters, envoy.clusters(remaining, self._layout))
            for revision in leaving - kept:
                self._layout.endpoints(revision).unlink(missing_ok=True)
        return sorted(kept)

    def _holds(self, revision: str, age: float, split: Split) -> bool:
        if age < SETTLE:
            return True
        return age < split.timeout_seconds and self._admin.in_flight(revision) > 0


def _warm(running: Running, revision: str) -> bool:
    return all(cluster_name(via, revision) in running.replicas for via in Via)


def _shared(revision: str) -> str:
    return cluster_name(Via.SPLIT, revision)


def _missing_replicas(split: Split, replicas: Replicas, running: Running) -> str:
    for backend in split.backends:
        wanted = frozenset(replicas.get(backend.revision, ()))
        if backend.weight and not wanted:
            return f"revision {backend.revision} has weight {backend.weight} but no ready replica"
        if running.replicas[_shared(backend.revision)] != wanted:
            return f"Envoy has not yet taken the replicas of {backend.revision}"
    return ""


def _read(path: Path) -> envoy.Json | None:
    """Return the content of a file; None where it is not there or, after a fault of the disk, is no JSON."""
    try:
        content: envoy.Json = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return content


def _swap(path: Path, content: envoy.Json) -> None:
    """Replace a file in one instant; Envoy reads it again when something is renamed onto it, so an equal one is left alone."""
    text = json.dumps(content, separators=(",", ":"))
    if path.exists() and path.read_bytes() == text.encode():
        return
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)
