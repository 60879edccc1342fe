import itertools
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm

from assay.stats import proportion, wilcoxon
from assay.stats.boundary import Density, bound, nothing
from assay.stats.buckets import Histogram, native_bounds, nearest_bound, slow, slowed
from assay.stats.counts import Floats
from assay.stats.wilcoxon import Ranks, moments, reached, standing, start, update
from stats.histograms import (
    HEALTHY,
    SLOW_TAIL,
    SLOWER_BY_A_FIFTH,
    SLOWER_BY_A_TWENTIETH,
    histogram,
    rollout,
    shares,
)

FIRST = list(rollout(np.random.default_rng(0), HEALTHY, HEALTHY, looks=1))
NATIVE = native_bounds(3, -80, 78)
IN_ONE_BUCKET = np.array([0.99, 0.01, *[0.0] * 13])


def after(observed: list[Histogram], alpha: float = 0.05) -> Ranks:
    state = start()
    for look in observed:
        state = update(alpha, state, look)
    return state


def false_rollbacks(healthy: Floats, totals: tuple[int, int], runs: int) -> float:
    """How often an equal candidate is rolled back at alpha .05 within 60 looks."""
    dice, times = np.random.default_rng(20261121), 0
    for _ in range(runs):
        state = start()
        for look in rollout(dice, healthy, healthy, totals):
            state = update(0.05, state, look)
            if reached(state):
                times += 1
                break
    return times / runs


def looks_needed(candidate: Floats, runs: int) -> float:
    """Mean looks until either test of rule 7f, at half of 0.05, rolls back."""
    dice, needed, rule = np.random.default_rng(3), 0, proportion.harm(0.025, 1.0)
    for _ in range(runs):
        ranks, evidence, at = start(), proportion.start(rule), None
        for look in rollout(dice, candidate, HEALTHY):
            at = at or nearest_bound(look, 0.95)
            ranks, evidence = update(0.025, ranks, look), proportion.update(rule, evidence, slow(look, at))
            needed += 1
            if reached(ranks) or proportion.reached(rule, evidence):
                break
    return needed / runs


def test_one_look_is_the_rank_sum_test_with_ties() -> None:
    candidate, stable = np.array([3.0, 5, 9, 4, 1]), np.array([9.0, 11, 8, 2, 1])
    excess, variance, _ = moments(candidate, stable)
    x, y = (np.repeat(np.arange(5), counts.astype(int)) for counts in (candidate, stable))
    known = mannwhitneyu(x, y, alternative="greater", method="asymptotic", use_continuity=False)
    assert 0.5 * math.erfc(excess / math.sqrt(2 * variance)) == pytest.approx(known.pvalue, rel=1e-12)


@pytest.mark.parametrize(("buckets", "few"), [([3, 1, 4, 2], 4), ([2, 1, 0], 1), ([1, 1, 3], 3), ([1, 5, 1], 2)])
def test_the_moments_are_those_of_all_samples_without_replacement(buckets: list[int], few: int) -> None:
    pooled = np.array(buckets, dtype=float)
    requests = np.repeat(np.arange(len(buckets)), buckets)
    excesses = []
    for chosen in itertools.combinations(requests, few):
        candidate = np.bincount(chosen, minlength=len(buckets)).astype(float)
        excess, variance, third = moments(candidate, pooled - candidate)
        excesses.append(excess)
    assert np.mean(excesses) == pytest.approx(0, abs=1e-12)
    assert np.mean(np.square(excesses)) == pytest.approx(variance)
    assert np.mean(np.power(excesses, 3)) == pytest.approx(third, abs=1e-12)
    assert (third != 0) == (buckets != [1, 5, 1])


def test_the_first_look_spends_what_a_sixth_of_the_information_may() -> None:
    state = after(FIRST)
    assert state.spent == pytest.approx(0.05 * math.sqrt(1 / 6), rel=1e-6)
    assert state.density.highest == pytest.approx(bound(nothing(), state.information, 0.05 * math.sqrt(1 / 6)))
    assert standing(state)[1] == pytest.approx(norm.isf(0.05 / math.sqrt(6)))


