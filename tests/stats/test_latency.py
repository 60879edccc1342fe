import itertools
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.stats import latency
from assay.stats.buckets import Histogram, native_bounds
from assay.stats.counts import Floats
from assay.stats.latency import Latencies, estimates, intervals, ratio_interval, start, update
from stats.histograms import BOUNDS, HEALTHY, SLOWER_BY_A_FIFTH, histogram, rollout, shares

NATIVE = native_bounds(3, -80, 78)
P95 = 0.08 * math.exp(0.6 * 1.6448536269514722)  # of the healthy, 215 ms


def after(observed: list[Histogram]) -> Latencies:
    state = start()
    for look in observed:
        state = update(state, look)
    return state


def evidence(found: Floats, total: float, share: float) -> Floats:
    return latency._against(found, total, share)


@given(st.sampled_from([0.5, 0.9, 0.95, 0.999]), st.integers(0, 2000), st.integers(0, 200))
def test_at_the_edge_one_more_request_leaves_the_expected_evidence_as_it_is(
    share: float, found: int, missing: int
) -> None:
    """A martingale from 1 on: the chance that it ever reaches 1 / alpha is at most alpha (Ville 1939)."""
    total = float(found + missing)
    before = evidence(np.array([float(found)]), total, share)[0]
    then = evidence(np.array([found + 1.0, float(found)]), total + 1, share) + np.log([share, 1 - share])
    if found < total * share + 20 * math.sqrt(total * share * (1 - share)):  # else its last digits are lost, or it is 0
        assert np.logaddexp(*then) == pytest.approx(before, abs=1e-7)


def test_the_evidence_starts_at_one_and_falls_as_more_are_found() -> None:
    assert evidence(np.zeros(1), 0.0, 0.95) == pytest.approx(0, abs=1e-12)
    assert np.all(np.diff(evidence(np.arange(401.0), 400.0, 0.95)) < 0)


def test_a_quantile_at_the_very_bound_is_rarely_taken_to_lie_beyond_though_one_looks_often() -> None:
    dice, runs, alpha = np.random.default_rng(1), 3000, 0.1
    found, missed = np.zeros(runs), np.zeros(runs, dtype=bool)
    for k in range(1, 101):
        found += dice.binomial(200, 0.97 if k <= 50 else 0.93, runs)  # drifts; never below .95 on average
        missed |= evidence(found, 200.0 * k, 0.95) >= -math.log(alpha)
    assert missed.mean() <= alpha
    found, missed = np.zeros(runs), np.zeros(runs, dtype=bool)
    for k in range(1, 101):
        found += dice.binomial(200, 0.95, runs)
        missed |= evidence(found, 200.0 * k, 0.95) >= -math.log(alpha)
    assert 0.2 * alpha < missed.mean() <= alpha


def test_the_interval_of_a_quantile_holds_at_all_looks_together() -> None:
    dice, runs, alpha, missed = np.random.default_rng(2), 200, 0.2, 0
    bounds = (0.1, 0.2, 0.3, 0.4, math.inf)
    law = np.array([0.4, 0.35, 0.2, 0.03, 0.02])  # the 95 % quantile is 0.3 exactly
    for _ in range(runs):
        state, out = start(), False
        for counts in dice.multinomial(100, law, 50):
            state = update(state, histogram(counts, counts, bounds))
            (low, high), _ = intervals(state, 0.95 - 1e-12, alpha)
            out = out or not low < 0.3 <= high
        missed += out
    assert 0 < missed / runs <= alpha


def test_an_interval_consists_of_bounds_and_closes_in_on_the_quantile() -> None:
    state = after(list(rollout(np.random.default_rng(3), SLOWER_BY_A_FIFTH, HEALTHY, (3000, 27_000))))
    assert intervals(state, 0.95, 0.05) == ((0.25, 0.5), (0.1, 0.25))
    few = after(list(rollout(np.random.default_rng(3), SLOWER_BY_A_FIFTH, HEALTHY, (10, 10), looks=1)))
    assert intervals(few, 0.95, 0.05)[0] == (0.1, math.inf)  # ten requests say little


@pytest.mark.parametrize("alpha", [0.1, 0.01])
def test_an_interval_leaves_half_of_its_chance_to_miss_to_either_end(alpha: float) -> None:
    for fast in range(900, 1000):
        state = after([Histogram((0.1, math.inf), (fast, 1000 - fast), (1, 1))])
        (low, high), _ = intervals(state, 0.95, alpha)
        against_more, against_less = (
            math.exp(evidence(np.array([found]), 1000.0, share)[0])
            for found, share in ((float(fast), 0.95), (1000.0 - fast, 0.05))
        )
        assert (low == 0.1) == (against_more >= 2 / alpha)
        assert (high == 0.1) == (against_less >= 2 / alpha)


def test_an_interval_of_the_ratio_leaves_half_of_its_chance_to_miss_to_either_side() -> None:
    for count in range(500, 1000):
        state = after([Histogram((0.1, 0.2, math.inf), (1000 - count, count, 0), (1000, 0, 0))])
        (low, _), (_, high) = intervals(state, 0.5, 0.05)
        assert ratio_interval(state, 0.5, 0.1)[0] == low / high


