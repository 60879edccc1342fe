"""A candidate of which every check says Pass is promoted when enough was seen of it, and is told what is still waited for."""

import math
import re
from datetime import timedelta
from typing import Any

import pytest
from scipy.special import betaln

from assay.api.base import Verdict
from assay.api.modeldeployment import (
    CandidateStatus,
    CheckStatus,
    ModelDeployment,
    ModelDeploymentSpec,
    Outcome,
    Stage,
)
from assay.core import canary, minimum
from assay.core.replay import Decision, Judged, replay
from assay.core.times import moment
from core.simulation import START, Cluster, a_spec
from core.test_replay import recorded

EASY = [{"name": "errors", "preset": "error-ratio", "limit": "0.5"}]
"""Ten requests without an error show that it holds."""
TWO = [*EASY, {"name": "told", "preset": "error-ratio", "required": False, "limit": "0.5"}]
ONE_STEP: dict[str, Any] = {
    "strategy__canary__steps": [{"weight": 50, "minSeconds": 0}],
    "analysis__checks": EASY,
    "analysis__warmupSeconds": 0,
    "analysis__dispersion": "1",
}


def spec_of(**changes: Any) -> ModelDeploymentSpec:
    raw = {"metadata": {"name": "flights"}, "spec": a_spec(**{**ONE_STEP, **changes})}
    return ModelDeployment.model_validate(raw).spec


def passed(requests: int = 300, looks: int = 3, name: str = "errors") -> CheckStatus:
    return CheckStatus(name=name, verdict=Verdict.PASS, step_requests=requests, measured_looks=looks)


def rollout(rate: float, until: Verdict | None = Verdict.PASS, **changes: Any) -> Cluster:
    """A candidate whose check has just said so."""
    cluster = Cluster(a_spec("1"), rate=rate).settle()
    cluster.apply(a_spec("2", **{**ONE_STEP, **changes}))
    return cluster.run(2000, until=lambda it: it.state().verdict is until)


def test_enough_is_three_hundred_requests_in_three_looks_in_a_row() -> None:
    assert canary.unpassed(spec_of(), [passed()]) == ""
    for few in (passed(requests=299), passed(looks=2)):
        assert canary.unpassed(spec_of(), [few]).startswith("every required check passed, but check errors has counted")


def test_only_what_is_required_is_asked_for() -> None:
    spec = spec_of(analysis__checks=TWO)

    assert canary.unpassed(spec, [passed(), passed(0, 0, "told")]) == ""
    assert "check errors has counted 1 of the 300" in canary.unpassed(spec, [passed(1, 1), passed(name="told")])


def test_a_step_that_is_not_the_last_does_not_ask_for_it() -> None:
    assert canary.ungated(spec_of(), [passed(1, 1)]) == ""


@pytest.mark.parametrize("gate", ["Evidence", "Pass", "Time"])
def test_a_candidate_that_passed_at_once_waits_for_requests_and_says_for_how_many(gate: str) -> None:
    cluster = rollout(10.0, analysis__gate=gate)
    (check,) = cluster.state().checks
    assert check.step_requests < 60

    told = cluster.condition("Progressing").message
    found = re.search(r"every required check passed, but check errors has counted (\d+) of the 300 requests that", told)
    assert found is not None
    assert int(found[1]) == check.step_requests
    cluster.settle(300)
    assert [one.outcome for one in cluster.state().history] == [Outcome.PROMOTED]
    assert 300 <= cluster.state().history[0].requests < 300 + 30


def test_a_candidate_that_passed_at_once_waits_for_three_looks_however_much_traffic_it_has() -> None:
    cluster = rollout(10_000.0)
    (check,) = cluster.state().checks
    assert (check.step_requests > 300, check.measured_looks) == (True, 1)
    assert "in 1 of the 3 looks in a row" in cluster.condition("Progressing").message

    cluster.run(100, until=lambda it: it.state().stage is Stage.PROMOTING)

    (check,) = cluster.state().checks
    assert check.measured_looks == 3
    assert len(check.looks) == 3


def test_a_look_that_was_missed_begins_the_row_anew() -> None:
    cluster = rollout(10_000.0)
    cluster.run(50, until=lambda it: it.state().checks[0].measured_looks == 2)
    cluster.blind = True
    cluster.run(50, until=lambda it: it.state().checks[0].missed_looks == 1)
    cluster.blind = False
    assert cluster.state().checks[0].measured_looks == 0
    rows: list[int] = []

    cluster.run(
        100,
        until=lambda it: it.state().stage is Stage.PROMOTING,
        each=lambda it, _: rows.append(it.state().checks[0].measured_looks),
    )

    assert sorted(set(rows)) == [0, 1, 2, 3]
    assert cluster.state().stage is Stage.PROMOTING


def test_what_was_counted_at_the_weights_before_does_not_matter() -> None:
    steps = [{"weight": 10, "minSeconds": 100}, {"weight": 50, "minSeconds": 0}]
    cluster = rollout(10_000.0, until=None, strategy__canary__steps=steps)
    cluster.run(500, until=lambda it: it.weights().get(it.revision("2")) == 50)
    before = cluster.state().checks[0].requests

    cluster.run(500, until=lambda it: it.state().stage is Stage.PROMOTING)

    (check,) = cluster.state().checks
    assert before > 10_000
    assert (check.measured_looks, check.step_requests) == (3, check.requests - before)


def test_a_pause_after_the_last_weight_counts_for_it() -> None:
    steps = [{"weight": 50, "minSeconds": 0}, {"pause": {"seconds": 20}}]
    cluster = rollout(100.0, strategy__canary__steps=steps)

    cluster.settle(500)

    assert [one.outcome for one in cluster.state().history] == [Outcome.PROMOTED]


