"""Whatever is killed, stopped, spoilt or deleted: no wrong verdict, no orphan, and no request lost but at what was killed.

One installation and one stream of callers for all; each test leaves the model in service.
"""

import os
import signal
import time
from collections.abc import Iterator
from math import sqrt
from typing import Any

import pytest

from assay.sandbox.layout import Layout
from e2e.operators import operator_process, process, replace
from e2e.scene import Scene, dying, tiny
from flights.shop import Shop, until

RATE = 50  # requests per second
AT_ONCE = 3  # requests that are under way at one pod at the same moment; an answer takes some 5 ms
HALF: list[dict[str, Any]] = [{"weight": 50, "minSeconds": 1}]
HALF_FOR_LONG: list[dict[str, Any]] = [*HALF, {"pause": {"seconds": 3600}}]
DELETED_AT = ["Initialising", "Preparing", "Analysing", "RollingBack", "RolledBack"]
NOWHERE = {"image": "nowhere.invalid/none:1", "command": ["none"]}
FAILING = {  # what is wrong with a candidate's container, and what status says of it
    "never-ready": (NOWHERE, "Its pods did not become ready within 30 s. Container model is waiting"),
    "crashing": (dying("__import__('os')._exit(3)"), "ended 3 times, last Error (exit code 3)."),
    "devouring": (
        {**dying("bytearray(10**9)"), "resources": {"limits": {"memory": "96Mi"}}},
        "ended 3 times, last OOMKilled (exit code 137).",
    ),
}


@pytest.fixture(scope="module")
def scene(sandbox: Layout) -> Iterator[Scene]:
    shop = Shop.in_sandbox(sandbox, "reliable-models", "reliable-operator", "reliable")
    shop.install()
    scene = Scene(sandbox, shop)
    scene.apply(*(tiny(name) for name in ("preparing", "analysing", "rolling-back", "rolled-back", *FAILING)))
    scene.apply(tiny("initialising", container=NOWHERE))
    scene.release("v1", HALF)
    shop.stage("Stable")
    shop.call("--url", "http://flights:8080", "--rate", str(RATE))
    until(lambda: shop.heard().get("answered", 0) > 0, "the first request is answered")
    for name in FAILING:
        shop.stage("Stable", name=name)
    # They fail for a minute or two, beside all that follows.
    scene.apply(*(tiny(name, "2", container=wrong, deadlineSeconds=30 if wrong is NOWHERE else 600)
                  for name, (wrong, _) in FAILING.items()))  # fmt: skip
    yield scene
    shop.uninstall()


def on_trial(scene: Scene) -> dict[str, Any]:
    """Return the status of a rollout that is held at 50 %."""
    stable = scene.shop.stage("Stable", "Analysing")
    if stable["stage"] == "Stable":
        scene.release("v2", HALF_FOR_LONG)
    return scene.shop.stage("Analysing", weight=50)


def verdict(scene: Scene) -> str:
    return str(scene.shop.status().get("verdict", ""))


@pytest.mark.reliability(trouble="one stable pod killed", stage="Stable", outcome="loses at most what it was answering")
def test_a_killed_model_pod_costs_at_most_what_it_was_answering(scene: Scene) -> None:
    scene.shop.stage("Stable")
    before = scene.heard()
    pod = scene.pods("assay.dev/deployment=flights,app.kubernetes.io/component=model")[0]

    scene.kill(pod, "server")

    scene.answered(2 * RATE)
    lost = scene.since(before)["losses"]
    assert sum(lost.values()) <= AT_ONCE, lost
    assert scene.shop.stage("Stable")["history"] == []


@pytest.mark.reliability(trouble="router pod deleted", stage="Stable", outcome="no request lost")
def test_a_router_pod_that_is_deleted_costs_nothing(scene: Scene) -> None:
    scene.shop.stage("Stable")
    before, gone = scene.heard(), scene.routers()[0]["metadata"]["name"]

    scene.shop.kubectl("delete", "pod", gone, "--wait=false")

    until(lambda: gone not in scene.shop.kubectl("get", "pods", "--output", "name"), "it has drained and is gone", 60)
    until(lambda: len(scene.routers()) == 2, "there are two routers again")
    assert scene.since(before)["losses"] == {}


