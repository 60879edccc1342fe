"""Do sums and sums of squares give the moments that the values themselves have?"""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.stats.moments import LARGEST, Arm, Look, Pairs, arm, look_at_gauges, look_at_ratios

SALES, VISITS = np.array([3.0, 0.0, 8.0, 1.0, 2.0]), np.array([2.0, 1.0, 5.0, 1.0, 3.0])
OTHER_SALES, OTHER_VISITS = np.array([1.0, 4.0, 4.5]), np.array([0.5, 2.0, 3.0])


def pairs(numerators: NDArray[np.float64], denominators: NDArray[np.float64]) -> Pairs:
    return Pairs(
        numerators.size,
        float(numerators.sum()),
        float(denominators.sum()),
        float(numerators @ numerators),
        float(denominators @ denominators),
        float(numerators @ denominators),
    )


OURS, THEIRS = pairs(SALES, VISITS), pairs(OTHER_SALES, OTHER_VISITS)


def test_mean_and_variance_are_those_of_the_values() -> None:
    for values in (SALES, VISITS, np.array([1.0, 3.0])):
        found = arm(values.size, float(values.sum()), float(values @ values))
        assert found.count == values.size
        assert (found.mean, found.variance) == pytest.approx((np.mean(values), np.var(values, ddof=1)))


def test_of_one_value_or_none_there_is_no_variance_and_rounding_makes_none() -> None:
    assert arm(1, 3.0, 9.5) == Arm(1, 3.0, 0.0)
    assert arm(0, 0.0, 0.0) == Arm(0, 0.0, 0.0)
    assert arm(3, 3.0, 3.0 - 1e-9) == Arm(3, 1.0, 0.0), "a sum of squares is never less than the squared sum's part"


def test_a_number_that_could_overflow_is_refused_and_a_smaller_one_is_not() -> None:
    Arm(3, LARGEST, LARGEST**2)
    Arm(3, -LARGEST, 0.0)
    for numbers in ((-1, 0.0, 0.0), (3, 1.1 * LARGEST, 1.0), (3, -1.1 * LARGEST, 1.0), (3, 0.0, 1.1 * LARGEST**2)):
        with pytest.raises(ValueError, match="must have a count and a variance from 0 on"):
            Arm(*numbers)
    for numbers in ((3, 1.0, -1.0), (3, math.nan, 1.0), (3, 1.0, math.nan)):
        with pytest.raises(ValueError, match="must have a count and a variance from 0 on"):
            Arm(*numbers)


def linearised(own: NDArray[np.float64], of: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """Mean of a side's numerators, and variance of what they are beyond their share, both times the other's mean denominator."""
    scale = other.mean()
    return float(scale * own.mean()), float(scale**2 * np.var(own - own.sum() / of.sum() * of, ddof=1))


def test_a_ratio_is_that_of_numerators_each_times_the_other_sides_mean_denominator() -> None:
    found = look_at_ratios(OURS, THEIRS)

    assert (found.candidate.count, found.stable.count) == (5, 3)
    assert (found.candidate.mean, found.candidate.variance) == pytest.approx(linearised(SALES, VISITS, OTHER_VISITS))
    assert (found.stable.mean, found.stable.variance) == pytest.approx(linearised(OTHER_SALES, OTHER_VISITS, VISITS))
    ratio = (SALES.sum() / VISITS.sum()) / (OTHER_SALES.sum() / OTHER_VISITS.sum())
    assert found.candidate.mean / found.stable.mean == pytest.approx(ratio)


def test_two_units_vary_and_one_does_not() -> None:
    two, one = (look_at_ratios(pairs(SALES[:size], VISITS[:size]), THEIRS).candidate for size in (2, 1))

    assert (two.mean, two.variance) == pytest.approx(linearised(SALES[:2], VISITS[:2], OTHER_VISITS))
    assert (one.count, one.variance) == (1, 0.0)


def test_where_numerators_are_a_fixed_part_of_denominators_rounding_makes_no_variance() -> None:
    fixed = pairs(2 * VISITS, VISITS)
    less = replace(fixed, numerator_squares=fixed.numerator_squares - 1e-9)

    assert look_at_ratios(less, THEIRS).candidate.variance == 0


@pytest.mark.parametrize("denominator", [0.0, -1.0])
def test_without_a_positive_denominator_or_without_units_nothing_is_counted(denominator: float) -> None:
    nothing = Look(Arm(0, 0.0, 0.0), Arm(0, 0.0, 0.0))

    for lacking in (replace(OURS, denominator=denominator), replace(OURS, count=0)):
        assert look_at_ratios(lacking, THEIRS) == look_at_ratios(THEIRS, lacking) == nothing
    assert look_at_ratios(replace(OURS, denominator=0.5), THEIRS).candidate.count == 5


def test_a_gauge_is_one_value_of_either_side() -> None:
    assert look_at_gauges(0.8, 0.9) == Look(Arm(1, 0.8, 0.0), Arm(1, 0.9, 0.0))
