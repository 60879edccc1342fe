"""Is a candidate with the slower histogram found, one within the tolerance let through, and every trap seen?"""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pytest

from assay.api.base import Verdict
from assay.api.checks import Check
from assay.api.modeldeployment import CheckStatus, RanksState
from assay.core import checks, measures, quantiles
from assay.core.decision import Missing, Query, Series
from assay.core.hypotheses import rank_tests
from assay.core.measures import Found
from assay.core.scrapes import Readings
from assay.core.sound import is_sound
from assay.stats.counts import Floats
from core.test_checks import ARMS, a_trial
from core.test_replay import spec_of
from stats.histograms import BOUNDS, HEALTHY, SLOW_TAIL, SLOWER_BY_A_FIFTH, SLOWER_BY_A_TWENTIETH, shares

Law: TypeAlias = Sequence[float] | Floats

ROUTER = Query("envoy_cluster_upstream_rq_time_bucket", (("assay_via", "split"),))
FINE = (*(0.001 * 1.0905**step for step in range(110)), math.inf)


def a_check(**changes: Any) -> Check:
    return Check.model_validate({"name": "latency", "preset": "latency", "quantile": "0.95", **changes})


def answers(at: float, candidate: Law, stable: Law, bounds: Sequence[float] = BOUNDS) -> Found:
    """What one router has counted for each revision, in milliseconds; the sides are cumulative over time, not over buckets."""
    found = []
    for revision, counts in ((ARMS.candidate, candidate), (ARMS.stable, stable)):
        for bound, value in zip(bounds, np.cumsum(counts), strict=True):
            le = "+Inf" if math.isinf(bound) else f"{1000 * bound:.10g}"
            found.append(Series({"pod": "r", "assay_revision": revision, "le": le}, ((at, float(value)),)))
    return {ROUTER: tuple(found)}


def rolled_out(  # noqa: PLR0913 - each test varies another one
    check: Check,
    candidate: Law,
    stable: Law,
    seed: int = 0,
    *,
    looks: int = 60,
    totals: tuple[int, int] = (300, 2700),
    bounds: Sequence[float] = BOUNDS,
    **analysis: Any,
) -> tuple[CheckStatus, int]:
    """The state when the check decided, or after all looks, and how many it took."""
    dice = np.random.default_rng(seed)
    ours, theirs = np.zeros(len(bounds)), np.zeros(len(bounds))
    status = checks.begin(check, a_trial(check, **analysis))
    for look in range(looks + 1):
        found = answers(10.0 * (look + 1), ours, theirs, bounds)
        trial = a_trial(check, at=10.0 * (look + 1), **analysis)
        status = checks.look(check, status, found, trial)
        assert is_sound(status, trial.analysis, trial.now), "what a look has left can be gone on from"
        if status.verdict in (Verdict.FAIL, Verdict.PASS):
            return status, look
        ours, theirs = ours + dice.multinomial(totals[0], candidate), theirs + dice.multinomial(totals[1], stable)
    return status, looks


@pytest.mark.parametrize(("candidate", "oracle"), [(SLOWER_BY_A_FIFTH, 1.0), (SLOW_TAIL, 1.17)])
def test_with_no_tolerance_harm_is_found_within_twice_what_the_best_possible_test_needs(
    candidate: Law, oracle: float
) -> None:
    check = a_check(tolerance={"relative": "0"})
    ended = [rolled_out(check, candidate, HEALTHY, seed, falseRollback="0.05") for seed in range(40)]

    assert {status.verdict for status, _ in ended} == {Verdict.FAIL}
    assert np.mean([looks for _, looks in ended]) <= 2 * oracle


def test_an_equal_candidate_is_rolled_back_no_more_often_than_promised() -> None:
    check, runs = a_check(tolerance={"relative": "0"}, margin={"relative": "0.01"}), 200
    ended = [rolled_out(check, HEALTHY, HEALTHY, seed, looks=20, falseRollback="0.05") for seed in range(runs)]

    false = sum(status.verdict is Verdict.FAIL for status, _ in ended) / runs
    assert false <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_a_tolerance_lets_a_little_slower_pass_and_finds_what_is_far_slower() -> None:
    check = a_check(tolerance={"relative": "0.10"})
    little, _ = rolled_out(check, shares(1.05, FINE), shares(1.0, FINE), bounds=FINE)
    far, looks = rolled_out(check, shares(1.5, FINE), shares(1.0, FINE), bounds=FINE)

    assert little.verdict is not Verdict.FAIL
    assert far.verdict is Verdict.FAIL
    assert looks <= 3


