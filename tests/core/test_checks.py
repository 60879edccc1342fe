"""What does a check say of which numbers?"""

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.api.base import Verdict
from assay.api.checks import Check
from assay.api.modeldeployment import Analysis, CheckStatus, ProcessState, QuantileState
from assay.core import checks, hypotheses, measures
from assay.core.decision import Missing, Query, Series
from assay.core.hypotheses import Trial
from assay.core.measures import Found
from assay.core.scrapes import Arms
from assay.stats import proportion
from assay.stats.proportion import Look

ARMS = Arms("aaaaaaaa", "bbbbbbbb")
REQUESTS = Query("envoy_cluster_upstream_rq_xx", (("assay_via", "split"),))


def a_check(**changes: Any) -> Check:
    return Check.model_validate({"name": "errors", "preset": "error-ratio", **changes})


def a_trial(*found: Check, at: float = 100.0, floor: float | None = 0.0, **analysis: Any) -> Trial:
    written = [one.to_manifest() for one in found]
    return Trial(
        ARMS,
        Analysis.model_validate({"checks": written, "dispersion": "1", **analysis}),
        datetime.fromtimestamp(at, UTC),
        floor,
        "Waiting.",
    )


def answers(at: float, candidate: tuple[int, int], stable: tuple[int, int]) -> Found:
    """(errors, all) that one router has counted for each revision."""
    found = []
    for revision, (bad, total) in ((ARMS.candidate, candidate), (ARMS.stable, stable)):
        for code, value in (("2", total - bad), ("5", bad)):
            labels = {"pod": "router-0", "assay_revision": revision, "envoy_response_code_class": code}
            if value:
                found.append(Series(labels, ((at, float(value)),)))
    return {REQUESTS: tuple(found)}


def looked(check: Check, *looks: tuple[tuple[int, int], tuple[int, int]], **analysis: Any) -> CheckStatus:
    """The state after looks at these cumulative counters; the first one is the baseline."""
    status = checks.begin(check, a_trial(check, **analysis))
    for index, (candidate, stable) in enumerate(looks):
        at = 10.0 * (index + 1)
        status = checks.look(check, status, answers(at, candidate, stable), a_trial(check, at=at, **analysis))
    return status


BASE = ((0, 1), (1, 100))


def test_the_evidence_is_one_sentence() -> None:
    status = looked(a_check(), BASE, ((11, 601), (53, 5500)))

    assert status.reason.startswith("Candidate 11 errors / 600, stable 52 / 5400 (odds ratio 1.92); harm evidence ")
    assert status.verdict is Verdict.UNDECIDED
    assert (status.requests, status.estimate_candidate, status.estimate_stable) == (600, "0.01833", "0.00963")


def test_harm_fails_and_safety_passes() -> None:
    assert looked(a_check(), BASE, ((60, 1001), (31, 3100))).verdict is Verdict.FAIL
    assert looked(a_check(), BASE, ((50, 10_001), (101, 10_100))).verdict is Verdict.PASS


def test_who_lost_a_scrape_is_waited_for_by_name() -> None:
    def told(stable_at: float, candidate_at: float) -> Found:
        """Each revision's own pod counts a hundred requests a second, and tells of them at these moments."""
        found = [
            Series({"pod": pod, "assay_revision": revision, "envoy_response_code_class": "2"}, ((at, 100 * at),))
            for pod, revision, at in (("s", ARMS.stable, stable_at), ("c", ARMS.candidate, candidate_at))
        ]
        return {REQUESTS: tuple(found)}

    status = checks.look(a_check(), checks.begin(a_check(), a_trial(a_check())), told(10, 10), a_trial(a_check()))
    waits = checks.look(a_check(), status, told(20, 10), a_trial(a_check()))

    assert waits.reason == "What others counted waits for the next scrape of pod c."
    assert waits == status.model_copy(update={"reason": waits.reason})


def test_a_failed_check_stays_failed() -> None:
    status = looked(a_check(), BASE, ((60, 1001), (31, 3100)), ((60, 100_001), (5000, 100_100)))

    assert status.verdict is Verdict.FAIL


