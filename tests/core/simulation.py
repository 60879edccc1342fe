"""A tiny cluster made of values: what `decide` asks for comes true after a while, and pods count requests."""

import copy
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import numpy as np

from assay.api.base import Condition, Manifest
from assay.api.modeldeployment import ModelDeployment, ModelDeploymentStatus, Stage
from assay.core import rollout
from assay.core.decision import Decision, Ensure, Listing, Missing, Needs, Note, Query, Ref, Remove, Seen, Series
from assay.core.names import (
    COMPONENT_LABEL,
    DEPLOYMENT_LABEL,
    OUTCOMES_METRIC,
    REQUESTS_METRIC,
    REVISION_LABEL,
    SPLIT_KEY,
)
from assay.core.revisions import revision_of
from core.labels import OUTCOMES, Labels

START = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = 60.0
NAME = "flights"


def a_spec(version: str = "1", **changes: Any) -> Manifest:
    """A spec for one canary; `version` makes the revision."""
    spec: Manifest = {
        "replicas": 3,
        "model": {"name": "flights", "version": version},
        "template": {"spec": {"containers": [{"name": "model", "image": f"flights:{version}"}]}},
        "strategy": {"canary": {"steps": [{"weight": 10, "minSeconds": 10}, {"weight": 50, "minSeconds": 10}]}},
        "analysis": {
            "intervalSeconds": 5,
            "warmupSeconds": 5,
            "checks": [{"name": "errors", "preset": "error-ratio"}],
        },
    }
    for path, value in changes.items():
        place: Manifest = spec
        *parents, last = path.split("__")
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return spec


