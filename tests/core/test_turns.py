"""Does a rollout turn when it must, only on the record, and without losing anybody's traffic?"""

from itertools import pairwise

from assay.api.modeldeployment import Outcome, Stage
from assay.core.rollout import TRANSITIONS
from core.simulation import Cluster, a_spec


def test_a_candidate_that_fails_three_percent_is_rolled_back_quarantined_and_said_why(cluster: Cluster) -> None:
    cluster.errors["5"] = 0.04
    cluster.apply(a_spec("5"))

    cluster.settle(2000)

    state, bad = cluster.state(), cluster.revision("5")
    assert state.stage is Stage.ROLLED_BACK
    assert [one.revision for one in state.quarantined] == [bad]
    assert (state.history[0].outcome, state.history[0].worst_check) == (Outcome.ROLLED_BACK, "errors")
    assert "harm evidence 100 of 100" in state.history[0].reason
    stalled = cluster.condition("Stalled")
    assert (stalled.status, stalled.reason) == ("True", "RolledBack")
    assert f"apply revision {cluster.revision('1')} again" in stalled.message
    assert cluster.condition("Available").status == "True"


def test_a_candidate_that_never_becomes_ready_gets_no_traffic_and_is_rolled_back_at_the_deadline(
    cluster: Cluster,
) -> None:
    cluster.broken.add("2")
    cluster.apply(a_spec("2", analysis__deadlineSeconds=120))
    seen: set[int] = set()

    cluster.settle(500, each=lambda it, _: seen.add(it.weights().get(it.revision("2"), 0)))

    assert seen == {0}
    assert cluster.state().stage is Stage.ROLLED_BACK
    assert "did not become ready within 120 s" in cluster.state().history[0].reason


