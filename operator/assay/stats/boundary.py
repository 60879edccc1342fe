"""Where must a bound lie that a sum of normal increments crosses with a given chance, having crossed none before?

The recursion of Armitage, McPherson & Rowe (1969): the density of the sum among those that have crossed no bound is
carried from look to look by one integral. It is kept at Gauss-Legendre nodes, which crowd at the bound, where it was cut.
With increments of at least MINIMUM of all the variance so far, no chance is lost or won beyond 1e-6 over thousands of looks.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from assay.stats.counts import Floats

MINIMUM: Final = 1 / 40  # smaller increments would fall between the nodes
REACH: Final = 6.0  # standard deviations below zero at which the density is cut: less than 1e-9 lies beyond

NODES: Final = 100  # at which the density is kept

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(NODES)
_FAR: Final = 9.0  # standard deviations that an increment never exceeds


@dataclass(frozen=True, slots=True)
class Density:
    """Of the sum, together with never having left the interval of its look."""

    lowest: float
    """Where the density is cut below."""
    highest: float
    """The bound of the last look."""
    values: tuple[float, ...]
    """The density at the nodes between the two; none at the start, where the sum is 0."""


def nothing() -> Density:
    """The sum before the first increment."""
    return Density(0.0, 0.0, ())


def mass(density: Density) -> float:
    """Chance of having crossed no bound so far."""
    return float(_masses(density)[1].sum())


def beyond(density: Density, variance: float, bound: float) -> float:
    """Chance that the sum, after an increment of this variance, is at or beyond the bound for the first time."""
    places, masses = _masses(density)
    return float(masses @ ndtr((places - bound) / math.sqrt(variance)))


def bound(density: Density, variance: float, chance: float) -> float:
    """The bound that is crossed with this chance, for the first time, after an increment of this variance.

    Args:
        density: After the last look.
        variance: Of the increment, positive.
        chance: Positive, and less than the chance of having crossed no bound so far.

    Returns:
        The bound; where a chance is so small that no increment of nine standard deviations has it, nine.
    """
    places, masses = _masses(density)
    spread = math.sqrt(variance)

    def excess(at: float) -> float:
        return float(masses @ ndtr((places - at) / spread)) - chance

    lowest, highest = float(places[0]) - _FAR * spread, float(places[-1]) + _FAR * spread
    return highest if excess(highest) >= 0 else float(brentq(excess, lowest, highest, xtol=1e-9 * (highest - lowest)))


def onward(density: Density, variance: float, lowest: float, highest: float) -> Density:
    """The density after an increment of this variance, cut at these two."""
    places, masses = _masses(density)
    following, _ = _nodes(lowest, highest)
    z = (following[:, None] - places) / math.sqrt(variance)
    values = np.exp(-0.5 * z * z) @ masses / math.sqrt(2 * math.pi * variance)
    return Density(lowest, highest, tuple(values.tolist()))


def _nodes(lowest: float, highest: float) -> tuple[Floats, Floats]:
    half = (highest - lowest) / 2
    return lowest + half * (1 + _NODES), half * _WEIGHTS


def _masses(density: Density) -> tuple[Floats, Floats]:
    """The nodes, and what a sum over them must be weighted with to be an integral over the density."""
    if not density.values:
        return np.zeros(1), np.ones(1)
    places, weights = _nodes(density.lowest, density.highest)
    return places, weights * np.array(density.values)
