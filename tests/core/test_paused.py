"""Does a pause hold a rollout where it is, without taking its guard away?"""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from assay.api.modeldeployment import Outcome, Stage
from core.simulation import Cluster, a_spec, told
from core.test_intent import ask, outcomes, records, trial


def test_a_paused_rollout_keeps_its_weight_and_is_looked_at_until_it_goes_on(cluster: Cluster) -> None:
    revision = trial(cluster)
    ask(cluster, paused=True)
    cluster.round()
    before = cluster.state().checks[0].requests if cluster.state().checks else 0

    cluster.run(500)

    state = cluster.state()
    assert (state.stage, cluster.weights()[revision]) == (Stage.ANALYSING, 10)
    assert state.checks[0].requests > before
    found = {kind: cluster.condition(kind) for kind in ("Ready", "Progressing", "Reconciling", "Stalled")}
    assert {kind: (one.status, one.reason) for kind, one in found.items() if kind != "Stalled"} == {
        "Ready": ("False", "Paused"), "Progressing": ("False", "Paused"), "Reconciling": ("True", "Paused"),
    }  # fmt: skip
    assert found["Stalled"].status == "False"
    ask(cluster, paused=False)
    cluster.settle(2000)
    assert outcomes(cluster) == [Outcome.PROMOTED]
    assert records(cluster) == [("Pause", revision), ("Resume", revision)]
    assert [one for one in told(cluster.notes) if one.startswith("Intent")] == ["IntentPause", "IntentResume"]


def test_a_pause_holds_a_weight_that_is_being_prepared(cluster: Cluster) -> None:
    revision = trial(cluster)
    cluster.run(2000, until=lambda it: it.state().stage is Stage.PREPARING)

    ask(cluster, paused=True)
    cluster.run(300)

    assert (cluster.state().stage, cluster.weights()[revision]) == (Stage.PREPARING, 10)
    assert cluster.condition("Progressing").reason == "Paused"


def test_no_weight_grows_while_paused_not_even_back_to_what_it_was(cluster: Cluster) -> None:
    revision = trial(cluster)
    ask(cluster, paused=True)
    cluster.broken.add("2")
    cluster.run(30)
    assert cluster.weights()[revision] == 0

    cluster.broken.clear()
    cluster.run(60)
    assert (cluster.weights()[revision], cluster.ready(revision)) == (0, 1)
    ask(cluster, paused=False)
    cluster.settle(2000)

    assert outcomes(cluster) == [Outcome.PROMOTED]


def test_harm_rolls_back_while_paused(cluster: Cluster) -> None:
    cluster.errors["5"] = 0.04
    trial(cluster, "5")
    ask(cluster, paused=True)

    cluster.settle(3000)

    assert outcomes(cluster) == [Outcome.ROLLED_BACK]
    assert cluster.state().worst_check == "errors"


@pytest.mark.parametrize("at", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("fault", [{"save": False}, {"act": False, "save": False}], ids=["unsaved", "undone"])
def test_the_deadline_waits_for_a_pause_whatever_crashes(fault: Mapping[str, bool], at: int | None) -> None:
    cluster = Cluster(a_spec("1"), rate=5.0).settle()
    trial(cluster, analysis__deadlineSeconds=60, analysis__onDeadline="Rollback")
    started = cluster.now

    for paused in (True, False):
        ask(cluster, paused=paused)
        began = cluster.rounds
        cluster.run(200, until=lambda it: bool(it.state().history), faults={} if at is None else {began + at: fault})
    cluster.settle(400)

    assert "onDeadline is Rollback" in cluster.state().history[0].reason
    assert timedelta(seconds=210) < cluster.now - started < timedelta(seconds=300)


def test_a_paused_rollout_that_holds_past_its_deadline_says_that_it_is_paused(cluster: Cluster) -> None:
    cluster.rate = 1.0
    trial(cluster, analysis__deadlineSeconds=30)
    cluster.run(100)
    assert cluster.condition("Stalled").reason == "DeadlineExceeded"

    ask(cluster, paused=True)
    cluster.run(30)

    assert (cluster.condition("Stalled").status, cluster.condition("Ready").reason) == ("False", "Paused")


@pytest.mark.parametrize("after", ["stable", "failure"])
def test_a_pause_keeps_a_rollout_from_beginning(cluster: Cluster, after: str) -> None:
    if after == "failure":
        cluster.errors["5"] = 0.3
        cluster.apply(a_spec("5"))
        cluster.settle(2000)
    cluster.apply(a_spec("2", intent={"paused": True}))
    cluster.run(100)

    assert cluster.state().candidate is None
    assert set(cluster.models()) == {cluster.revision("1")}
    assert (cluster.condition("Reconciling").status, cluster.condition("Ready").reason) == ("True", "Paused")
    assert cluster.condition("Stalled").status == "False"
    ask(cluster, paused=False)
    cluster.settle(2000)
    assert outcomes(cluster)[-1] is Outcome.PROMOTED


@pytest.mark.parametrize(
    ("stage", "ending"), [(Stage.PROMOTING, Outcome.PROMOTED), (Stage.ROLLING_BACK, Outcome.ROLLED_BACK)]
)
def test_a_direction_on_record_goes_on_although_paused(cluster: Cluster, stage: Stage, ending: Outcome) -> None:
    cluster.errors["5"] = 0.04
    cluster.apply(a_spec("2" if stage is Stage.PROMOTING else "5"))
    cluster.run(2000, until=lambda it: it.state().stage is stage)

    ask(cluster, paused=True)
    cluster.settle(300)

    assert outcomes(cluster) == [ending]


def test_a_promotion_by_hand_waits_for_the_end_of_the_pause(cluster: Cluster) -> None:
    revision = trial(cluster)
    ask(cluster, paused=True, promote=revision)
    cluster.run(100)
    wish = cluster.state().intent.promote
    assert wish is not None
    assert (cluster.weights()[revision], wish.state) == (10, "Waiting")

    ask(cluster, paused=False)
    cluster.round()

    assert cluster.state().stage is Stage.PROMOTING


def test_an_abort_does_not_wait_for_the_end_of_a_pause(cluster: Cluster) -> None:
    revision = trial(cluster)
    ask(cluster, paused=True, abort=revision)

    cluster.settle(100)

    assert outcomes(cluster) == [Outcome.ROLLED_BACK]


def test_a_pause_that_lasts_changes_no_status_from_look_to_look() -> None:
    cluster = Cluster(a_spec("1", intent={"paused": True})).settle()
    cluster.apply(a_spec("2", intent={"paused": True}))
    cluster.run(20)
    before = cluster.state()

    decision = cluster.round()

    assert decision.again_in >= 60
    assert decision.status == before
