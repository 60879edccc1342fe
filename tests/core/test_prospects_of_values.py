"""What a rollout that is judged by values can find out is told from their variation, and is so when it is simulated whole."""

import math
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from assay.api.modeldeployment import ModelDeployment, ModelDeploymentSpec, ModelDeploymentStatus, Outcome
from assay.core.prospects import Prospect, Traffic, Values, prospect, underpowered, unforeseen
from assay.core.times import parsed
from core.simulation import a_spec
from core.test_values_release import DRIFT, ERRORS, REVENUE, Shop

NARROW = {**REVENUE, "tolerance": {"relative": "0.05"}, "margin": {"relative": "0.12"}}
STEPS = [{"weight": 10, "minSeconds": 10}, {"weight": 50, "minSeconds": 10}]


def spec_of(check: dict[str, Any], **changes: Any) -> ModelDeploymentSpec:
    spec = a_spec(**{"analysis__checks": [check], **changes})
    return ModelDeployment.model_validate({"metadata": {"name": "flights"}, "spec": spec}).spec


def found(known: Values, check: dict[str, Any] = REVENUE, **changes: Any) -> Prospect:
    spec = spec_of(check, **changes)
    one = prospect(spec, spec.analysis.checks[0], known)
    assert one is not None
    return one


def test_steps_pauses_and_warm_up_come_before_the_evidence_at_the_last_weight() -> None:
    known = Values(40.0, 1.0)
    steps = [{"weight": 10, "minSeconds": 30}, {"pause": {"seconds": 40}}, {"weight": 20}, {"weight": 50}]

    plain = found(known, NARROW, strategy__canary__steps=[{"weight": 50}], analysis__warmupSeconds=0)
    later = found(known, NARROW, strategy__canary__steps=steps, analysis__warmupSeconds=7)

    assert later.promote_requests == plain.promote_requests
    assert later.promote_seconds == pytest.approx(plain.promote_seconds + 30 + 40 + 60 + 7)
    assert plain.promote_seconds == pytest.approx(plain.promote_requests / 20)


def test_worse_is_a_mean_that_is_lower_where_higher_is_better() -> None:
    higher, lower = (found(Values(40.0, 1.0), {**NARROW, "better": better}) for better in ("Higher", "Lower"))

    for one in (higher, lower):
        needed = [requests for _, requests, _ in one.detections]
        seconds = [seconds for _, _, seconds in one.detections]
        assert all(math.isfinite(one) for one in needed)
        assert needed[0] > needed[1]
        assert seconds[0] == pytest.approx(5 + needed[0] / 4)
        assert one.smallest is not None
    assert higher.smallest is not None
    assert lower.smallest is not None
    assert 0 < higher.smallest < 0.95
    assert lower.smallest > 1.05


def test_a_ratio_is_foretold_by_the_same_variation_as_a_mean() -> None:
    counters = ("count", "numerator", "denominator", "numeratorSquares", "denominatorSquares", "products")
    ratio = {"name": "revenue", "better": "Higher", "ratio": {name: {"metric": name} for name in counters}}

    assert found(Values(40.0, 1.3), ratio).detections == found(Values(40.0, 1.3)).detections


@pytest.mark.parametrize(("variation", "told"), [(1.0, ""), (8.0, "needs about"), (1e9, "can never pass")])
def test_what_will_not_be_decided_before_the_deadline_is_told(variation: float, told: str) -> None:
    one = found(Values(40.0, variation), NARROW, analysis__deadlineSeconds=600)

    assert (told in one.underpowered) if told else one.underpowered == ""
    if told == "needs about":
        assert "candidate values at the last weight" in one.underpowered


def test_no_promotion_is_foretold_before_the_least_that_it_asks_for() -> None:
    steps = [{"weight": 50, "minSeconds": 0}]
    easy = {**REVENUE, "margin": {"relative": "0.9"}}

    busy, quiet = (
        found(Values(rate, 0.1), easy, strategy__canary__steps=steps, analysis__warmupSeconds=0)
        for rate in (10_000.0, 2.0)
    )

    assert busy.promote_seconds == pytest.approx(5 * 5, rel=1e-3), "nothing is said of means before five looks"
    assert (quiet.promote_requests, quiet.promote_seconds) == (300, 300)


