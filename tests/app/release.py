"""Whole rollouts, with the real decider, through the loop, in a cluster in memory; and what must hold at every moment of them."""

import copy
import dataclasses
import json
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

import pytest

from app.scene import KEY, Scene
from assay.adapters.memory import Crash, MemoryCluster
from assay.api.base import Manifest, Verdict
from assay.api.modeldeployment import ModelDeploymentStatus, Outcome, Stage
from assay.app.kinds import kinds
from assay.app.queue import FIRST_BACKOFF
from assay.app.reconcile import reconcile
from assay.app.settings import Settings
from assay.core.decision import Ref
from assay.core.names import REVISION_LABEL, SPLIT_KEY

REQUESTS = "envoy_cluster_upstream_rq_xx"
STEPS = [{"weight": 20, "minSeconds": 5}, {"weight": 50, "minSeconds": 5}]

T = TypeVar("T")

When: TypeAlias = Callable[[ModelDeploymentStatus], bool]


def a_release(version: str) -> Manifest:
    return {
        "apiVersion": "assay.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "flights", "namespace": "shop"},
        "spec": {
            "replicas": 2,
            "model": {"name": "flights", "version": version},
            "template": {"spec": {"containers": [{"name": "model", "image": f"flights:{version}"}]}},
            "strategy": {"canary": {"steps": STEPS}},
            "analysis": {
                "intervalSeconds": 5,
                "warmupSeconds": 0,
                "checks": [{"name": "errors", "preset": "error-ratio"}],
            },
        },
    }


def status_of(cluster: "Watched") -> ModelDeploymentStatus:
    raw = cluster.stored("ModelDeployment")["flights"]
    return ModelDeploymentStatus.model_validate(raw.get("status", {}))


def weights_in(config_map: Manifest) -> dict[str, int]:
    """Revision -> percent, in a split."""
    return {one["revision"]: one["weight"] for one in json.loads(config_map["data"][SPLIT_KEY])["backends"]}


class Violated(BaseException):
    """Something was so that must never be; the loop catches what is a bug of its own, and must not catch this."""


def holds(so: object, otherwise: str) -> None:
    if not so:
        raise Violated(otherwise)


