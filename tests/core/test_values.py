"""What do means, ratios and gauges say of a candidate, through counters, resets and scrapes?"""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.api.base import Verdict
from assay.api.checks import Check
from assay.api.modeldeployment import Analysis, CheckStatus, ModelDeployment
from assay.core import canary, checks, dispersion, evidence, measures, minimum
from assay.core.decision import Missing, Query, Series
from assay.core.evidence import Counted
from assay.core.hypotheses import Trial
from assay.core.measures import Found
from assay.core.scrapes import Arms
from assay.core.sound import sound
from modeldeployments import written

ARMS = Arms("aaaaaaaa", "bbbbbbbb")
MEAN = {"count": {"metric": "n"}, "sum": {"metric": "s"}, "sumOfSquares": {"metric": "q"}}
RATIO = {
    "count": {"metric": "n"},
    "numerator": {"metric": "x"},
    "denominator": {"metric": "y"},
    "numeratorSquares": {"metric": "xx"},
    "denominatorSquares": {"metric": "yy"},
    "products": {"metric": "xy"},
}
ERRORS = {"name": "errors", "preset": "error-ratio"}

Numbers = tuple[float, ...]


def a_check(**changes: Any) -> Check:
    return Check.model_validate({"name": "revenue", "mean": MEAN, "better": "Higher", **changes})


def a_trial(check: Check, at: float = 100.0) -> Trial:
    written = [check.to_manifest(), *([ERRORS] if check.gauge is not None else [])]
    analysis = Analysis.model_validate({"checks": written, "falseRollback": "0.05"})
    return Trial(ARMS, analysis, datetime.fromtimestamp(at, UTC), 0.0, "Waiting.")


def answers(
    check: Check, at: float, candidate: Numbers | None, stable: Numbers | None
) -> dict[Query, tuple[Series, ...] | Missing]:
    """What one pod of each revision has counted, one number for each counter of the check."""
    queries = measures.queries([check])
    found: dict[Query, list[Series]] = {query: [] for query in queries}
    for revision, numbers in ((ARMS.candidate, candidate), (ARMS.stable, stable)):
        for query, value in zip(queries, numbers or (), strict=False):
            labels = {"pod": f"pod-{revision}", "assay_revision": revision}
            found[query].append(Series(labels, ((at, value),)))
    return {query: tuple(series) for query, series in found.items()}


def begun(check: Check) -> CheckStatus:
    return checks.begin(check, a_trial(check))


def looked(check: Check, looks: Sequence[tuple[Numbers | None, Numbers | None]]) -> CheckStatus:
    """The state after looks at these cumulative numbers of candidate and stable; the first is the baseline."""
    status = begun(check)
    for number, (candidate, stable) in enumerate(looks):
        at = 10.0 * (number + 1)
        status = checks.look(check, status, answers(check, at, candidate, stable), a_trial(check, at))
    return status


def grown(
    seed: int, times: float, looks: int = 20, counts: tuple[int, int] = (40, 200)
) -> list[tuple[Numbers, Numbers]]:
    """Counters of exponential values, of which the candidate's are `times` as large."""
    dice, sums = np.random.default_rng(seed), np.zeros((2, 3))
    found: list[tuple[Numbers, Numbers]] = [((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))]
    for _ in range(looks):
        for side, (count, scale) in enumerate(zip(counts, (times, 1.0), strict=True)):
            values = scale * dice.exponential(1, count)
            sums[side] += [count, values.sum(), (values**2).sum()]
        found.append((tuple(sums[0].tolist()), tuple(sums[1].tolist())))
    return found


def test_a_mean_that_fell_fails_and_one_that_is_equal_passes() -> None:
    lower, equal = looked(a_check(), grown(1, 0.5)), looked(a_check(), grown(1, 1.0))

    assert (lower.verdict, equal.verdict) == (Verdict.FAIL, Verdict.PASS)
    assert float(lower.effect) == pytest.approx(0.5, abs=0.05)
    low, high = map(float, equal.interval.split(" to "))
    assert 0.7 < low < 1 < high < 1.4