def test_nothing_is_held_against_a_candidate_below_negligible() -> None:
    looks = (BASE, ((20, 50_001), (1, 500_100)))

    assert looked(a_check(), *looks).verdict is Verdict.FAIL
    assert looked(a_check(negligible="0.001"), *looks).verdict is Verdict.PASS


def test_zero_errors_pass_only_by_negligible() -> None:
    looks = ((0, 1), (0, 100)), ((0, 5001), (0, 5100))

    assert looked(a_check(), *looks).verdict is Verdict.UNDECIDED
    assert looked(a_check(negligible="0.001"), *looks).verdict is Verdict.PASS


def test_a_limit_is_judged_without_the_stable_revision() -> None:
    check = a_check(limit="0.05")

    assert looked(check, ((0, 1), (0, 0)), ((1, 501), (0, 0))).verdict is Verdict.PASS
    assert looked(check, ((0, 1), (0, 0)), ((100, 501), (0, 0))).verdict is Verdict.FAIL


def test_false_rollback_is_split_over_the_required_checks_only() -> None:
    others = [a_check(name="b"), a_check(name="c", required=False)]

    assert a_trial(a_check(), *others).alpha == pytest.approx(0.005)
    assert a_trial(a_check(), *others).beta == pytest.approx(0.05)


def test_five_looks_without_a_measurement_are_no_data_and_the_next_measurement_ends_it() -> None:
    check = a_check()
    trial = a_trial(check)
    status = looked(check, BASE, ((11, 601), (53, 5500)))
    verdicts = []
    for _ in range(5):
        status = checks.look(check, status, {REQUESTS: Missing("Prometheus is away")}, trial)
        verdicts.append(status.verdict)

    assert verdicts == [Verdict.UNDECIDED] * 4 + [Verdict.NO_DATA]
    assert "5 looks in a row: Prometheus is away" in status.reason
    status = checks.look(check, status, answers(90, (12, 700), (60, 6000)), trial)
    assert (status.verdict, status.missed_looks) == (Verdict.UNDECIDED, 0)


def test_of_a_quantile_the_share_of_harm_is_that_of_the_ranks_or_of_the_slow_at_half_the_level() -> None:
    def share(score: float, ranks: float) -> float:
        state = QuantileState(bounds=[0.1], bound=0.1, harm=ranks)
        known = checks.begin(a_check(), a_trial(a_check()))
        return checks.harm_share(known.model_copy(update={"harm": ProcessState(score=score), "quantile": state}), 0.05)

    assert share(10.0, 0.1) == pytest.approx(0.25)
    assert share(10.0, 0.3) == pytest.approx(0.3)


def test_a_look_that_was_missed_ends_the_row_and_tells_what_was_counted_before_it() -> None:
    check = a_check()
    before = looked(check, BASE, ((11, 601), (53, 5500)))

    after = checks.look(check, before, {REQUESTS: Missing("Prometheus is away")}, a_trial(check))

    assert (before.measured_looks, after.measured_looks, after.missed_looks) == (1, 0, 1)
    assert after.reason.startswith("Candidate 11 errors / 600, stable 52 / 5400")
    assert after.reason.endswith("; nothing could be measured in this look: Prometheus is away.")


def test_ten_million_events_can_be_weighed_and_one_more_is_too_many() -> None:
    check, many = a_check(), 5_000_000

    assert looked(check, BASE, ((10, many + 1), (20, many + 100))).missed_looks == 0
    missed = looked(check, BASE, ((10, many + 2), (20, many + 100)))
    assert (missed.missed_looks, missed.requests) == (1, 0)
    assert "more than 10,000,000 events since the last look" in missed.reason


def test_no_data_never_passes_even_after_enough_evidence() -> None:
    check = a_check()
    status = looked(check, BASE, ((50, 10_001), (101, 10_100)))
    for _ in range(5):
        status = checks.look(check, status, {REQUESTS: ()}, a_trial(check))

    assert status.verdict is Verdict.NO_DATA


