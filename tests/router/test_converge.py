"""Does no order of events lead Envoy to a route without a cluster, or the agent to an untrue acknowledgement?"""

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from assay.core.split import Backend, Split
from assay.router.admin import Admin, Running
from assay.router.converge import SETTLE, Convergence
from assay.router.envoy import weighted
from assay.router.layout import Endpoint, Layout
from router.rig import A, B, C


class SlowEnvoy(Admin):
    """An Envoy that reads its files whenever it likes, each on its own, and takes what it reads."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(0)
        self.layout = layout
        self.routes: dict[str, Any] = {"version_info": None, "resources": []}
        self.before = self.routes
        self.since = 0.0
        self.clusters: dict[str, frozenset[Endpoint]] = {}
        self.busy: set[str] = set()  # revisions that are answering a request

    def look(self) -> Running:
        return Running(self.routes["version_info"], "", dict(self.clusters))

    def in_flight(self, revision: str) -> int:
        return int(revision in self.busy)

    def read_routes(self, now: float) -> None:
        told = json.loads(self.layout.routes.read_text())
        if told != self.routes:
            self.before, self.routes, self.since = self.routes, told, now

    def leads_to(self, now: float) -> set[str]:
        """Return the clusters of the routes; for a moment, some workers still use the routes of before."""
        return set(_names(self.routes) + (_names(self.before) if now - self.since < SETTLE else []))

    def read_clusters(self) -> None:
        told = json.loads(self.layout.clusters.read_text())["resources"]
        self.clusters = {cluster["name"]: self.clusters.get(cluster["name"], frozenset()) for cluster in told}

    def read_endpoints(self) -> None:
        for name in self.clusters:
            path = self.layout.endpoints(name.split("|")[1])
            if path.exists():
                self.clusters[name] = frozenset(_addresses(json.loads(path.read_text())))


def _names(routes: dict[str, Any]) -> list[str]:
    entries = [
        entry["route"]
        for table in routes["resources"]
        for entry in table["virtual_hosts"][0]["routes"]
        if "route" in entry
    ]
    weighted = [share["name"] for entry in entries for share in entry.get("weighted_clusters", {}).get("clusters", [])]
    return weighted + [entry["cluster"] for entry in entries if "cluster" in entry]


def _addresses(assignment: dict[str, Any]) -> list[Endpoint]:
    groups = assignment["resources"][0]["endpoints"]
    sockets = [one["endpoint"]["address"]["socket_address"] for group in groups for one in group["lb_endpoints"]]
    return [Endpoint(each["address"], each["port_value"]) for each in sockets]


class Router(RuleBasedStateMachine):
    """The agent's steps, Envoy's reading and the operator's wishes, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.layout = Layout(directory=Path(self.folder.name))
        self.envoy = SlowEnvoy(self.layout)
        self.now = 0.0
        self.convergence = Convergence(self.layout, self.envoy, clock=lambda: self.now)
        self.split = Split(deployment="m", generation=1)
        self.replicas: dict[str, tuple[Endpoint, ...]] = {}

    def teardown(self) -> None:
        self.folder.cleanup()

    @initialize()
    def the_pod_starts(self) -> None:
        self.convergence.write_first(self.split, self.replicas)
        self.envoy.read_clusters()
        self.envoy.read_routes(self.now)

    @rule(revisions=st.lists(st.sampled_from([A, B, C]), max_size=3, unique=True), named=st.booleans())
    def the_operator_writes_a_split(self, revisions: list[str], *, named: bool) -> None:
        weights = [100, 0, 0] if len(revisions) < 3 else [20, 0, 80]
        backends = tuple(Backend(revision=r, weight=w) for r, w in zip(revisions, weights, strict=False))
        generation = self.split.generation + 1
        self.split = Split(deployment="m", generation=generation, backends=backends, allow_revision_header=named)

    @rule(revision=st.sampled_from([A, B, C]), ports=st.sets(st.integers(1, 3)))
    def replicas_change(self, revision: str, ports: set[int]) -> None:
        self.replicas[revision] = tuple(Endpoint("10.0.0.1", port) for port in sorted(ports))

    @rule(readings=st.lists(st.sets(st.sampled_from(["routes", "clusters", "endpoints"])), min_size=1, max_size=5))
    def agent_and_envoy_go_on(self, readings: list[set[str]]) -> None:
        for reading in readings:
            self.step()
            self.envoy_reads(reading)

    def envoy_reads(self, what: set[str]) -> None:
        if "clusters" in what:
            self.envoy.read_clusters()
            self.every_route_leads_to_a_cluster()
        if "endpoints" in what:
            self.envoy.read_endpoints()
        if "routes" in what:
            self.envoy.read_routes(self.now)
            self.every_route_leads_to_a_cluster()

    @rule(revision=st.sampled_from([A, B, C]))
    def a_request_begins(self, revision: str) -> None:
        if any(name.endswith(revision) for name in self.envoy.leads_to(self.now)):
            self.envoy.busy.add(revision)

    @rule(revision=st.sampled_from([A, B, C]))
    def a_request_ends(self, revision: str) -> None:
        self.envoy.busy.discard(revision)

    @rule()
    def time_passes(self) -> None:
        self.now += SETTLE / 2

    @rule()
    def the_agent_restarts(self) -> None:
        self.convergence = Convergence(self.layout, self.envoy, clock=lambda: self.now)

    def step(self) -> str:
        served = weighted(json.loads(self.layout.routes.read_text()))
        present = {name.split("|")[1] for name, replicas in self.envoy.clusters.items() if replicas}
        missing = self.convergence.step(self.split, self.replicas)
        newcomers = weighted(json.loads(self.layout.routes.read_text())) - served
        assert newcomers <= present or not served, "nobody's first weight comes before its first replica"
        if not missing:
            self.what_is_acknowledged_is_true()
        return missing

    def what_is_acknowledged_is_true(self) -> None:
        table = self.envoy.routes["resources"][0]
        assert table["metadata"]["filter_metadata"]["assay"]["generation"] == str(self.split.generation)
        for backend in self.split.backends:
            assert self.envoy.clusters[f"split|{backend.revision}"] == frozenset(
                self.replicas.get(backend.revision, ())
            )
            assert not backend.weight or self.replicas[backend.revision]

    @precondition(lambda self: all(self.replicas.get(b.revision) for b in self.split.backends if b.weight))
    @rule()
    def left_alone_everything_comes_to_rest(self) -> None:
        self.envoy.busy.clear()
        for _ in range(5):
            missing = self.step()
            self.now += SETTLE
            self.envoy_reads({"clusters", "endpoints", "routes"})
        assert missing == ""
        kept = {path.name for path in self.layout.directory.glob("endpoints-*.json")}
        assert kept == {self.layout.endpoints(backend.revision).name for backend in self.split.backends}

    @invariant()
    def every_route_leads_to_a_cluster(self) -> None:
        assert self.envoy.leads_to(self.now) <= set(self.envoy.clusters)

    @invariant()
    def a_revision_with_requests_in_flight_keeps_its_cluster(self) -> None:
        held = {name.split("|")[1] for name in self.envoy.clusters}
        assert self.envoy.busy <= held or self.now >= self.split.timeout_seconds