# R = 2500 gave .040 and .047; these are fewer, to be quick.
@pytest.mark.parametrize("totals", [(300, 2700), (30, 270)])
def test_a_healthy_candidate_is_rarely_rolled_back(totals: tuple[int, int]) -> None:
    runs = 300
    assert false_rollbacks(HEALTHY, totals, runs) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_where_nearly_all_requests_share_a_bucket_nothing_is_decided_too_early() -> None:
    states = itertools.accumulate(
        rollout(np.random.default_rng(2), IN_ONE_BUCKET, IN_ONE_BUCKET),
        lambda s, k: update(0.05, s, k),
        initial=start(),
    )
    first = next(state for state in states if state.tested)
    assert 0.09 < first.third / first.information**1.5 <= wilcoxon.SKEWNESS
    one_look = moments(300 * IN_ONE_BUCKET, 2700 * IN_ONE_BUCKET)[1]
    assert first.information / one_look > 15


@pytest.mark.parametrize(
    ("candidate", "published", "runs"),
    [(SLOWER_BY_A_FIFTH, 1.01, 100), (SLOW_TAIL, 1.75, 300), (SLOWER_BY_A_TWENTIETH, 5.01, 300)],
)
def test_together_with_the_slow_fraction_harm_is_found_as_soon_as_was_published(
    candidate: Floats, published: float, runs: int
) -> None:
    assert looks_needed(candidate, runs) <= 1.2 * published


def tolerated(candidate: Floats, runs: int) -> tuple[float, float]:
    """How often harm beyond one native bucket (9 %) is found at alpha .05, and after how many looks on average."""
    dice, times, needed, healthy = np.random.default_rng(8), 0, 0, shares(1.0, NATIVE)
    for _ in range(runs):
        state = start()
        for look in rollout(dice, candidate, healthy, bounds=NATIVE):
            state, needed = update(0.05, state, slowed(look, 2.0**0.125)), needed + 1
            if reached(state):
                times += 1
                break
    return times / runs, needed / runs


def test_with_native_buckets_a_tolerance_is_kept_to_and_what_is_beyond_it_is_found_at_once() -> None:
    runs = 120
    assert tolerated(shares(NATIVE[1] / NATIVE[0], NATIVE), runs)[0] <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert tolerated(shares(1.2, NATIVE), runs)[1] < 2.5


def test_a_drift_that_strikes_both_sides_while_the_weight_grows_is_no_harm() -> None:
    dice, state = np.random.default_rng(4), start()
    for k in range(40):
        few, both = 150 + 30 * k, (1 - k / 40) * HEALTHY + k / 40 * SLOWER_BY_A_FIFTH
        state = update(0.01, state, histogram(dice.multinomial(few, both), dice.multinomial(3000 - few, both)))
    assert not reached(state)


def test_a_faster_candidate_is_never_rolled_back() -> None:
    state = after(list(rollout(np.random.default_rng(5), HEALTHY, SLOWER_BY_A_FIFTH)))
    assert not reached(state)
    assert standing(state)[0] < -5


def test_small_looks_wait_until_they_matter_together() -> None:
    large, small = ([histogram(few * HEALTHY, 9 * few * HEALTHY)] for few in (90_000, 90))
    state = after(large)
    waiting = after(large + small)
    assert (waiting.tested, waiting.spent) == (state.tested, state.spent)
    assert waiting.information > state.information
    assert after(large + 60 * small).tested > state.tested


def test_moments_of_nothing_are_nothing() -> None:
    for candidate, stable in (([0, 0], [3, 4]), ([3, 4], [0, 0]), ([0, 2], [0, 1]), ([0, 0], [0, 0]), ([1, 0], [0, 0])):
        assert moments(np.array(candidate, dtype=float), np.array(stable, dtype=float)) == (0.0, 0.0, 0.0)
    assert moments(np.array([1.0, 0]), np.array([0.0, 1]))[:2] == pytest.approx((-1 / 6, 1 / 36))


