import itertools
import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.stats import proportion
from assay.stats.counts import Family, law
from assay.stats.proportion import (
    FLOOR,
    Evidence,
    Look,
    Rule,
    above,
    below,
    harm,
    odds_from_absolute,
    odds_from_relative,
    reached,
    safety,
    start,
    threshold,
    update,
)
from stats import reference
from strategies import looks, rules


def after(rule: Rule, observed: list[Look]) -> Evidence:
    evidence = start(rule)
    for look in observed:
        evidence = update(rule, evidence, look)
    return evidence


def test_the_golden_trace_of_the_harm_process_is_reproduced() -> None:
    rule, evidence, scores, mixtures = harm(0.05, 1.0), None, [], []
    evidence = start(rule)
    for look in (Look(300, 6, 2700, 27), Look(300, 5, 2700, 25), Look(300, 8, 2700, 29)):
        evidence = update(rule, evidence, look)
        scores.append(evidence.score)
        mixtures.append(np.mean(np.exp(evidence.logs)))
    assert mixtures == pytest.approx([1.800206, 2.802591, 18.195477], abs=5e-7)
    assert scores == pytest.approx([2.614441, 5.066189, 20], abs=5e-7)
    assert reached(rule, evidence)


@pytest.mark.parametrize(
    ("weights", "looks_needed", "first"),
    [((1.0, 1.0, 3.0, 1.0), 13, [1.1958, 1.4442, 1.7583]), ((1.0, 1.0, 1.0, 1.0), 14, None)],
)
def test_an_equal_candidate_passes_the_margin_after_the_known_number_of_looks(
    weights: tuple[float, ...], looks_needed: int, first: list[float] | None
) -> None:
    rule = replace(safety(0.05, 1.5), weights=weights)
    evidences = list(
        itertools.accumulate([Look(300, 3, 2700, 27)] * 14, lambda e, k: update(rule, e, k), initial=start(rule))
    )
    assert [reached(rule, evidence) for evidence in evidences].index(True) == looks_needed
    if first:
        assert [evidence.score for evidence in evidences[1:4]] == pytest.approx(first, abs=5e-5)


@pytest.mark.parametrize(
    ("alpha", "bounds"),
    [(0.05, [8, 12, 16, 20, 25, 29, 33, 37, 41, 45]), (0.01, [9, 14, 18, 23, 27, 32, 36, 40, 44, 48])],
)
def test_our_null_law_gives_the_known_bounds_of_the_exact_error_spending_test(alpha: float, bounds: list[int]) -> None:
    null = law(Family("relative", 300, 2700, 30), 1.0, np.array([2.0]))
    look = np.exp(null.log_probabilities)
    information = look @ (null.counts - look @ null.counts) ** 2
    alive, spent, found = np.array([1.0]), 0.0, []
    for k in range(1, 11):
        alive = np.convolve(alive, look)
        budget = alpha * math.sqrt(k * information / (k * information + 13)) - spent
        tail = np.cumsum(alive[::-1])[::-1]
        bound = int(np.flatnonzero(tail <= budget)[0])
        spent += tail[bound]
        alive = alive[:bound]
        found.append(bound)
    assert found == bounds


@given(rules(), st.lists(looks(12), min_size=1, max_size=4))
def test_the_kernel_agrees_with_the_formulas_written_plainly(rule: Rule, observed: list[Look]) -> None:
    ours = plain = start(rule)
    for look in observed:
        ours = update(rule, ours, look)
        plain = reference.update(rule, plain, look)
        assert ours.score == pytest.approx(plain.score, rel=1e-9)
        if not reached(rule, plain):
            assert ours.logs == pytest.approx(plain.logs, abs=1e-8)
        plain = ours


@given(rules(), st.lists(looks(), min_size=1, max_size=4))
def test_the_score_stays_between_the_floor_and_the_threshold_and_is_finite(rule: Rule, observed: list[Look]) -> None:
    evidence = after(rule, observed)
    assert FLOOR <= evidence.score <= threshold(rule)
    assert all(math.isfinite(log) for log in evidence.logs)


