"""What does one look say of means: how many values each side had, their mean, and how they vary?"""

from dataclasses import dataclass
from typing import Final

LARGEST: Final = 1e60  # of a mean, so that no sum of squares overflows


@dataclass(frozen=True, slots=True)
class Arm:
    """The values of one side in one look."""

    count: int
    mean: float
    variance: float
    """Of one value, with count - 1 in the denominator; 0 where there are fewer than two."""

    def __post_init__(self) -> None:
        if self.count < 0 or not abs(self.mean) <= LARGEST or not 0 <= self.variance <= LARGEST**2:
            raise ValueError(f"{self} must have a count and a variance from 0 on, and no number beyond {LARGEST:g}")


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen between two looks, on both sides over the same seconds."""

    candidate: Arm
    stable: Arm


@dataclass(frozen=True, slots=True)
class Pairs:
    """Units of one side in one look, each with a numerator and a denominator: sales and visits of a user, say."""

    count: int
    numerator: float
    """Sum over the units, and so are all below."""
    denominator: float
    numerator_squares: float
    denominator_squares: float
    products: float


def arm(count: int, total: float, squares: float) -> Arm:
    """The values of one side, from their number, their sum and the sum of their squares.

    Raises:
        ValueError: What comes out is beyond LARGEST.
    """
    mean = total / count if count else 0.0
    return Arm(count, mean, max(squares - total * mean, 0.0) / (count - 1) if count > 1 else 0.0)


def look_at_ratios(candidate: Pairs, stable: Pairs) -> Look:
    """A look at two ratios of means, as one at two means.

    M_c / N_c is `null` times M_s / N_s just where M_c N_s is `null` times M_s N_c. The products have no bias, which
    quotients of a few units have, and it would add up over looks. The variance of a unit is that of its linearised value
    M - R N (delta method; Deng, Knoblich & Lu 2018), R being its own side's ratio.

    Returns:
        The look; without values, so that it is not counted, where a side has no positive sum of denominators.

    Raises:
        ValueError: What comes out is beyond LARGEST.
    """
    if min(candidate.denominator, stable.denominator) <= 0 or not (candidate.count and stable.count):
        return Look(Arm(0, 0.0, 0.0), Arm(0, 0.0, 0.0))
    return Look(_linearised(candidate, stable), _linearised(stable, candidate))


def _linearised(own: Pairs, other: Pairs) -> Arm:
    ratio, scale = own.numerator / own.denominator, other.denominator / other.count
    squares = own.numerator_squares - 2 * ratio * own.products + ratio * ratio * own.denominator_squares
    variance = max(squares, 0.0) / (own.count - 1) if own.count > 1 else 0.0
    return Arm(own.count, scale * own.numerator / own.count, scale * scale * variance)


def look_at_gauges(candidate: float, stable: float) -> Look:
    """A look that is one value of either side, of which nobody says how far it may err."""
    return Look(Arm(1, candidate, 0.0), Arm(1, stable, 0.0))
