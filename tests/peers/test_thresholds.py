"""Flagger and Argo count failures as their documentation says."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import bdtr, bdtrc

from peers import argo, flagger
from peers.streams import Streams, first, rates


def candidate(*bad: int, total: int = 300) -> Streams:
    """One rollout; a negative number is a look without an answer."""
    errors = np.array([bad])
    totals = np.where(errors < 0, 0, total)
    return Streams(totals, np.maximum(errors, 0), totals, 0 * totals)


def test_the_first_crossing_counts_from_one_and_zero_is_never() -> None:
    crossed = np.array([[True, False, True], [False, False, True], [False, False, False]])

    assert first(crossed).tolist() == [1, 3, 0]


def test_a_rate_of_nothing_is_no_number() -> None:
    assert np.isnan(rates(np.array([[0]]), np.array([[0]])))[0, 0]


def test_flagger_counts_failures_in_all_and_forgets_none() -> None:
    seen = candidate(4, 0, 4, 0, 0, 4)

    assert flagger.total(seen, 0.99, 3) == 6
    assert flagger.consecutive(seen, 0.99, 2) == 0


def test_a_row_of_failures_is_broken_by_one_success() -> None:
    assert flagger.consecutive(candidate(4, 4, 0, 4, 4, 4), 0.99, 3) == 6


def test_exactly_the_threshold_passes() -> None:
    assert flagger.total(candidate(3), 0.99, 1) == 0
    assert argo.analysis(candidate(3), 0.99) == 0


def test_no_data_fails_with_flagger_and_passes_with_argo() -> None:
    assert flagger.total(candidate(-1, -1), 0.99, 2) == 2
    assert argo.analysis(candidate(-1, -1), 0.99) == 0


def test_argo_ends_with_the_failure_after_the_limit() -> None:
    seen = candidate(4, 0, 4, 4)

    assert [int(argo.analysis(seen, 0.99, limit)[0]) for limit in (0, 1, 2, 3)] == [1, 3, 4, 0]


def test_a_threshold_on_errors_knows_no_rate() -> None:
    assert flagger.errors(candidate(8, 7, 9, 8), 8, 3) == 4


@pytest.mark.parametrize(("least", "times", "expected"), [(8, 3, 0.032), (7, 5, 0.0466)])
def test_how_often_a_threshold_errs_can_be_computed(least: int, times: int, expected: float) -> None:
    """The two rules on 1 % of 300 requests and 60 looks whose false rollbacks are known: binomial tails of binomial tails."""
    look = float(bdtrc(least - 1, 300, 0.01))
    computed = 1 - float(bdtr(times - 1, 60, look))
    errors = np.random.default_rng(1).binomial(300, 0.01, (4000, 60))
    seen = Streams(np.full_like(errors, 300), errors, errors, errors)

    assert computed == pytest.approx(expected, abs=0.0015)
    assert (flagger.errors(seen, least, times) > 0).mean() == pytest.approx(computed, abs=3 * math.sqrt(0.05 / 4000))


def test_a_longer_rollout_rolls_back_more_healthy_candidates() -> None:
    errors = np.random.default_rng(2).binomial(300, 0.01, (2000, 240))
    full = np.full_like(errors, 300)
    wrong = [
        (flagger.total(Streams(full[:, :k], errors[:, :k], full[:, :k], errors[:, :k]), 0.98, 5) > 0).mean()
        for k in (30, 60, 120, 240)
    ]

    assert all(less < more for less, more in pairwise(wrong))
    assert wrong[-1] > 0.5
