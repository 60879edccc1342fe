"""What a rollout can find out is told from its spec and its traffic, and is so when it is simulated whole."""

import math
from typing import Any

import pytest

from assay.api.modeldeployment import ModelDeployment, ModelDeploymentSpec
from assay.core.prospects import Prospect, Traffic, prospect
from core.simulation import Cluster, a_spec


def spec_of(**changes: Any) -> ModelDeploymentSpec:
    return ModelDeployment.model_validate({"metadata": {"name": "flights"}, "spec": a_spec(**changes)}).spec


def found(traffic: Traffic, **changes: Any) -> Prospect:
    spec = spec_of(**changes)
    one = prospect(spec, spec.analysis.checks[0], traffic)
    assert one is not None
    return one


def test_steps_pauses_warm_up_and_labels_come_before_the_evidence_at_the_last_weight() -> None:
    traffic = Traffic(200.0, 0.01)
    steps = [{"weight": 10, "minSeconds": 30}, {"pause": {"seconds": 40}}, {"weight": 20}, {"weight": 50}]

    plain = found(traffic, strategy__canary__steps=[{"weight": 50}], analysis__warmupSeconds=0)
    later = found(traffic, strategy__canary__steps=steps, analysis__warmupSeconds=7)

    assert later.promote_requests == plain.promote_requests
    assert later.promote_seconds == pytest.approx(plain.promote_seconds + 30 + 40 + 60 + 7)
    assert plain.promote_seconds == pytest.approx(plain.promote_requests / 100)


def test_a_bad_candidate_is_found_at_the_first_weight() -> None:
    one = found(Traffic(200.0, 0.01), analysis__warmupSeconds=5)

    seconds = {times: seconds for times, _, seconds in one.detections}
    needed = {times: requests for times, requests, _ in one.detections}
    assert seconds[2.0] == pytest.approx(5 + needed[2.0] / 20)
    assert seconds[5.0] < seconds[2.0] < seconds[1.5]


@pytest.mark.parametrize(
    ("rate", "deadline", "told"), [(200.0, 3600, ""), (1.0, 3600, "needs about"), (1.0, 2_000_000, "")]
)
def test_what_will_not_be_decided_before_the_deadline_is_told_with_what_helps(
    rate: float, deadline: int, told: str
) -> None:
    one = found(Traffic(rate, 0.01), analysis__deadlineSeconds=deadline)

    assert (told in one.underpowered) if told else one.underpowered == ""
    assert ("give it more time" in one.underpowered) == bool(told)


def test_where_nothing_ever_fails_only_negligible_can_pass() -> None:
    check = {"name": "errors", "preset": "error-ratio"}

    never = found(Traffic(200.0, 0.0), analysis__checks=[check])
    soon = found(Traffic(200.0, 0.0), analysis__checks=[{**check, "negligible": "0.001"}])

    assert math.isinf(never.promote_requests)
    assert "can never pass" in never.underpowered
    assert 3000 < soon.promote_requests < 6000
    assert soon.smallest is not None
    assert 0.001 < soon.smallest < 0.01


def test_an_absolute_margin_that_says_nothing_at_this_rate_has_no_prospect() -> None:
    check = {"name": "errors", "preset": "error-ratio", "tolerance": {"absolute": "0"}, "margin": {"absolute": "0.01"}}
    spec = spec_of(analysis__checks=[check])

    assert prospect(spec, spec.analysis.checks[0], Traffic(1.0, 0.01)) is not None
    assert prospect(spec, spec.analysis.checks[0], Traffic(1.0, 1.0)) is None


@pytest.mark.parametrize("limit", ["0.02", "0.03"])
def test_a_limit_is_judged_without_stable(limit: str) -> None:
    check = {"name": "errors", "preset": "error-ratio", "limit": limit}

    first, second = (found(Traffic(200.0, rate), analysis__checks=[check]) for rate in (0.01, 0.001))

    assert second.promote_requests < first.promote_requests < math.inf
    assert first.smallest is not None
    assert first.smallest > float(limit)