@pytest.mark.parametrize(
    ("candidate", "stable", "why"),
    [((0, 0), (1, 100), "an event of the candidate"), ((1, 100), (0, 0), "an event of the stable revision")],
)
def test_an_absent_side_is_no_measurement(candidate: tuple[int, int], stable: tuple[int, int], why: str) -> None:
    status = looked(a_check(), (candidate, stable), (candidate, stable))

    assert status.missed_looks == 2
    assert why in status.reason


def test_nothing_is_counted_while_routers_disagree_or_the_candidate_warms_up() -> None:
    check = a_check()
    status = looked(check, BASE)

    for floor in (None, 200.0):
        trial = a_trial(check, at=100.0, floor=floor)
        after = checks.look(check, status, answers(99, (500, 1000), (1, 200)), trial)
        assert after == status.model_copy(update={"reason": "Waiting."})


def test_a_step_begins_safety_anew_and_keeps_harm() -> None:
    status = looked(a_check(), BASE, ((50, 10_001), (101, 10_100)))

    begun = checks.begin_step(status, 1)

    assert (begun.verdict, begun.safety.score, begun.counters) == (Verdict.UNDECIDED, 1.0, [])
    assert (begun.harm, begun.totals) == (status.harm, status.totals)


def test_an_absolute_tolerance_is_odds_at_the_rate_that_stable_has_had() -> None:
    first = looked(a_check(tolerance={"absolute": "0.01"}, margin={"absolute": "0.02"}), ((0, 0), (99, 9999)))

    assert first.odds == pytest.approx([(0.02 / 0.98) / (0.01 / 0.99), (0.03 / 0.97) / (0.01 / 0.99)], rel=0.02)


def test_a_tolerance_that_leaves_no_rate_is_taken_to_the_top() -> None:
    check = a_check(tolerance={"absolute": "0.9"}, margin={"absolute": "0.95"})

    assert looked(check, ((0, 0), (50, 100))).odds[1] > 1e5


def test_without_a_stable_rate_an_absolute_tolerance_cannot_be_judged() -> None:
    check = a_check(tolerance={"absolute": "0.01"})
    status = checks.begin(check, a_trial(check))
    for _ in range(5):
        status = checks.look(check, status, {REQUESTS: ()}, a_trial(check))

    assert (status.verdict, status.odds) == (Verdict.NO_DATA, [])


def test_the_evidence_of_a_changed_check_is_forgotten() -> None:
    status = looked(a_check(), BASE, ((11, 601), (53, 5500)))
    changed = a_check(tolerance={"relative": "0.20"})

    assert checks.carried([status], a_trial(a_check())) == (status,)
    assert checks.carried([status], a_trial(changed)) == (checks.begin(changed, a_trial(changed)),)


def test_each_query_is_asked_once_and_a_proportion_asks_for_what_it_names() -> None:
    bad = {"metric": "outcomes_total", "match": {"verdict": "wrong", "area": "x"}}
    own = Check.model_validate({"name": "own", "proportion": {"bad": bad, "total": {"metric": "outcomes_total"}}})

    asked = measures.queries([a_check(), a_check(name="b"), own])

    wrong = Query("outcomes_total", (("area", "x"), ("verdict", "wrong")))
    assert asked == (REQUESTS, wrong, Query("outcomes_total"))


counters = st.tuples(st.integers(0, 40), st.integers(0, 400)).map(lambda pair: (pair[0], sum(pair)))


@given(st.lists(st.tuples(counters, counters), max_size=8), st.booleans())
def test_whatever_the_counters_do_a_look_gives_a_verdict_and_nothing_passes_unmeasured(
    looks: list[tuple[tuple[int, int], tuple[int, int]]],
    negligible: bool,  # noqa: FBT001
) -> None:
    check = a_check(negligible="0.01") if negligible else a_check()

    status = looked(check, *looks)

    assert CheckStatus.model_validate(status.to_manifest()) == status
    assert status.verdict is not Verdict.PASS or status.requests > 0


