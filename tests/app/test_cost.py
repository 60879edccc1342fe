"""What a round costs, as counts that hold on any machine."""

from collections import Counter

import pytest

from app.release import REQUESTS, Release
from app.scene import KEY
from assay.api.modeldeployment import Outcome, Stage
from assay.app.reconcile import reconcile
from assay.core.decision import Missing, Query, Series

IDLE_READS = 6  # the object, and its Deployments, Services, ConfigMaps, revisions and routers
ROLLING_READS = IDLE_READS + 1  # and the pods that are waited for or judged


def reads(release: Release) -> Counter[str]:
    """Run one round and let the world go on; return what the round read."""
    before = len(release.cluster.calls)
    seconds = release.round()
    found = Counter(verb for verb, _ in release.cluster.calls[before:] if verb in {"get", "list"})
    release.passes(seconds)
    return found


@pytest.fixture
def release() -> Release:
    release = Release()
    release.user_applies("1")
    return release.settles()


def test_an_idle_round_reads_six_times_and_comes_again_in_two_minutes(release: Release) -> None:
    assert reads(release) == {"get": 1, "list": 5}

    again = reconcile(KEY, release.world)
    assert again is not None
    assert again.after == 120.0


def test_a_round_of_a_rollout_reads_at_most_seven_times_at_every_stage(release: Release) -> None:
    release.user_applies("2")
    stages = set()
    while not (release.state().history and release.state().stage is Stage.STABLE):
        assert reads(release).total() <= ROLLING_READS
        stages.add(release.state().stage)

    assert stages >= {Stage.PREPARING, Stage.ANALYSING, Stage.PROMOTING}


def test_an_idle_round_asks_prometheus_nothing_and_all_rollouts_ask_the_same(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[Query] = set()
    answer = release.metrics.series

    def listening(query: Query, namespace: str, deployment: str) -> tuple[Series, ...] | Missing:
        asked.add(query)
        return answer(query, namespace, deployment)

    monkeypatch.setattr(release.metrics, "series", listening)
    release.round()
    assert asked == set()

    release.user_applies("2")
    release.settles()
    assert [outcome for _, outcome in release.story()] == [Outcome.PROMOTED]
    shared = Query(REQUESTS, (("assay_via", "split"),))
    assert {query for query in asked if not query.history} == {shared}, "nothing in it names the ModelDeployment"
