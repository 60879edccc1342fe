"""A split that is not as it was given is found, and one that is, hardly ever, however often one looks."""

import math
from itertools import pairwise

import numpy as np
import pytest

from assay.stats.ratio import WARNING, log_marginal, mismatch


def test_the_published_marginals() -> None:
    """Three arms under a flat prior, of which the first and the second are drawn in turn (optimizely/ssrm, its own test)."""
    seen = [(1, 0, 0), (1, 1, 0), (2, 1, 0), (2, 2, 0)]

    marginals = [log_marginal(counts, (1.0, 1.0, 1.0)) for counts in seen]

    assert marginals == pytest.approx([-1.0986123, -2.4849066, -3.4011974, -4.4998097], abs=1e-7)


def test_nothing_drawn_says_nothing() -> None:
    assert mismatch((0, 0), (0.1, 0.9)) == 0.0


def test_it_is_a_fair_bet_while_the_shares_are_as_given() -> None:
    """Whatever was drawn so far, the expected factor after one more draw is the factor before it."""
    shares = (0.2, 0.8)
    for candidate, stable in [(0, 0), (3, 1), (50, 40), (400, 1700)]:
        now = math.exp(mismatch((candidate, stable), shares))
        then = [math.exp(mismatch(counts, shares)) for counts in ((candidate + 1, stable), (candidate, stable + 1))]
        assert sum(share * one for share, one in zip(shares, then, strict=True)) == pytest.approx(now, rel=1e-9)


def test_a_right_split_is_never_told_of_in_a_thousand_rollouts_and_a_wrong_one_soon() -> None:
    random = np.random.default_rng(4)
    alarms = 0
    for _ in range(300):
        candidate = np.cumsum(random.binomial(3000, 0.1, 60))
        alarms += any(
            mismatch((int(c), 3000 * k - int(c)), (0.1, 0.9)) > math.log(WARNING) for k, c in enumerate(candidate, 1)
        )
    assert alarms <= 2

    wrong = np.cumsum(random.binomial(3000, 0.13, 60))
    factors = [mismatch((int(c), 3000 * k - int(c)), (0.1, 0.9)) for k, c in enumerate(wrong, 1)]
    assert factors[9] > math.log(WARNING)
    assert all(later > before for before, later in pairwise(factors[9:]))


@pytest.mark.parametrize("shares", [(0.0, 1.0), (0.5, 0.6), (-0.1, 1.1)])
def test_shares_that_are_none_are_refused(shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must be positive and sum to 1"):
        mismatch((1, 1), shares)
