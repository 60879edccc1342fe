"""Is a candidate judged by the labels of its own predictions, and by enough of them?"""

from typing import Any

import pytest

from assay.api.base import Manifest, Verdict
from assay.api.modeldeployment import CheckStatus, ModelDeploymentStatus, Outcome, Stage
from assay.core.decision import Decision
from assay.core.times import parsed
from core.simulation import Cluster, a_spec

AGE = 60
ACCURACY = {"name": "accuracy", "preset": "accuracy", "labelDelaySeconds": AGE}
ERRORS = {"name": "errors", "preset": "error-ratio"}


def a_labelled_spec(version: str, *others: Manifest, accuracy: Manifest | None = None, **changes: Any) -> Manifest:
    return a_spec(version, analysis__checks=[{**ACCURACY, **(accuracy or {})}, *others], **changes)


def accuracy(state: ModelDeploymentStatus) -> CheckStatus:
    return next(one for one in state.checks if one.name == "accuracy")


def step_of(cluster: Cluster) -> int:
    candidate = cluster.state().candidate
    assert candidate is not None
    return candidate.step


def begun(step: int) -> Any:
    """The routers have the weight of this step."""
    return lambda it: it.state().stage is Stage.ANALYSING and step_of(it) == step


def counted(cluster: Cluster) -> bool:
    return any(one.name == "accuracy" and one.requests for one in cluster.state().checks)


def test_an_equally_accurate_candidate_is_promoted(cluster: Cluster) -> None:
    cluster.apply(a_labelled_spec("2", ERRORS))

    cluster.settle(3000)

    (ended,) = cluster.state().history
    assert ended.outcome is Outcome.PROMOTED
    assert "wrong / " in ended.reason


def test_a_less_accurate_candidate_is_rolled_back_though_no_error_shows(cluster: Cluster) -> None:
    cluster.wrong["2"] = 0.2
    cluster.apply(a_labelled_spec("2", ERRORS))

    cluster.settle(3000)

    (ended,) = cluster.state().history
    assert (ended.outcome, ended.worst_check) == (Outcome.ROLLED_BACK, "accuracy")


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("gate", ["Evidence", "Time"])
def test_where_too_few_predictions_of_either_revision_get_a_label_the_rollout_holds_as_no_data(
    cluster: Cluster, version: str, gate: str
) -> None:
    cluster.labels.share[version] = 0.7
    cluster.apply(a_labelled_spec("2", ERRORS, analysis__gate=gate, strategy__canary__steps=[{"weight": 10}]))

    cluster.run(200)

    state, who = cluster.state(), {"1": "stable revision", "2": "candidate"}[version]
    assert (state.verdict, accuracy(state).verdict) == (Verdict.NO_DATA, Verdict.NO_DATA)
    assert (accuracy(state).requests, state.history) == (0, [])
    assert f"predictions of the {who} {cluster.revision(version)} had a label after 60 s" in accuracy(state).reason
    assert "0.7 of " in accuracy(state).reason
    assert "minCoverage is 0.8" in accuracy(state).reason
    assert "labels come in time" in cluster.condition("Stalled").message


def test_fewer_labels_are_enough_where_the_user_says_so(cluster: Cluster) -> None:
    cluster.labels.share["2"] = 0.7
    cluster.apply(a_labelled_spec("2", accuracy={"minCoverage": "0.6"}))

    cluster.settle(3000)

    assert cluster.state().history[0].outcome is Outcome.PROMOTED


def test_labels_that_come_after_their_age_are_none(cluster: Cluster) -> None:
    cluster.labels.late = AGE + 1
    cluster.wrong["2"] = 1.0
    cluster.apply(a_labelled_spec("2"))

    cluster.run(200)

    assert accuracy(cluster.state()).verdict is Verdict.NO_DATA
    assert accuracy(cluster.state()).totals == []


@pytest.mark.reliability(trouble="labels away", stage="Analysing", outcome="NoData, holds, goes on")
def test_a_label_feed_that_breaks_in_the_middle_holds_the_step_and_one_that_returns_lets_it_go_on(
    cluster: Cluster,
) -> None:
    cluster.apply(a_labelled_spec("2", strategy__canary__steps=[{"weight": 10, "minSeconds": 200}, {"weight": 50}]))
    cluster.run(1000, until=counted)
    cluster.labels.share = {"1": 0.0, "2": 0.0}

    cluster.run(150)

    assert (step_of(cluster), accuracy(cluster.state()).verdict) == (0, Verdict.NO_DATA)
    cluster.labels.share = {}
    cluster.settle(3000)
    assert cluster.state().history[0].outcome is Outcome.PROMOTED