def test_no_promotion_is_foretold_before_the_least_that_it_asks_for() -> None:
    easy = {"name": "errors", "preset": "error-ratio", "limit": "0.5"}

    busy, quiet = (
        found(
            Traffic(rate, 0.01),
            analysis__checks=[easy],
            analysis__warmupSeconds=0,
            strategy__canary__steps=[{"weight": 50, "minSeconds": 0}],
        )
        for rate in (10_000.0, 2.0)
    )

    assert (busy.promote_requests, quiet.promote_requests) == (300, 300)
    assert (busy.promote_seconds, quiet.promote_seconds) == (3 * 5, 300)


@pytest.mark.parametrize(("deadline", "expected"), [(40, "True"), (3600, "False")])
@pytest.mark.parametrize("dispersion", [None, "1"])
def test_a_rollout_says_when_its_evidence_will_not_come_in_time(
    deadline: int, expected: str, dispersion: str | None
) -> None:
    cluster = Cluster(a_spec("1")).settle()
    changes = {} if dispersion is None else {"analysis__dispersion": dispersion}
    cluster.apply(a_spec("2", analysis__deadlineSeconds=deadline, **changes))
    cluster.run(2000, until=lambda it: bool(it.state().checks and it.state().checks[0].totals))

    (check,) = cluster.state().checks
    bad, total, seconds = check.before
    condition = cluster.condition("Underpowered")

    assert 0.005 < bad / total < 0.02
    assert seconds > 1000
    assert (condition.status, bool(condition.message)) == (expected, expected == "True")
    cluster.settle(3000)
    assert cluster.condition("Underpowered").status == "False", "nothing is on trial any more"


def test_requests_that_fail_together_make_a_rollout_underpowered_that_was_not() -> None:
    found = []
    for dispersion in ("1", "15"):
        cluster = Cluster(a_spec("1")).settle()
        cluster.apply(a_spec("2", analysis__deadlineSeconds=400, analysis__dispersion=dispersion))
        cluster.run(2000, until=lambda it: bool(it.state().checks and it.state().checks[0].totals))
        found.append(cluster.condition("Underpowered").status)

    assert found == ["False", "True"]


@pytest.mark.parametrize(("deadline", "expected"), [(80, "True"), (3600, "False")])
def test_without_an_hour_before_the_looks_foretell_it_and_until_then_nobody_can_tell(
    deadline: int, expected: str
) -> None:
    cluster = Cluster(a_spec("1"), clusters=0).settle()
    cluster.apply(a_spec("2", analysis__deadlineSeconds=deadline, analysis__dispersion="1"))
    cluster.run(2000, until=lambda it: bool(it.state().checks and it.state().checks[0].totals))
    condition = cluster.condition("Underpowered")

    assert cluster.state().checks[0].before == []
    assert condition.status == "Unknown"
    assert condition.message == (
        "Nobody can tell yet whether check errors will pass in time: how much traffic there is, its first looks will show."
    )

    cluster.run(2000, until=lambda it: len(it.state().checks[0].looks) > 1)
    assert cluster.condition("Underpowered").status == expected


@pytest.mark.parametrize(
    ("steps", "changes", "seconds"),
    [
        ([{"weight": 5, "minRequests": 10_000}, {"weight": 50}], {}, 1000),
        ([{"weight": 5}, {"weight": 50, "minSeconds": 7200}], {}, 60 + 7200),
        ([{"weight": 5}, {"weight": 50}, {"pause": {"seconds": 86_400}}], {}, 60 + 86_400),
        ([{"weight": 5}, {"weight": 50}], {"analysis__gate": "Pass"}, 400),
    ],
)
def test_what_a_step_demands_and_what_its_gate_waits_for_is_counted(
    steps: list[dict[str, Any]], changes: dict[str, Any], seconds: float
) -> None:
    one = found(Traffic(200.0, 0.01), strategy__canary__steps=steps, analysis__warmupSeconds=0, **changes)

    judged = one.promote_requests / 100
    assert seconds <= one.promote_seconds <= seconds + judged + 300


def test_labels_are_waited_for_at_each_weight() -> None:
    check = [{"name": "accuracy", "preset": "accuracy", "labelDelaySeconds": 7200}]
    steps = [{"weight": weight, "minSeconds": 10} for weight in (5, 25, 50)]

    one = found(
        Traffic(200.0, 0.1), strategy__canary__steps=steps, analysis__checks=check, analysis__deadlineSeconds=14_400
    )

    assert one.promote_seconds > 3 * 7200
    assert "needs about" in one.underpowered