def _failures_until_fail(check: Check, rate: float, healthy: int, seed: int) -> int:
    """How many requests a candidate with this rate of errors answers until it fails, after healthy looks of 2000."""
    chance, at = random.Random(seed), 10.0  # noqa: S311 - a simulation, no secret
    counts = [1, 0, 1, 0]  # candidate and stable: all and bad
    status = looked(check, ((0, 1), (0, 1)))
    while status.verdict is not Verdict.FAIL:
        at += 10.0
        if healthy > 0:
            healthy, seen = healthy - 1, (2000, 4, 2000, 4)
        else:
            bad = [sum(chance.random() < each for _ in range(n)) for n, each in ((20, rate), (180, 0.001))]
            seen = (20, bad[0], 180, bad[1])
        counts = [a + b for a, b in zip(counts, seen, strict=True)]
        answer = answers(at, (counts[1], counts[0]), (counts[3], counts[2]))
        status = checks.look(check, status, answer, a_trial(check, at=at))
        assert status.requests < 1_000_000
    return status.requests


def test_a_candidate_that_breaks_after_hours_of_health_fails_soon_beside_negligible() -> None:
    assert _failures_until_fail(a_check(negligible="0.005"), 0.5, 100, 1) - 200_000 <= 200


def test_three_percent_of_errors_beside_negligible_are_caught_within_a_few_hundred_requests() -> None:
    needed = sorted(_failures_until_fail(a_check(negligible="0.005"), 0.03, 0, seed) for seed in range(20))

    assert needed[10] <= 300
    assert needed[-1] <= 800


def test_the_evidence_of_harm_that_is_told_is_the_lesser_of_the_two_that_negligible_asks_for() -> None:
    looks = (BASE, ((20, 50_001), (1, 500_100)))

    status = looked(a_check(negligible="0.001"), *looks)

    assert (status.harm.score, status.harm_beyond.score < 1) == (100.0, True)
    assert checks.harm_share(status, 0.01) == 0.01 * status.harm_beyond.score
    assert not status.harm_evidence.startswith("100 ")


@pytest.mark.parametrize("threshold", [{"absolute": "0.01"}, {"absolute": "1"}, {"relative": "0.000000000"}])
def test_a_margin_that_leaves_no_room_is_no_data_in_a_sentence(threshold: dict[str, str]) -> None:
    check = a_check(tolerance={"absolute": "0.001"}, margin=threshold)
    looks = [((0, 0), (9_999_999 + 10**7 * index, 9_999_999 + 10**7 * index)) for index in range(6)]

    status = looked(check, *looks)

    assert status.verdict is Verdict.NO_DATA
    assert "`margin` leaves no room for anything worse at the stable revision's rate of 0.999999" in status.reason


AGED = Query("assay_outcomes_total", (("age_seconds", "60"),))


def labelled(at: float, candidate: tuple[int, ...], stable: tuple[int, ...]) -> Found:
    """(correct, wrong, unlabelled) that one pod of each revision has counted."""
    found = []
    for revision, numbers in ((ARMS.candidate, candidate), (ARMS.stable, stable)):
        for outcome, value in zip(("correct", "wrong", "unlabelled"), numbers, strict=True):
            labels = {"pod": revision, "assay_revision": revision, "outcome": outcome}
            found.append(Series(labels, ((at, float(value)),)))
    return {AGED: tuple(found)}


def judged(check: Check, *looks: tuple[tuple[int, int, int], tuple[int, int, int]]) -> CheckStatus:
    """The state after looks at the outcomes that were counted since the baseline, at which each counter was at 1."""
    status = checks.begin(check, a_trial(check))
    for index, (candidate, stable) in enumerate((((0, 0, 0), (0, 0, 0)), *looks)):
        at = 100.0 + 10 * index
        one, other = (tuple(number + 1 for number in numbers) for numbers in (candidate, stable))
        status = checks.look(check, status, labelled(at, one, other), a_trial(check, at=at))
    return status


def an_accuracy(**changes: Any) -> Check:
    return a_check(name="accuracy", preset="accuracy", labelDelaySeconds=60, **changes)


def test_accuracy_reads_the_outcomes_of_its_own_age_and_calls_them_wrong() -> None:
    assert measures.queries([an_accuracy()]) == (AGED,)

    status = judged(an_accuracy(), ((540, 60, 0), (4860, 540, 100)))

    assert status.reason.startswith(
        "Candidate 60 wrong / 600, stable 540 / 5400 (odds ratio 1); labelled 1 of candidate, 0.982 of stable; "
    )
    assert (status.totals, status.labels) == ([600, 60, 5400, 540], [600, 0, 5400, 100])


