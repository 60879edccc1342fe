"""What do many rollouts look like side by side, and when does a rule end each of them?"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Streams:
    """Requests and bad ones of each look, on both sides; shape (runs, looks). A look that was missed is all zeros."""

    candidate_total: Ints
    candidate_bad: Ints
    stable_total: Ints
    stable_bad: Ints
    history: Ints | None = None
    """(bad, total) of each stable pod in each half minute of the hour before; shape (runs, intervals, pods, 2)."""

    def cumulated(self) -> "Streams":
        """Return what was counted since the beginning."""
        return Streams(
            self.candidate_total.cumsum(axis=1),
            self.candidate_bad.cumsum(axis=1),
            self.stable_total.cumsum(axis=1),
            self.stable_bad.cumsum(axis=1),
        )


def first(crossed: Bools) -> Ints:
    """Return the first look, counted from 1, at which each run crossed; 0 where it never did. Shape (runs,)."""
    return np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, 0)


def rates(bad: Ints, total: Ints) -> Floats:
    """Return bad / total; NaN where there was nothing."""
    found: Floats = np.divide(bad, total, out=np.full(bad.shape, np.nan), where=total > 0)
    return found