class Watched(MemoryCluster):
    """A cluster that holds every write against what must be so at all times."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: list[int] = []
        """The calls that changed something, counted from 1."""

    def _call(self, verb: str, ref: Ref, effect: Callable[[], T]) -> T:
        before = dict(self._objects)
        try:
            return super()._call(verb, ref, effect)
        finally:
            if self._objects != before:
                self.changed.append(len(self.calls))

    def apply(self, manifest: Manifest, seen: Manifest | None = None, **more: Any) -> None:
        if (manifest["kind"], manifest["metadata"]["name"]) != ("ConfigMap", "flights-router"):
            super().apply(manifest, seen, **more)
            return
        before = self.weights()
        try:
            super().apply(manifest, seen, **more)
        finally:
            after = self.weights()
            gone = "flights" not in self.stored("ModelDeployment")  # a user deleted it meanwhile
            if after != before and not gone:
                self._check_split(before, after)

    def save_status(self, manifest: Manifest, status: Manifest) -> None:
        super().save_status(manifest, status)
        state = ModelDeploymentStatus.model_validate(status)
        if state.stage is Stage.PROMOTING:
            holds([one.verdict for one in state.checks] == [Verdict.PASS], "promoted without evidence")

    def weights(self) -> dict[str, int]:
        found = self.stored("ConfigMap").get("flights-router")
        return {} if found is None else weights_in(found)

    def stored(self, kind: str) -> dict[str, Manifest]:
        """Return all objects of a kind by name, to be read only."""
        return {ref.name: one for (ref, _), one in self._objects.items() if ref.kind == kind}

    def ready(self, revision: str) -> int:
        found = self.stored("Deployment").get(f"flights-{revision}", {})
        return int(found.get("status", {}).get("readyReplicas", 0))

    def _check_split(self, before: dict[str, int], after: dict[str, int]) -> None:
        holds(sum(after.values()) in ((0, 100) if not before else (100,)), f"weights are {after}")
        carries = {revision: self.ready(revision) for revision in after}
        for revision, weight in after.items():
            able = weight == 0 or carries[revision] or not any(carries.values())
            holds(able, f"{revision} cannot carry {weight} %")
        state = status_of(self)
        if state.candidate is None or state.stable is None:
            return
        was, now = (one.get(state.candidate.revision, 0) for one in (before, after))
        if now == 100:
            holds(state.stage is Stage.PROMOTING, "all traffic moved before the promotion was on record")
        elif now > was:
            asked = state.stage is Stage.PREPARING and now == STEPS[state.candidate.step]["weight"]
            holds(asked, "nobody asked for so much weight")
        elif now < was:
            holds(state.stage is Stage.ROLLING_BACK, "traffic was taken back before that was on record")


class Release(Scene):
    """A ModelDeployment on its way, with traffic of 400 requests a second."""

    def __init__(self, *changes: tuple[When, str], cluster: Watched | None = None) -> None:
        """Begin with nothing.

        Args:
            changes: What the user applies, and when: versions, of which `bad` fails 5 % of the requests.
            cluster: Where.
        """
        super().__init__()
        self.cluster = self.watched = cluster or Watched()
        self.world = dataclasses.replace(self.world, cluster=self.cluster)
        real = kinds(Settings())["ModelDeployment"]
        self.with_kind(**{name: getattr(real, name) for name in ("needs", "decide", "refused")})
        self.changes = list(changes)
        self._counts: dict[tuple[str, str, str], float] = defaultdict(float)

    def fork(self) -> "Release":
        """Return a release that goes on from here by itself."""
        other = copy.copy(self)
        other.watched, other.metrics = copy.copy(self.watched), copy.copy(self.metrics)
        other.cluster = other.watched
        for name in ("_objects", "_applied", "_troubles", "events", "calls", "changed"):
            setattr(other.cluster, name, copy.copy(getattr(self.cluster, name)))
        other.cluster._versions = copy.copy(self.cluster._versions)
        other.metrics._found = {key: samples.copy() for key, samples in self.metrics._found.items()}
        other._counts, other.changes = self._counts.copy(), self.changes.copy()
        other.world = dataclasses.replace(
            self.world, cluster=other.cluster, metrics=other.metrics, now=lambda: other.clock
        )
        return other

    def user_applies(self, version: str) -> None:
        self.cluster.create(a_release(version))

    def user_acts(self) -> None:
        """Let the user do what is due."""
        exists = "flights" in self.watched.stored("ModelDeployment")
        if self.changes and self.changes[0][0](self.state() if exists else ModelDeploymentStatus()):
            self.user_applies(self.changes.pop(0)[1])

    def round(self) -> float:
        """Run one round; return the seconds until the next."""
        try:
            again = reconcile(KEY, self.world)
        except Crash:
            return FIRST_BACKOFF
        after = FIRST_BACKOFF if again is None or again.after is None else again.after
        return min(max(after, 0.2), 5.0)

    def passes(self, seconds: float) -> None:
        """Let the world and its user go on."""
        self.clock += timedelta(seconds=seconds)
        self.cluster.settle()
        maps = self.watched.stored("ConfigMap")
        weights = weights_in(maps["flights-router"]) if "flights-router" in maps else {}
        for pod in maps.get("flights-router-acks", {}).get("data", {}):
            for revision, weight in weights.items():
                self._serve(pod, revision, seconds * 200 * weight / 100)
        self.user_acts()

    def _serve(self, pod: str, revision: str, requests: float) -> None:
        rate = 0.05 if self._version(revision) == "bad" else 0.01
        for code, share in (("2", 1 - rate), ("5", rate)):
            self._counts[pod, revision, code] += requests * share
            labels = {"namespace": "shop", "assay_deployment": "flights", "pod": pod, "assay_revision": revision}
            labels |= {"assay_via": "split", "envoy_response_code_class": code}
            self.metrics.add(REQUESTS, labels, self.clock.timestamp(), float(int(self._counts[pod, revision, code])))

    def _version(self, revision: str) -> str:
        deployment = self.watched.stored("Deployment").get(f"flights-{revision}")
        image: str = "" if deployment is None else deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        return image.partition(":")[2]

    def state(self) -> ModelDeploymentStatus:
        return status_of(self.watched)

    def weights(self) -> dict[str, int]:
        return self.watched.weights()

    def rests(self) -> bool:
        """Return whether nothing is left to do."""
        if self.changes:
            return False
        state, models = self.state(), self.serving()
        current = (
            state.observed_generation == self.watched.stored("ModelDeployment")["flights"]["metadata"]["generation"]
        )
        return current and state.stage in {Stage.STABLE, Stage.ROLLED_BACK} and len(models) == 1

    def serving(self) -> dict[str, str]:
        """Revision -> version, of all that run."""
        found = self.watched.stored("Deployment").values()
        revisions = [one["metadata"]["labels"].get(REVISION_LABEL) for one in found]
        return {revision: self._version(revision) for revision in revisions if revision}

    def settles(self, most: int = 400) -> "Release":
        """Run rounds until nothing is left to do."""
        for _ in range(most):
            self.passes(self.round())
            if self.rests():
                return self
        pytest.fail(f"did not come to rest: {self.state().to_manifest()}")

    def things(self) -> set[tuple[str, str]]:
        """Kind and name of all there is."""
        return {(ref.kind, ref.name) for ref, _ in self.cluster._objects}

    def story(self) -> list[tuple[str, Outcome]]:
        """The rollouts that ended, oldest first."""
        return [(one.revision, one.outcome) for one in reversed(self.state().history)]
