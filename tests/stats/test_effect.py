import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.stats.proportion import Effect, Look, interval, odds_ratio, start_effect, update_effect
from strategies import looks


def after(observed: list[Look]) -> Effect:
    state = start_effect()
    for look in observed:
        state = update_effect(state, look)
    return state


def simulated(
    rng: np.random.Generator, odds: float, count: int, candidate: int = 300, stable: int = 2700
) -> list[Look]:
    rates = np.linspace(0.01, 0.05, count)  # the shared rate drifts: only the odds ratio is constant
    better = odds * rates / (1 - rates + odds * rates)
    return [
        Look(candidate, int(rng.binomial(candidate, p)), stable, int(rng.binomial(stable, q)))
        for p, q in zip(better, rates, strict=True)
    ]


def test_the_pooled_odds_ratio_is_that_of_mantel_and_haenszel() -> None:
    state = after([Look(10, 8, 6, 1), Look(100, 10, 200, 10)])
    expected = (8 * 5 / 16 + 10 * 190 / 300) / (1 * 2 / 16 + 10 * 90 / 300)
    assert odds_ratio(state) == pytest.approx(expected)
    assert odds_ratio(after([Look(10, 8, 7, 2)])) == pytest.approx(8 * 5 / (2 * 2))


def test_without_bad_stable_requests_there_is_no_odds_ratio_but_there_may_be_a_lower_bound() -> None:
    state = after([Look(1000, 30, 1000, 0)])
    assert odds_ratio(state) is None
    low, high = interval(state, 0.05)
    assert low > 2
    assert high == math.inf


def test_what_was_counted_is_added_up_and_likelihoods_are_those_against_equality() -> None:
    state = after([Look(400, 30, 1600, 60), Look(100, 1, 50, 2)])

    assert (state.candidate_total, state.candidate_bad) == (500, 31)
    assert (state.stable_total, state.stable_bad) == (1650, 62)
    assert state.logs[28] == start_effect().logs[28] == 0.0  # "equal" stands in the middle of the lattice


def test_the_interval_of_one_look_is_the_one_that_was_computed_when_the_lattice_was_chosen() -> None:
    state = after([Look(400, 30, 1600, 60)])

    assert interval(state, 0.05) == pytest.approx((0.9496500, 4.3851879), abs=5e-8)


def test_where_only_the_outermost_of_the_lattice_is_refuted_it_is_the_bound() -> None:
    outermost = math.exp(math.sinh(0.15 * 28) / 7.5)

    low, _ = interval(after([Look(100, 1, 100, 0)]), 0.03)
    _, high = interval(after([Look(100, 0, 100, 1)]), 0.03)

    assert (low, high) == pytest.approx((1 / outermost, outermost))
    assert interval(after([Look(100, 1, 100, 0)]), 0.02)[0] == 0.0


def test_without_evidence_nothing_is_bounded() -> None:
    assert interval(start_effect(), 0.05) == (0.0, math.inf)
    assert interval(after([Look(1000, 0, 1000, 0)]), 0.05) == (0.0, math.inf)


@given(st.lists(looks(), max_size=4), st.integers(0, 50))
def test_a_look_that_lacks_a_side_is_not_counted(past: list[Look], requests: int) -> None:
    state = after(past)
    assert update_effect(state, Look(requests, requests // 3, 0, 0)) is state
    assert update_effect(state, Look(0, 0, requests, requests // 3)) is state


def test_the_state_is_at_most_64_numbers_however_long_the_rollout() -> None:
    state = after([Look(300, 3, 2700, 27)] * 50)
    values = asdict(state)
    assert len(values.pop("logs")) + len(values) <= 64


@given(st.lists(looks(), max_size=4), looks())
def test_a_state_that_is_stored_as_json_goes_on_the_same(past: list[Look], look: Look) -> None:
    values = json.loads(json.dumps(asdict(after(past)), allow_nan=False))
    stored = Effect(**{**values, "logs": tuple(values["logs"])})
    assert update_effect(stored, look) == update_effect(after(past), look)


@given(st.lists(looks(200), min_size=1, max_size=4), st.sampled_from([0.05, 0.2]))
def test_exchanging_the_sides_inverts_the_interval(observed: list[Look], alpha: float) -> None:
    low, high = interval(after(observed), alpha)
    turned = [Look(k.stable_total, k.stable_bad, k.candidate_total, k.candidate_bad) for k in observed]
    inverse_low, inverse_high = interval(after(turned), alpha)
    assert inverse_low == pytest.approx(1 / high if high < math.inf else 0, rel=1e-6)
    assert inverse_high == pytest.approx(1 / low if low > 0 else math.inf, rel=1e-6)


@given(st.lists(looks(200), min_size=1, max_size=4))
def test_the_interval_is_wider_the_surer_it_must_be(observed: list[Look]) -> None:
    state = after(observed)
    low, high = interval(state, 0.2)
    surer_low, surer_high = interval(state, 0.01)
    assert surer_low <= low <= high <= surer_high


@pytest.mark.parametrize("odds", [1.0, 1.13, 2.3])  # "equal" is on the lattice, the others are not
def test_the_interval_holds_at_all_looks_together(odds: float) -> None:
    rng, runs, alpha, missed = np.random.default_rng(7), 150, 0.1, 0
    for _ in range(runs):
        state, out = start_effect(), False
        for look in simulated(rng, odds, 20):
            state = update_effect(state, look)
            low, high = interval(state, alpha)
            out = out or not low <= odds <= high
        missed += out
    assert missed / runs <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)


def test_with_much_traffic_the_interval_closes_in_on_the_truth() -> None:
    low, high = interval(after(simulated(np.random.default_rng(3), 1.5, 20, 150_000, 150_000)), 0.05)
    assert 1.4 < low < 1.5 < high < 1.6


def test_between_refuted_points_of_the_lattice_only_what_is_refuted_is_left_out() -> None:
    # For one look the likelihood between the points can be computed: none of what the interval leaves out may stand.
    look, alpha = Look(400, 30, 1600, 60), 0.05
    low, high = interval(after([look]), alpha)

    def log_likelihood(odds: float) -> float:
        bad = look.candidate_bad + look.stable_bad
        terms = [math.comb(400, x) * math.comb(1600, bad - x) for x in range(bad + 1)]
        total = math.fsum(term / terms[bad // 3] * odds ** (x - 30) for x, term in enumerate(terms))
        return -math.log(total)

    lattice = [math.exp(math.sinh(0.15 * i) / 7.5) for i in range(-28, 29)]
    mixture = math.log(math.fsum(math.exp(log_likelihood(odds)) for odds in lattice) / len(lattice))
    assert log_likelihood(low * 0.999) <= mixture + math.log(alpha)
    assert log_likelihood(high * 1.001) <= mixture + math.log(alpha)
    assert log_likelihood(low * 1.05) > mixture + math.log(alpha)
    assert log_likelihood(high / 1.05) > mixture + math.log(alpha)
