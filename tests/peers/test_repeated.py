"""The tests of two proportions, against published values, and what repeating them does."""

import math

import numpy as np
import pytest
from scipy.special import ndtr

from peers import repeated
from peers.streams import Streams


def one_look(n: int, x: int, m: int, y: int) -> Streams:
    return Streams(*(np.array([[value]]) for value in (n, x, m, y)))


@pytest.mark.parametrize(
    ("a", "b", "z", "p"),
    [
        ((220, 1000), (2000, 10000), 1.502459, 0.132979),  # statsmodels proportions_ztest
        ((56, 450), (48, 550), 1.915709, 0.055402),  # stats.stackexchange 531604
        ((144, 1200), (192, 1200), -2.823725, 0.004747),  # rpubs 1420750
    ],
)
def test_the_pooled_z_is_the_published_one(a: tuple[int, int], b: tuple[int, int], z: float, p: float) -> None:
    found = float(repeated.z(*(np.array(value) for value in (*a, *b))))

    assert found == pytest.approx(z, abs=5e-7)
    assert 2 * float(ndtr(-abs(found))) == pytest.approx(p, abs=5e-7)


def test_the_unpooled_z_is_the_published_one() -> None:
    difference, variance, requests = repeated.moments(one_look(1000, 220, 10000, 2000))

    assert float((difference / np.sqrt(variance))[0, 0]) == pytest.approx(1.460204, abs=5e-7)
    assert requests[0, 0] == 11000


def test_where_nothing_or_everything_is_bad_z_is_zero() -> None:
    for seen in (one_look(0, 0, 0, 0), one_look(3, 0, 9, 0), one_look(3, 3, 9, 9), one_look(3, 1, 0, 0)):
        assert repeated.pooled_z(seen)[0, 0] == 0


def test_with_one_look_the_stratified_z_is_the_pooled_one_but_for_its_variance() -> None:
    """Mantel and Haenszel divide by N - 1 where the pooled z divides by N."""
    seen = one_look(1000, 220, 10000, 2000)

    assert repeated.stratified_z(seen)[0, 0] == pytest.approx(1.502459 * math.sqrt(10999 / 11000), abs=5e-7)


def test_only_the_stratified_z_is_not_fooled_when_weight_and_rate_rise_together() -> None:
    """Both looks are fair; pooled, the candidate has 31 of 1,100 and stable 11 of 1,000 (Simpson 1951)."""
    seen = Streams(*(np.array([part]) for part in ([100, 1000], [1, 30], [900, 100], [9, 3])))

    assert repeated.stratified_z(seen).tolist() == [[0.0, 0.0]]
    assert repeated.pooled_z(seen)[0, 1] > 2.5


def test_a_look_of_nothing_moves_the_stratified_z_by_nothing() -> None:
    seen = Streams(*(np.array([part]) for part in ([300, 0, 1], [9, 0, 1], [2700, 0, 0], [27, 0, 0])))
    z = repeated.stratified_z(seen)[0]

    assert z[0] > 2
    assert z.tolist() == [z[0]] * 3


def test_growthbooks_sequence_of_means_is_that_of_gbstats() -> None:
    """gbstats 0.8.0, N* 5000: a difference of 0.29 has the interval [-0.0894101, 0.6694101]."""
    variance = 3.9**2 / 3407 + 6.2**2 / 3461

    assert repeated.rho(0.05, 5000) == pytest.approx(0.0398401, abs=5e-8)
    assert float(repeated.half_width(variance, 3407 + 3461, 0.05, 5000)) == pytest.approx(0.29 + 0.0894101, abs=5e-8)


def test_growthbooks_sequence_of_proportions_is_that_of_gbstats() -> None:
    difference, variance, requests = repeated.moments(one_look(1000, 220, 10000, 2000))
    half = repeated.half_width(variance, requests, 0.05, 5000)

    assert float((difference - half)[0, 0]) == pytest.approx(-0.0220317, abs=5e-8)
    assert float((difference + half)[0, 0]) == pytest.approx(0.0620317, abs=5e-8)


def test_the_mixture_of_the_sprt_is_an_integral_over_differences() -> None:
    """The closed form is held against the integral of normal likelihoods over the prior N(0, tau squared)."""
    seen = one_look(3000, 60, 27000, 270)
    difference, variance, _ = (float(value[0, 0]) for value in repeated.moments(seen))
    grid = np.linspace(-0.1, 0.1, 200_001)
    prior = np.exp(-0.5 * (grid / 0.01) ** 2) / (0.01 * math.sqrt(2 * math.pi))
    ratio = np.exp((grid * difference - grid**2 / 2) / variance)
    mixture = float((prior * ratio).sum() * (grid[1] - grid[0]))

    assert repeated.mixture_sprt(seen, 0.5 / (mixture * 1.001), 0.01) == 0
    assert repeated.mixture_sprt(seen, 0.5 / (mixture * 0.999), 0.01) == 1


def healthy(runs: int, looks: int, rate: float = 0.01) -> Streams:
    dice, shape = np.random.default_rng(5), (runs, looks)
    bad, other = dice.binomial(300, rate, shape), dice.binomial(2700, rate, shape)
    return Streams(np.full(shape, 300), bad, np.full(shape, 2700), other)


def test_a_z_test_that_is_repeated_errs_six_times_as_often_as_promised() -> None:
    assert (repeated.naive(healthy(3000, 1, 0.1), 0.05) > 0).mean() == pytest.approx(0.05, abs=0.015)
    assert (repeated.naive(healthy(2000, 60), 0.05) > 0).mean() == pytest.approx(0.298, abs=0.031)


def test_who_asks_once_keeps_the_promise_and_waits_for_the_end() -> None:
    ended = repeated.once(healthy(3000, 60), 0.05)

    assert set(ended.tolist()) == {0, 60}
    assert (ended > 0).mean() == pytest.approx(0.05, abs=0.013)


def test_what_is_made_to_be_repeated_keeps_its_promise() -> None:
    seen = healthy(2000, 60)

    assert (repeated.mixture_sprt(seen, 0.05, 0.01) > 0).mean() < 0.015
    assert (repeated.asymptotic_sequence(seen, 0.05) > 0).mean() < 0.015


def test_nobody_rolls_back_a_candidate_that_is_better() -> None:
    seen = one_look(300_000, 1000, 300_000, 9000)

    assert not repeated.naive(seen, 0.05).any()
    assert not repeated.mixture_sprt(seen, 0.05, 0.01).any()
    assert not repeated.asymptotic_sequence(seen, 0.05).any()