def test_samples_count_once_the_first_predictions_that_count_are_of_age() -> None:
    check = an_accuracy()
    early, late = (a_trial(check, at=at, floor=0.0) for at in (60.0, 61.0))
    status = checks.begin(check, early)

    waiting = checks.look(check, status, labelled(60, (10, 0, 0), (10, 0, 0)), early)

    assert waiting.reason == "The labels of the first predictions that count ripen until 1970-01-01T00:01:00.000Z."
    assert (waiting.counters, waiting.missed_looks) == ([], 0)
    assert checks.look(check, status, labelled(61, (10, 0, 0), (10, 0, 0)), late).counters


def test_below_the_least_coverage_nothing_is_added_to_the_evidence_and_five_looks_are_no_data() -> None:
    looks = [*(((60 * n, 10 * n, 40 * n), (95 * n, 5 * n, 0)) for n in range(1, 7))]

    first, later = judged(an_accuracy(), *looks[:1]), judged(an_accuracy(), *looks[:5])

    told = f"0.636 of 110 predictions of the candidate {ARMS.candidate} had a label after 60 s, and minCoverage is 0.8."
    assert first.reason == f"Nothing could be measured in this look: {told}"
    assert (first.verdict, first.requests, first.missed_looks) == (Verdict.UNDECIDED, 0, 1)
    assert (later.verdict, sum(later.totals), later.harm.score) == (Verdict.NO_DATA, 0, 1.0)


def test_so_few_predictions_that_their_share_is_chance_are_never_no_data() -> None:
    looks = [*(((2 * n, 0, 3 * n), (100 * n, 0, 0)) for n in range(1, 10))]

    status = judged(an_accuracy(), *looks)

    assert (status.verdict, status.requests, status.missed_looks) == (Verdict.UNDECIDED, 0, 1)
    assert judged(an_accuracy(), *looks, ((100, 0, 35), (2000, 0, 0))).verdict is Verdict.UNDECIDED


def test_a_candidate_is_not_promoted_on_a_pass_after_which_labels_stay_away() -> None:
    well = ((9000, 1000, 0), (9000, 1000, 0))
    status = judged(an_accuracy(), well)

    assert status.verdict is Verdict.PASS
    after = judged(an_accuracy(), well, *(((9000, 1000, 5000 + n), (9000 + n, 1000, 0)) for n in range(5)))
    assert after.verdict is Verdict.NO_DATA


def test_a_step_counts_labels_and_requests_anew() -> None:
    begun = checks.begin_step(judged(an_accuracy(), ((540, 60, 0), (4860, 540, 100))), 1)

    assert (begun.labels, begun.step_requests, begun.requests) == ([], 0, 600)


@given(st.lists(st.tuples(*[st.tuples(*[st.integers(0, 60)] * 3)] * 2), min_size=1, max_size=8))
@settings(deadline=None)
def test_no_verdict_rests_on_fewer_labels_than_were_asked_for(
    grown: list[tuple[tuple[int, int, int], tuple[int, int, int]]],
) -> None:
    looks, sums = [], [0] * 6
    for candidate, stable in grown:
        sums = [a + b for a, b in zip(sums, (*candidate, *stable), strict=True)]
        looks.append(((sums[0], sums[1], sums[2]), (sums[3], sums[4], sums[5])))

    before, status = judged(an_accuracy(), *looks[:-1]), judged(an_accuracy(), *looks)

    enough = all(5 * (one[0] + one[1]) >= 4 * sum(one) for one in looks[-1])
    assert enough or (status.totals, status.harm, status.safety) == (before.totals, before.harm, before.safety)
    assert enough or status.verdict is Verdict.FAIL or status.missed_looks > 0