@pytest.mark.parametrize(("wrong", "outcome"), [(0.1, Outcome.PROMOTED), (0.2, Outcome.ROLLED_BACK)])
@pytest.mark.reliability(trouble="model pods restarted", stage="Analysing", outcome="same outcome")
def test_model_pods_that_restart_in_the_middle_neither_fake_harm_nor_hide_it(
    cluster: Cluster, wrong: float, outcome: Outcome
) -> None:
    cluster.wrong["2"], cluster.rate = wrong, 5.0
    steps = [{"weight": 50, "minSeconds": 10}]
    cluster.apply(a_labelled_spec("2", strategy__canary__steps=steps, analysis__deadlineSeconds=20_000))
    cluster.run(1000, until=counted)
    restarts = 0

    def restart(it: Cluster, _decision: Decision) -> None:
        nonlocal restarts
        if it.rounds % 17 == 0 and it.state().stage is Stage.ANALYSING:  # a life counts for some looks only
            restarts += 1
            it.restart("1")
            it.restart("2")

    cluster.settle(10_000, each=restart)

    (ended,) = cluster.state().history
    assert ended.outcome is outcome
    assert restarts > 1
    assert ended.requests <= cluster.labels.ripened[cluster.revision("2")]


def test_no_prediction_counts_that_was_made_under_another_weight(cluster: Cluster) -> None:
    steps = [{"weight": 10, "minSeconds": 150}, {"weight": 50}]
    cluster.apply(a_labelled_spec("2", strategy__canary__steps=steps))
    cluster.run(2000, until=begun(0))
    cluster.run(110)
    cluster.wrong["2"] = 0.9  # labels of these ripen after the weight has changed
    cluster.run(600, until=begun(1))
    assert cluster.now.timestamp() - _step_start(cluster) < 1
    cluster.wrong["2"] = 0.1
    before = accuracy(cluster.state()).totals

    cluster.run(AGE - 5)
    assert accuracy(cluster.state()).totals == before
    cluster.settle(3000)

    assert cluster.state().history[0].outcome is Outcome.PROMOTED


def _step_start(cluster: Cluster) -> float:
    candidate = cluster.state().candidate
    assert candidate is not None
    assert candidate.step_start_time is not None
    return parsed(candidate.step_start_time).timestamp()


def test_no_prediction_counts_that_was_made_while_the_candidate_warmed_up(cluster: Cluster) -> None:
    cluster.wrong["2"] = 0.9
    cluster.apply(a_labelled_spec("2", ERRORS, analysis__warmupSeconds=30))
    cluster.run(until=begun(0))
    cluster.run(25)
    cluster.wrong["2"] = 0.1

    cluster.settle(3000)

    assert cluster.state().history[0].outcome is Outcome.PROMOTED


def test_alone_the_check_learns_of_the_first_request_from_its_own_counters(cluster: Cluster) -> None:
    cluster.apply(a_labelled_spec("2", analysis__warmupSeconds=30))
    cluster.run(until=begun(0))
    began = cluster.now.timestamp()

    cluster.run(1000, until=counted)

    assert AGE + 30 <= cluster.now.timestamp() - began <= AGE + 30 + 20


def test_a_step_is_not_left_before_every_required_check_has_counted_something_in_it(cluster: Cluster) -> None:
    cluster.apply(a_labelled_spec("2", ERRORS))
    left: list[int] = []

    def note(it: Cluster, _decision: Decision) -> None:
        if it.stages and it.stages[-1] == (Stage.ANALYSING, Stage.PREPARING):
            left.extend(one.step_requests for one in it.state().checks if len(left) < 2)

    cluster.settle(3000, each=note)

    assert cluster.state().history[0].outcome is Outcome.PROMOTED
    assert len(left) == 2
    assert min(left) > 0


def test_what_is_waited_for_is_said(cluster: Cluster) -> None:
    cluster.apply(a_labelled_spec("2", ERRORS))
    cluster.run(until=begun(0))

    cluster.run(40)

    state = cluster.state()
    assert state.candidate is not None
    assert "ripen until 2026-01-01T00:0" in accuracy(state).reason
    assert state.candidate.step == 0
    assert "check accuracy has counted nothing at this step yet" in cluster.condition("Progressing").message


def test_a_step_whose_gate_is_time_does_not_wait_for_labels_but_promotion_does(cluster: Cluster) -> None:
    cluster.apply(a_labelled_spec("2", ERRORS, analysis__gate="Time"))
    cluster.run(until=begun(0))

    cluster.run(AGE / 2, until=begun(1))
    assert not counted(cluster)
    cluster.settle(3000)

    assert cluster.state().history[0].outcome is Outcome.PROMOTED
    assert "wrong / " in cluster.state().history[0].reason


@pytest.mark.parametrize(("wrong", "outcome"), [(0.05, Outcome.PROMOTED), (0.35, Outcome.ROLLED_BACK)])
def test_an_absolute_limit_on_wrong_predictions_asks_nothing_of_the_stable_revision(
    cluster: Cluster, wrong: float, outcome: Outcome
) -> None:
    cluster.wrong, cluster.labels.share["1"] = {"1": 0.9, "2": wrong}, 0.0
    cluster.apply(a_labelled_spec("2", accuracy={"limit": "0.2"}))

    cluster.settle(3000)

    assert cluster.state().history[0].outcome is outcome


def test_another_age_than_the_one_that_the_models_count_at_is_no_data(cluster: Cluster) -> None:
    cluster.labels.age = 30
    cluster.apply(a_labelled_spec("2"))

    cluster.run(200)

    assert accuracy(cluster.state()).verdict is Verdict.NO_DATA
    assert 'no series of assay_outcomes_total{age_seconds="60"}' in accuracy(cluster.state()).reason