def test_a_candidate_that_loses_all_its_pods_loses_its_traffic_and_gets_it_back_with_them(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(until=lambda it: it.state().stage is Stage.ANALYSING)
    cluster.broken.add("2")
    cluster.run(20, until=lambda it: it.weights()[it.revision("2")] == 0)
    assert cluster.state().stage is Stage.PREPARING

    cluster.broken.clear()
    cluster.run(20, until=lambda it: it.state().stage is Stage.ANALYSING)

    assert cluster.weights()[cluster.revision("2")] == 10


def test_nobody_turns_before_the_turn_is_on_record(cluster: Cluster) -> None:
    cluster.errors["5"] = 0.04
    cluster.apply(a_spec("5"))
    weights: list[tuple[Stage | None, int]] = []
    cluster.settle(2000, each=lambda it, _: weights.append((it.state().stage, it.weights().get(it.revision("5"), 0))))

    moves = list(pairwise(weights))

    assert [after for (_, before), after in moves if after[1] < before] == [(Stage.ROLLING_BACK, 0)]
    entered = next(after for before, after in moves if before[0] is not after[0] is Stage.ROLLING_BACK)
    assert entered[1] > 0


def test_a_rollback_gives_stable_no_more_than_its_ready_pods_carry(cluster: Cluster) -> None:
    cluster.errors["5"] = 0.04
    cluster.apply(a_spec("5", replicas=4))
    cluster.run(2000, until=lambda it: it.weights().get(it.revision("5")) == 50)
    cluster.run(2000, until=lambda it: it.state().stage is Stage.ROLLING_BACK)
    cluster.models()[cluster.revision("1")]["status"]["readyReplicas"] = 0

    cluster.round()
    assert cluster.weights() == {cluster.revision("5"): 50, cluster.revision("1"): 50}
    cluster.models()[cluster.revision("1")]["status"]["readyReplicas"] = 2
    cluster.round()
    assert cluster.weights() == {cluster.revision("5"): 50, cluster.revision("1"): 50}
    cluster.models()[cluster.revision("1")]["status"]["readyReplicas"] = 3
    cluster.round()
    assert cluster.weights() == {cluster.revision("5"): 0, cluster.revision("1"): 100}


def test_a_third_revision_in_the_middle_supersedes_the_second(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(2000, until=lambda it: it.weights().get(it.revision("2")) == 50)

    cluster.apply(a_spec("3"))
    cluster.settle(2000)

    outcomes = [(one.revision, one.outcome) for one in cluster.state().history]
    assert outcomes == [
        (cluster.revision("3"), Outcome.PROMOTED),
        (cluster.revision("2"), Outcome.SUPERSEDED),
    ]
    assert not cluster.state().quarantined
    assert set(cluster.models()) == {cluster.revision("3")}


def test_the_stable_revision_applied_again_removes_the_candidate(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(2000, until=lambda it: it.state().stage is Stage.ANALYSING)

    cluster.apply(a_spec("1"))
    cluster.settle(100)

    assert cluster.state().stage is Stage.STABLE
    assert cluster.state().history[0].outcome is Outcome.SUPERSEDED


def test_a_quarantined_revision_is_refused_until_another_one_is_applied(cluster: Cluster) -> None:
    cluster.errors["5"] = 0.04
    cluster.apply(a_spec("5"))
    cluster.settle(2000)
    cluster.apply(a_spec("1"))
    cluster.settle(100)

    cluster.apply(a_spec("5"))
    cluster.settle(2000)

    assert len(cluster.state().history) == 1
    assert (cluster.state().stage, cluster.condition("Ready").status) == (Stage.ROLLED_BACK, "False")
    cluster.apply(a_spec("6"))
    cluster.settle(2000)
    assert cluster.state().stage is Stage.STABLE


def test_without_quarantine_a_failed_revision_is_tried_again_when_applied_again_and_not_before(
    cluster: Cluster,
) -> None:
    cluster.errors["5"] = 0.04
    cluster.apply(a_spec("5", rollback={"quarantine": False}))
    cluster.settle(2000)
    cluster.run(300)
    assert len(cluster.state().history) == 1

    cluster.apply(a_spec("1", rollback={"quarantine": False}))
    cluster.settle(100)
    cluster.apply(a_spec("5", rollback={"quarantine": False}))
    cluster.run(2000, until=lambda it: len(it.state().history) == 2)

    assert len(cluster.state().history) == 2


def test_at_the_deadline_an_undecided_rollout_holds_says_so_and_may_still_pass() -> None:
    cluster = Cluster(a_spec("1"), rate=5.0).settle()
    cluster.apply(a_spec("2", analysis__deadlineSeconds=60))

    cluster.run(200)

    assert cluster.state().stage is Stage.ANALYSING
    assert cluster.condition("Stalled").reason == "DeadlineExceeded"
    cluster.rate = 500.0
    cluster.settle(2000)
    assert cluster.state().history[0].outcome is Outcome.PROMOTED


def test_at_the_deadline_an_undecided_rollout_goes_back_where_the_user_says_so() -> None:
    cluster = Cluster(a_spec("1"), rate=5.0).settle()
    cluster.apply(a_spec("2", analysis__deadlineSeconds=60, analysis__onDeadline="Rollback"))

    cluster.settle(400)

    assert "onDeadline is Rollback" in cluster.state().history[0].reason


def test_a_promotion_whose_pods_do_not_come_up_goes_back_at_the_deadline(cluster: Cluster) -> None:
    cluster.apply(a_spec("2", analysis__deadlineSeconds=300))
    cluster.run(2000, until=lambda it: it.state().stage is Stage.PROMOTING)
    cluster.startup = 10_000

    cluster.settle(500)

    assert cluster.state().stage is Stage.ROLLED_BACK
    assert cluster.weights() == {cluster.revision("1"): 100}


def test_a_candidate_that_a_person_promotes_before_its_first_weight_takes_all_traffic(cluster: Cluster) -> None:
    cluster.apply(a_spec("2", intent={"promote": cluster.revision("2")}))

    cluster.settle(300)

    assert cluster.weights() == {cluster.revision("2"): 100}
    assert Stage.ANALYSING not in {after for _, after in cluster.stages}


def test_every_move_is_in_the_table_and_every_row_of_the_table_is_moved() -> None:
    moved: set[tuple[Stage | None, Stage]] = set()
    scenes = [
        test_a_quarantined_revision_is_refused_until_another_one_is_applied,
        test_a_third_revision_in_the_middle_supersedes_the_second,
        test_a_promotion_whose_pods_do_not_come_up_goes_back_at_the_deadline,
        test_a_candidate_that_never_becomes_ready_gets_no_traffic_and_is_rolled_back_at_the_deadline,
        test_a_candidate_that_a_person_promotes_before_its_first_weight_takes_all_traffic,
    ]
    for scene in scenes:
        world = Cluster(a_spec("1")).settle()
        scene(world)
        moved |= {(before, after) for before, after in world.stages if after is not None}

    table = {(before, after) for before, afters in TRANSITIONS.items() for after in afters}
    assert moved == table


def test_a_candidate_with_little_traffic_loses_it_even_while_stable_is_short_of_pods(cluster: Cluster) -> None:
    cluster.errors["5"] = 0.3
    cluster.apply(a_spec("5"))
    cluster.run(2000, until=lambda it: it.state().stage is Stage.ROLLING_BACK)
    new, old = cluster.revision("5"), cluster.revision("1")
    assert cluster.weights() == {new: 10, old: 90}

    cluster.models()[old]["status"]["readyReplicas"] = 0
    cluster.round()
    assert cluster.weights() == {new: 10, old: 90}
    cluster.models()[old]["status"]["readyReplicas"] = 1
    cluster.round()
    assert cluster.weights() == {new: 0, old: 100}


def test_no_weight_moves_to_a_stable_revision_without_a_ready_pod_even_where_the_candidate_has_none(
    cluster: Cluster,
) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(until=lambda it: it.state().stage is Stage.ANALYSING)
    new, old = cluster.revision("2"), cluster.revision("1")
    for revision in (new, old):
        cluster.models()[revision]["status"]["readyReplicas"] = 0

    for _ in range(2):
        cluster.round()
        assert (cluster.state().stage, cluster.weights()) == (Stage.PREPARING, {new: 10, old: 90})
    cluster.apply(a_spec("3"))
    for _ in range(2):
        cluster.round()
        assert (cluster.state().stage, cluster.weights()) == (Stage.ROLLING_BACK, {new: 10, old: 90})
    cluster.models()[old]["status"]["readyReplicas"] = 1
    cluster.round()

    assert cluster.weights() == {new: 0, old: 100}


def test_what_does_not_come_is_looked_for_less_and_less_often_and_looks_at_evidence_are_not_missed() -> None:
    cluster = Cluster(a_spec("1"), broken={"1"})
    waits: list[float] = []
    cluster.run(300, each=lambda _, decision: waits.append(decision.again_in))

    assert waits[2] == 1.0
    assert waits == sorted(waits)
    assert waits[-1] == 30.0

    cluster = Cluster(a_spec("1"), broken={"2"}).settle()
    cluster.apply(a_spec("2"))
    waits.clear()
    cluster.run(300, each=lambda _, decision: waits.append(decision.again_in))
    assert max(waits) == 5.0, "intervalSeconds"
