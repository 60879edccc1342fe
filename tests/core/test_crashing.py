"""A candidate whose containers keep ending is rolled back, whatever was measured; stable is never blamed on it."""

from datetime import timedelta
from typing import Any

import pytest

from assay.api.base import Manifest
from assay.api.modeldeployment import Outcome, Stage
from assay.core import rollout
from assay.core.conditions import refused
from assay.core.names import DEPLOYMENT_LABEL, REVISION_LABEL
from assay.core.pods import keeps_ending
from assay.core.times import second
from core.simulation import NAME, START, Cluster, a_spec

OOM = {"reason": "OOMKilled", "exitCode": 137}


def a_pod(*restarts: int, revision: str = "r", end: Manifest = OOM, age: float = -60, **more: Any) -> Manifest:
    """A pod made `age` seconds before the rollout began, each container of which ended so often, lastly 30 s into it."""
    ended = {"terminated": {**end, "finishedAt": second(START + timedelta(seconds=30))}}
    containers = [
        {"name": f"server{number or ''}", "restartCount": count, "lastState": ended if count else {}}
        for number, count in enumerate(restarts)
    ]
    return {
        "kind": "Pod",
        "metadata": {
            "name": "p",
            "labels": {DEPLOYMENT_LABEL: NAME, REVISION_LABEL: revision},
            "creationTimestamp": second(START - timedelta(seconds=age)),
        },
        "status": {"containerStatuses": containers, **more},
    }


SAID = "container server of revision r ended 3 times, last OOMKilled (exit code 137)"
COMPLETED = {"terminated": {"exitCode": 0, "reason": "Completed"}}


@pytest.mark.parametrize(
    ("pods", "said"),
    [
        ([], ""),
        ([a_pod(0)], ""),
        ([a_pod(2)], ""),
        ([a_pod(3)], SAID),
        ([a_pod(1), a_pod(1), a_pod(1)], SAID),
        ([a_pod(2, 2)], ""),
        ([a_pod(3, age=60)], ""),
        ([a_pod(5, age=60), a_pod(2)], SAID),
        ([a_pod(3, end={"reason": "ContainerStatusUnknown", "exitCode": 137})], ""),
        (
            [a_pod(3, end={"reason": "Completed", "exitCode": 0})],
            SAID.replace("OOMKilled", "Completed").replace("137", "0"),
        ),
        ([{"metadata": {"name": "p"}}], ""),
        (
            [a_pod(initContainerStatuses=[{**a_pod(3)["status"]["containerStatuses"][0]}])],
            SAID,
        ),
        ([a_pod(initContainerStatuses=[{**a_pod(3)["status"]["containerStatuses"][0], "state": COMPLETED}])], ""),
    ],
)
def test_ends_are_counted_over_pods_since_the_rollout_began(pods: list[Manifest], said: str) -> None:
    assert keeps_ending("r", pods, START) == said


def test_a_pod_made_in_the_second_in_which_the_rollout_began_is_of_this_rollout() -> None:
    assert keeps_ending("r", [a_pod(3, age=0)], START + timedelta(milliseconds=900)) == SAID


def with_pod(cluster: Cluster, version: str, restarts: int) -> None:
    pod = a_pod(restarts, revision=cluster.revision(version))
    pod["metadata"].pop("creationTimestamp")
    cluster.objects["Pod", f"crashing-{version}"] = pod


@pytest.mark.reliability(
    trouble="candidate crashes or runs out of memory again and again",
    stage=[Stage.PREPARING, Stage.ANALYSING],
    outcome="rolled back",
)
@pytest.mark.parametrize("stage", [Stage.PREPARING, Stage.ANALYSING])
def test_a_candidate_that_keeps_crashing_is_rolled_back_at_any_judged_stage_without_a_measurement(
    cluster: Cluster, stage: Stage
) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(until=lambda it: it.state().stage is stage)
    cluster.blind = True
    with_pod(cluster, "2", 3)

    cluster.run(20, until=lambda it: it.state().stage is Stage.ROLLING_BACK)
    before = cluster.state()
    cluster.settle()

    (entry,) = cluster.state().history
    assert before.stage is Stage.ROLLING_BACK, "it was put on record first"
    assert entry.outcome is Outcome.ROLLED_BACK
    revision = cluster.revision("2")
    assert entry.reason == f"Container server of revision {revision} ended 3 times, last OOMKilled (exit code 137)."
    assert [one.revision for one in cluster.state().quarantined] == [revision]


@pytest.mark.reliability(
    trouble="candidate crashes or runs out of memory again and again", stage=Stage.PROMOTING, outcome="rolled back"
)
def test_one_that_crashes_while_it_is_to_take_all_traffic_is_rolled_back_too(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(2000, until=lambda it: it.state().stage is Stage.PROMOTING)
    cluster.startup = 1e9
    with_pod(cluster, "2", 3)

    cluster.settle(60)

    assert [one.outcome for one in cluster.state().history] == [Outcome.ROLLED_BACK]


def test_a_stable_revision_that_crashes_decides_nothing(cluster: Cluster) -> None:
    with_pod(cluster, "1", 50)
    cluster.apply(a_spec("2"))

    cluster.settle(2000)

    assert [one.outcome for one in cluster.state().history] == [Outcome.PROMOTED]


def test_pods_of_the_candidate_are_listed_only_when_a_look_is_due(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(until=lambda it: it.state().stage is Stage.ANALYSING)
    wanted = (DEPLOYMENT_LABEL, NAME), (REVISION_LABEL, cluster.revision("2"))

    def listed(seconds: float) -> bool:
        needs = rollout.needs(cluster.resource(), cluster.now + timedelta(seconds=seconds))
        assert bool(needs.queries) == (wanted in [one.labels for one in needs.listings])
        return bool(needs.queries)

    assert [listed(seconds) for seconds in (1, 4, 5, 6)] == [False, False, True, True]


@pytest.mark.reliability(trouble="candidate never ready", stage=Stage.PREPARING, outcome="rolled back with its cause")
@pytest.mark.parametrize("reason", ["InvalidSpec", "Forbidden"])
def test_what_the_api_server_refused_is_in_the_history_when_the_candidate_never_came_up(
    cluster: Cluster, reason: str
) -> None:
    said = "The API server refused to patch deployments: .spec.template.spec: field prots not declared in schema"
    cluster.apply(a_spec("2", analysis__deadlineSeconds=60))
    cluster.broken.add("2")

    class Refusal:
        generation, now, message = 2, START, said

    Refusal.reason = reason  # type: ignore[attr-defined]

    def refuses(it: Cluster, _: object) -> None:
        if it.state().stage is Stage.PREPARING:
            it.status = refused(it.state(), Refusal).to_manifest()  # type: ignore[arg-type]

    cluster.settle(200, each=refuses)

    (entry,) = cluster.state().history
    assert entry.reason == f"Its pods did not become ready within 60 s. {said}."


@pytest.mark.reliability(trouble="candidate never ready", stage=Stage.PREPARING, outcome="rolled back with its cause")
def test_what_the_kubelet_said_is_in_the_history_when_the_candidate_never_came_up(cluster: Cluster) -> None:
    cluster.apply(a_spec("2", analysis__deadlineSeconds=60))
    cluster.broken.add("2")
    pod = a_pod(0, revision=cluster.revision("2"))
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    pod["status"]["containerStatuses"] = [{"name": "server", "state": {"waiting": waiting}}]
    cluster.objects["Pod", "waiting"] = pod

    cluster.settle(200)

    assert cluster.state().history[0].reason == (
        "Its pods did not become ready within 60 s. Container server is waiting, ImagePullBackOff: no such image."
    )