@dataclass
class Cluster:
    """The world, one ModelDeployment in it, and its clock."""

    spec: Manifest
    errors: dict[str, float] = field(default_factory=dict)
    """Model version -> rate of answers 5xx."""
    rate: float = 200.0
    """Requests per second."""
    wrong: dict[str, float] = field(default_factory=dict)
    """Model version -> rate of predictions that turn out wrong."""
    labels: Labels = field(default_factory=Labels)
    """When labels come, and how the models' pods count them."""
    broken: set[str] = field(default_factory=set)
    """Model versions whose pods never become ready."""
    deaf: set[str] = field(default_factory=set)
    """Router pods that acknowledge nothing."""
    blind: bool = False
    """Whether Prometheus is away."""
    clusters: int = 1
    """How many requests failed together in the hour before; 0: Prometheus did not keep it."""
    ahead: float = 0.0
    """Seconds by which Prometheus' clock is ahead of the operator's."""
    absent: frozenset[tuple[str, str]] = frozenset()
    """ConfigMaps and Secrets of the user's that do not exist."""
    routerless: bool = False
    """Whether no router pod ever starts."""
    startup: float = 2.0
    status: Manifest = field(default_factory=dict)
    generation: int = 1
    now: datetime = START
    objects: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    stages: list[tuple[Stage | None, Stage | None]] = field(default_factory=list)
    rounds: int = 0
    _counts: dict[str, dict[tuple[str, str], float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    _history: dict[str, list[tuple[float, dict[tuple[str, str], float]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _since: dict[tuple[str, int], datetime] = field(default_factory=dict)
    _applied: dict[str, Manifest] = field(default_factory=dict)

    def resource(self) -> ModelDeployment:
        metadata = {"name": NAME, "namespace": "default", "uid": "u", "generation": self.generation}
        return ModelDeployment.model_validate({"metadata": metadata, "spec": self.spec, "status": self.status})

    def apply(self, spec: Manifest) -> None:
        """A user applies another spec."""
        self.spec, self.generation = spec, self.generation + 1

    def state(self) -> ModelDeploymentStatus:
        return ModelDeploymentStatus.model_validate(self.status)

    def revision(self, version: str) -> str:
        spec = a_spec(version)
        changed = {**self.spec, "model": spec["model"], "template": spec["template"]}
        parsed = ModelDeployment.model_validate({"metadata": {"name": NAME}, "spec": changed})
        return revision_of(parsed.spec)

    # --- one round, as the app runs it ---

    def look(self, needs: Needs) -> Seen:
        return Seen(
            now=self.now,
            objects={ref: self._get(ref) for ref in needs.objects},
            listings={listing: self._list(listing) for listing in needs.listings},
            series={query: self._series(query) for query in needs.queries},
        )

    def decide(self) -> tuple[ModelDeployment, Decision]:
        resource = self.resource()
        return resource, rollout.decide(resource, self.look(rollout.needs(resource, self.now)))

    def round(self, *, act: bool = True, save: bool = True) -> Decision:
        """Look, decide, act, save; a crash leaves out what comes after it."""
        before = self.state().stage
        _, decision = self.decide()
        self.rounds += 1
        if act:
            self.act(decision)
        if act and save:
            self.status = json.loads(json.dumps(decision.status.to_manifest()))
            self.notes += decision.notes
            if decision.status.stage is not before:
                self.stages.append((before, decision.status.stage))
        return decision

    def act(self, decision: Decision) -> None:
        for action in decision.actions:
            match action:
                case Ensure(manifest):
                    self._ensure(manifest)
                case Remove(ref):
                    self.objects.pop((ref.kind, ref.name), None)

    def run(
        self,
        seconds: float = 600.0,
        until: Callable[["Cluster"], bool] = lambda _cluster: False,
        each: Callable[["Cluster", Decision], None] | None = None,
        faults: Mapping[int, Mapping[str, bool]] | None = None,
    ) -> Self:
        """Run rounds until `until` holds or the seconds are over; `faults` maps a round to keywords of `round`."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            decision = self.round(**(faults or {}).get(self.rounds, {}))
            if each is not None:
                each(self, decision)
            if until(self):
                return self
            self.pass_time(min(max(decision.again_in, 0.1), 5.0))
        return self

    def settle(self, seconds: float = 600.0, **more: Any) -> Self:
        """Run until the machine rests on what the user wants, with nothing left over."""
        return self.run(seconds, until=Cluster.rests, **more)

    def rests(self) -> bool:
        state = self.state()
        live = {state.stable.revision} if state.stable else set()
        rest = state.stage in (Stage.STABLE, Stage.ROLLED_BACK) and set(self.models()) == live
        wanted = revision_of(self.resource().spec)
        failed = state.stage is Stage.ROLLED_BACK
        current = state.observed_generation == self.generation and (failed or wanted in live)
        return rest and current and self.weights() == dict.fromkeys(live, 100)

    # --- what is there ---

    def models(self) -> dict[str, Manifest]:
        """Revision -> Deployment."""
        return {
            one["metadata"]["labels"][REVISION_LABEL]: one
            for (kind, _), one in self.objects.items()
            if kind == "Deployment" and REVISION_LABEL in one["metadata"]["labels"]
        }

    def split(self) -> Manifest | None:
        found = self.objects.get(("ConfigMap", f"{NAME}-router"))
        split: Manifest | None = json.loads(found["data"][SPLIT_KEY]) if found else None
        return split

    def weights(self) -> dict[str, int]:
        return {one["revision"]: one["weight"] for one in (self.split() or {}).get("backends", [])}

    def ready(self, revision: str) -> int:
        return int(self.models().get(revision, {}).get("status", {}).get("readyReplicas", 0))

    def condition(self, kind: str) -> Condition:
        return next(one for one in self.state().conditions if one.type == kind)

    # --- how it moves ---

    def pass_time(self, seconds: float) -> None:
        while seconds > 1e-9:
            step = min(seconds, 0.5)
            self.now += timedelta(seconds=step)
            seconds -= step
            self._start_pods()
            self._acknowledge()
            self._serve(step)
            self._ripen()

    def _ensure(self, manifest: Manifest) -> None:
        key = manifest["kind"], manifest["metadata"]["name"]
        old = self.objects.get(key, {})
        new = copy.deepcopy(manifest)
        for kept in ("status", "data"):
            if kept in old and kept not in new:
                new[kept] = old[kept]
        self.objects[key] = new

    def _get(self, ref: Ref) -> Manifest | None:
        if (ref.kind, ref.name) in self.absent:
            return None
        theirs = ref.kind == "Secret" or ref.name == "settings"
        return {"kind": ref.kind} if theirs else self.objects.get((ref.kind, ref.name))

    def _list(self, listing: Listing) -> tuple[Manifest, ...]:
        wanted = dict(listing.labels)
        return tuple(
            copy.deepcopy(one)
            for (kind, _), one in sorted(self.objects.items())
            if kind == listing.kind and wanted.items() <= one["metadata"].get("labels", {}).items()
        )

    def _start_pods(self) -> None:
        for (kind, name), one in list(self.objects.items()):
            if kind != "Deployment":
                continue
            version = one["spec"]["template"]["spec"]["containers"][0]["image"].partition(":")[2]
            wanted = one["spec"]["replicas"]
            now = one.setdefault("status", {}).get("readyReplicas", 0)
            since = self._since.setdefault((name, wanted), self.now)
            late = (self.now - since).total_seconds() >= self.startup
            if version in self.broken:
                one["status"]["readyReplicas"] = 0
            elif now > wanted or (now < wanted and late):
                one["status"]["readyReplicas"] = wanted
            if name.endswith("-router") and late and not self.routerless:
                self._start_routers(wanted)

    def _start_routers(self, wanted: int) -> None:
        for index in range(wanted):
            name = f"{NAME}-router-{index}"
            labels = {DEPLOYMENT_LABEL: NAME, COMPONENT_LABEL: "router"}
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            pod = {"kind": "Pod", "metadata": {"name": name, "labels": labels}, "status": ready}
            self.objects.setdefault(("Pod", name), pod)

    def lose_router(self, name: str) -> None:
        """A router's agent hears nothing any more and its pod is not ready; Envoy goes on with the split it has."""
        self.deaf.add(name)
        self.objects["Pod", name]["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}

    def regain_router(self, name: str, *, deaf: bool = False) -> None:
        """It becomes ready again, with the split that it had where it is still deaf."""
        self.deaf = self.deaf if deaf else self.deaf - {name}
        self.objects["Pod", name]["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}

    def replace_router(self, name: str) -> None:
        """Its pod goes and another comes up in its place: with no split yet, and with counters from zero."""
        for of_pod in (self._applied, self._counts, self._history):
            of_pod.pop(name, None)
        del self.objects["Pod", name]
        self.objects.get(("ConfigMap", f"{NAME}-router-acks"), {}).get("data", {}).pop(name, None)

    def routers(self) -> list[str]:
        pods = {name: one for (kind, name), one in self.objects.items() if kind == "Pod"}
        return [name for name, one in pods.items() if COMPONENT_LABEL in one["metadata"]["labels"]]

    def _acknowledge(self) -> None:
        split, acks = self.split(), self.objects.get(("ConfigMap", f"{NAME}-router-acks"))
        if split is None or acks is None:
            return
        if all(self.ready(one["revision"]) for one in split["backends"] if one["weight"]):
            for pod in self.routers():
                if pod not in self.deaf:
                    self._applied[pod] = split
                    acks.setdefault("data", {})[pod] = str(split["generation"])

    def _serve(self, seconds: float) -> None:
        routers = self.routers()
        for pod in routers:
            backends = self._applied.get(pod, {}).get("backends", [])
            for one in backends:
                share = self.rate * seconds / len(routers) * one["weight"] / 100
                revision = one["revision"]
                bad = share * self._error_rate(revision)
                self._counts[pod][revision, "5"] += bad
                self._counts[pod][revision, "2"] += share - bad
                if self.ready(revision):
                    version = self.version(revision)
                    self.labels.predict(revision, version, self.now.timestamp(), share, self.wrong.get(version, 0.1))
            self._record(pod)

    def _ripen(self) -> None:
        """Each revision's predictions are counted by one pod."""
        for revision in self.models():
            self.labels.ripen(revision, self.now.timestamp(), self._counts[f"{NAME}-{revision}"])
            self._record(f"{NAME}-{revision}")

    def _record(self, pod: str) -> None:
        self._history[pod].append((self.now.timestamp(), dict(self._counts[pod])))
        del self._history[pod][: -int(WINDOW * 2)]

    def restart(self, version: str) -> None:
        """A model's pod begins anew: its counters are at zero, its predictions forgotten."""
        revision = self.revision(version)
        self._counts[f"{NAME}-{revision}"].clear()
        self.labels.forget(revision)

    def _error_rate(self, revision: str) -> float:
        if self.ready(revision) == 0:
            return 1.0
        return self.errors.get(self.version(revision), 0.01)

    def version(self, revision: str) -> str:
        """The model version of a revision that has pods."""
        image: str = self.models()[revision]["spec"]["template"]["spec"]["containers"][0]["image"]
        return image.partition(":")[2]

    def _series(self, query: Query) -> tuple[Series, ...] | Missing:
        if self.blind:
            return Missing("Prometheus did not answer.")
        label = {REQUESTS_METRIC: "envoy_response_code_class", OUTCOMES_METRIC: "outcome"}[query.metric]
        if query.history:
            return self._hour_before(label)
        if label == "outcome" and query.match != (("age_seconds", str(self.labels.age)),):
            return ()
        found: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
        for pod, history in self._history.items():
            for at, counts in history:
                for (revision, code), value in counts.items():
                    if (
                        (code in OUTCOMES) is (label == "outcome")
                        and value >= 1
                        and at >= self.now.timestamp() - WINDOW
                    ):
                        found[pod, revision, code].append((at + self.ahead, float(int(value))))
        return tuple(
            Series({"pod": pod, "assay_revision": revision, label: code}, tuple(samples))
            for (pod, revision, code), samples in found.items()
        )

    def _hour_before(self, label: str) -> tuple[Series, ...]:
        """Two pods of stable, each half minute; bad answers come singly, or as often in `clusters` of so many."""
        state = self.state()
        good, bad = ("correct", "wrong") if label == "outcome" else ("2", "5")
        found, chance = [], np.random.default_rng(7)
        for pod in ("before-0", "before-1") if state.stable and self.clusters else ():
            sums = [0, 0]
            samples: tuple[list[tuple[float, float]], ...] = ([], [])
            for at in range(120):
                sums[0] += 990
                sums[1] += self.clusters * (10 if self.clusters == 1 else int(chance.integers(0, 21)))
                for kind in (0, 1):
                    samples[kind].append((self.now.timestamp() - 30.0 * (120 - at), float(sums[kind])))
            for value, series in zip((good, bad), samples, strict=True):
                labels = {"pod": pod, "assay_revision": state.stable.revision if state.stable else "", label: value}
                found.append(Series(labels, tuple(series)))
        return tuple(found)


def told(notes: list[Note]) -> list[str]:
    return [note.reason for note in notes]