def test_better_turns_the_question() -> None:
    lower_is_better = a_check(better="Lower")

    assert looked(lower_is_better, grown(1, 0.5)).verdict is Verdict.PASS
    assert looked(lower_is_better, grown(1, 2.0)).verdict is Verdict.FAIL
    assert looked(a_check(), grown(1, 2.0)).verdict is Verdict.PASS


def test_within_the_tolerance_nothing_fails_and_at_the_margin_nothing_passes() -> None:
    assert looked(a_check(tolerance={"relative": "0.3"}), grown(2, 0.8, 60)).verdict is not Verdict.FAIL
    assert looked(a_check(tolerance={"relative": "0.05"}), grown(2, 0.8, 60)).verdict is Verdict.FAIL
    assert looked(a_check(margin={"relative": "0.2"}), grown(2, 0.8, 60)).verdict is not Verdict.PASS


def test_the_evidence_is_one_sentence_that_calls_itself_asymptotic() -> None:
    status = looked(a_check(), grown(3, 1.0, 8))

    assert status.reason.startswith("Candidate mean ")
    assert " of 320, stable " in status.reason
    assert "asymptotic harm evidence " in status.reason
    assert (status.requests, status.step_requests) == (320, 320)


def test_it_says_what_it_lacks() -> None:
    assert "nothing is said before 5 looks" in looked(a_check(), grown(3, 1.0, 3)).reason
    assert "nothing is said before 50 values" in looked(a_check(), grown(3, 1.0, 6, (4, 200))).reason
    assert "known to 20%" in looked(a_check(), [((float(n), 0.1 * n, 90.0 * n), (2.0 * n, 0.2 * n, 180.0 * n)) for n in range(0, 100, 10)]).reason  # fmt: skip
    assert "is not above 0" in looked(a_check(), [((20.0 * n, -n, n), (20.0 * n, -n, n)) for n in range(9)]).reason


def test_sums_of_negative_values_are_no_reset() -> None:
    counters = [((100.0 * n, 500.0 - 5 * n, 60.0 * n), (100.0 * n, 5.0 * n, 60.0 * n)) for n in range(7)]

    status = looked(a_check(), counters)

    assert status.requests == 600
    assert float(status.estimate_candidate) == pytest.approx(-0.05)


def test_a_reset_is_told_by_the_count() -> None:
    before, after = (1000.0, 5000.0, 30_000.0), (40.0, 200.0, 1100.0)
    check = a_check()
    status = looked(check, [(before, before)])
    found = answers(check, 20.0, after, (2000.0, 10_000.0, 60_000.0))
    for place, (query, series) in enumerate(found.items()):
        assert not isinstance(series, Missing)
        # The scrape of the last look is still there: by it the reset is known.
        found[query] = tuple(Series(one.labels, ((10.0, before[place]), *one.samples)) for one in series)

    status = checks.look(check, status, found, a_trial(check, 20.0))

    assert status.requests == 40
    assert float(status.estimate_candidate) == pytest.approx(5.0)


def counted(check: Check, *scrapes: tuple[float, Numbers], revision: str = ARMS.candidate) -> Counted:
    """What a target counted from scrape to scrape, of which the first is the baseline."""
    queries = measures.queries([check])
    labels = {"pod": "p", "assay_revision": revision}
    found = {
        query: (Series(labels, tuple((at, numbers[place]) for at, numbers in scrapes)),)
        for place, query in enumerate(queries)
    }
    readings = measures.read(check, found, ARMS)
    assert not isinstance(readings, Missing)
    return evidence.count((), readings, 0.0)


def test_fractions_are_counted_as_they_are_and_a_fallen_sum_began_at_zero_only_with_its_count() -> None:
    assert counted(a_check(), (10, (5, 2.5, 1.75)), (20, (8, 1.25, 4.0))).candidate == (3, -1.25, 2.25)
    assert counted(a_check(), (10, (5, 2.5, 1.75)), (20, (3, 1.25, 1.0))).candidate == (3, 1.25, 1.0)