def test_of_the_ratio_no_more_is_told_than_bounds_can_tell() -> None:
    coarse = after(list(rollout(np.random.default_rng(4), SLOWER_BY_A_FIFTH, HEALTHY)))
    assert ratio_interval(coarse, 0.95, 0.05) == (1.0, 5.0)
    three = (0.1, 0.2, 0.3, math.inf)
    state = after([histogram(np.array([50.0, 50, 50, 850]), np.array([990.0, 5, 3, 2]), three)])
    assert ratio_interval(state, 0.5, 0.05) == (0.3 / 0.1, math.inf)


def test_native_histograms_bound_the_ratio_to_two_of_their_buckets() -> None:
    state, dice = start(), np.random.default_rng(5)
    slower, healthy = shares(1.2, NATIVE), shares(1.0, NATIVE)
    for _ in range(20):
        state = update(state, histogram(dice.multinomial(30_000, slower), dice.multinomial(270_000, healthy), NATIVE))
    low, high = ratio_interval(state, 0.95, 0.05)
    assert 1.2 / 2 ** (2 / 8) < low < 1.2 < high < 1.2 * 2 ** (2 / 8)
    assert estimates(state, 0.95) == pytest.approx((1.2 * P95, P95), rel=0.01)


def test_the_ratio_is_held_at_all_looks_together() -> None:
    bounds, dice, missed = native_bounds(2, -24, 8), np.random.default_rng(6), 0
    slower, healthy = shares(1.3, bounds), shares(1.0, bounds)
    for _ in range(60):
        state, out = start(), False
        for look in itertools.starmap(
            lambda a, b: histogram(a, b, bounds),
            zip(dice.multinomial(300, slower, 30), dice.multinomial(2700, healthy, 30), strict=True),
        ):
            state = update(state, look)
            low, high = ratio_interval(state, 0.95, 0.2)
            out = out or not low < 1.3 < high
        missed += out
    assert missed / 60 <= 0.2


@given(st.lists(st.lists(st.integers(0, 500), min_size=8, max_size=8), min_size=1, max_size=4))
def test_exchanging_the_sides_inverts_the_ratio_and_more_certainty_widens_it(counts: list[list[int]]) -> None:
    bounds = (0.1, 0.2, 0.5, math.inf)
    state = after([Histogram(bounds, tuple(row[:4]), tuple(row[4:])) for row in counts])
    turned = after([Histogram(bounds, tuple(row[4:]), tuple(row[:4])) for row in counts])
    low, high = ratio_interval(state, 0.7, 0.1)
    inverse_low, inverse_high = ratio_interval(turned, 0.7, 0.1)
    assert inverse_low == pytest.approx(1 / high if high < math.inf else 0)
    assert inverse_high == pytest.approx(1 / low if low > 0 else math.inf)
    surer_low, surer_high = ratio_interval(state, 0.7, 0.001)
    assert surer_low <= low <= high <= surer_high


def test_estimates_lie_inside_the_bucket_in_proportion() -> None:
    state = after([Histogram((0.1, 0.2, math.inf), (10, 80, 10), (40, 40, 20))])
    assert estimates(state, 0.5) == pytest.approx((0.15, 0.125))
    assert estimates(state, 0.05) == pytest.approx((0.05, 0.0125))
    assert estimates(state, 0.99) == (0.2, 0.2)


def test_without_requests_nothing_is_bounded_or_estimated() -> None:
    assert estimates(start(), 0.95) is None
    assert ratio_interval(start(), 0.95, 0.05) == (0.0, math.inf)
    assert intervals(start(), 0.95, 0.05) == ((0.0, math.inf), (0.0, math.inf))
    lacking = histogram(np.zeros(15), np.ones(15))
    assert update(start(), lacking) == start()


def test_a_state_that_is_stored_as_json_after_every_look_goes_on_the_same() -> None:
    stored = kept = start()
    for look in rollout(np.random.default_rng(7), HEALTHY, HEALTHY, looks=10):
        values = json.loads(json.dumps(asdict(stored), allow_nan=False))
        stored = update(Latencies(**{name: tuple(value) for name, value in values.items()}), look)
        kept = update(kept, look)
    assert stored == kept
    assert sum(kept.candidate) == 3000
    assert kept.bounds == BOUNDS[:-1]


@pytest.mark.parametrize("counts", [(0, 0, 10**9), (10**9, 0, 0), (1, 10**9, 10**8), (10**9, 1, 0)])
@pytest.mark.parametrize("quantile", [0.001, 0.5, 0.9999])
def test_no_count_is_too_large_or_too_lopsided(counts: tuple[int, int, int], quantile: float) -> None:
    state = after([Histogram((0.1, 0.2, math.inf), counts, counts[::-1])] * 3)
    low, high = ratio_interval(state, quantile, 0.01)
    assert 0 <= low < high


def test_a_look_with_other_bounds_is_refused() -> None:
    state = after([Histogram((0.1, math.inf), (1, 2), (3, 4))])
    with pytest.raises(ValueError, match="cannot be compared"):
        update(state, Histogram((0.2, math.inf), (1, 2), (3, 4)))


@pytest.mark.parametrize(("quantile", "alpha"), [(0.0, 0.1), (1.0, 0.1), (0.5, 0.0), (0.5, 1.0)])
def test_what_is_no_chance_is_refused(quantile: float, alpha: float) -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 1, both excluded"):
        intervals(start(), quantile, alpha)