TestRouter = Router.TestCase
TestRouter.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_replicas_that_envoy_has_not_taken_yet_are_waited_for(layout: Layout) -> None:
    envoy = SlowEnvoy(layout)
    convergence = Convergence(layout, envoy)
    split = Split(deployment="m", generation=2, backends=(Backend(revision=A, weight=100),))
    replicas = {A: (Endpoint("10.0.0.1", 1),)}
    convergence.write_first(Split(deployment="m", generation=1), {})
    assert convergence.step(split, replicas) == "Envoy has not yet taken the clusters of aaaaaaaa"
    envoy.read_clusters()
    assert convergence.step(split, replicas) == "Envoy does not yet run the routes of generation 2"
    envoy.read_routes(0)
    assert convergence.step(split, replicas) == "Envoy has not yet taken the replicas of aaaaaaaa"
    envoy.read_endpoints()
    assert convergence.step(split, replicas) == ""


def test_a_revision_that_answers_still_is_held_until_its_last_request_or_the_timeout(layout: Layout) -> None:
    now = [0.0]
    envoy = SlowEnvoy(layout)
    convergence = Convergence(layout, envoy, clock=lambda: now[0])
    convergence.write_first(Split(deployment="m", generation=1, backends=(Backend(revision=A, weight=100),)), {})
    envoy.read_clusters()
    without = Split(deployment="m", generation=2, timeout_seconds=10)
    envoy.busy = {A}
    convergence.step(without, {})
    envoy.read_routes(0)
    waiting = "requests to aaaaaaaa, which the split no longer lists, are still in flight"
    for at in (0.0, 2.0, 9.9):
        now[0] = at
        assert convergence.step(without, {}) == waiting
    now[0] = 10.0
    assert convergence.step(without, {}) == ""