@given(
    st.sampled_from(["0.000000001", "0.005", "0.5", "0.999999999"]),
    st.sampled_from(["absolute", "relative"]),
    st.integers(0, 3),
    st.integers(0, 10**9),
)
def test_whatever_the_threshold_and_the_stable_rate_a_look_gives_a_verdict(
    size: str, unit: str, good: int, bad: int
) -> None:
    check = a_check(tolerance={"absolute": "0"}, margin={unit: size}, negligible=size)
    base = (bad, bad + good)

    status = looked(check, ((0, 1), base), ((5, 10), (bad + 5, bad + good + 10)), ((9, 20), (bad + 9, bad + good + 20)))

    assert status.verdict in set(Verdict)


def test_more_events_in_a_look_than_can_be_weighed_are_no_evidence_and_cost_nothing() -> None:
    status = looked(a_check(), BASE, ((10**9, 10**10), (10**9, 10**10)))

    assert status.totals == []
    assert "more than 10,000,000 events since the last look" in status.reason


def test_a_look_adds_what_was_counted_to_all_that_is_remembered() -> None:
    status = looked(a_check(), BASE, ((11, 601), (53, 5500)), ((12, 701), (54, 5600)))

    assert status.totals == [700, 12, 5500, 53]
    assert status.looks == [[20, 600, 11, 5400, 52], [30, 100, 1, 100, 1]]
    assert (status.requests, status.step_requests, status.missed_looks) == (700, 700, 0)
    assert status.last_look_time == "1970-01-01T00:00:30.000Z"
    assert status.pooled == pytest.approx([11 * 5348 / 6000 + 1 * 99 / 200, 52 * 589 / 6000 + 1 * 99 / 200])
    rules = hypotheses.rules_of(a_check(), status.odds, a_trial(a_check()).analysis)
    for state, rule in ((status.harm, rules.harm), (status.safety, rules.safety)):
        assert isinstance(rule, proportion.Rule)
        kept = proportion.start(rule)
        for seen in (Look(600, 11, 5400, 52), Look(100, 1, 100, 1)):
            kept = proportion.update(rule, kept, seen)
        assert (state.score, tuple(state.logs)) == (kept.score, kept.logs)


def test_counts_are_divided_before_they_are_evidence_and_kept_as_they_are() -> None:
    looks = (BASE, ((30, 601), (53, 5500)))

    whole, third = (looked(a_check(), *looks, dispersion=one) for one in ("1", "3"))

    assert third.totals == whole.totals == [600, 30, 5400, 52]
    rule = proportion.harm(0.01, 1.1)
    assert third.harm.score == proportion.update(rule, proportion.start(rule), Look(200, 10, 1800, 17)).score
    assert whole.harm.logs > third.harm.logs


def test_no_more_than_sixty_looks_are_remembered_and_they_are_the_last() -> None:
    status = looked(a_check(), *(((0, 1 + n), (0, 1 + n)) for n in range(63)))

    assert len(status.looks) == 60
    assert [status.looks[0][0], status.looks[-1][0]] == [40, 630]


def test_a_step_begins_with_nothing_of_the_step_before_but_harm_and_its_verdict() -> None:
    passed = looked(a_check(negligible="0.001"), BASE, ((0, 50_001), (101, 50_100)))
    failed = looked(a_check(), BASE, ((60, 1001), (31, 3100)))

    begun = checks.begin_step(passed.model_copy(update={"missed_looks": 3, "labels": [1, 2, 3, 4]}), 1)

    assert (passed.verdict, begun.verdict) == (Verdict.PASS, Verdict.UNDECIDED)
    assert begun.safety == begun.negligible == ProcessState()
    assert (begun.counters, begun.labels, begun.safety_evidence) == ([], [], "")
    assert (passed.measured_looks, passed.step_requests) == (1, 50_000)
    assert (begun.missed_looks, begun.measured_looks, begun.step_requests) == (0, 0, 0)
    assert (begun.requests, begun.harm, begun.harm_beyond) == (50_000, passed.harm, passed.harm_beyond)
    assert checks.begin_step(failed, 1).verdict is Verdict.FAIL


def test_what_a_histogram_told_is_no_evidence_of_a_check_that_has_none() -> None:
    plain, latency = a_check(), a_check(name="slow", preset="latency", quantile="0.95")
    state = QuantileState(bounds=[0.1, 0.25], bound=0.25)

    for check, kept in ((plain, False), (latency, True)):
        begun = checks.begin(check, a_trial(check))
        known = begun.model_copy(update={"quantile": state})
        assert checks.carried([known], a_trial(check)) == ((known,) if kept else (begun,))


