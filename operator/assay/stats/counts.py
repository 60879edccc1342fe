"""Given everything else about a look, how likely is each possible number of bad candidate requests?"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

Floats: TypeAlias = NDArray[np.float64]
Kind: TypeAlias = Literal["relative", "absolute"]

SMALL = 1000  # up to so many possible counts, all are used: cheaper than to find a window
LOG_TAIL = -80.0  # what lies outside a window weighs less than e^-80 = 1.8e-35 of what lies inside


@dataclass(frozen=True, slots=True)
class Look:
    """What was counted between two looks, on both sides over the same seconds."""

    candidate_total: int
    """Requests that the candidate answered."""
    candidate_bad: int
    """Of these, the bad ones."""
    stable_total: int
    """Requests that the stable revision answered."""
    stable_bad: int
    """Of these, the bad ones."""

    def __post_init__(self) -> None:
        for side, total, bad in (
            ("candidate", self.candidate_total, self.candidate_bad),
            ("stable", self.stable_total, self.stable_bad),
        ):
            if not 0 <= bad <= total:
                raise ValueError(f"{side}_bad is {bad}: must lie between 0 and {side}_total, which is {total}")


def log_sum(logs: Floats) -> Floats:
    """Logarithm of the sum of exponentials along the first axis; scipy's takes ten times as long on short arrays."""
    greatest = logs.max(axis=0)
    total: Floats = greatest + np.log(np.exp(logs - greatest).sum(axis=0))
    return total


@dataclass(frozen=True, slots=True)
class Family:
    """Weights w(x) on the counts x that were possible; probabilities are w(x) odds^x, normalised.

    `relative` fixes both totals and the sum of the bad: w(x) = C(n_c, x) C(n_s, e - x), Fisher's noncentral
    hypergeometric law of the candidate's bad requests, `odds` being the odds ratio candidate / stable (Fisher 1935).
    `absolute` fixes the candidate's total only: w(x) = C(n_c, x), the binomial law, `odds` being p / (1 - p).
    Both are log-concave in x, on which the windows below rely.
    """

    kind: Kind
    total: int
    """n_c"""
    other: int
    """n_s; unused by `absolute`"""
    bad: int
    """e; unused by `absolute`"""

    @classmethod
    def of(cls, kind: Kind, look: Look) -> "Family":
        """The counts that were possible at this look."""
        return cls(kind, look.candidate_total, look.stable_total, look.candidate_bad + look.stable_bad)

    @property
    def low(self) -> int:
        """Least possible count."""
        return max(0, self.bad - self.other) if self.kind == "relative" else 0

    @property
    def high(self) -> int:
        """Greatest possible count."""
        return min(self.total, self.bad) if self.kind == "relative" else self.total

    def steps(self, counts: Floats) -> Floats:
        """Logarithm of w(x + 1) / w(x) for each x in low..high-1; it falls as x grows. Nothing cancels."""
        growing, shrinking = self.total - counts, counts + 1.0
        if self.kind == "relative":
            growing, shrinking = growing * (self.bad - counts), shrinking * (self.other - self.bad + counts + 1.0)
        steps: Floats = np.log(growing / shrinking)
        return steps

    def modes(self, log_odds: Floats) -> Floats:
        """The most likely count at each of the odds: the first from which no step rises.

        A step from x rises while odds (n_c - x) (e - x) > (x + 1) (n_s - e + x + 1), which is quadratic in x (Liao & Rosen
        2001, Fast and stable algorithms for computing and sampling from the noncentral hypergeometric distribution).
        """
        odds = np.exp(log_odds)
        if self.kind == "absolute":
            edge = (self.total * odds - 1) / (odds + 1)
        else:
            gap = self.other - self.bad
            square, linear = odds - 1, odds * (self.total + self.bad) + gap + 2
            rest = odds * self.total * self.bad - gap - 1
            root = np.sqrt(linear**2 - 4 * square * rest)
            with np.errstate(divide="ignore", invalid="ignore"):  # of the two forms, the one in which nothing cancels
                edge = np.where(linear > 0, 2 * rest / (linear + root), (linear - root) / (2 * square))
        modes: Floats = np.clip(np.ceil(edge), self.low, self.high)
        return modes

    def windows(self, log_odds: Floats) -> tuple[Floats, Floats]:
        """First and last count of a window, for each of the odds, outside which less than 2 e^-80 of the mass lies.

        Steps fall with x. So w(m + k) / w(m) is at most exp(k/2 times the step at m + k/2), and what lies beyond
        m + k is at most that, times 1 / (1 - the ratio at m + k); the same to the left of the mode m.
        """
        if self.high - self.low < SMALL:
            return np.full(log_odds.shape, float(self.low)), np.full(log_odds.shape, float(self.high))
        modes = self.modes(log_odds)
        cells = [modes, self.total - modes]
        if self.kind == "relative":
            cells += [self.bad - modes, self.other - self.bad + modes]
        # As if the law were normal, which it is nearly, but for small counts. The bound asks for more, but seldom twice.
        deviation = 1 / np.sqrt(sum(1 / (cell + 1) for cell in cells))
        width = np.ceil(math.sqrt(-2 * LOG_TAIL) * deviation)
        while True:
            short = ~(self._covered(modes, width, log_odds, 1) & self._covered(modes, width, log_odds, -1))
            if not short.any():
                return np.maximum(modes - width, self.low), np.minimum(modes + width, self.high)
            width = np.where(short, np.ceil(1.5 * width), width)

    def _covered(self, modes: Floats, width: Floats, log_odds: Floats, side: Literal[1, -1]) -> NDArray[np.bool_]:
        half, edge = modes + side * np.floor(width / 2), modes + side * width
        if side == 1:
            outside = edge >= self.high
        else:
            outside, half, edge = edge <= self.low, half - 1, edge - 1
        last = self.high - 1
        falling = side * (self.steps(np.clip(half, self.low, last)) + log_odds)
        beyond = np.exp(np.minimum(side * (self.steps(np.clip(edge, self.low, last)) + log_odds), -1e-12))
        tail = np.floor(width / 2) * np.minimum(falling, 0.0) - np.log1p(-beyond)
        return outside | (tail <= LOG_TAIL)


