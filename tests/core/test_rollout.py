"""What becomes of a ModelDeployment in a simulated world?"""

from assay.api.modeldeployment import Outcome, Stage
from assay.core.decision import Decision
from assay.core.rollout import decide, needs
from assay.core.world import pods_for
from core.simulation import Cluster, a_spec


def test_the_first_revision_serves_once_all_its_pods_are_ready_and_every_router_sends_there() -> None:
    cluster = Cluster(a_spec("1"))

    cluster.settle()

    assert cluster.state().stage is Stage.STABLE
    assert cluster.weights() == {cluster.revision("1"): 100}
    assert cluster.ready(cluster.revision("1")) == 3
    assert cluster.condition("Ready").status == "True"
    assert [note.reason for note in cluster.notes] == ["Serving"]


def test_a_healthy_candidate_is_promoted_and_the_old_revision_is_gone(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))

    cluster.settle(2000)

    state, new = cluster.state(), cluster.revision("2")
    assert state.stable is not None
    assert (state.stage, state.stable.revision, state.candidate) == (Stage.STABLE, new, None)
    assert [(one.revision, one.outcome) for one in state.history] == [(new, Outcome.PROMOTED)]
    assert cluster.weights() == {new: 100}
    assert list(cluster.models()) == [new]


def test_weight_comes_only_after_the_pods_that_carry_it(cluster: Cluster) -> None:
    cluster.apply(a_spec("2", replicas=10))
    new, before = cluster.revision("2"), [0]

    def check(it: Cluster, _decision: Decision) -> None:
        if (it.weights().get(new, 0)) > before[0]:
            assert it.ready(new) >= pods_for(10, it.weights()[new])
        before[0] = it.weights().get(new, 0)

    cluster.settle(2000, each=check)

    assert cluster.state().history[0].outcome is Outcome.PROMOTED


def test_more_replicas_are_no_new_revision(cluster: Cluster) -> None:
    cluster.apply(a_spec("1", replicas=5))

    cluster.settle(100)
    cluster.run(10)

    assert [after for _, after in cluster.stages] == [Stage.INITIALISING, Stage.STABLE]
    assert cluster.ready(cluster.revision("1")) == 5


def test_a_pause_keeps_the_weight_for_its_time(cluster: Cluster) -> None:
    steps = [{"weight": 50, "minSeconds": 10}, {"pause": {"seconds": 300}}]
    cluster.apply(a_spec("2", strategy__canary__steps=steps))
    cluster.run(2000, until=lambda it: (it.state().candidate or it).__dict__.get("step") == 1)

    cluster.run(250)

    assert cluster.state().stage is Stage.ANALYSING
    cluster.settle(2000)
    assert cluster.state().history[0].outcome is Outcome.PROMOTED


def test_a_model_deployment_that_is_being_deleted_is_left_to_the_garbage_collector(cluster: Cluster) -> None:
    resource = cluster.resource()
    resource.metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    decision = decide(resource, cluster.look(needs(resource, cluster.now)))

    assert (decision.status, decision.actions) == (resource.status, ())


def test_the_same_world_gives_the_same_decision(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))

    def check(it: Cluster, _decision: Decision) -> None:
        assert it.decide()[1] == it.decide()[1]

    cluster.settle(2000, each=check)


def test_a_status_read_back_from_json_is_the_status_that_was_saved(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))

    def check(it: Cluster, decision: Decision) -> None:
        assert it.state() == decision.status

    cluster.settle(2000, each=check)


def test_a_steady_model_deployment_is_looked_at_rarely_and_its_status_does_not_change(cluster: Cluster) -> None:
    cluster.pass_time(60)
    before = cluster.state()

    decision = cluster.round()

    assert decision.again_in >= 60
    assert decision.status == before


def test_the_last_looks_are_kept_as_they_were_counted_before_any_division(cluster: Cluster) -> None:
    cluster.apply(a_spec("2", analysis__dispersion="3", strategy__canary__steps=[{"weight": 10, "minSeconds": 500}]))
    cluster.run(600, until=lambda it: bool(it.state().checks and len(it.state().checks[0].looks) == 20))
    (few,) = cluster.state().checks
    cluster.run(400)
    (many,) = cluster.state().checks

    assert [sum(column) for column in zip(*few.looks, strict=True)][1:] == few.totals
    assert [second for second, *_ in few.looks] == sorted(second for second, *_ in few.looks)
    assert len(many.looks) == 60
    assert many.looks[-1][0] > few.looks[-1][0]
