"""What keeps a candidate in its step, what sends it on and what sends it back, one condition after the other."""

from datetime import timedelta
from typing import Any

import pytest

from assay.api.base import Verdict
from assay.api.modeldeployment import CheckStatus, ModelDeployment, ModelDeploymentSpec, ModelDeploymentStatus
from assay.core import canary
from assay.core.decision import Seen
from assay.core.world import World
from core.simulation import START, a_spec
from core.test_trial import BEGUN
from core.test_trial import a_world as a_trial

ERRORS = {"name": "errors", "preset": "error-ratio"}
ACCURACY = {"name": "accuracy", "preset": "accuracy", "labelDelaySeconds": 60}
WATCHED = {"name": "watched", "preset": "error-ratio", "required": False}
STEPS = [
    {"weight": 10, "minSeconds": 10, "minRequests": 100},
    {"pause": {"seconds": 30}},
    {"weight": 50},
    {"weight": 50, "minSeconds": 0},
]


def spec_of(*checks: dict[str, Any], **changes: Any) -> ModelDeploymentSpec:
    written = a_spec(analysis__checks=[*checks] or [ERRORS], **{"strategy__canary__steps": STEPS, **changes})
    return ModelDeployment.model_validate({"metadata": {"name": "flights"}, "spec": written}).spec


def a_status(name: str = "errors", verdict: Verdict = Verdict.UNDECIDED, **changes: Any) -> CheckStatus:
    return CheckStatus.model_validate(
        {"name": name, "verdict": verdict, "reason": "Told.", "stepRequests": 300, "measuredLooks": 3, **changes}
    )


def a_world(spec: ModelDeploymentSpec, seconds: float) -> World:
    """Nothing but a spec and a clock."""
    resource = ModelDeployment.model_validate({"metadata": {"name": "flights"}, "spec": spec.to_manifest()})
    seen = Seen(now=START + timedelta(seconds=seconds), objects={}, listings={}, series={})
    return World(resource, seen, "bbbbbbbb", {}, {}, {}, frozenset(), None, 0, 0, (), None)


def on_trial(*checks: CheckStatus, **changes: Any) -> ModelDeploymentStatus:
    begun = {"startTime": "2026-01-01T00:00:00Z", "stepStartTime": "2026-01-01T00:00:00Z"}
    candidate = {"revision": "bbbbbbbb", "weight": 10, "ready": 1, **begun, **changes}
    written = {"candidate": candidate, "checks": [one.to_manifest() for one in checks]}
    return ModelDeploymentStatus.model_validate(written)


def test_a_step_has_its_weight_and_a_pause_that_of_the_step_before() -> None:
    spec = spec_of()
    paused_first = spec_of(strategy__canary__steps=[{"pause": {"seconds": 30}}, {"weight": 5}])

    assert [canary.weight_at(spec, index) for index in range(4)] == [10, 10, 50, 50]
    assert [canary.weight_at(paused_first, index) for index in range(2)] == [0, 5]


def test_where_the_list_was_made_shorter_the_last_step_is_meant() -> None:
    spec = spec_of()

    assert canary.step_at(spec, 3) is canary.step_at(spec, 4) is canary.step_at(spec, 9)
    assert [canary.step_at(spec, index) for index in range(4)] == canary.steps(spec)
    assert [canary.is_last(spec, index) for index in (2, 3, 4)] == [False, True, True]


def test_a_step_lasts_as_long_as_it_says_or_a_minute() -> None:
    assert [canary.least_seconds(step) for step in canary.steps(spec_of())] == [10, 30, 60, 0]


@pytest.mark.parametrize(("seconds", "left"), [(0, 10), (4, 6), (10, 0), (25, 0)])
def test_what_is_left_of_a_step_counts_from_its_beginning(seconds: float, left: float) -> None:
    assert canary.remaining_seconds(a_world(spec_of(), seconds), on_trial()) == left


def test_a_step_that_has_not_begun_is_not_over() -> None:
    world = a_world(spec_of(), 1000)

    assert canary.remaining_seconds(world, on_trial(stepStartTime=None)) == float("inf")
    assert canary.remaining_seconds(world, ModelDeploymentStatus()) == float("inf")


@pytest.mark.parametrize(
    ("step", "counted", "left"), [(0, 0, 100), (0, 99, 1), (0, 100, 0), (0, 101, 0), (1, 0, 0), (2, 0, 1), (2, 1, 0)]
)
def test_a_weight_needs_the_requests_it_asks_for_and_at_least_one_and_a_pause_none(
    step: int, counted: int, left: int
) -> None:
    assert canary.remaining_requests(a_world(spec_of(), 0), on_trial(step=step, stepRequests=counted)) == left
    assert canary.remaining_requests(a_world(spec_of(), 0), ModelDeploymentStatus()) == 1


