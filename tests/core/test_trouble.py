"""What happens where the world is not as it should be?"""

import json

import pytest

from assay.api.base import Manifest, Verdict
from assay.api.modeldeployment import Outcome, Stage
from assay.core.decision import Listing, Needs
from assay.core.rollout import needs
from assay.core.world import look_at
from core.simulation import Cluster, a_spec


def test_a_router_that_has_not_acknowledged_keeps_the_step_from_beginning(cluster: Cluster) -> None:
    cluster.deaf.add(cluster.routers()[0])
    cluster.apply(a_spec("2"))

    cluster.run(100)

    assert [after for _, after in cluster.stages][-1] is Stage.PREPARING
    assert Stage.ANALYSING not in [after for _, after in cluster.stages]
    assert cluster.weights()[cluster.revision("2")] == 10
    state = cluster.state()
    assert state.candidate is not None
    assert (state.candidate.requests, state.split_acked_time) == (0, None)


def test_without_a_router_nothing_serves() -> None:
    cluster = Cluster(a_spec("1"), routerless=True)

    cluster.run(60)

    assert cluster.state().stage is Stage.INITIALISING
    assert cluster.condition("Available").status == "False"


def test_a_revision_leaves_only_when_every_router_has_let_go_of_it(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(2000, until=lambda it: it.state().stage is Stage.PROMOTING)
    cluster.deaf.add(cluster.routers()[0])

    cluster.run(60)
    assert set(cluster.models()) == {cluster.revision("1"), cluster.revision("2")}
    cluster.deaf.clear()
    cluster.settle(60)

    assert set(cluster.models()) == {cluster.revision("2")}


@pytest.mark.reliability(
    trouble="status lost", stage=["Preparing", "Analysing"], outcome="built anew from the world, same outcome"
)
@pytest.mark.parametrize("stage", [Stage.PREPARING, Stage.ANALYSING])
@pytest.mark.parametrize("weight", [10, 50, 90])
def test_a_lost_status_is_built_anew_from_the_world_without_moving_traffic_to_the_candidate(
    cluster: Cluster, stage: Stage, weight: int
) -> None:
    cluster.apply(a_spec("2", strategy__canary__steps=[{"weight": weight}]))
    cluster.run(2000, until=lambda it: it.weights().get(it.revision("2")) == weight and it.state().stage is stage)
    assert cluster.state().stage is stage
    cluster.status = {}

    cluster.run(10, until=lambda it: it.state().stable is not None)

    stable = cluster.state().stable
    assert stable is not None
    assert stable.revision == cluster.revision("1")
    cluster.settle(2000)
    assert cluster.state().history[0].outcome is Outcome.PROMOTED


@pytest.mark.reliability(trouble="split spoilt", stage="Stable", outcome="written anew")
def test_a_spoilt_split_is_written_anew_with_a_higher_generation(cluster: Cluster) -> None:
    before = cluster.split()
    assert before is not None
    cluster.objects["ConfigMap", "flights-router"]["data"]["split.json"] = "{"

    cluster.round()

    after = cluster.split()
    assert after is not None
    assert after["generation"] > before["generation"]
    assert after["backends"] == before["backends"]


def test_a_port_that_no_container_has_stalls_with_a_remedy_and_starts_nothing() -> None:
    cluster = Cluster(a_spec("1", serving={"port": 9000}))
    cluster.spec["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 8080}]

    cluster.run(10)

    stalled = cluster.condition("Stalled")
    assert (stalled.status, stalled.reason) == ("True", "PortNotFound")
    assert "the containers declare 8080" in stalled.message
    assert cluster.models() == {}


def test_a_missing_config_map_stalls_until_it_is_there(cluster: Cluster) -> None:
    cluster.absent = frozenset({("ConfigMap", "settings")})
    spec = a_spec("2")
    spec["template"]["spec"]["volumes"] = [{"name": "settings", "configMap": {"name": "settings"}}]
    cluster.apply(spec)

    cluster.run(30)

    assert cluster.condition("Stalled").reason == "ConfigMapNotFound"
    assert [note.reason for note in cluster.notes].count("ConfigMapNotFound") == 1
    cluster.absent = frozenset()
    cluster.run(30, until=lambda it: it.state().stage is Stage.PREPARING)
    assert cluster.state().stage is Stage.PREPARING


def test_another_sticky_header_in_the_middle_begins_the_step_anew(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(until=lambda it: it.state().stage is Stage.ANALYSING)
    began = cluster.split()
    assert began is not None

    cluster.apply(a_spec("2", traffic={"router": {}, "stickyHeader": "x-user"}))
    cluster.run(
        10, until=lambda it: it.stages[-2:] == [(Stage.ANALYSING, Stage.PREPARING), (Stage.PREPARING, Stage.ANALYSING)]
    )

    after = cluster.split()
    assert after is not None
    assert (after["stickyHeader"], after["generation"] > began["generation"]) == ("x-user", True)
    assert cluster.stages[-2:] == [(Stage.ANALYSING, Stage.PREPARING), (Stage.PREPARING, Stage.ANALYSING)]
    cluster.settle(2000)
    assert cluster.state().history[0].outcome is Outcome.PROMOTED


@pytest.mark.reliability(trouble="split forged", stage="Analysing", outcome="taken back")
def test_a_weight_that_somebody_else_wrote_is_taken_back(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(until=lambda it: it.state().stage is Stage.ANALYSING)
    new, old = cluster.revision("2"), cluster.revision("1")
    split = cluster.split()
    assert split is not None
    forged = {**split, "generation": 50, "backends": [{"revision": new, "weight": 100}]}
    cluster.objects["ConfigMap", "flights-router"]["data"]["split.json"] = json.dumps(forged)

    cluster.round()

    assert cluster.weights() == {new: 10, old: 90}
    after = cluster.split()
    assert after is not None
    assert after["generation"] > 50


def test_a_pod_that_lacks_what_it_is_made_of_is_said_at_once(cluster: Cluster) -> None:
    cluster.broken.add("2")
    cluster.apply(a_spec("2"))
    cluster.run(5)
    said = {"reason": "CreateContainerConfigError", "message": 'secret "token" not found'}
    labels = {"assay.dev/deployment": "flights", "assay.dev/revision": cluster.revision("2")}
    status = {"containerStatuses": [{"name": "model", "state": {"waiting": said}}]}
    cluster.objects["Pod", "waiting"] = {
        "kind": "Pod",
        "metadata": {"name": "waiting", "labels": labels},
        "status": status,
    }

    cluster.run(5)

    stalled = cluster.condition("Stalled")
    assert (stalled.status, stalled.reason) == ("True", "NotReady")
    assert 'secret "token" not found' in stalled.message


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"containerStatuses": [{"name": "m", "state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
        (
            {"initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]},
            "container i is waiting, CrashLoopBackOff",
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "no node has memory"}]},
            "a pod cannot be scheduled: no node has memory",
        ),
    ],
)
def test_what_pods_wait_for_is_said_in_kubernetes_words(cluster: Cluster, status: Manifest, said: str) -> None:
    labels = {"assay.dev/deployment": "flights", "assay.dev/revision": cluster.revision("1")}
    cluster.objects["Pod", "p"] = {"kind": "Pod", "metadata": {"name": "p", "labels": labels}, "status": status}
    listing = Listing("v1", "Pod", tuple(labels.items()))

    found = look_at(cluster.resource(), cluster.look(Needs(listings=(listing,))))

    assert found.stuck(cluster.revision("1")) == said


def test_a_deployment_that_kubernetes_has_given_up_stalls_the_first_revision() -> None:
    cluster = Cluster(a_spec("1"), broken={"1"})
    cluster.run(3)
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    cluster.models()[cluster.revision("1")]["status"]["conditions"] = [late]

    cluster.run(3)

    assert "timed out" in cluster.condition("Stalled").message


def test_children_of_an_earlier_model_deployment_of_the_same_name_are_not_taken_for_ours(cluster: Cluster) -> None:
    for child in cluster.objects.values():
        for owner in child["metadata"].get("ownerReferences", []):
            owner["uid"] = "another"
    cluster.status = {}

    resource, decision = cluster.decide()

    found = look_at(resource, cluster.look(needs(resource, cluster.now)))
    assert (found.split, found.deployments, found.kept) == (None, {}, frozenset())
    assert decision.status.stage is Stage.INITIALISING


@pytest.mark.parametrize("kind", ["ServiceAccount", "Role", "RoleBinding", "PodDisruptionBudget"])
@pytest.mark.reliability(trouble="child deleted by hand", stage="Analysing", outcome="comes back")
def test_what_the_routers_pods_cannot_start_without_comes_back_in_the_middle_of_a_rollout(
    cluster: Cluster, kind: str
) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(until=lambda it: it.state().stage is Stage.ANALYSING)

    del cluster.objects[kind, "flights-router"]
    cluster.run(5)

    assert (kind, "flights-router") in cluster.objects


def test_no_weight_grows_while_prometheus_is_away_even_for_less_than_it_takes_to_say_no_data(cluster: Cluster) -> None:
    cluster.apply(a_spec("2", strategy__canary__steps=[{"weight": 10, "minSeconds": 30}, {"weight": 50}]))
    cluster.run(until=lambda it: (candidate := it.state().candidate) is not None and candidate.requests > 100)
    cluster.blind = True

    cluster.run(60, until=lambda it: it.state().verdict is Verdict.NO_DATA)

    assert cluster.weights()[cluster.revision("2")] == 10
    cluster.blind = False
    cluster.settle(2000)
    assert cluster.state().history[0].outcome is Outcome.PROMOTED


@pytest.mark.parametrize("forged", ["9" * 5000, "9" * 18, "-1", "1e9", "٣", ""])
def test_a_forged_acknowledgement_acknowledges_nothing_and_breaks_nothing(cluster: Cluster, forged: str) -> None:
    cluster.objects["ConfigMap", "flights-router-acks"]["data"]["forged"] = forged
    cluster.apply(a_spec("2"))

    cluster.settle(2000)

    assert cluster.state().history[0].outcome is Outcome.PROMOTED
    assert cluster.state().split_generation < 1000