@dataclass(frozen=True)
class Law:
    """Probabilities of the counts under a reference, and likelihood ratios of other odds against it.

    What follows from it is computed once, for whoever keeps it: the laws of equal totals are the same.
    """

    counts: Floats
    """The window of counts that carry the reference's mass."""
    log_probabilities: Floats
    """Their log-probabilities under the reference."""
    tilts: Floats
    """Each of the other odds divided by the reference."""
    cumulants: Floats
    """ln E[tilt^(X - origin)] under the reference, for each tilt."""
    origin: float

    @cached_property
    def own_log_ratios(self) -> Floats:
        """Those of its counts, shape (odds, counts)."""
        return self.log_ratios(self.counts)

    @cached_property
    def at_least(self) -> Floats:
        """Chance of each count or a greater one, and of none: one longer than the counts."""
        return np.concatenate((np.cumsum(np.exp(self.log_probabilities[::-1]))[::-1], [0.0]))

    @cached_property
    def at_most(self) -> Floats:
        """Chance of each count or a lesser one, the greatest first, and of none."""
        return np.concatenate((np.cumsum(np.exp(self.log_probabilities))[::-1], [0.0]))

    def log_ratios(self, counts: Floats) -> Floats:
        """Logarithm of the likelihood at each of the other odds over that at the reference, shape (odds, counts)."""
        ratios: Floats = xlogy(counts - self.origin, self.tilts[:, None]) - self.cumulants[:, None]
        return ratios


def law(family: Family, reference: float, odds: Floats) -> Law:
    """The law of the candidate's bad count at reference odds, and how each of the other odds would change it.

    Log-weights are summed from step to step, not taken as differences of large log-gammas: their error does not grow
    with the totals. Truncation: each normaliser and each probability is off by a factor within 1e-34 of one.

    Args:
        family: What was possible; must leave more than one count possible.
        reference: Odds (ratio) of the null hypothesis, positive.
        odds: Other odds (ratios); 0 is allowed where the least possible count is 0.

    Returns:
        The law on the reference's window.
    """
    with np.errstate(divide="ignore"):
        log_odds = np.log(np.concatenate(([reference], odds)))
    firsts, lasts = family.windows(log_odds)
    origin = firsts.min()
    counts = np.arange(origin, lasts.max() + 1)
    weights = np.concatenate(([0.0], np.cumsum(family.steps(counts[:-1]) + log_odds[0])))
    slices = [slice(int(a - origin), int(b - origin) + 1) for a, b in zip(firsts, lasts, strict=True)]
    tilts = odds / reference
    offsets = counts - origin
    total = log_sum(weights[slices[0]])
    if (
        firsts.min() == firsts.max() and lasts.min() == lasts.max()
    ):  # one window for all: all at once takes a tenth of the time
        cumulants = log_sum(weights[:, None] + xlogy(offsets[:, None], tilts))
    else:
        cumulants = np.array(
            [log_sum(weights[part] + xlogy(offsets[part], tilt)) for tilt, part in zip(tilts, slices[1:], strict=True)]
        )
    return Law(counts[slices[0]], weights[slices[0]] - total, tilts, cumulants - total, float(origin))