def test_time_comes_before_requests_and_requests_before_the_checks() -> None:
    spec, failed = spec_of(), a_status(verdict=Verdict.FAIL)

    def obstacle(seconds: float, requests: int) -> str:
        return canary.obstacle(a_world(spec, seconds), on_trial(failed, stepRequests=requests))

    assert obstacle(9, 0) == "1 s of the step are left"
    assert obstacle(9.5, 100) != ""
    assert obstacle(10, 99) == "1 more requests of the candidate must be counted"
    assert obstacle(10, 100) == "check errors is Fail: Told."


def test_a_pause_before_the_first_weight_asks_for_no_check() -> None:
    spec = spec_of(strategy__canary__steps=[{"pause": {"seconds": 30}}, {"weight": 5}])

    assert canary.obstacle(a_world(spec, 30), on_trial(weight=0)) == ""
    assert canary.obstacle(a_world(spec, 90), on_trial(step=1, stepRequests=1)) == (
        "no required check has been looked at"
    )


def test_only_the_last_step_asks_that_all_have_passed() -> None:
    def obstacle(step: int, verdict: Verdict) -> str:
        status = on_trial(a_status(verdict=verdict), step=step, stepRequests=100)
        return canary.obstacle(a_world(spec_of(), 100), status)

    assert [obstacle(step, Verdict.UNDECIDED) for step in (0, 1, 2)] == ["", "", ""]
    assert obstacle(3, Verdict.UNDECIDED) == obstacle(4, Verdict.UNDECIDED) == "check errors is Undecided: Told."
    assert obstacle(3, Verdict.PASS) == ""


def test_the_worst_of_the_required_checks_is_the_rollouts() -> None:
    spec = spec_of(ERRORS, ACCURACY, WATCHED)

    def worst(*verdicts: Verdict) -> tuple[str, Verdict] | None:
        found = [a_status(name, one) for name, one in zip(("watched", "errors", "accuracy"), verdicts, strict=False)]
        least = canary.worst(spec, found)
        return None if least is None else (least.name, least.verdict)

    assert worst() is worst(Verdict.FAIL) is None
    assert worst(Verdict.FAIL, Verdict.PASS, Verdict.PASS) == ("errors", Verdict.PASS)
    assert worst(Verdict.FAIL, Verdict.PASS, Verdict.UNDECIDED) == ("accuracy", Verdict.UNDECIDED)
    assert worst(Verdict.FAIL, Verdict.NO_DATA, Verdict.UNDECIDED) == ("errors", Verdict.NO_DATA)
    assert worst(Verdict.PASS, Verdict.NO_DATA, Verdict.FAIL) == ("accuracy", Verdict.FAIL)


def test_one_failed_required_check_rolls_back_and_no_other_does() -> None:
    spec = spec_of(ERRORS, WATCHED)
    told = ("errors", "Check errors failed: Told.")

    assert canary.failure(spec, [a_status(verdict=Verdict.FAIL), a_status("watched")]) == told
    for verdict in (Verdict.PASS, Verdict.UNDECIDED, Verdict.NO_DATA):
        assert canary.failure(spec, [a_status(verdict=verdict), a_status("watched", Verdict.FAIL)]) is None
    assert canary.failure(spec, []) is None


def test_ignorance_rolls_back_only_where_the_user_says_so() -> None:
    hold, back = spec_of(), spec_of(analysis__onNoData="Rollback")
    unknown = [a_status(verdict=Verdict.NO_DATA)]

    assert canary.ignorance(back, unknown) == (
        "errors",
        "Check errors has no data, and onNoData is Rollback: Told.",
    )
    assert canary.ignorance(hold, unknown) is None
    assert canary.ignorance(back, [a_status(verdict=Verdict.UNDECIDED)]) is None
    assert canary.ignorance(back, []) is None


def test_a_promotion_needs_every_required_check_and_each_to_have_passed() -> None:
    spec = spec_of(ERRORS, ACCURACY)
    passed = a_status(verdict=Verdict.PASS)

    assert canary.unpassed(spec, []) == "no required check has been looked at"
    assert canary.unpassed(spec, [passed]) == "a required check has not been looked at"
    assert canary.unpassed(spec, [passed, a_status("accuracy")]) == "check accuracy is Undecided: Told."
    assert canary.unpassed(spec, [passed, a_status("accuracy", Verdict.PASS)]) == ""
    assert canary.unpassed(spec, [passed, a_status("accuracy", Verdict.PASS, missedLooks=1)]) == (
        "check accuracy could not be measured at the last look: Told."
    )


