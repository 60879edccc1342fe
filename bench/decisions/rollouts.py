"""A whole rollout as the operator goes through it: weights, steps, looks and checks. Only its world is simulated.

What is decided is decided by `assay.core.rollout`, round after round, from the status of the round before: which weight
comes next, what is counted, whether a step is left, and how it ends. Pods are ready, and routers obey, at once.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import numpy as np

from assay.api.base import Manifest
from assay.api.modeldeployment import ModelDeployment, ModelDeploymentStatus, Outcome, Stage
from assay.core import rollout
from assay.core.decision import Decision, Ensure, Listing, Query, Seen, Series
from assay.core.measures import ALL, RESPONSE_CLASS
from assay.core.names import (
    ACKS_CONFIG_MAP,
    COMPONENT_LABEL,
    CONFIG_MAP,
    DEPLOYMENT_LABEL,
    METRIC_REVISION,
    REQUESTS_METRIC,
    SPLIT_KEY,
)
from assay.core.split import Split
from bench.decisions.ours import remembered_laws
from bench.decisions.worlds import LOOKS, Dice
from peers.streams import Ints

NAME, ROUTER = "flights", "flights-router-0"
SPLIT, ACKS = CONFIG_MAP.format(name=NAME), ACKS_CONFIG_MAP.format(name=NAME)
BAD_METRIC, TOTAL_METRIC = "predictions_refused_total", "predictions_total"
START = datetime(2026, 1, 1, tzinfo=UTC)
INTERVAL = 15
"""Seconds between two looks."""
SCRAPE = 7.5
"""Seconds between two scrapes."""
PER_SECOND = 200
KEPT = 4
"""Scrapes of which a look sees the samples."""
STEPS = [{"weight": weight, "minSeconds": 75} for weight in (5, 25, 50)]
BURST = 0.15
"""Of all quarters of a minute have one."""
CHECKS: tuple[Manifest, ...] = (
    {"name": "errors", "preset": "error-ratio"},
    {"name": "latency", "preset": "latency", "slowerThanSeconds": "0.1"},
    {"name": "refused", "proportion": {"bad": {"metric": BAD_METRIC}, "total": {"metric": TOTAL_METRIC}}},
)
Counts: TypeAlias = tuple[tuple[int, int], ...]
"""Requests of stable and candidate since the beginning, and of each check the bad ones of both."""
Objects: TypeAlias = dict[tuple[str, str], Manifest]
"""(kind, name) -> object."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is counted, and under what."""

    seconds: float
    """Since the beginning."""
    weight: int
    """Percent that the candidate has."""


@dataclass(frozen=True)
class Rollouts:
    """One way the world may be, and what the operator is told to do in it."""

    name: str
    odds: tuple[Callable[[Moment], float], ...]
    """For each check, how many times the stable revision's odds the candidate has."""
    rate: Callable[[Moment], float] = lambda _: 0.01
    """Share of the stable revision's requests that are bad, in the eyes of each check."""
    analysis: Mapping[str, Any] = field(default_factory=dict)
    """What `spec.analysis` says."""
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    """What each check says."""
    most_rolled_back: float = 1.0
    """Share that may be rolled back, by what is promised."""
    most_promoted: float = 1.0
    """Share that may be promoted."""
    bursts: bool = False
    """Whether now and then one request in ten is bad, on both sides."""
    trouble: float = 0.0
    """Chance that a scrape is lost; and that the operator is killed in a look, before or after it has acted."""

    def decide(self, dice: Dice, runs: int) -> Ints:
        """Return the look (from 1) at which each rollout is rolled back, minus that at which it is promoted, or 0."""
        with remembered_laws():
            return np.array([Run(self, dice).ended() for _ in range(runs)], np.int64)

    def spec(self, version: str) -> Manifest:
        """Return what a user applies."""
        checks = [{**check, **self.thresholds} for check in CHECKS[: len(self.odds)]]
        analysis = {"intervalSeconds": INTERVAL, "warmupSeconds": INTERVAL, "dispersion": "1", **self.analysis}
        return {
            "replicas": 4,
            "model": {"name": NAME, "version": version},
            "template": {"spec": {"containers": [{"name": "model", "image": f"{NAME}:{version}"}]}},
            "strategy": {"canary": {"steps": STEPS}},
            "analysis": {**analysis, "checks": checks},
        }


