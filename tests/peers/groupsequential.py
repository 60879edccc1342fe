"""Group-sequential tests: the error is spent over planned looks.

Sources: Armitage, McPherson & Rowe (1969), the recursion; Pocock (1977) and O'Brien & Fleming (1979), constant and
falling bounds; Lan & DeMets (1983), spending functions; Jennison & Turnbull (2000), Group Sequential Methods.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from peers.repeated import pooled_z, stratified_z
from peers.streams import Floats, Ints, Streams, first

Spending: TypeAlias = Callable[[float, float], float]
NODES, WEIGHTS = np.polynomial.legendre.leggauss(400)
BOUND = 12.0  # a z where there is nothing to spend; no path is followed beyond


class Path:
    """The law of a standardised sum that has not left its bounds yet, carried from look to look."""

    def __init__(self, *, two_sided: bool) -> None:
        self.two_sided = two_sided
        self.at = np.zeros(1)
        self.mass = np.ones(1)
        self.time = 0.0

    def leaving(self, bound: float, time: float) -> float:
        """Return the probability of standing beyond the bound (a z) at this time, and not before."""
        distance = (bound * math.sqrt(time) - self.at) / math.sqrt(time - self.time)
        beyond = float(self.mass @ ndtr(-distance))
        return 2 * beyond if self.two_sided else beyond

    def go_on(self, bound: float, time: float) -> None:
        """Move to this time, and keep what is within the bound."""
        high = min(bound, BOUND) * math.sqrt(time)
        low = -high if self.two_sided else -BOUND * math.sqrt(time)
        at = (high + low) / 2 + (high - low) / 2 * NODES
        deviation = math.sqrt(time - self.time)
        density = np.exp(-0.5 * ((at[:, None] - self.at) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
        self.mass = (high - low) / 2 * WEIGHTS * (density @ self.mass)
        self.at, self.time = at, time


def bounds(times: Sequence[float], spent: Sequence[float], *, two_sided: bool = False) -> Floats:
    """Return the z at which to stop at each time, so that just so much has been spent in all."""
    path, found, before = Path(two_sided=two_sided), [], 0.0
    for time, after in zip(times, spent, strict=True):
        more = after - before
        if path.leaving(BOUND, time) < more:
            found.append(float(brentq(lambda z: path.leaving(z, time) - more, -2.0, BOUND, xtol=1e-10)))  # noqa: B023
        else:
            found.append(BOUND)
        path.go_on(found[-1], time)
        before = after
    return np.array(found)


def crossing(times: Sequence[float], limits: Sequence[float], *, two_sided: bool) -> float:
    """Return the probability of ever standing beyond these limits."""
    path, total = Path(two_sided=two_sided), 0.0
    for time, limit in zip(times, limits, strict=True):
        total += path.leaving(limit, time)
        path.go_on(limit, time)
    return total


def pocock_constant(looks: int, alpha: float) -> float:
    """Return the one z for all looks (two-sided)."""
    times = [(k + 1) / looks for k in range(looks)]
    return float(brentq(lambda c: crossing(times, [c] * looks, two_sided=True) - alpha, 1.0, 5.0, xtol=1e-10))


def obrien_fleming_bounds(looks: int, alpha: float) -> Floats:
    """Return bounds that fall as one over the square root of time (two-sided)."""
    times = [(k + 1) / looks for k in range(looks)]

    def excess(c: float) -> float:
        return crossing(times, [c / math.sqrt(time) for time in times], two_sided=True) - alpha

    found: Floats = float(brentq(excess, 1.0, 5.0, xtol=1e-10)) / np.sqrt(np.array(times))
    return found


def obrien_fleming_spending(time: float, alpha: float) -> float:
    """Return how much of a one-sided alpha is spent by then: hardly any of it early."""
    return float(2 * ndtr(-ndtri(1 - alpha / 2) / math.sqrt(time)))


def pocock_spending(time: float, alpha: float) -> float:
    """Return how much of a one-sided alpha is spent by then: evenly."""
    return alpha * math.log(1 + (math.e - 1) * time)


def limits(shape: str, looks: int, alpha: float) -> Floats:
    """Return the z at which to stop at each of equally spaced looks, one-sided."""
    spending = {"obrien-fleming": obrien_fleming_spending, "pocock": pocock_spending}[shape]
    times = [(k + 1) / looks for k in range(looks)]
    return bounds(times, [spending(time, alpha) for time in times])


def stopped(seen: Streams, limits_: Floats) -> Ints:
    """Roll back when the pooled z reaches its limit; the plan is equally spaced looks, whatever was counted."""
    return first(pooled_z(seen) >= limits_)


def stratified(seen: Streams, limits_: Floats) -> Ints:
    """Roll back when the z that compares look by look reaches its limit."""
    return first(stratified_z(seen) >= limits_)