@pytest.mark.reliability(
    trouble="operator and API server dead", stage="Analysing", outcome="same weights, no request lost, goes on"
)
@pytest.mark.reliability(
    trouble="agent killed without API server", stage="Analysing", outcome="comes back, no request lost"
)
@pytest.mark.reliability(
    trouble="Envoy killed without API server",
    stage="Analysing",
    outcome="refuses connections until it is back, with the same weights",
)
def test_with_operator_and_api_server_dead_routers_serve_on_and_come_up_from_their_last_snapshot(scene: Scene) -> None:
    status = on_trial(scene)
    weights = {status["candidate"]["revision"]: 0.5, status["stable"]["revision"]: 0.5}
    routers = scene.routers()
    pids = {(one["metadata"]["name"], name): process(one, name) for one in routers for name in ("agent", "envoy")}
    operator = operator_process(scene.shop)

    with scene.without_api_server():
        os.kill(operator, signal.SIGKILL)
        assert scene.answered(4 * RATE)["losses"] == {}
        for router in routers:
            before = scene.heard()
            scene.kill(router, "agent", pids[router["metadata"]["name"], "agent"])
            scene.answered(RATE)
            assert scene.since(before)["losses"] == {}
        for router in routers:
            before, killed = scene.heard(), time.monotonic()
            scene.kill(router, "envoy", pids[router["metadata"]["name"], "envoy"])
            away = time.monotonic() - killed
            scene.answered(RATE)
            # Nobody can take its address out of the Service while the API server is dead: until the kubelet has started it
            # again, which takes about a second, connections to it are refused. What it was answering when it was killed is
            # cut off, before the answer or in the middle of it. No request that was answered is a wrong one.
            lost = scene.since(before)["losses"]
            cut_off = {"ClientOSError", "ServerDisconnectedError", "ClientPayloadError"}
            assert lost.keys() <= {"ClientConnectorError", *cut_off}, lost
            assert sum(lost.values()) <= AT_ONCE + RATE * (away + 1)
        served = scene.answered(4 * RATE)
        assert served["losses"] == {}
    assert_shares(served["revisions"], weights)
    assert on_trial(scene)["candidate"]["revision"] == status["candidate"]["revision"]


def assert_shares(answered: dict[str, int], weights: dict[str, float]) -> None:
    everybody = sum(answered.values())
    assert answered.keys() == weights.keys()
    for revision, weight in weights.items():
        assert abs(answered[revision] / everybody - weight) < 4 * sqrt(weight * (1 - weight) / everybody)


@pytest.mark.reliability(
    trouble="one candidate pod killed", stage="Analysing", outcome="loses at most what it was answering, goes on"
)
def test_a_killed_candidate_pod_of_two_changes_no_verdict(scene: Scene) -> None:
    status = on_trial(scene)
    before = scene.heard()
    candidate = f"assay.dev/revision={status['candidate']['revision']}"
    until(lambda: len(scene.pods(candidate)) == 2, "both pods are ready")
    pods = scene.pods(candidate)

    scene.kill(pods[0], "server")

    scene.answered(2 * RATE)
    lost = scene.since(before)["losses"]
    assert sum(lost.values()) <= AT_ONCE, lost
    assert on_trial(scene)["candidate"]["revision"] == status["candidate"]["revision"]


@pytest.mark.reliability(
    trouble="Prometheus away", stage="Analysing", outcome="NoData, holds, then promoted, no request lost"
)
def test_without_prometheus_the_rollout_holds_says_so_and_goes_on_when_it_is_back(scene: Scene) -> None:
    on_trial(scene)
    before = scene.heard()
    until(lambda: verdict(scene) in ("Pass", "Undecided"), "the check is measured")

    scene.shop.kubectl("scale", "deployment/prometheus", "--replicas=0", namespace="monitoring")
    until(lambda: verdict(scene) == "NoData", "the status says NoData", 60)
    scene.release("v2", HALF)  # only the verdict keeps it from its promotion now
    held = scene.answered(4 * RATE)
    assert scene.shop.stage("Analysing")["candidate"]["weight"] == 50
    assert held["losses"] == {}
    scene.shop.kubectl("scale", "deployment/prometheus", "--replicas=1", namespace="monitoring")
    promoted = scene.shop.stage("Stable", "RolledBack")

    assert [one["outcome"] for one in promoted["history"]] == ["Promoted"]
    assert scene.since(before)["losses"] == {}


@pytest.mark.reliability(
    trouble="spec changed forward and back", stage="Analysing", outcome="superseded, no request lost"
)
def test_a_spec_that_is_changed_forward_and_back_ends_where_it_was(scene: Scene) -> None:
    stable = scene.shop.stage("Stable")["stable"]["revision"]
    old, new = scene.versions()
    before = scene.heard()
    scene.release(new, HALF_FOR_LONG)
    candidate = scene.shop.stage("Analysing", weight=50)["candidate"]["revision"]

    scene.release(old, HALF)
    status = scene.shop.stage("Stable")

    assert (status["stable"]["revision"], status["history"][0]["outcome"]) == (stable, "Superseded")
    until(lambda: scene.live_of("flights", candidate) == [], "nothing but its record is left of the candidate", 60)
    assert scene.since(before)["losses"] == {}