def test_a_second_look_spends_what_two_of_seven_parts_of_the_information_may() -> None:
    state = update(0.05, after(FIRST), FIRST[0])
    assert state.information == state.tested == pytest.approx(2 * after(FIRST).information)
    assert state.spent == pytest.approx(0.05 * math.sqrt(2 / 7), rel=1e-6)
    assert (state.excess, state.third) == pytest.approx((2 * after(FIRST).excess, 2 * after(FIRST).third))
    assert state.scale == pytest.approx(5 * after(FIRST).information)
    assert state.density.lowest == pytest.approx(-6 * math.sqrt(state.information))
    z, edge = standing(state)
    assert z == pytest.approx(state.excess / math.sqrt(state.information))
    assert edge == pytest.approx(state.density.highest / math.sqrt(state.information))


def test_of_requests_that_come_four_at_a_time_a_quarter_is_believed() -> None:
    """Sum, variance and third cumulant of the ranks of independent requests all grow as their number does."""
    excess, variance, third = moments(*FIRST[0].counts)

    whole, quarter = update(0.05, start(), FIRST[0]), update(0.05, start(), FIRST[0], 4.0)

    assert (whole.excess, whole.information, whole.third) == pytest.approx((excess, variance, third))
    assert (quarter.excess, quarter.information) == pytest.approx((excess / 4, variance / 4))
    assert quarter.third == pytest.approx(third / 4)
    assert standing(quarter)[0] == pytest.approx(standing(whole)[0] / 2)


def test_nothing_seen_has_no_edge() -> None:
    assert (standing(start()), reached(start())) == ((0.0, None), False)
    lopsided = update(0.05, start(), histogram(300 * IN_ONE_BUCKET, 2700 * IN_ONE_BUCKET))
    assert (lopsided.tested, standing(lopsided)[1], lopsided.spent) == (0.0, None, 0.0)
    assert lopsided.information > 0


def test_a_look_that_says_nothing_changes_nothing() -> None:
    state = after(FIRST)
    none, some = np.zeros(15), np.arange(15.0)
    one_bucket = np.eye(15)[3] * 100
    for candidate, stable in ((none, some), (some, none), (one_bucket, one_bucket)):
        assert update(0.05, state, histogram(candidate, stable)) is state


def test_once_reached_nothing_changes_any_more() -> None:
    looks = list(rollout(np.random.default_rng(6), SLOWER_BY_A_FIFTH, HEALTHY, looks=3))
    state = after(looks)
    assert reached(state)
    assert update(0.05, state, FIRST[0]) is state


def test_a_state_that_is_stored_as_json_after_every_look_goes_on_the_same_and_does_not_grow() -> None:
    stored = kept = start()
    for look in rollout(np.random.default_rng(7), HEALTHY, HEALTHY, looks=30):
        values = json.loads(json.dumps(asdict(stored), allow_nan=False))
        density = values.pop("density")
        values["density"] = Density(density["lowest"], density["highest"], tuple(density["values"]))
        stored = update(0.05, Ranks(**{**values, "bounds": tuple(values["bounds"])}), look)
        kept = update(0.05, kept, look)
    assert stored == kept
    assert len(kept.density.values) + len(kept.bounds) <= 128


@given(st.lists(st.lists(st.integers(0, 50), min_size=6, max_size=6), min_size=1, max_size=5), st.floats(0.001, 0.5))
def test_no_histogram_overspends_or_breaks_it(counts: list[list[int]], alpha: float) -> None:
    state = start()
    for row in counts:
        state = update(alpha, state, Histogram((0.1, 0.2, math.inf), tuple(row[:3]), tuple(row[3:])))
        assert 0 <= state.spent <= alpha * 1.000001
        json.dumps(asdict(state), allow_nan=False)


def test_a_look_with_other_bounds_is_refused() -> None:
    state = after(FIRST)
    with pytest.raises(ValueError, match="cannot be compared"):
        update(0.05, state, Histogram((0.1, math.inf), (1, 2), (3, 4)))


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_level_that_is_no_chance_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=f"alpha is {alpha}"):
        update(alpha, start(), FIRST[0])
