"""Whole rollouts, with the real decider, through the loop, in a cluster in memory; and killed at every call."""

import json
from collections import defaultdict
from datetime import timedelta

import pytest

from app.scene import KEY, Scene
from assay.adapters.memory import Crash
from assay.api.modeldeployment import ModelDeploymentStatus, Outcome, Stage
from assay.app.kinds import kinds
from assay.app.queue import FIRST_BACKOFF
from assay.app.reconcile import reconcile
from assay.app.settings import Settings

REQUESTS = "envoy_cluster_upstream_rq_xx"


class Release(Scene):
    """A ModelDeployment on its way, with traffic of 400 requests a second."""

    def __init__(self, bad: dict[str, float]) -> None:
        super().__init__()
        self.with_kind(
            **{name: getattr(kinds(Settings())["ModelDeployment"], name) for name in ("needs", "decide", "refused")}
        )
        self._bad = bad
        self._counts: dict[tuple[str, str, str], float] = defaultdict(float)

    def user_applies(self, version: str) -> None:
        self.cluster.create(
            {
                "apiVersion": "assay.dev/v1alpha1",
                "kind": "ModelDeployment",
                "metadata": {"name": "flights", "namespace": "shop"},
                "spec": {
                    "replicas": 2,
                    "model": {"name": "flights", "version": version},
                    "template": {"spec": {"containers": [{"name": "model", "image": f"flights:{version}"}]}},
                    "strategy": {
                        "canary": {"steps": [{"weight": 20, "minSeconds": 5}, {"weight": 50, "minSeconds": 5}]}
                    },
                    "analysis": {
                        "intervalSeconds": 5,
                        "warmupSeconds": 0,
                        "checks": [{"name": "errors", "preset": "error-ratio"}],
                    },
                },
            }
        )

    def round(self) -> None:
        """Run one round, then let the world go on until the next is due."""
        again = reconcile(KEY, self.world)
        after = FIRST_BACKOFF if again is None or again.after is None else again.after
        self.passes(min(max(after, 0.2), 5.0))

    def passes(self, seconds: float) -> None:
        self.clock += timedelta(seconds=seconds)
        self.cluster.settle()
        maps = self.cluster.objects("ConfigMap")
        if "flights-router" not in maps:
            return
        split = json.loads(maps["flights-router"]["data"]["split.json"])
        for pod in maps.get("flights-router-acks", {}).get("data", {}):
            for backend in split["backends"]:
                self._serve(pod, backend["revision"], seconds * 200 * backend["weight"] / 100)

    def _serve(self, pod: str, revision: str, requests: float) -> None:
        rate = self._bad.get(self._version(revision), 0.01)
        for code, share in (("2", 1 - rate), ("5", rate)):
            self._counts[pod, revision, code] += requests * share
            labels = {"namespace": "shop", "assay_deployment": "flights", "pod": pod, "assay_revision": revision}
            labels |= {"assay_via": "split", "envoy_response_code_class": code}
            self.metrics.add(REQUESTS, labels, self.clock.timestamp(), float(int(self._counts[pod, revision, code])))

    def _version(self, revision: str) -> str:
        deployment = self.cluster.objects("Deployment").get(f"flights-{revision}")
        image: str = "" if deployment is None else deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        return image.partition(":")[2]

    def rests(self, outcome: Outcome | None) -> bool:
        state = self.state()
        history = [one.outcome for one in state.history]
        models = [name for name in self.cluster.objects("Deployment") if name != "flights-router"]
        return (
            state.stage in {Stage.STABLE, Stage.ROLLED_BACK}
            and history == [outcome] * (outcome is not None)
            and len(models) == 1
        )

    def state(self) -> ModelDeploymentStatus:
        raw = self.cluster.objects("ModelDeployment")["flights"]
        return ModelDeploymentStatus.model_validate(raw.get("status", {}))

    def settles(self, outcome: Outcome | None, crash: tuple[int, bool] | None = None) -> int:
        """Run rounds until all is done, killed once at a call where `crash` says so; return the calls it took."""
        before = len(self.cluster.calls)
        if crash is not None:
            self.cluster.fail(crash[0], Crash(), done=crash[1])
        for _ in range(2000):
            try:
                self.round()
            except Crash:
                self.passes(1.0)
            if self.rests(outcome):
                return len(self.cluster.calls) - before
        pytest.fail(f"did not end as {outcome}: {self.state().to_manifest()}")


def released(version: str, outcome: Outcome, crash: tuple[int, bool] | None = None) -> tuple[Release, int]:
    release = Release({"bad": 0.05})
    release.user_applies("v1")
    release.settles(None)
    release.user_applies(version)
    return release, release.settles(outcome, crash)


ENDINGS: pytest.MarkDecorator = pytest.mark.parametrize(
    ("version", "outcome"), [("v2", Outcome.PROMOTED), ("bad", Outcome.ROLLED_BACK)]
)


@ENDINGS
def test_a_release_ends_as_it_should_through_the_loop(version: str, outcome: Outcome) -> None:
    release, _ = released(version, outcome)

    images = {
        one["spec"]["template"]["spec"]["containers"][0]["image"]
        for name, one in release.cluster.objects("Deployment").items()
        if name != "flights-router"
    }
    assert images == {"flights:v2" if outcome is Outcome.PROMOTED else "flights:v1"}
    assert outcome.value in [note.reason for _, note in release.cluster.events]


@ENDINGS
@pytest.mark.parametrize("done", [False, True])
def test_a_release_killed_at_any_call_ends_as_if_it_had_not_been(
    version: str,
    outcome: Outcome,
    done: bool,  # noqa: FBT001 - drawn
) -> None:
    _, calls = released(version, outcome)

    # A prime step lands in every phase of a round; with the two values of `done` this is some forty deaths.
    for call in range(1, calls, max(1, calls // 20) | 1):
        release, _ = released(version, outcome, (call, done))
        assert release.state().candidate is None, call