def test_an_operator_that_did_not_count_looks_yet_has_left_a_rollout_that_goes_on() -> None:
    cluster = rollout(10_000.0)
    for check in cluster.status["checks"]:
        check.pop("measuredLooks")

    cluster.settle(100)

    assert [one.outcome for one in cluster.state().history] == [Outcome.PROMOTED]


def judge(looks: int, **changes: Any) -> list[Judged]:
    return list(replay(spec_of(**changes), recorded(lambda _: 0, lambda _: 0, looks=looks)))


def test_a_replay_promotes_on_no_less() -> None:
    two, ten = judge(2), judge(10)

    assert [one.checks[0].verdict for one in two] == [Verdict.UNDECIDED, Verdict.PASS, Verdict.PASS]
    assert two[-1].decision is Decision.UNDECIDED
    assert two[-1].reason.startswith("Every required check passed, but check errors has counted in 2 of the 3 looks")
    assert (len(ten), ten[-1].decision) == (4, Decision.PROMOTE)


def test_what_is_foretold_is_no_sooner_than_the_minimum() -> None:
    """Two bad of ten are enough to see, soon, that half is not bad; thirty looks of ten requests are the minimum."""
    status = CheckStatus(
        name="errors",
        verdict=Verdict.UNDECIDED,
        step_requests=40,
        measured_looks=4,
        totals=[40, 0, 400, 0],
        looks=[[second, 10, 0, 100, 0] for second in range(4)],
    )

    assert minimum.looks_left(status, 10.0) == 26
    assert minimum.looks_left(status, 0.5) == 520
    assert minimum.looks_left(status.model_copy(update={"step_requests": 300, "measured_looks": 1}), 10.0) == 2
    assert minimum.looks_left(status.model_copy(update={"step_requests": 300}), 0.0) == 0
    assert minimum.looks_left(status.model_copy(update={"step_requests": 299}), 0.5) == 2
    assert math.isinf(minimum.looks_left(status, 0.0))


def test_a_reason_foretells_the_minimum_where_safety_is_shown_sooner() -> None:
    few = [{"name": "errors", "preset": "error-ratio", "limit": "0.1"}]
    cluster = rollout(2.0, until=None, analysis__checks=few)
    cluster.run(200, until=lambda it: len(it.state().checks[0].looks) == 4)

    told = re.search(r"about (\d+) more looks until enough is counted to promote", cluster.state().checks[0].reason)

    assert told is not None
    assert 50 <= int(told[1]) <= 60


def mismatch(
    *looks: tuple[float, int, int], weight: int = 10, since: float | None = 0.0, name: str = "errors", **changes: Any
) -> str:
    """Of looks, each (seconds after the step began, the candidate's requests, stable's): what is said of their share."""
    begun = None if since is None else moment(START + timedelta(seconds=since))
    candidate = CandidateStatus(
        revision="bbbbbbbb", weight=weight, ready=1, start_time=moment(START), step_start_time=begun
    )
    counted = [[int(START.timestamp() + at), ours, 0, theirs, 0] for at, ours, theirs in looks]
    status = CheckStatus(name=name, verdict=Verdict.PASS, looks=counted)
    other = CheckStatus(name="other", verdict=Verdict.PASS, looks=[[int(START.timestamp()) + 9, 10_000, 0, 10_000, 0]])
    return minimum.mismatch(spec_of(**changes), candidate, weight, [other, status])


def test_a_share_of_requests_a_fifth_off_the_weight_is_a_mismatch_and_a_smaller_one_is_none() -> None:
    told = "the candidate answers 12.1% of what was counted at this step, and its weight is 10%"

    assert mismatch((9, 12_100, 87_900)) == told
    assert "answers 7.9%" in mismatch((9, 7_900, 92_100))
    assert mismatch((9, 11_900, 88_100)) == mismatch((9, 8_100, 91_900)) == ""


def test_a_share_that_is_off_is_a_mismatch_from_where_it_is_a_thousand_times_likelier_as_one() -> None:
    """Draws of which half are the candidate's, where it should have a tenth; beta law around that with 10,000 draws' worth."""
    found = []
    for half in range(1, 400):
        log_factor = betaln(1000 + half, 9000 + half) - betaln(1000, 9000) - half * math.log(0.1 * 0.9)
        found.append(bool(mismatch((9, half, half))))
        assert found[-1] == (log_factor >= math.log(1000))
    assert found.count(True) > 100


def test_the_share_is_that_of_the_looks_of_this_step_together() -> None:
    assert "answers 15.0%" in mismatch((9, 1000, 9000), (19, 2000, 8000))
    assert mismatch((0, 2000, 8000), (9, 1000, 9000)) == "", "what was counted until the step began is another weight's"
    assert mismatch((9, 2000, 8000), since=None) == "", "no step has begun"
    assert mismatch() == mismatch((9, 0, 0)) == ""


@pytest.mark.parametrize("weight", [0, 100])
def test_where_one_revision_has_all_the_weight_there_is_no_share_to_be_off(weight: int) -> None:
    assert mismatch((9, 500, 500), weight=weight) == ""


def test_only_checks_that_count_a_router_s_requests_tell_the_share() -> None:
    latency = {"name": "slow", "preset": "latency", "slowerThanSeconds": "0.5"}
    accuracy = {"name": "accuracy", "preset": "accuracy", "labelDelaySeconds": 60}
    changes: dict[str, Any] = {"analysis__checks": [*EASY, latency, accuracy]}

    assert mismatch((9, 2000, 8000), name="slow", **changes) != ""
    assert mismatch((9, 2000, 8000), name="accuracy", **changes) == ""