def test_a_rule_about_means_cannot_be_asked_about_a_rate_of_events() -> None:
    spec = spec_of(REVENUE)
    one = found(Values(40.0, 1.0))

    with pytest.raises(TypeError, match="needs values"):
        _ = Prospect(spec, spec.analysis.checks[0], Traffic(40.0, 0.1), one.harm, one.safety).promote_requests
    with pytest.raises(TypeError, match="needs values"):
        _ = Prospect(spec, spec.analysis.checks[0], Traffic(40.0, 0.1), one.harm, one.safety).smallest


def a_shop(seed: int = 7, checks: list[dict[str, Any]] | None = None, rate: float = 40.0, **analysis: Any) -> Shop:
    """The world as it gives revision 2 a trial."""
    shop = Shop(a_spec("1"), rate=rate, dice=np.random.default_rng(seed)).settle()
    changes = {f"analysis__{key}": value for key, value in analysis.items()}
    shop.apply(a_spec("2", **{"analysis__checks": checks or [NARROW], "analysis__dispersion": "1", **changes}))
    return shop


def test_a_whole_rollout_takes_as_long_as_was_foretold() -> None:
    foretold = found(Values(40.0, 1.0), NARROW).promote_seconds
    took = []
    for seed in range(48):
        shop = a_shop(seed, deadlineSeconds=3600).run(3600, until=lambda it: bool(it.state().history))
        (ended,) = shop.state().history
        if ended.outcome is Outcome.PROMOTED:
            took.append((parsed(ended.end_time) - parsed(ended.start_time)).total_seconds())

    assert len(took) >= 46
    assert fmean(took) == pytest.approx(foretold, rel=0.33)


@pytest.mark.parametrize(("deadline", "expected"), [(60, "True"), (3600, "False")])
def test_the_looks_of_a_rollout_tell_whether_its_evidence_will_come_in_time(deadline: int, expected: str) -> None:
    shop = a_shop(deadlineSeconds=deadline)
    shop.run(60, until=lambda it: bool(it.state().checks))

    early = shop.condition("Underpowered")
    shop.run(400, until=lambda it: it.condition("Underpowered").status != "Unknown")
    later = shop.condition("Underpowered")

    assert early.status == "Unknown"
    assert early.message.startswith("Nobody can tell yet whether check revenue will pass in time")
    assert (later.status, "candidate values" in later.message) == (expected, expected == "True")
    shop.run(4000, until=lambda it: bool(it.state().history))
    assert shop.condition("Underpowered").status in {"False", expected}


def test_what_the_looks_tell_of_traffic_and_variation_is_so() -> None:
    shop = a_shop(deadlineSeconds=60).run(400, until=lambda it: it.condition("Underpowered").status == "True")

    message = shop.condition("Underpowered").message

    told = int(message.split(" candidate values")[0].rsplit(" ", 1)[1].replace(",", ""))
    assert told == pytest.approx(found(Values(40.0, 1.0), NARROW).promote_requests, rel=0.33)


def test_of_a_gauge_nothing_is_foretold_and_nobody_is_told_that_all_is_well() -> None:
    shop = a_shop(checks=[ERRORS, DRIFT]).run(60, until=lambda it: bool(it.state().checks))

    condition = shop.condition("Underpowered")

    assert condition.status == "Unknown"
    assert condition.message.endswith(" Check drift is a gauge, of which nothing can be foretold.")


def test_only_required_checks_of_a_rollout_that_is_on_are_spoken_of() -> None:
    shop = a_shop(checks=[ERRORS, {**REVENUE, "required": False}])
    shop.run(600, until=lambda it: bool(it.state().checks) and len(it.state().checks[0].looks) > 1)

    assert shop.condition("Underpowered").status == "False"
    spec = spec_of(REVENUE)
    assert (underpowered(spec, ModelDeploymentStatus()), unforeseen(spec, ModelDeploymentStatus())) == ("", "")