@pytest.mark.reliability(
    trouble="operator killed, and its pod with it",
    stage=["Preparing", "Analysing", "Promoting", "RollingBack"],
    outcome="goes on where it was, no request lost",
)
def test_an_operator_that_is_killed_at_any_stage_of_a_release_goes_on_where_it_was(scene: Scene) -> None:
    first = scene.shop.stage("Stable")["stable"]["revision"]
    old, new = scene.versions()
    ended = len(scene.shop.status()["history"])
    before = scene.heard()

    with scene.deaf_router("flights"):
        scene.release(new, HALF)
        second = scene.shop.stage("Preparing", weight=50)["candidate"]["revision"]
        replace(scene.shop)
    assert scene.shop.stage("Analysing")["candidate"]["revision"] == second
    replace(scene.shop)
    with scene.deaf_router("flights"):
        scene.shop.stage("Promoting")
        replace(scene.shop)
    promoted = scene.shop.stage("Stable")
    assert [promoted["stable"]["revision"], promoted["history"][0]["outcome"]] == [second, "Promoted"]

    scene.release(old, HALF_FOR_LONG)
    assert scene.shop.stage("Analysing", weight=50)["candidate"]["revision"] == first
    with scene.deaf_router("flights"):
        scene.release(new, HALF)
        scene.shop.stage("RollingBack")
        replace(scene.shop)
    back = scene.shop.stage("Stable")

    assert [back["stable"]["revision"], back["history"][0]["outcome"]] == [second, "Superseded"]
    assert len(back["history"]) == ended + 2
    assert scene.answered(RATE)["revisions"].keys() == {second}
    assert scene.since(before)["losses"] == {}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.reliability(trouble=trouble, stage=stage, outcome="rolled back, told why"))
        for name, trouble, stage in (
            ("never-ready", "candidate never ready", "Preparing"),
            ("crashing", "candidate crashes or runs out of memory again and again", "Analysing"),
            ("devouring", "candidate crashes or runs out of memory again and again", "Analysing"),
        )
    ],
)
def test_a_candidate_whose_pods_fail_is_rolled_back_and_refused_from_then_on(scene: Scene, name: str) -> None:
    failed = scene.shop.stage("RolledBack", name=name)
    (entry,) = failed["history"]
    assert entry["outcome"] == "RolledBack"
    assert FAILING[name][1] in entry["reason"]
    assert [one["revision"] for one in failed["quarantined"]] == [entry["revision"]]
    assert failed["stable"]["ready"] == 1
    until(lambda: scene.live_of(name, entry["revision"]) == [], "nothing but its record is left of the candidate", 60)


@pytest.mark.reliability(trouble="deletion", stage="Promoting", outcome="nothing of it is left")
def test_deleted_while_it_is_promoted_nothing_of_it_is_left(scene: Scene) -> None:
    scene.shop.stage("Stable")
    scene.release(scene.versions()[1], HALF)
    scene.shop.stage("Analysing", weight=50)

    with scene.deaf_router("flights"):
        scene.delete_at("Promoting", "flights")

    until(lambda: scene.left_of("flights") == [], "nothing of it is left")


@pytest.mark.parametrize("stage", DELETED_AT)
@pytest.mark.reliability(trouble="deletion", stage=DELETED_AT, outcome="nothing of it is left")
def test_deleted_at_any_stage_nothing_of_it_is_left(scene: Scene, stage: str) -> None:
    name = {"RollingBack": "rolling-back", "RolledBack": "rolled-back"}.get(stage, stage.lower())
    if stage != "Initialising":
        scene.shop.stage("Stable", name=name)
    if stage == "Preparing":
        scene.apply(tiny(name, "2", container=NOWHERE))
    elif stage == "RolledBack":
        scene.apply(tiny(name, "2", deadlineSeconds=10, onDeadline="Rollback"))
    elif stage != "Initialising":
        scene.apply(tiny(name, "2"))
    if stage == "RollingBack":
        scene.shop.stage("Analysing", name=name)
        with scene.deaf_router(name):
            scene.apply(tiny(name, "1"))
            scene.delete_at(stage, name)
    else:
        scene.delete_at(stage, name)

    until(lambda: scene.left_of(name) == [], f"nothing of {name} is left")