@given(rules(), looks(), st.lists(looks(), max_size=3))
def test_once_reached_nothing_changes_any_more(rule: Rule, look: Look, observed: list[Look]) -> None:
    evidence = Evidence(threshold(rule), after(rule, observed).logs)
    assert reached(rule, evidence)
    assert update(rule, evidence, look) is evidence


@given(st.lists(looks(), min_size=1, max_size=4), st.sampled_from([1.0, 1.1, 1.3]))
def test_calling_success_error_turns_harm_into_safety_at_the_inverse_odds_ratio(
    observed: list[Look], odds: float
) -> None:
    rule = harm(0.05, odds)
    mirror = Rule("relative", 1 / odds, tuple(1 / each for each in rule.grid), rule.weights, rule.level, "safety")
    turned = [
        Look(k.candidate_total, k.candidate_total - k.candidate_bad, k.stable_total, k.stable_total - k.stable_bad)
        for k in observed
    ]
    assert after(mirror, turned).score == pytest.approx(after(rule, observed).score, rel=1e-9)


@given(st.lists(looks(), min_size=1, max_size=4), st.sampled_from([1.25, 1.5, 2.0]))
def test_exchanging_the_sides_turns_safety_into_harm_at_the_inverse_odds_ratio(
    observed: list[Look], odds: float
) -> None:
    rule = safety(0.05, odds)
    mirror = Rule("relative", 1 / odds, tuple(1 / each for each in rule.grid), rule.weights, rule.level, "harm")
    turned = [Look(k.stable_total, k.stable_bad, k.candidate_total, k.candidate_bad) for k in observed]
    assert after(mirror, turned).score == pytest.approx(after(rule, observed).score, rel=1e-9)


@given(st.sampled_from([above, below]), looks(), looks())
def test_against_a_fixed_rate_it_does_not_matter_how_requests_are_split_over_looks(
    kind: Callable[[float, float], Rule], one: Look, other: Look
) -> None:
    rule = kind(1e-200, 0.2)  # a threshold that these looks cannot reach
    both = Look(one.candidate_total + other.candidate_total, one.candidate_bad + other.candidate_bad, 0, 0)
    assert after(rule, [one, other]).logs == pytest.approx(after(rule, [both]).logs, abs=1e-9)


@given(rules(), looks())
def test_where_nothing_overshoots_the_score_is_the_plain_mixture_of_likelihood_ratios(rule: Rule, look: Look) -> None:
    evidence = after(replace(rule, level=1e-200), [look])
    mixture = np.average(np.exp(evidence.logs), weights=rule.weights)
    assert evidence.score == pytest.approx(max(mixture, FLOOR), rel=1e-9)


@given(rules(), st.lists(looks(), max_size=3), looks())
def test_the_more_of_the_bad_requests_are_the_candidates_the_more_speaks_for_harm(
    rule: Rule, past: list[Look], shape: Look
) -> None:
    evidence = after(rule, past)
    scores = [update(rule, evidence, look).score for _, look in reference.outcomes(rule, shape, rule.null)]
    ordered = sorted(scores, reverse=rule.direction == "safety")
    assert scores == pytest.approx(ordered, rel=1e-9)


@given(st.lists(looks(), max_size=3), looks(), st.sampled_from([1.0, 1.1]))
def test_one_more_bad_candidate_request_never_lowers_the_likelihood_of_harm(
    past: list[Look], look: Look, odds: float
) -> None:
    if look.candidate_bad == look.candidate_total:
        return
    rule = harm(0.05, odds)
    evidence = replace(after(rule, past), score=1.0)
    worse = replace(look, candidate_bad=look.candidate_bad + 1)
    for before, then in zip(update(rule, evidence, look).logs, update(rule, evidence, worse).logs, strict=True):
        assert then >= before - 1e-9