def test_evidence_is_of_the_check_as_it_is_written_and_of_the_levels_rule_and_dispersion_it_was_judged_by() -> None:
    check = a_check()
    known = checks.begin(check, a_trial(check))

    def kept(trial: Trial) -> bool:
        return checks.carried([known], trial) == (known,)

    assert len(known.definition) == 8
    assert kept(a_trial(check, rule="Boosted"))
    assert checks.carried([known], a_trial(check, a_check(name="b", required=False)))[0] == known
    assert checks.carried([known], a_trial(check, a_check(name="b")))[0].definition != known.definition
    assert not kept(a_trial(check, falsePromotion="0.04"))
    assert not kept(a_trial(check, rule="Spending"))
    assert not kept(a_trial(check, dispersion="2"))
    assert [one.name for one in checks.carried([known], a_trial(a_check(name="b"), check))] == ["b", "errors"]


def test_a_definition_is_written_as_it_always_was_or_an_upgrade_would_forget_the_evidence() -> None:
    analysis = Analysis.model_validate({"checks": [a_check().to_manifest()]})
    trial = Trial(ARMS, analysis, datetime.fromtimestamp(1, UTC), 0.0)

    assert checks.begin(a_check(), trial).definition == "58759247"


def test_while_nothing_counts_a_verdict_and_its_reason_stay_as_they_are() -> None:
    check = a_check()
    failed = looked(check, BASE, ((60, 1001), (31, 3100)))

    assert checks.look(check, failed, answers(99, (60, 1001), (31, 3100)), a_trial(check, floor=None)) == failed


def test_a_check_that_failed_stays_failed_when_data_stay_away() -> None:
    check = a_check()
    status = looked(check, BASE, ((60, 1001), (31, 3100)))
    for _ in range(6):
        status = checks.look(check, status, {REQUESTS: Missing("Away.")}, a_trial(check))

    assert (status.verdict, status.missed_looks) == (Verdict.FAIL, 6)


def test_a_pass_outlives_four_looks_without_data_and_not_the_fifth() -> None:
    check = a_check()
    status, verdicts = looked(check, BASE, ((50, 10_001), (101, 10_100))), []
    for _ in range(5):
        status = checks.look(check, status, {REQUESTS: Missing("Away.")}, a_trial(check))
        verdicts.append(status.verdict)

    assert verdicts == [Verdict.PASS] * 4 + [Verdict.NO_DATA]


def test_beside_a_limit_too_five_looks_without_data_are_no_data() -> None:
    check = a_check(limit="0.05")
    status, verdicts = checks.begin(check, a_trial(check)), []
    for _ in range(5):
        status = checks.look(check, status, {REQUESTS: Missing("Away.")}, a_trial(check))
        verdicts.append(status.verdict)

    assert verdicts == [Verdict.UNDECIDED] * 4 + [Verdict.NO_DATA]


def test_a_look_in_which_a_side_answered_nothing_new_measures_nothing_but_moves_the_counters_on() -> None:
    for silent, why in (
        (((0, 1), (2, 200)), "no event of the candidate since"),
        (((1, 51), (1, 100)), "no event of the stable revision since"),
    ):
        status = looked(a_check(), BASE, silent)
        assert (status.missed_looks, status.requests, why in status.reason) == (1, 0, True)
        assert status.counters[0].time == 20


def test_a_look_without_a_newer_sample_measures_nothing() -> None:
    check = a_check()
    status = looked(check, BASE, ((1, 101), (2, 200)))

    again = checks.look(check, status, answers(20, (1, 101), (2, 200)), a_trial(check, at=30.0))

    assert (again.missed_looks, again.totals) == (1, status.totals)
    assert "no sample is newer than the last look" in again.reason


def test_the_first_look_of_a_step_is_what_the_next_subtracts_and_no_missed_one() -> None:
    status = looked(a_check(), BASE)

    assert (status.missed_looks, status.requests, status.totals, len(status.counters)) == (0, 0, [], 1)