def test_a_difference_that_lies_within_the_tolerance_never_fails_however_much_traffic_there_is() -> None:
    check = a_check(tolerance={"relative": "0.10"}, margin={"relative": "0.11"})
    totals = (30_000, 270_000)
    status, _ = rolled_out(check, SLOWER_BY_A_TWENTIETH, HEALTHY, looks=15, totals=totals, falseRollback="0.05")

    assert status.verdict is Verdict.UNDECIDED
    assert status.quantile is not None
    assert status.quantile.harm == 0


def test_ranks_alone_are_no_harm_while_the_quantile_may_be_within_the_tolerance() -> None:
    fast = 0.5 * shares(0.2, FINE) + 0.5 * shares(
        1.0, FINE
    )  # half of stable's answers are far quicker, the slow ones equal
    check = a_check(tolerance={"relative": "0.50"}, margin={"relative": "2"}, quantile="0.99")
    ended, _ = rolled_out(check, shares(0.95, FINE), fast, looks=20, bounds=FINE)
    strict, looks = rolled_out(
        a_check(tolerance={"relative": "0"}, quantile="0.99"), shares(0.95, FINE), fast, bounds=FINE
    )

    assert ended.verdict is not Verdict.FAIL
    assert (strict.verdict, looks) == (Verdict.FAIL, 1)


def test_an_equal_candidate_passes_and_the_sentence_tells_the_quantiles() -> None:
    status, _ = rolled_out(a_check(), HEALTHY, HEALTHY)

    assert status.verdict is Verdict.PASS
    assert 0.9 < float(status.effect) < 1.1
    estimate, _, interval = status.estimate_stable.partition(" ")
    assert 0.1 < float(estimate) < 0.25
    assert interval == "(0.1 to 0.25)"
    assert status.interval == "0.4 to 2.5"  # between neighbouring bounds nothing better can be said
    assert status.reason.startswith(f"Candidate {status.totals[1]} beyond 0.25 s / {status.totals[0]}, stable ")
    assert f"(ratio of the quantiles {status.effect})" in status.reason


def test_a_new_weight_step_begins_the_ranks_anew_and_keeps_the_bound() -> None:
    check = a_check(tolerance={"relative": "0"})
    status, _ = rolled_out(check, HEALTHY, HEALTHY, looks=2)
    assert status.quantile is not None
    anew = checks.begin_step(status, 1)

    assert anew.quantile is not None
    assert (anew.quantile.bound, anew.quantile.candidate, anew.quantile.ranks.tested) == (status.quantile.bound, [], 0)
    assert anew.harm == status.harm, "what goes through the whole rollout is not begun anew"


@pytest.mark.parametrize("gate", ["Evidence", "Pass", "Time"])
def test_the_level_of_the_ranks_is_divided_by_the_steps_with_each_of_which_they_begin_anew(gate: str) -> None:
    steps: list[dict[str, Any]] = [{"weight": 5}, {"pause": {"seconds": 1}}, {"weight": 50}]
    spec = spec_of(strategy__canary__steps=steps, analysis__gate=gate)
    assert rank_tests(spec) == 3
    assert quantiles.level(a_trial(a_check(), falseRollback="0.06")) == 0.03


def test_a_step_that_is_entered_again_is_no_further_test() -> None:
    check = a_check(tolerance={"relative": "0"})
    status, _ = rolled_out(check, HEALTHY, HEALTHY, looks=2)
    second = checks.begin_step(status, 1)
    assert second.quantile is not None
    assert second.quantile.ranks.tested == 0
    going_on = second.model_copy(update={"quantile": second.quantile.model_copy(update={"ranks": ranks_of(status)})})

    for step in (1, 0, 1):
        going_on = checks.begin_step(going_on, step)
        assert ranks_of(going_on) == ranks_of(status)
    assert ranks_of(checks.begin_step(going_on, 2)).tested == 0


def ranks_of(status: CheckStatus) -> RanksState:
    assert status.quantile is not None
    return status.quantile.ranks


def test_harm_that_ranks_have_shown_is_never_begun_anew() -> None:
    check = a_check(tolerance={"relative": "0"})
    status, _ = rolled_out(check, SLOWER_BY_A_FIFTH, HEALTHY)
    anew = checks.begin_step(status, 1)
    for look in range(3):
        found = answers(900.0 + look, 3000.0 * (1 + look) * HEALTHY.round(3), 30000 * (1 + look) * HEALTHY.round(3))
        anew = checks.look(check, anew, found, a_trial(check, at=900.0 + look))

    assert (status.verdict, anew.verdict) == (Verdict.FAIL, Verdict.FAIL)


def test_hundreds_of_looks_at_one_weight_leave_a_state_that_can_be_gone_on_from() -> None:
    check = a_check(tolerance={"relative": "0"}, margin={"relative": "0.01"})
    status, looks = rolled_out(check, HEALTHY, HEALTHY, seed=11, looks=250, totals=(60, 540))

    assert looks == 250
    assert ranks_of(status).tested > 0.9 * ranks_of(status).information


