"""What is counted of each revision, by which kind of check?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Pair: TypeAlias = tuple[int, int]
"""(bad, total)"""
Numbers: TypeAlias = tuple[float, ...]
"""Stable's number of each kind, then the candidate's; whole, but for sums of values."""

BAD, TOTAL, UNLABELLED = 0, 1, 2  # places of a proportion's kinds


@dataclass(frozen=True, slots=True)
class Kinds:
    """What is counted of each revision."""

    names: tuple[str, ...]
    """As people are told of them."""
    parts: tuple[tuple[int, int], ...]
    """(part, whole): places of kinds of which one selects a part of what the other counts."""
    events: tuple[int, ...]
    """Places of those that together count all events."""
    good: bool = False
    """Of a proportion: whether the first of them are the good events, and all others bad."""
    sums: tuple[int, ...] = ()
    """Places of sums of values, after all counts: they may have fractions."""
    falling: tuple[int, ...] = ()
    """Of these, the ones that fall where a value is negative."""
    coarsens: bool = False
    """Whether buckets may be joined while events are counted, so that what was counted up to a bound falls."""

    @property
    def width(self) -> int:
        """How many there are."""
        return len(self.names)

    @property
    def labelled(self) -> bool:
        """Whether events without a label are counted apart."""
        return self.events == (TOTAL, UNLABELLED)

    @property
    def pairs(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Places of the parts, and of their wholes."""
        return _pairs(self.parts)

    def pair(self, side: Numbers) -> Pair:
        """Return (bad, total) of a proportion."""
        part, total = int(side[BAD]), int(side[TOTAL])
        return total - part if self.good else part, total


@lru_cache(maxsize=64)
def _pairs(parts: tuple[tuple[int, int], ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    of, whole = np.array(parts, dtype=np.intp).reshape(-1, 2).T
    return of, whole


PROPORTION = Kinds(("bad events", "all events", "events without a label"), ((BAD, TOTAL),), (TOTAL, UNLABELLED))
GOOD = Kinds(("good events", *PROPORTION.names[1:]), PROPORTION.parts, PROPORTION.events, good=True)
MEAN = Kinds(("number of values", "sum of values", "sum of squares"), (), (0,), sums=(1, 2), falling=(1,))
RATIO = Kinds(
    (
        "number of units",
        "sum of numerators",
        "sum of denominators",
        "sum of squared numerators",
        "sum of squared denominators",
        "sum of products",
    ),
    (),
    (0,),
    sums=(1, 2, 3, 4, 5),
    falling=(1, 2, 5),
)
GAUGE = Kinds(("number of readings", "gauge"), (), (0,), sums=(1,), falling=(1,))


def histogram_of(bounds: Sequence[float], *, native: bool = False) -> Kinds:
    """Return the kinds of a histogram with these finite bounds: events up to each of them, and all."""
    names = (*(f"events up to {bound:g}" for bound in bounds), "all events")
    parts = tuple((place, place + 1) for place in range(len(bounds)))
    return Kinds(names, parts, (len(bounds),), coarsens=native)