@pytest.mark.parametrize("gate", ["Evidence", "Pass", "Time"])
def test_no_gate_lets_a_failed_an_unknown_or_an_unmeasured_check_pass_but_one_that_is_not_required(gate: str) -> None:
    spec = spec_of(ERRORS, WATCHED, analysis__gate=gate)
    passed = a_status(verdict=Verdict.PASS)

    assert canary.ungated(spec, [passed, a_status("watched", Verdict.FAIL, missedLooks=9)]) == ""
    assert canary.ungated(spec, [a_status(verdict=Verdict.FAIL)]) == "check errors is Fail: Told."
    assert canary.ungated(spec, [a_status(verdict=Verdict.NO_DATA)]) == "check errors is NoData: Told."
    assert "could not be measured" in canary.ungated(spec, [a_status(verdict=Verdict.PASS, missedLooks=1)])
    assert canary.ungated(spec, [a_status("watched")]) == "a required check has not been looked at"


def test_each_gate_asks_for_what_it_is_called() -> None:
    empty: dict[str, Any] = {"stepRequests": 0}
    half: dict[str, Any] = {"harm": {"score": 50.0}}

    def ungated(gate: str, verdict: Verdict = Verdict.UNDECIDED, **changes: Any) -> str:
        return canary.ungated(spec_of(analysis__gate=gate), [a_status(verdict=verdict, **changes)])

    assert "counted nothing at this step yet" in ungated("Evidence", **empty)
    assert "counted nothing at this step yet" in ungated("Pass", Verdict.PASS, **empty)
    assert ungated("Time", **empty) == ungated("Time", **half) == ungated("Time", stepRequests=1) == ""
    assert "has not passed at this step" in ungated("Pass")
    assert ungated("Pass", Verdict.PASS, **half) == ""
    assert "half of the evidence that rolls back" in ungated("Evidence", **half)
    assert "half of the evidence that rolls back" in ungated("Evidence", Verdict.PASS, **half)
    assert ungated("Evidence", harm={"score": 49.9}) == ungated("Evidence", stepRequests=1) == ""


def test_half_of_the_evidence_is_half_of_a_checks_share_of_the_level() -> None:
    spec = spec_of(ERRORS, ACCURACY, WATCHED)  # two required checks: each rolls back at 200

    def ungated(score: float) -> str:
        return canary.ungated(spec, [a_status(harm={"score": score}), a_status("accuracy")])

    assert ungated(99.9) == ""
    assert "half of the evidence" in ungated(100.0)


def test_beside_negligible_the_lesser_evidence_of_harm_counts() -> None:
    spec = spec_of({**ERRORS, "negligible": "0.001"})
    states: dict[str, Any] = {"harm": {"score": 90.0}, "harmBeyond": {"score": 1.0, "logs": [0.0] * 4}}

    assert canary.ungated(spec, [a_status(**states)]) == ""
    assert canary.ungated(spec, [a_status(**{**states, "harmBeyond": {"score": 60.0, "logs": [0.0] * 4}})]) != ""


def test_a_candidate_that_gets_another_share_than_its_weight_waits_unless_users_stay_with_a_revision() -> None:
    def waits(ours: int, **changes: Any) -> str:
        looks = [[int(BEGUN.timestamp()) + 9, ours, 0, 1000 - ours, 0]]
        world = a_trial(
            checks=(a_status(verdict=Verdict.PASS, looks=looks),), candidate={"step": 2}, weight=50, **changes
        )
        assert canary.misdirected(world, ModelDeploymentStatus()) == ""
        return canary.obstacle(world, world.status)

    assert waits(500) == ""
    assert waits(800) == (
        "every required check passed, but the candidate answers 80.0% of what was counted at this step,"
        " and its weight is 50%; promotion waits until it does, or for spec.intent.promote"
    )
    assert waits(800, traffic__router={}, traffic__stickyHeader="x-user-id") == ""


def test_a_candidate_that_passed_waits_for_the_least_that_is_asked_for() -> None:
    spec = spec_of()

    assert canary.unpassed(spec, [a_status(verdict=Verdict.PASS)]) == ""
    assert canary.unpassed(spec, [a_status(verdict=Verdict.PASS, measuredLooks=2)]) == (
        "every required check passed, but check errors has counted in 2 of the 3 looks in a row that promotion asks for"
    )