def test_squares_that_fell_betray_a_reset_that_the_count_has_overtaken() -> None:
    assert counted(a_check(), (10, (5, 2.5, 100.0)), (20, (8, 4.0, 3.0))).candidate == (8, 4.0, 3.0)


def test_a_reset_is_seen_also_where_the_count_stays_above_that_of_the_first_scrape() -> None:
    scrapes = (10, (5, 2.5, 1.75)), (20, (50, 25.0, 17.75)), (30, (20, 10.0, 7.0))

    assert counted(a_check(), *scrapes).candidate == (45 + 20, 22.5 + 10.0, 16.0 + 7.0)


def test_what_the_last_look_knew_goes_through_status() -> None:
    check, status = a_check(), begun(a_check())
    straight = looked(check, grown(4, 0.9))
    for number, (candidate, stable) in enumerate(grown(4, 0.9)):
        at = 10.0 * (number + 1)
        status = checks.look(check, status, answers(check, at, candidate, stable), a_trial(check, at))
        status = CheckStatus.model_validate(json.loads(json.dumps(status.to_manifest(), allow_nan=False)))
    assert status == straight


def test_safety_begins_anew_with_each_step_and_harm_does_not() -> None:
    before = looked(a_check(), grown(5, 1.0))

    after = checks.begin_step(before, 1)

    assert after.safety.sums == []
    assert after.harm == before.harm


@pytest.mark.parametrize("side", [0, 1])
def test_without_values_of_a_revision_there_is_no_data(side: int) -> None:
    looks: list[tuple[Numbers | None, Numbers | None]] = []
    for candidate, stable in grown(6, 1.0, 7):
        looks.append(((7.0, 7.0, 7.0), stable) if side == 0 else (candidate, (7.0, 7.0, 7.0)))

    status = looked(a_check(), looks)

    assert status.verdict is Verdict.NO_DATA
    assert "no event of the" in status.reason


def test_counters_that_do_not_come_together_are_no_data() -> None:
    check = a_check()
    found = answers(check, 10.0, (1.0, 2.0, 3.0), (1.0, 2.0, 3.0))
    squares = measures.queries([check])[2]

    assert measures.events(check, found | {squares: ()}) == Missing(
        "pod pod-bbbbbbbb does not export its sum of squares with the labels of its other counters"
    )
    assert isinstance(measures.events(check, found | {squares: Missing("away")}), Missing)
    once = found[squares]
    assert not isinstance(once, Missing)
    twice = found | {squares: (*once, *once)}
    assert "twice with the same labels" in str(measures.events(check, twice))


def test_labels_that_select_the_counters_may_differ() -> None:
    mean = {name: {"metric": "moments_total", "match": {"power": str(power)}} for power, name in enumerate(MEAN)}
    check = a_check(mean=mean)
    found = {
        query: (
            Series(
                {"pod": "p", "assay_revision": ARMS.stable, "power": str(power)}, ((10.0, 4.0), (20.0, 5.0 + power))
            ),
        )
        for power, query in enumerate(measures.queries([check]))
    }

    events = measures.events(check, found)

    assert not isinstance(events, Missing)
    assert [len(kind) for kind in events.series] == [1, 1, 1]


def test_a_scrape_that_lacks_one_counter_is_left_out() -> None:
    check = a_check()
    queries = measures.queries([check])
    labels = {"pod": "p", "assay_revision": ARMS.candidate}
    samples = [
        ((10.0, 0.0), (20.0, 5.0), (30.0, 9.0)),
        ((10.0, 0.0), (30.0, 9.0)),
        ((10.0, 0.0), (20.0, 5.0), (30.0, 9.0)),
    ]
    found = {query: (Series(labels, told),) for query, told in zip(queries, samples, strict=True)}

    readings = measures.read(check, found, ARMS)

    assert not isinstance(readings, Missing)
    assert evidence.count((), readings, 0.0).candidate == (9, 9.0, 9.0)