class Run:
    """One rollout."""

    def __init__(self, world: Rollouts, dice: Dice) -> None:
        self._world, self._dice = world, dice
        self._now, self._served, self._scraped = START, 0.0, 0.0
        self._looks, self._weight, self._block, self._burst = 0, 0, -1, False
        self._counts: Counts = ((0, 0),) * (1 + len(world.odds))
        self._scrapes: deque[tuple[float, Counts]] = deque(maxlen=KEPT)
        self._objects: Objects = {("Pod", ROUTER): _router_pod(), ("ConfigMap", ACKS): _named("ConfigMap", ACKS)}
        self._resource = self._applied("1", ModelDeploymentStatus())

    def ended(self) -> int:
        """Go through it; return the look at which it is rolled back, minus that at which it is promoted, or 0."""
        while self._resource.status.stage is not Stage.STABLE:
            self._round()
        self._resource = self._applied("2", self._resource.status)
        while self._looks < LOOKS:
            self._round()
            candidate = self._resource.status.candidate
            if candidate is not None and candidate.outcome is not None:
                return self._looks if candidate.outcome is Outcome.ROLLED_BACK else -self._looks
        return 0

    def _applied(self, version: str, status: ModelDeploymentStatus) -> ModelDeployment:
        raw = {"metadata": {"name": NAME, "uid": "u", "generation": int(version)}, "spec": self._world.spec(version)}
        return ModelDeployment.model_validate(raw).model_copy(update={"status": status})

    def _round(self) -> None:
        """Look, decide, act, save; whoever is killed saves nothing, and another looks again."""
        needs = rollout.needs(self._resource, self._now)
        seen = Seen(
            now=self._now,
            listings={listing: self._listed(listing) for listing in needs.listings},
            series={query: self._series(query) for query in needs.queries},
        )
        decision = rollout.decide(self._resource, seen)
        killed = bool(needs.queries) and self._dice.random() < self._world.trouble
        if not killed or self._dice.random() < 0.5:  # noqa: PLR2004 - half of the time it has acted before
            self._act(decision)
        if not killed:
            self._looks += bool(needs.queries)
            self._resource = self._resource.model_copy(update={"status": decision.status})
        self._pass(1.0 if killed else max(decision.again_in, 0.1))

    def _listed(self, listing: Listing) -> tuple[Manifest, ...]:
        if listing.kind == "Pod" and (COMPONENT_LABEL, "router") not in listing.labels:
            return ()  # of pods that end or wait there are none
        return tuple(one for (kind, _), one in self._objects.items() if kind == listing.kind)

    def _act(self, decision: Decision) -> None:
        for action in decision.actions:
            if not isinstance(action, Ensure):
                self._objects.pop((action.ref.kind, action.ref.name), None)
                continue
            key = action.manifest["kind"], action.manifest["metadata"]["name"]
            self._objects[key] = action.manifest
            if key[0] == "Deployment":
                ready = {"readyReplicas": action.manifest["spec"]["replicas"]}
                self._objects[key] = {**action.manifest, "status": ready}
        split = Split.model_validate_json(self._objects["ConfigMap", SPLIT]["data"][SPLIT_KEY])
        acks = {**_named("ConfigMap", ACKS), "data": {ROUTER: str(split.generation)}}
        self._objects["ConfigMap", ACKS] = acks
        self._weight = split.backends[0].weight if len(split.backends) > 1 else 0

    # --- what happens meanwhile ---

    def _pass(self, seconds: float) -> None:
        until = self._served + seconds
        while self._scraped + SCRAPE <= until:
            self._scraped += SCRAPE
            self._serve(self._scraped)
            if not self._world.trouble or self._dice.random() >= self._world.trouble:
                self._scrapes.append((START.timestamp() + self._scraped, self._counts))
        self._serve(until)
        self._now = START + timedelta(seconds=until)

    def _serve(self, until: float) -> None:
        """Answer requests under one weight."""
        moment, seconds = Moment(until, self._weight), until - self._served
        self._served = until
        if int(until / INTERVAL) != self._block:
            self._block, self._burst = int(until / INTERVAL), self._dice.random() < BURST
        rate = 0.1 if self._world.bursts and self._burst else self._world.rate(moment)
        requests = round(PER_SECOND * seconds)
        candidate = round(requests * self._weight / 100)
        grown = [(requests - candidate, candidate)]
        for odds in self._world.odds:
            ratio = odds(moment)
            worse = ratio * rate / (1 - rate + ratio * rate)
            bad = self._dice.binomial(requests - candidate, rate), self._dice.binomial(candidate, worse)
            grown.append((int(bad[0]), int(bad[1])))
        self._counts = tuple(
            (stable + more, other + also) for (stable, other), (more, also) in zip(self._counts, grown, strict=True)
        )

    # --- what Prometheus says of it ---

    def _series(self, query: Query) -> tuple[Series, ...]:
        if query.history:
            return ()  # the spec says how requests fail
        status = self._resource.status
        arms = [one.revision for one in (status.stable, status.candidate) if one is not None]
        if query.metric == TOTAL_METRIC:
            return self._told(arms, {}, lambda counts, arm: counts[0][arm])
        if query.metric == BAD_METRIC:
            return self._told(arms, {}, lambda counts, arm: counts[3][arm])
        if query.metric == REQUESTS_METRIC:
            good = self._told(arms, {RESPONSE_CLASS: "2"}, lambda counts, arm: counts[0][arm] - counts[1][arm])
            return good + self._told(arms, {RESPONSE_CLASS: "5"}, lambda counts, arm: counts[1][arm])
        (_, (bound, *_)), *_ = query.among
        quick = self._told(arms, {"le": bound}, lambda counts, arm: counts[0][arm] - counts[2][arm])
        return quick + self._told(arms, {"le": ALL}, lambda counts, arm: counts[0][arm])

    def _told(self, arms: list[str], labels: dict[str, str], value: Callable[[Counts, int], int]) -> tuple[Series, ...]:
        return tuple(
            Series(
                {"pod": ROUTER, METRIC_REVISION: revision, **labels},
                tuple((at, float(value(counts, arm))) for at, counts in self._scrapes),
            )
            for arm, revision in enumerate(arms)
        )


def _named(kind: str, name: str) -> Manifest:
    return {"kind": kind, "metadata": {"name": name, "labels": {DEPLOYMENT_LABEL: NAME}}}


def _router_pod() -> Manifest:
    pod = _named("Pod", ROUTER)
    pod["metadata"]["labels"][COMPONENT_LABEL] = "router"
    return {**pod, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