def test_stable_s_past_tells_the_bound_where_there_is_enough_of_it() -> None:
    check = a_check()
    status = checks.begin(check, a_trial(check))
    past = 10_000 * HEALTHY.round(3)
    dice = np.random.default_rng(1)
    odd = dice.multinomial(10, shares(6.0)).astype(float)  # ten slow ones would say otherwise
    for at, more in ((10.0, 0 * odd), (20.0, odd)):
        status = checks.look(check, status, answers(at, more, past + more), a_trial(check, at=at))

    assert status.quantile is not None
    assert status.quantile.bound == 0.25


def test_a_histogram_with_other_buckets_is_not_added_to_the_one_before() -> None:
    check = a_check()
    status, _ = rolled_out(check, HEALTHY, HEALTHY, looks=2)
    counts = [1000.0] * 4
    for at in (500.0, 510.0):
        found = answers(at, [at * one for one in counts], [at * one for one in counts], (0.1, 0.2, 0.3, math.inf))
        status = checks.look(check, status, found, a_trial(check, at=at))

    assert status.reason.endswith(
        "nothing could be measured in 2 looks in a row: the histogram has other buckets than when the rollout began."
    )


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        (("100", "200"), "its buckets must be le=+Inf and at least one above 0, and they are 100, 200"),
        (("+Inf",), "its buckets must be le=+Inf and at least one above 0, and they are +Inf"),
        (("-1", "1", "+Inf"), "its buckets must be le=+Inf and at least one above 0, and they are -1, 1, +Inf"),
        ((*map(str, range(1, 300)), "+Inf"), "it has 299 buckets, of which status holds 199 at most"),
    ],
)
def test_a_histogram_that_says_nothing_is_told(bounds: tuple[str, ...], why: str) -> None:
    found = measures.histogram([Series({"pod": "p", "le": bound}, ((1.0, 2.0),)) for bound in bounds])
    assert found == Missing(why)


def test_a_scrape_that_lost_a_bucket_counts_in_none() -> None:
    whole = [Series({"pod": "p", "le": le}, ((1.0, 2.0), (2.0, 3.0))) for le in ("0.5", "1.0")]
    events = measures.histogram([*whole, Series({"pod": "p", "le": "+Inf"}, ((2.0, 4.0),))])
    other = measures.histogram([*whole, Series({"pod": "q", "le": "+Inf"}, ((2.0, 4.0),))])

    assert not isinstance(events, Missing)
    assert [[one.samples for one in kind] for kind in events.series] == [
        [((2.0, 3.0),)],
        [((2.0, 3.0),)],
        [((2.0, 4.0),)],
    ]
    assert other == Missing("pod p has 2 buckets, others have 3")


def test_a_histogram_of_ones_own_is_asked_for_by_its_buckets() -> None:
    own = {"metric": "llm_first_token_seconds", "match": {"route": "chat"}}
    check = Check.model_validate({"name": "first-token", "histogram": own, "quantile": "0.9"})
    (query,) = measures.queries([check])
    assert query == Query("llm_first_token_seconds_bucket", (("route", "chat"),))
    found = answers(10.0, HEALTHY * 1000, HEALTHY * 1000)
    events = measures.events(check, {query: found[ROUTER]})
    assert not isinstance(events, Missing)
    assert events.bounds == tuple(round(1000 * bound, 9) for bound in BOUNDS[:-1]), "in its own unit"


def test_the_hour_before_tells_how_answers_beyond_the_quantile_came_together() -> None:
    check = a_check()
    dice, law, total = np.random.default_rng(3), HEALTHY, np.zeros(len(BOUNDS))
    samples: dict[str, list[tuple[float, float]]] = {}
    for at in range(120):
        slow = dice.random() < 0.2  # in one half minute of five, a fifth of the answers is slow
        total = total + dice.multinomial(500, 0.8 * law + 0.2 * np.eye(len(BOUNDS))[-2] if slow else law)
        for bound, value in zip(BOUNDS, np.cumsum(total), strict=True):
            for pod, part in (("r", 1.0), ("s", 0.5)):
                samples.setdefault(f"{pod} {bound}", []).append((30.0 * at, round(part * value)))
    series = tuple(
        Series(
            {"pod": pod, "assay_revision": ARMS.stable, "le": "+Inf" if bound == "inf" else f"{1000 * float(bound)}"},
            tuple(pairs),
        )
        for (pod, bound), pairs in ((tuple(key.split()), pairs) for key, pairs in samples.items())
    )
    history = measures.read_before(check, {Query(ROUTER.metric, ROUTER.match, history=True): series}, ARMS)
    assert not isinstance(history, Missing)
    share: Readings = quantiles.at_bound(check, checks.begin(check, a_trial(check)), history)
    bad, all_, _ = share["r", ""][-1].stable
    assert 0.02 < bad / all_ < 0.09