def test_a_value_that_nobody_can_calculate_with_is_no_data() -> None:
    check = a_check()

    assert "beyond 1e+60" in str(measures.read(check, answers(check, 10.0, (1.0, 1e70, 1e90), (1.0, 1.0, 1.0)), ARMS))


@pytest.mark.parametrize("count", [-1.0, 2.0**53])
def test_a_count_that_is_none_is_no_data(count: float) -> None:
    check = a_check()

    assert "counts less than nothing, or more" in str(
        measures.read(check, answers(check, 10.0, (count, 1.0, 1.0), (1.0, 1.0, 1.0)), ARMS)
    )


def test_a_ratio_without_denominators_waits() -> None:
    check = a_check(mean=None, ratio=RATIO)
    nothing = [((10.0 * n, 5.0 * n, 0.0, 9.0 * n, 0.0, 0.0),) * 2 for n in range(4)]

    status = looked(check, nothing)

    assert (status.verdict, status.harm.sums) == (Verdict.UNDECIDED, [])
    assert kept(check, status)


def test_the_hour_before_is_not_asked_for() -> None:
    assert dispersion.unmeasured(a_trial(a_check()).analysis, []) == []


def users(dice: np.random.Generator, count: int, times: float) -> list[float]:
    visits = 1.0 + dice.geometric(0.3, count)
    sales = times * visits * dice.exponential(1, count)
    return [count, sales.sum(), visits.sum(), (sales**2).sum(), (visits**2).sum(), (sales * visits).sum()]


@pytest.mark.parametrize(("times", "verdict"), [(1.0, Verdict.PASS), (0.6, Verdict.FAIL)])
def test_a_ratio_of_means_is_judged_by_users(times: float, verdict: Verdict) -> None:
    dice, check, sums = np.random.default_rng(8), a_check(mean=None, ratio=RATIO), np.zeros((2, 6))
    looks: list[tuple[Numbers | None, Numbers | None]] = [((0.0,) * 6, (0.0,) * 6)]
    for _ in range(20):
        sums += [users(dice, 60, times), users(dice, 240, 1.0)]
        looks.append((tuple(sums[0].tolist()), tuple(sums[1].tolist())))

    status = looked(check, looks)

    assert status.verdict is verdict
    assert float(status.estimate_candidate) == pytest.approx(float(sums[0, 1] / sums[0, 2]), rel=1e-3)
    assert float(status.effect) == pytest.approx(times, abs=0.15)
    assert status.reason.startswith("Candidate ratio ")


def gauges(candidate: float, stable: float, looks: int = 40) -> list[tuple[Numbers | None, Numbers | None]]:
    dice = np.random.default_rng(9)
    return [((candidate + dice.normal(0, 0.02),), (stable + dice.normal(0, 0.02),)) for _ in range(looks)]


def test_a_gauge_holds_but_never_fails() -> None:
    check = a_check(mean=None, gauge={"metric": "rolling_accuracy"})

    worse, equal = looked(check, gauges(0.5, 0.9)), looked(check, gauges(0.9, 0.9))

    assert (worse.verdict, equal.verdict) == (Verdict.UNDECIDED, Verdict.PASS)
    assert checks.harm_share(worse, 0.025) == pytest.approx(1)
    assert "holds a candidate, and never rolls it back" in worse.reason
    assert looked(check, gauges(0.9, 0.9, 9)).verdict is Verdict.UNDECIDED


def test_promotion_asks_of_a_gauge_for_looks_and_of_a_mean_for_values_too() -> None:
    gauge, mean = a_check(mean=None, gauge={"metric": "rolling_accuracy"}), a_check()
    for check, looks, told in (
        (gauge, gauges(0.9, 0.9), ""),
        (mean, grown(1, 1.0, 8, (20, 200)), "has counted 160 of the 300 requests"),
        (mean, grown(1, 1.0, 20), ""),
    ):
        analysis = {"checks": [{**check.to_manifest(), "required": True}, {**ERRORS, "required": check is gauge}]}
        spec = ModelDeployment.model_validate(written(analysis=analysis)).spec
        status = looked(check, looks)

        assert told in minimum.lacking(spec, [status])
        assert bool(told) == bool(minimum.lacking(spec, [status]))


