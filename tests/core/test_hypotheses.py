"""Which hypotheses are put to the test, number by number."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from assay.api.base import Verdict
from assay.api.checks import Check
from assay.api.modeldeployment import Analysis, CheckStatus, DecisionRule, ModelDeployment
from assay.core.decision import Missing
from assay.core.hypotheses import TOP_RATE, Rules, Trial, odds_of, rank_tests, reconverted, rules_of, with_odds
from assay.core.scrapes import Arms, Reading, Readings
from assay.stats import means, proportion, spending
from core.simulation import a_spec

AWAY = Missing("Prometheus is away")


def a_check(**changes: Any) -> Check:
    return Check.model_validate({"name": "errors", "preset": "error-ratio", **changes})


def a_status(**changes: Any) -> CheckStatus:
    return CheckStatus(name="errors", verdict=Verdict.UNDECIDED, **changes)


def an_analysis(*others: Check, **changes: Any) -> Analysis:
    return Analysis.model_validate({"checks": [one.to_manifest() for one in (a_check(), *others)], **changes})


def stable_at(*pods: tuple[int, int]) -> Readings:
    """(bad, all) of stable at the newest scrape of each pod; at the scrapes before it everything was bad."""
    return {
        (f"pod-{number}", ""): (
            *(Reading(at, np.array([total, total, 0, 0, 0, 0])) for at in (10.0, 20.0)),
            Reading(30.0, np.array([bad, total, 0, 9, 9, 0])),
        )
        for number, (bad, total) in enumerate(pods)
    }


def odds(rate: float) -> float:
    return rate / (1 - rate)


def test_one_required_check_has_the_whole_level_and_the_false_promotion_is_never_split() -> None:
    watched, second = a_check(name="watched", required=False), a_check(name="second")

    def levels(analysis: Analysis) -> tuple[float, float]:
        trial = Trial(Arms("a", "b"), analysis, datetime(2026, 1, 1, tzinfo=UTC), None)
        assert (trial.waiting, trial.lag, trial.tests) == ("", 0.0, 1)
        return trial.alpha, trial.beta

    assert levels(an_analysis()) == levels(an_analysis(watched)) == (0.01, 0.05)
    assert levels(an_analysis(second, falseRollback="0.04", falsePromotion="0.1")) == (0.02, 0.1)


def test_relative_thresholds_need_no_rate_and_have_defaults() -> None:
    assert odds_of(a_check(), None) == (1.1, 1.5)
    assert odds_of(a_check(tolerance={"relative": "0.25"}, margin={"relative": "1"}), None) == (1.25, 2.0)


def test_absolute_thresholds_are_odds_at_stables_rate_and_unknown_without_it() -> None:
    check = a_check(tolerance={"absolute": "0.01"}, margin={"absolute": "0.03"})

    assert odds_of(check, None) == (None, None)
    assert odds_of(check, 0.02) == pytest.approx((odds(0.03) / odds(0.02), odds(0.05) / odds(0.02)))


def test_a_tolerated_rate_ends_a_millionth_below_one() -> None:
    tolerance, margin = odds_of(a_check(tolerance={"absolute": "0.5"}, margin={"absolute": "0.9"}), 0.5)

    assert tolerance == margin == pytest.approx(odds(TOP_RATE) / odds(0.5))
    assert pytest.approx(1e-6) == 1 - TOP_RATE
    assert odds_of(a_check(tolerance={"absolute": "0.5"}), TOP_RATE)[0] == 1.0


def test_stables_rate_is_of_the_newest_scrape_of_all_pods_with_half_an_event_more() -> None:
    check = a_check(tolerance={"absolute": "0.01"}, margin={"absolute": "0.02"})

    status, why = with_odds(check, a_status(), stable_at((3, 100), (6, 399)))

    rate = 9.5 / 500
    assert why == ""
    assert status.odds == pytest.approx([odds(rate + 0.01) / odds(rate), odds(rate + 0.02) / odds(rate)])
    assert with_odds(check, a_status(), {**stable_at((3, 100), (6, 399)), ("empty", ""): ()})[0] == status


def test_a_stable_revision_that_always_fails_leaves_no_room_and_one_without_events_no_rate() -> None:
    check = a_check(tolerance={"absolute": "0.01"})
    beside = a_check(tolerance={"absolute": "0.01"}, margin={"absolute": "0.02"})

    for readings in (AWAY, {}, stable_at((0, 0))):
        status, why = with_odds(check, a_status(), readings)
        assert (status, why.startswith("no event of the stable revision")) == (a_status(), True)
    status, why = with_odds(beside, a_status(), stable_at((10**9, 10**9)))
    assert (status, "leaves no room" in why, "rate of 0.999999;" in why) == (a_status(), True, True)


ABSOLUTE = {"tolerance": {"absolute": "0.01"}, "margin": {"absolute": "0.03"}}


@pytest.mark.parametrize(
    ("totals", "rate"),
    [
        ([], 9.5 / 500),
        ([300, 5, 400, 39], 9.5 / 500),
        ([300, 5, 599, 29], 29.5 / 600),
    ],
    ids=["of the pods", "of the pods, which know more", "of the looks, since pods began anew"],
)
def test_after_a_look_absolute_thresholds_are_odds_at_all_that_is_known_of_stables_rate(
    totals: list[int], rate: float
) -> None:
    status = reconverted(a_check(**ABSOLUTE), a_status(odds=[1.2, 1.3], totals=totals), stable_at((3, 100), (6, 399)))

    assert status.odds == pytest.approx([odds(rate + 0.01) / odds(rate), odds(rate + 0.03) / odds(rate)])


def test_they_stay_where_nothing_is_known_or_no_room_would_be_left() -> None:
    known = a_status(odds=[1.2, 1.3])

    assert reconverted(a_check(**ABSOLUTE), a_status(), stable_at((3, 100))) == a_status(), "not converted yet"
    for readings in (AWAY, {}, stable_at((0, 0)), stable_at((10**9, 10**9))):
        assert reconverted(a_check(**ABSOLUTE), known, readings) == known
    assert reconverted(a_check(), known, stable_at((3, 100))) == known, "relative"
    assert reconverted(a_check(margin={"absolute": "0.03"}), known, AWAY) == known


def test_odds_are_fixed_once_and_not_at_all_beside_a_limit() -> None:
    known = a_status(odds=[1.2, 1.3])

    assert with_odds(a_check(), known, stable_at((1, 10))) == (known, "")
    assert with_odds(a_check(limit="0.01"), a_status(), stable_at((1, 10))) == (a_status(), "")
    assert with_odds(a_check(), a_status(), AWAY)[0].odds == [1.1, 1.5]


def test_the_rules_of_every_kind_of_check() -> None:
    analysis = an_analysis(falseRollback="0.02", falsePromotion="0.1")
    by_bounds = analysis.model_copy(update={"rule": DecisionRule.SPENDING})
    harm, safety = proportion.harm(0.02, 1.1), proportion.safety(0.1, 1.5)

    assert rules_of(a_check(), [1.1, 1.5], analysis) == Rules(harm, None, safety, None)
    assert rules_of(a_check(limit="0.05"), [], analysis) == Rules(
        proportion.above(0.02, 0.05), None, proportion.below(0.1, 0.05), None
    )
    assert rules_of(a_check(negligible="0.001"), [1.1, 1.5], analysis) == Rules(
        harm, proportion.above(0.02, 0.001), proportion.safety(0.05, 1.5), proportion.below(0.05, 0.001)
    )
    assert rules_of(a_check(), [1.1, 1.5], by_bounds) == Rules(
        spending.harm(0.02, 1.1), None, spending.safety(0.1, 1.5), None
    )


def test_the_tolerance_of_a_quantile_is_time_so_that_its_odds_are_even_and_the_slow_share_has_half_the_level() -> None:
    check = a_check(preset="latency", quantile="0.95", tolerance={"relative": "0.3"}, margin={"relative": "1"})
    analysis = an_analysis(falseRollback="0.02")

    assert odds_of(check, None) == (1.0, 2.0)
    assert odds_of(a_check(preset="latency", quantile="0.95"), None) == (1.0, 1.5)
    assert rules_of(check, [1.0, 2.0], analysis) == Rules(
        proportion.harm(0.01, 1.0), None, proportion.safety(0.05, 2.0), None
    )


@pytest.mark.parametrize("better", ["Lower", "Higher"])
def test_the_rules_of_values_are_about_the_fractions_that_are_written(better: str) -> None:
    named = {part: {"metric": part} for part in ("count", "sum", "sumOfSquares")}
    mean = Check.model_validate({"name": "own", "mean": named, "better": better})
    gauge = Check.model_validate({"name": "own", "gauge": {"metric": "auc"}, "better": better})
    analysis, sense = an_analysis(falseRollback="0.02", falsePromotion="0.1"), better.lower()

    for check, of_gauge in ((mean, False), (gauge, True)):
        assert rules_of(check, [1.1, 1.3], analysis) == Rules(
            means.harm(0.02, 0.1, "higher" if sense == "higher" else "lower", gauge=of_gauge),
            None,
            means.safety(0.1, 0.3, "higher" if sense == "higher" else "lower", gauge=of_gauge),
            None,
        )


def test_a_test_that_cannot_follow_the_weights_is_one_in_each_step() -> None:
    steps = [{"weight": 5}, {"pause": {"seconds": 1}}, {"weight": 50}]
    written = a_spec(strategy__canary__steps=steps)

    assert rank_tests(ModelDeployment.model_validate({"metadata": {"name": "flights"}, "spec": written}).spec) == 3
