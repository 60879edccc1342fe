"""What the hour before says of how requests fail, and what people are told who trust the evidence."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from assay.api.base import Verdict
from assay.api.checks import Check, CheckPreset
from assay.api.modeldeployment import Analysis, CandidateStatus, CheckStatus, Outcome, Stage
from assay.core import dispersion
from assay.core.decision import Missing
from assay.core.hypotheses import Trial
from assay.core.scrapes import Arms, Reading, Readings
from assay.stats.proportion import Look
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


ERRORS = Check(name="errors", preset=CheckPreset.ERROR_RATIO)


def a_trial(**analysis: Any) -> Trial:
    checks = [{"name": "errors", "preset": "error-ratio"}, {"name": "others", "preset": "error-ratio"}]
    written = Analysis.model_validate({"checks": checks, **analysis})
    return Trial(Arms("aaaaaaaa", "bbbbbbbb"), written, datetime(2026, 1, 1, tzinfo=UTC), 0.0)


def a_status(**changes: Any) -> CheckStatus:
    return CheckStatus(name="errors", verdict=Verdict.UNDECIDED, **changes)


def an_hour(*pods: list[tuple[float, int, int]]) -> Readings:
    """(second, bad, all) of the stable revision at the scrapes of each pod."""
    return {
        (f"pod-{number}", ""): tuple(Reading(at, np.array([bad, total, 0, 0, 0, 0])) for at, bad, total in pod)
        for number, pod in enumerate(pods)
    }


def uneven_pods(bad: int) -> list[list[tuple[float, int, int]]]:
    """Two pods, each half minute 100 requests on either, and all bad ones on the same."""
    return [[(30.0 * k, each * k, 100 * k) for k in range(61)] for each in (bad, 0)]


def uneven(bad: int) -> Readings:
    return an_hour(*uneven_pods(bad))


def test_a_stratum_is_what_each_pod_counted_between_the_same_two_scrapes() -> None:
    found = dispersion.strata(
        an_hour([(90, 1, 10), (120, 3, 30), (150, 3, 31)], [(90, 0, 5), (120, 5, 10), (150, 6, 16)])
    )

    assert found == {(90, 120): [(2, 20), (5, 5)], (120, 150): [(0, 1), (1, 6)]}
    assert dispersion.sums(found) == [8, 32, 60]


def test_where_a_pods_counters_fell_it_tells_nothing_of_that_half_minute() -> None:
    restarted = an_hour([(0, 5, 50), (30, 0, 60)], [(0, 5, 50), (30, 6, 40)], [(0, 5, 50), (30, 9, 53)])

    assert dispersion.strata(restarted) == {}
    assert dispersion.sums({}) == []


def test_the_factor_is_measured_once_and_what_was_seen_is_kept() -> None:
    status, why = dispersion.with_dispersion(ERRORS, a_status(), lambda: uneven(4), a_trial())

    assert why == ""
    assert status.dispersion == pytest.approx(1.25 * 4 * 199 / 196)
    assert status.before == [240, 12_000, 1800]
    known, none = dispersion.with_dispersion(ERRORS, status, lambda: Missing("Away."), a_trial())
    assert (known, none) == (status, "")


def test_a_factor_beyond_twenty_is_refused_and_one_just_below_is_taken() -> None:
    refused, why = dispersion.with_dispersion(ERRORS, a_status(), lambda: uneven(19), a_trial())
    taken, none = dispersion.with_dispersion(ERRORS, a_status(), lambda: uneven(18), a_trial())

    assert (refused, "differed 21 times more than chance" in why) == (a_status(), True)
    assert none == ""
    assert taken.dispersion == pytest.approx(1.25 * 18 * 199 / 182)


def test_a_factor_of_just_twenty_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispersion, "dispersion", lambda _: 20.0)

    assert dispersion.with_dispersion(ERRORS, a_status(), lambda: uneven(4), a_trial())[0].dispersion == 25.0


ACCURACY = Check(name="errors", preset=CheckPreset.ACCURACY, label_delay_seconds=60)


def half_minutes(*counted: tuple[int, int]) -> list[tuple[float, int, int]]:
    """The scrapes of a pod that counted so many (bad, all) between each and the next."""
    scrapes = [(0.0, 0, 0)]
    for bad, total in counted:
        at, bad_before, before = scrapes[-1]
        scrapes.append((at + 30, bad_before + bad, before + total))
    return scrapes


def measured(check: Check, *pods: list[tuple[float, int, int]]) -> float:
    status, why = dispersion.with_dispersion(check, a_status(), lambda: an_hour(*pods), a_trial())
    assert why == ""
    return status.dispersion


def test_a_model_server_without_a_peer_is_compared_with_itself_half_a_minute_before() -> None:
    """8 and 0 of 100, where 4 and 4 are expected with a variance of 8 * 192 / (4 * 199) (Fisher 1935), twenty times."""
    alone = half_minutes(*[(8, 100), (0, 0), (0, 100)] * 20)

    assert measured(ACCURACY, alone) == pytest.approx(1.25 * 4**2 / (8 * 192 / (4 * 199)))
    assert measured(ACCURACY, half_minutes(*[(8, 100), (0, 100)] * 19)) == 1.5, "too few to tell"
    assert measured(ERRORS, alone) == 1.5, "a router counts both revisions at once"


def test_where_there_was_a_peer_a_model_server_is_not_compared_with_itself() -> None:
    alone = half_minutes(*[(8, 100), (0, 100)] * 20)

    assert measured(ACCURACY, alone, half_minutes((0, 5))) == 1.5
    assert measured(ACCURACY, *uneven_pods(4)) == pytest.approx(1.25 * 4 * 199 / 196)


def test_a_model_server_that_differs_from_itself_is_never_hopeless() -> None:
    assert measured(ACCURACY, half_minutes(*[(60, 100), (0, 100)] * 20)) == 25.0


def test_what_the_user_gives_needs_no_hour_before_and_without_either_nothing_is_fixed() -> None:
    given, none = dispersion.with_dispersion(ERRORS, a_status(), lambda: Missing("Away."), a_trial(dispersion="3"))
    lacking, why = dispersion.with_dispersion(ERRORS, a_status(), lambda: Missing("Away."), a_trial())

    assert (given.dispersion, given.before, none) == (3.0, [], "")
    assert (lacking, why) == (a_status(), "the hour before could not be read: Away.")
    assert dispersion.with_dispersion(ERRORS, a_status(), lambda: uneven(4), a_trial(dispersion="3"))[0].before != []


def test_a_rollout_that_counted_before_its_dispersion_was_known_is_left_alone() -> None:
    begun = a_status(totals=[1, 0, 1, 0])

    assert dispersion.with_dispersion(ERRORS, begun, lambda: uneven(4), a_trial()) == (begun, "")


def test_the_hour_before_is_read_for_the_checks_that_need_it() -> None:
    analysis = a_trial().analysis

    def names(*statuses: CheckStatus) -> list[str]:
        return [one.name for one in dispersion.unmeasured(analysis, statuses)]

    assert names() == names(a_status()) == ["errors", "others"]
    assert names(a_status(dispersion=1.5)) == names(a_status(totals=[1, 0, 1, 0])) == ["others"]


def test_a_look_is_the_growth_of_what_was_divided_in_all() -> None:
    old, new = [100, 10, 200, 20], [110, 15, 240, 21]

    assert dispersion.weighed(old, new, 1.0) == dispersion.weighed(old, new, 0) == Look(10, 5, 40, 1)
    # By 4: candidate 10 of 100 are 2 + 22, then 15 of 110 are 4 + 24; stable 20 of 200 are 5 + 45, then 21 of 240 5 + 55.
    assert dispersion.weighed(old, new, 4.0) == Look(4, 2, 10, 0)