def test_a_gauge_that_is_worse_keeps_the_step() -> None:
    check = a_check(mean=None, gauge={"metric": "rolling_accuracy"})
    analysis = {"checks": [check.to_manifest(), ERRORS], "falseRollback": "0.05"}
    spec = ModelDeployment.model_validate(written(analysis=analysis)).spec

    worse = looked(check, gauges(0.5, 0.9))

    assert canary.failure(spec, [worse]) is None
    assert "has half of the evidence" in canary.ungated(spec, [worse])


def test_of_a_gauge_each_newest_value_is_looked_at_once_and_pods_are_averaged() -> None:
    check = a_check(mean=None, gauge={"metric": "drift"})
    (query,) = measures.queries([check])

    def told(pod: str, revision: str, *samples: tuple[float, float]) -> Series:
        return Series({"pod": pod, "assay_revision": revision}, samples)

    found: Found = {query: (told("a", ARMS.stable, (5.0, 9.0), (8.0, 1.0)), told("b", ARMS.stable, (8.0, 3.0)), told("c", ARMS.candidate, (9.0, -4.0)))}  # fmt: skip
    status = checks.look(check, begun(check), found, a_trial(check, 10.0))

    assert status.harm.sums[:2] == [1, 1]
    assert (status.estimate_stable, status.estimate_candidate) == ("2", "-4")
    again = checks.look(check, status, found, a_trial(check, 20.0))
    assert "no sample is newer than the last look" in again.reason
    assert again.harm == status.harm


def test_a_gauge_that_recovers_lets_go() -> None:
    check = a_check(mean=None, gauge={"metric": "rolling_accuracy"})
    bad = gauges(0.6, 0.9, 12)

    held, recovered = looked(check, bad), looked(check, bad + gauges(0.9, 0.9, 200))

    assert checks.harm_share(held, 0.025) == pytest.approx(1)
    assert checks.harm_share(recovered, 0.025) < 0.5


HOSTILE = st.one_of(
    st.floats(-1e60, 1e60),
    st.floats(-1e3, 1e3),
    st.sampled_from([0.0, 1e60, -1e60, 1e70, 1e-300, 5e-324]),
    st.just(1.0),
)
KINDS: dict[str, dict[str, Any]] = {
    "mean": {"mean": MEAN},
    "ratio": {"mean": None, "ratio": RATIO},
    "gauge": {"mean": None, "gauge": {"metric": "drift"}},
}


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_whatever_counters_say_a_state_follows_that_json_can_hold(name: str, data: st.DataObject) -> None:
    check = a_check(**KINDS[name])
    width, status = len(measures.queries([check])), begun(check)
    counts = [0.0, 0.0]
    for number in range(12):
        for side in (0, 1):
            counts[side] = max(0.0, counts[side] + data.draw(st.integers(-1, 60)))
        values = [[data.draw(HOSTILE) for _ in range(width)] for _ in range(2)]
        if name != "gauge":
            values[0][0], values[1][0] = counts
        candidate, stable = map(tuple, values)
        at = 10.0 * (number + 1)
        status = checks.look(check, status, answers(check, at, candidate, stable), a_trial(check, at))
        written_down = json.loads(json.dumps(status.to_manifest(), allow_nan=False))
        assert CheckStatus.model_validate(written_down) == status
        assert kept(check, status, at)
        if number == 8:
            status = checks.begin_step(status, 1)


def kept(check: Check, status: CheckStatus, at: float = 1000.0) -> bool:
    """Whether an operator that finds this state goes on from it."""
    others = [ERRORS] if check.gauge is not None else []
    analysis = {"checks": [check.to_manifest(), *others], "falseRollback": "0.05"}
    resource = ModelDeployment.model_validate(written(analysis=analysis))
    resource = resource.model_copy(update={"status": resource.status.model_copy(update={"checks": [status]})})
    return len(sound(resource, datetime.fromtimestamp(at, UTC)).status.checks) == 1