def test_evidence_of_safety_is_told_as_a_share_of_what_is_asked_for_by_the_better_way() -> None:
    alone = CheckStatus(name="a", verdict=Verdict.UNDECIDED, safety=ProcessState(score=5.0))
    both = alone.model_copy(update={"negligible": ProcessState(score=12.0, logs=[0.0])})

    assert checks.safety_share(alone, 0.05) == pytest.approx(0.25)
    assert checks.safety_share(both, 0.05) == pytest.approx(0.3)
    assert checks.safety_share(both.model_copy(update={"safety": ProcessState(score=20.0)}), 0.05) == pytest.approx(0.5)


def test_harm_beside_negligible_needs_both_and_safety_either() -> None:
    check = a_check(negligible="0.001")
    rules = hypotheses.rules_of(check, [1.1, 1.5], a_trial(check).analysis)
    assert rules.harm_beyond is not None
    sure, unsure = ProcessState(score=1000.0, logs=[0.0] * 4), ProcessState(score=1.0, logs=[0.0] * 4)

    def verdict(**states: ProcessState) -> Verdict:
        known = looked(check, BASE).model_copy(update={"totals": [1, 0, 1, 0], **states})
        return checks.look(check, known, {REQUESTS: Missing("Away.")}, a_trial(check)).verdict

    assert verdict(harm=sure, harm_beyond=sure) is Verdict.FAIL
    assert verdict(harm=sure, harm_beyond=unsure) is verdict(harm=unsure, harm_beyond=sure) is Verdict.UNDECIDED
    assert verdict(safety=sure, negligible=unsure) is verdict(safety=unsure, negligible=sure) is Verdict.PASS
    assert verdict(safety=unsure, negligible=unsure) is Verdict.UNDECIDED
    assert verdict(harm=sure, harm_beyond=sure, safety=sure) is Verdict.FAIL


def test_in_which_order_labels_are_written_makes_no_other_check() -> None:
    def own(**match: str) -> Check:
        bad = {"metric": "outcomes_total", "match": match}
        return Check.model_validate({"name": "own", "proportion": {"bad": bad, "total": {"metric": "outcomes_total"}}})

    known = checks.begin(own(a="1", b="2"), a_trial(own(a="1", b="2")))

    assert checks.carried([known], a_trial(own(b="2", a="1"))) == (known,)


def test_where_already_the_first_look_of_a_step_shows_that_only_one_side_grows_it_is_a_missed_one() -> None:
    def grown(revision: str, *values: float) -> Series:
        labels = {"pod": "router-0", "assay_revision": revision, "envoy_response_code_class": "2"}
        return Series(labels, tuple((10.0 * at, value) for at, value in enumerate(values, 1)))

    check = a_check()
    found = {REQUESTS: (grown(ARMS.candidate, 5, 9), grown(ARMS.stable, 100, 100))}

    status = checks.look(check, checks.begin(check, a_trial(check)), found, a_trial(check))

    assert (status.missed_looks, "no event of the stable revision since" in status.reason) == (1, True)


def test_at_the_very_moment_from_which_samples_count_none_does() -> None:
    check = a_check()

    waiting = checks.look(check, looked(check), answers(99, (0, 10), (0, 10)), a_trial(check, at=100.0, floor=100.0))

    assert waiting.reason == "Waiting."


def test_as_many_predictions_without_a_label_as_with_one_are_no_silence() -> None:
    for look in (((50, 0, 50), (100, 0, 0)), ((100, 0, 0), (50, 0, 50))):
        status = judged(an_accuracy(), look)
        assert (status.missed_looks, "0.5 of 100 predictions" in status.reason) == (1, True)


def test_without_a_stable_rate_too_it_takes_five_looks_to_be_no_data() -> None:
    check = a_check(tolerance={"absolute": "0.01"})
    status, verdicts = checks.begin(check, a_trial(check)), []
    for _ in range(5):
        status = checks.look(check, status, {REQUESTS: ()}, a_trial(check))
        verdicts.append(status.verdict)

    assert verdicts == [Verdict.UNDECIDED] * 4 + [Verdict.NO_DATA]
