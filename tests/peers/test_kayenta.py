"""Kayenta's judge, against R's and its own numbers."""

import numpy as np
import pytest

from peers import kayenta
from peers.streams import Streams


def test_the_statistic_is_that_of_scipys_example() -> None:
    x, y = np.array([19.0, 22, 16, 29, 24]), np.array([20.0, 11, 17, 12])

    assert kayenta.u_statistic(x, y) == 17


def test_a_tie_is_half_a_win() -> None:
    assert kayenta.u_statistic(np.array([1.0, 2.0]), np.array([1.0, 3.0])) == 1.5


def test_the_interval_is_that_of_its_own_test_suite() -> None:
    """Control 1, 2, 3, 4 and experiment 10, 20, 30, 40 at 95 %: from 6 to 39 around 22.5, as R says."""
    x, y = np.array([[10.0, 20, 30, 40]]), np.array([[1.0, 2, 3, 4]])
    lower, shift = kayenta.interval(x, y, 0.95)
    mirrored, _ = kayenta.interval(y, x, 0.95)

    assert (lower[0], -mirrored[0], shift[0]) == (6, 39, 22.5)


def test_the_end_of_the_interval_is_where_the_test_turns() -> None:
    dice = np.random.default_rng(3)
    x, y = dice.normal(1, 1, 25), dice.normal(0, 1, 30)
    lower = float(kayenta.interval(x[None], y[None])[0][0])
    limit = 25 * 30 / 2 + 0.5 + 2.3263479 * np.sqrt(25 * 30 * 56 / 12)

    assert kayenta.u_statistic(x - (lower - 1e-9), y) >= limit > kayenta.u_statistic(x - (lower + 1e-9), y)


def rollout(candidate: float, stable: float, runs: int = 200) -> Streams:
    dice, shape = np.random.default_rng(4), (runs, 60)
    bad, other = dice.binomial(300, candidate, shape), dice.binomial(2700, stable, shape)
    return Streams(np.full(shape, 300), bad, np.full(shape, 2700), other)


def test_a_doubled_rate_is_high_at_the_end_and_an_equal_one_is_not() -> None:
    assert (kayenta.judged(rollout(0.02, 0.01), [60]) == 60).all()
    assert (kayenta.judged(rollout(0.01, 0.01), [60]) > 0).mean() < 0.02


def test_who_asks_oftener_errs_oftener() -> None:
    healthy = rollout(0.01, 0.01, 1500)
    wrong = [(kayenta.judged(healthy, moments) > 0).mean() for moments in ([60], range(5, 61))]

    assert wrong[0] < 0.004 < wrong[1]


def test_a_better_candidate_is_not_high() -> None:
    assert not kayenta.judged(rollout(0.01, 0.02), [60]).any()


def test_it_knows_no_counts_only_values() -> None:
    """Three requests a look weigh as much as three thousand: its weakness, and so it must be here too."""
    seen = rollout(0.02, 0.01)
    small = Streams(
        *(part // 3 for part in (seen.candidate_total, seen.candidate_bad * 3, seen.stable_total, seen.stable_bad * 3))
    )

    np.testing.assert_allclose(
        kayenta.high(small.candidate_bad / 100, small.stable_bad / 900),
        kayenta.high(seen.candidate_bad / 100, seen.stable_bad / 900),
    )


@pytest.mark.parametrize("lost", [0, 10, 30])
def test_intervals_without_a_value_are_removed(lost: int) -> None:
    seen = rollout(0.02, 0.01, runs=3)
    kept = [part[:, lost:] for part in (seen.candidate_total, seen.candidate_bad, seen.stable_total, seen.stable_bad)]
    holed = [np.concatenate((np.zeros((3, lost), np.int64), part), axis=1) for part in kept]

    assert (kayenta.judged(Streams(*holed), [60]) > 0).tolist() == (
        kayenta.judged(Streams(*kept), [60 - lost]) > 0
    ).tolist()