def test_a_gauge_of_one_revision_waits_for_that_of_the_other() -> None:
    check = a_check(mean=None, gauge={"metric": "drift"})
    (query,) = measures.queries([check])
    status = begun(check)
    for at, revision in ((10.0, ARMS.stable), (20.0, ARMS.candidate)):
        told = Series({"pod": revision, "assay_revision": revision}, ((at - 1, at),))
        older = Series({"pod": ARMS.stable, "assay_revision": ARMS.stable}, ((9.0, 10.0),))
        found: Found = {query: (told,) if revision == ARMS.stable else (told, older)}
        status = checks.look(check, status, found, a_trial(check, at))
        assert bool(status.harm.sums) == (revision == ARMS.candidate)

    assert (status.estimate_stable, status.estimate_candidate, status.missed_looks) == ("10", "20", 0)


def test_conversions_are_good_events() -> None:
    proportion = {"good": {"metric": "sales"}, "total": {"metric": "visits"}}
    check = Check.model_validate({"name": "sales", "proportion": proportion, "tolerance": {"relative": "0.10"}})
    sales, visits = measures.queries([check])

    def after(candidate: tuple[float, float], stable: tuple[float, float]) -> CheckStatus:
        status = checks.begin(check, trial(100.0))
        for at, share in ((10.0, 0.0), (20.0, 1.0)):
            numbers = {ARMS.candidate: candidate, ARMS.stable: stable}
            found = {query: tuple(Series({"pod": f"p-{revision}", "assay_revision": revision}, ((at, share * pair[place]),)) for revision, pair in numbers.items()) for place, query in enumerate((sales, visits))}  # fmt: skip
            status = checks.look(check, status, found, trial(at))
        return status

    def trial(at: float) -> Trial:
        analysis = Analysis.model_validate({"checks": [check.to_manifest()], "dispersion": "1"})
        return Trial(ARMS, analysis, datetime.fromtimestamp(at, UTC), 0.0, "Waiting.")

    worse, equal = after((50, 5000), (1500, 50_000)), after((3000, 10_000), (15_000, 50_000))

    assert (worse.verdict, equal.verdict) == (Verdict.FAIL, Verdict.PASS)
    assert worse.totals == [5000, 4950, 50_000, 48_500]
    assert worse.estimate_candidate == "0.99"
    assert looked_more_good_than_all(check)


def looked_more_good_than_all(check: Check) -> bool:
    sales, visits = measures.queries([check])
    labels = {"pod": "p", "assay_revision": ARMS.candidate}
    found: Found = {sales: (Series(labels, ((10.0, 9.0),)),), visits: (Series(labels, ((10.0, 5.0),)),)}
    return "counts more good events than all events" in str(measures.read(check, found, ARMS))


@pytest.mark.parametrize(
    "spoilt",
    [
        {"sums": [1.0]},
        {"sums": [0.5, *[1.0] * 14]},
        {"sums": [1.0, 1.0, 0.0, *[1.0] * 12]},
        {"sums": [1.0, 1.0, 1.0, 0.0, *[1.0] * 11]},
        {"sums": [1.0, 1.0, 1.0, 1.0, *[1.0] * 10, -1.0]},
        {"sums": [1.0, 1.0, 1.0, 1.0, 1e90, *[1.0] * 10]},
        {"sums": [1.0, 1.0, 1.0, 1.0, math.inf, *[1.0] * 10]},
        {"score": 1e9},
        {"score": 0.0},
        {"pace": -1.0},
    ],
)
def test_sums_that_no_look_can_have_left_are_taken_for_lost(spoilt: dict[str, Any]) -> None:
    check = a_check()
    good = looked(check, grown(1, 1.0, 8))
    bad = good.model_copy(update={"harm": good.harm.model_copy(update=spoilt)})
    assert kept(check, good)
    assert not kept(check, bad)