@given(rules(), st.lists(looks(), max_size=3), st.integers(0, 50))
def test_a_look_without_requests_on_a_side_changes_nothing(rule: Rule, past: list[Look], requests: int) -> None:
    evidence = after(rule, past)
    assert update(rule, evidence, Look(0, 0, requests, requests // 2)) is evidence
    if rule.kind == "relative":
        assert update(rule, evidence, Look(requests, requests // 2, 0, 0)) is evidence


@given(st.sampled_from([harm(0.01, 1.1), safety(0.05, 1.5)]), st.integers(0, 3_000_000), st.integers(0, 3_000_000))
def test_without_a_single_bad_request_a_comparison_says_nothing(rule: Rule, candidate: int, stable: int) -> None:
    assert update(rule, start(rule), Look(candidate, 0, stable, 0)) == start(rule)
    assert update(rule, start(rule), Look(candidate, candidate, stable, stable)) == start(rule)


@pytest.mark.parametrize("size", [10, 100, 1000])
def test_clean_requests_alone_show_that_the_rate_is_negligible(size: int) -> None:
    rule, evidence, clean = below(0.05, 0.001), start(below(0.05, 0.001)), 0
    while not reached(rule, evidence):
        evidence, clean = update(rule, evidence, Look(size, 0, 0, 0)), clean + size
    assert 2995 < clean < 1.5 * 2995  # 2995 would do if "not one" were the only alternative: the rule of three


@given(rules(), st.lists(looks(), min_size=2, max_size=5))
def test_a_process_that_is_stored_as_json_after_every_look_decides_the_same(rule: Rule, observed: list[Look]) -> None:
    stored = kept = start(rule)
    for look in observed:
        text = json.dumps(asdict(stored), allow_nan=False)
        stored = update(rule, Evidence(json.loads(text)["score"], tuple(json.loads(text)["logs"])), look)
        kept = update(rule, kept, look)
    assert stored == kept


@pytest.mark.parametrize("rule", [harm(0.01, 1.1), safety(0.05, 1.5), above(0.01, 0.02), below(0.05, 0.02)])
@pytest.mark.parametrize(
    "look",
    [
        Look(1_500_000, 15_000, 1_500_000, 15_000),
        Look(1_500_000, 750_000, 1_500_000, 750_000),
        Look(3, 3, 2_999_997, 0),
        Look(2_999_999, 0, 1, 1),
        Look(1, 1, 1, 0),
        Look(3_000_000, 3_000_000, 1, 0),
        Look(1_500_000, 1_500_000, 1_500_000, 0),
        Look(1_500_000, 0, 1_500_000, 1_500_000),
    ],
)
def test_no_count_is_too_large_or_too_lopsided(rule: Rule, look: Look) -> None:
    evidence = after(rule, [look, look])
    assert FLOOR <= evidence.score <= threshold(rule)
    assert all(math.isfinite(log) for log in evidence.logs)


def test_a_candidate_that_turns_bad_after_hours_of_health_is_still_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    healthy, bad = Look(1500, 15, 1500, 15), Look(1500, 30, 1500, 15)
    rule = harm(0.01, 1.1)

    def looks_needed() -> int:
        evidence, needed = after(rule, [healthy] * 500), 0
        while not reached(rule, evidence) and needed < 100:
            evidence, needed = update(rule, evidence, bad), needed + 1
        return needed

    assert looks_needed() < 15
    monkeypatch.setattr(proportion, "FLOOR", 1e-300)
    assert looks_needed() == 100


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: harm(0.0, 1.1), "level is 0.0"),
        (lambda: harm(0.05, 0.0), "null is 0.0"),
        (lambda: safety(0.05, 1.0), "a margin must be above 1"),
        (lambda: above(0.05, 1.0), "rate is 1.0"),
        (lambda: below(0.05, 0.0), "null is 0.0"),
        (lambda: replace(harm(0.05, 1.1), grid=(1.1, 2.0, 3.0, 5.0)), "must lie above 1.1"),
        (lambda: replace(safety(0.05, 1.5), grid=(0.0, 0.8, 1.0, 1.2)), "must be positive and below 1.5"),
        (lambda: replace(below(0.05, 0.1), grid=(0.0,), weights=(1.0,)), "at least one alternative"),
        (lambda: replace(harm(0.05, 1.1), weights=(1.0,)), "one positive weight for each"),
        (lambda: update(harm(0.05, 1.1), Evidence(1.0, (0.0,)), Look(1, 0, 1, 1)), "evidence has 1 logs"),
        (lambda: update(harm(0.05, 1.1), Evidence(1.0, (0.0,)), Look(1, 0, 1, 0)), "evidence has 1 logs"),
        (lambda: harm(1.0, 1.1), "level is 1.0"),
        (lambda: harm(0.05, math.inf), "null is inf"),
        (lambda: safety(0.05, math.nan), "null is nan"),
        (lambda: above(0.05, 0.0), "null is 0.0"),
        (lambda: above(0.05, -0.1), "rate is -0.1"),
        (lambda: replace(below(0.05, 0.1), null=1.0), "null is 1.0"),
        (lambda: replace(above(0.05, 0.1), grid=(0.2, 0.3, 0.4, 1.0)), "must lie above 0.1 and below 1.0"),
        (lambda: replace(safety(0.05, 1.5), grid=(0.6, 0.8, 1.0, 1.5)), "must be positive and below 1.5"),
        (lambda: replace(below(0.05, 0.1), grid=(-0.1, 0.01, 0.02, 0.03)), "must be positive and below 0.1"),
        (lambda: replace(harm(0.05, 1.1), weights=(1.0, 1.0, 1.0, 0.0)), "one positive weight for each"),
        (lambda: replace(harm(0.05, 1.1), grid=(), weights=()), "one positive weight for each"),
        (lambda: odds_from_relative("inf"), "must be a number above -1"),
        (lambda: odds_from_absolute("-0.1", 1.0), "the stable rate is 1.0"),
        (lambda: odds_from_absolute("0.5", 0.5), "which is no rate"),
        (lambda: odds_from_absolute("-0.5", 0.5), "which is no rate"),
        (lambda: odds_from_relative("-1"), "must be a number above -1"),
        (lambda: odds_from_relative("nan"), "must be a number above -1"),
        (lambda: odds_from_absolute("0.1", 0.0), "the stable rate is 0.0"),
        (lambda: odds_from_absolute("0.1", 0.95), "which is no rate"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(build: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build()


@pytest.mark.parametrize("rate", [0.001, 0.05, 0.5, 0.99])
def test_the_alternatives_beyond_a_limit_are_the_same_multiples_in_odds_as_those_beyond_a_tolerance(
    rate: float,
) -> None:
    odds = [odds_from_absolute(each - rate, rate) for each in above(0.05, rate).grid]
    assert odds == pytest.approx(harm(0.05, 1.0).grid)


def test_the_rules_bet_on_what_they_are_documented_to_bet_on() -> None:
    assert harm(0.05, 2.0) == Rule("relative", 2.0, (3.0, 4.0, 6.0, 10.0), (1.0,) * 4, 0.05, "harm")
    assert safety(0.1, 4.0) == Rule("relative", 4.0, (0.6, 0.8, 1.0, 2.0), (1.0, 1.0, 3.0, 1.0), 0.1, "safety")
    assert below(0.1, 0.2).grid == pytest.approx((0.0, 0.02, 0.06, 0.12))
    assert replace(safety(0.05, 1.5), grid=(1e-300, 0.8, 1.0, 1.2)).grid[0] > 0  # as near to 0 as one likes
    assert (above(0.1, 0.2).direction, below(0.1, 0.2).direction) == ("harm", "safety")
    assert (threshold(harm(0.05, 1.0)), start(harm(0.05, 1.0))) == (20.0, Evidence(1.0, (0.0,) * 4))


def test_a_relative_change_is_an_odds_ratio() -> None:
    assert odds_from_relative("0.10") == pytest.approx(1.1)
    assert odds_from_relative("-0.5") == 0.5


@given(st.floats(0.001, 0.6), st.floats(0.001, 0.3))
def test_an_absolute_difference_is_the_odds_ratio_between_the_two_rates(rate: float, difference: float) -> None:
    odds = odds_from_absolute(difference, rate) * rate / (1 - rate)
    assert odds / (1 + odds) == pytest.approx(rate + difference)
