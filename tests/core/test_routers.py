"""Does nothing count, and does nobody lose pods, while a router may still send as it did before?"""

import pytest

from assay.api.modeldeployment import CandidateStatus, Outcome, Stage
from core.simulation import Cluster, a_spec


def the_candidate(cluster: Cluster) -> CandidateStatus:
    found = cluster.state().candidate
    assert found is not None
    return found


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_router_that_is_not_ready_while_a_weight_moves_keeps_the_step_from_beginning(
    cluster: Cluster,
    comes_back: bool,  # noqa: FBT001
) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(until=lambda it: it.state().stage is Stage.ANALYSING)
    router, requests = cluster.routers()[0], []
    cluster.lose_router(router)
    cluster.run(until=lambda it: it.weights().get(it.revision("2")) == 50)
    counted = the_candidate(cluster).requests

    if comes_back:
        cluster.regain_router(router, deaf=True)
    cluster.run(60, each=lambda it, _: requests.append(the_candidate(it).requests))

    assert (cluster.state().stage, cluster.state().split_acked_time) == (Stage.PREPARING, None)
    assert set(requests) == {counted}
    assert f"waited for: {router}." in cluster.condition("Ready").message
    cluster.regain_router(router)
    cluster.settle(2000)
    assert cluster.state().history[0].outcome is Outcome.PROMOTED


def test_a_router_that_falls_back_stops_the_counting_and_the_step_goes_on_when_it_has_caught_up(
    cluster: Cluster,
) -> None:
    cluster.apply(a_spec("2", strategy__canary__steps=[{"weight": 10, "minSeconds": 100}, {"weight": 50}]))
    cluster.run(until=lambda it: it.state().stage is Stage.ANALYSING and the_candidate(it).requests > 100)
    before, router = the_candidate(cluster), cluster.routers()[0]
    cluster.deaf.add(router)
    cluster.objects["ConfigMap", "flights-router-acks"]["data"][router] = "1"

    cluster.run(200)

    held = the_candidate(cluster)
    assert (cluster.state().stage, held.requests, held.count_time) == (Stage.ANALYSING, before.requests, None)
    assert f"waited for: {router}." in cluster.condition("Ready").message
    cluster.deaf.clear()
    cluster.settle(2000)
    begun = [note.message[:6] for note in cluster.notes if note.reason == "StepStarted"]
    assert (begun, cluster.state().history[0].outcome) == (["Step 1", "Step 2"], Outcome.PROMOTED)


def test_pods_stay_until_a_router_that_was_not_ready_has_let_go_or_is_gone(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(2000, until=lambda it: it.state().stage is Stage.PROMOTING)
    router = cluster.routers()[0]
    cluster.lose_router(router)

    cluster.run(100)
    assert set(cluster.models()) == {cluster.revision("1"), cluster.revision("2")}
    cluster.objects["Pod", router]["status"] = {"phase": "Failed"}
    cluster.settle(100)

    assert set(cluster.models()) == {cluster.revision("2")}


def test_pods_of_a_revision_that_left_stay_while_a_router_has_fallen_back(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(2000, until=lambda it: it.state().stage is Stage.STABLE and len(it.weights()) == 1)
    cluster.run(3)
    router = cluster.routers()[0]
    cluster.deaf.add(router)
    cluster.objects["ConfigMap", "flights-router-acks"]["data"][router] = "1"

    cluster.run(60)
    assert set(cluster.models()) == {cluster.revision("1"), cluster.revision("2")}
    cluster.deaf.clear()
    cluster.settle(60)

    assert set(cluster.models()) == {cluster.revision("2")}


def test_a_router_that_has_drained_or_has_never_begun_is_not_waited_for(cluster: Cluster) -> None:
    drained, beginning = cluster.routers()
    for router in (drained, beginning):
        del cluster.objects["ConfigMap", "flights-router-acks"]["data"][router]
    cluster.lose_router(drained)
    cluster._applied.pop(drained)  # it sends nothing any more
    cluster.apply(a_spec("2"))

    cluster.settle(2000)

    assert cluster.state().history[0].outcome is Outcome.PROMOTED
