"""What the hour before says of how requests fail, and what people are told who trust the evidence."""

import pytest

from assay.api.base import Verdict
from assay.api.modeldeployment import CandidateStatus, CheckStatus, Outcome, Stage
from core.simulation import Cluster, a_spec


def analysed(cluster: Cluster, spec: dict[str, object], looks: int = 4) -> tuple[CandidateStatus, CheckStatus]:
    """The candidate and its check after some looks that counted."""
    cluster.apply(spec)
    cluster.run(300, until=lambda it: bool(it.state().checks) and it.state().checks[0].requests > 100 * looks)
    state = cluster.state()
    assert state.candidate is not None
    return state.candidate, state.checks[0]


def a_cluster(**more: object) -> Cluster:
    return Cluster(a_spec("1"), **more).settle()  # type: ignore[arg-type]


def test_requests_that_failed_one_by_one_count_whole() -> None:
    candidate, check = analysed(a_cluster(), a_spec("2"))

    assert check.dispersion == 1.0
    assert "divided" not in check.reason
    assert not any("divided" in one for one in candidate.warnings)


def test_requests_that_failed_together_count_as_fewer_and_the_reason_says_so() -> None:
    ended = {}
    for clusters in (1, 3):
        cluster = a_cluster(errors={"5": 0.03}, clusters=clusters)
        cluster.apply(a_spec("5"))
        ended[clusters] = cluster.settle(2000).state()
    [alone], [together] = ended[1].history, ended[3].history

    assert (alone.outcome, together.outcome) == (Outcome.ROLLED_BACK, Outcome.ROLLED_BACK)
    assert together.requests > 1.5 * alone.requests
    assert ended[3].checks[0].dispersion > 1.5
    assert f"counts divided by {ended[3].checks[0].dispersion:.3g}" in together.reason


def test_without_the_hour_before_caution_is_assumed_and_people_are_told() -> None:
    candidate, check = analysed(a_cluster(clusters=0), a_spec("2"))

    assert check.dispersion == 1.5
    assert any("counts are divided by 1.5" in one for one in candidate.warnings)


def test_what_the_user_says_of_dispersion_is_taken_and_nothing_is_measured() -> None:
    candidate, check = analysed(a_cluster(clusters=0), a_spec("2", analysis__dispersion="2.5"))

    assert check.dispersion == 2.5
    assert not any("divided" in one for one in candidate.warnings)


def test_pods_of_stable_that_differ_beyond_all_chance_are_no_yardstick() -> None:
    cluster = a_cluster(clusters=40)
    cluster.apply(a_spec("2"))
    cluster.run(120)

    [check] = cluster.state().checks
    assert check.verdict is Verdict.NO_DATA
    assert "times more than chance" in check.reason
    assert cluster.state().stage is Stage.ANALYSING


@pytest.mark.reliability(trouble="history cannot be read", stage="Analysing", outcome="holds, goes on")
def test_an_hour_that_cannot_be_read_holds_until_it_can() -> None:
    cluster = a_cluster()
    cluster.apply(a_spec("2"))
    cluster.run(60, until=lambda it: it.state().stage is Stage.ANALYSING)
    cluster.blind = True
    cluster.run(40)
    [check] = cluster.state().checks
    assert (check.dispersion, check.requests) == (0, 0)

    cluster.blind = False
    cluster.settle(2000)
    assert [one.outcome for one in cluster.state().history] == [Outcome.PROMOTED]


def test_a_rollout_that_began_without_a_dispersion_goes_on_undivided() -> None:
    cluster = a_cluster(clusters=3)
    analysed(cluster, a_spec("2"))
    [check] = cluster.status["checks"]
    del check["dispersion"]

    cluster.run(30)

    [after] = cluster.state().checks
    assert after.dispersion == 0
    assert after.requests > check["requests"]


@pytest.mark.parametrize(("replicas", "told"), [(2, True), (20, False)])
def test_one_pod_of_the_candidate_is_told(replicas: int, told: bool) -> None:  # noqa: FBT001
    candidate, _ = analysed(a_cluster(), a_spec("2", replicas=replicas))

    assert any("one pod" in one for one in candidate.warnings) is told


@pytest.mark.reliability(trouble="Prometheus' clock ahead", stage="Analysing", outcome="told, same outcome")
def test_a_clock_of_prometheus_that_is_ahead_is_told_and_harms_nothing() -> None:
    candidate, _ = analysed(a_cluster(ahead=40.0), a_spec("2"))

    assert any("clock is 40 s ahead" in one for one in candidate.warnings)
    cluster = a_cluster(ahead=40.0)
    cluster.apply(a_spec("2"))
    assert cluster.settle(3000).state().history[0].outcome is Outcome.PROMOTED


@pytest.mark.reliability(trouble="Prometheus' clock behind", stage="Analysing", outcome="NoData, holds, told")
def test_a_clock_of_prometheus_that_is_behind_holds_and_is_named() -> None:
    cluster = a_cluster(ahead=-600.0)
    cluster.apply(a_spec("2"))
    cluster.run(120)

    [check] = cluster.state().checks
    assert check.verdict is Verdict.NO_DATA
    assert "its clock is behind" in check.reason


@pytest.mark.reliability(trouble="no traffic", stage="Analysing", outcome="NoData, holds, goes on")
def test_a_candidate_without_traffic_is_no_data_and_is_never_promoted() -> None:
    cluster = a_cluster()
    cluster.apply(a_spec("2"))
    cluster.run(60, until=lambda it: bool(it.state().checks) and it.state().checks[0].requests > 0)
    cluster.rate = 0.0
    cluster.run(120)

    [check] = cluster.state().checks
    assert check.verdict is Verdict.NO_DATA
    assert "no traffic" in check.reason
    assert "divided" not in check.reason
    assert cluster.condition("Stalled").reason == "NoData"

    cluster.rate = 200.0
    assert cluster.settle(2000).state().history[0].outcome is Outcome.PROMOTED
