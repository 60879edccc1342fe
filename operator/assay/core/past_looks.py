"""What is kept of looks, and what does it tell of the traffic?

[second of the epoch, what the candidate's counters grew by ..., what those of stable grew by ...]
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from statistics import fmean, median

from assay.api.modeldeployment import MOST_LOOKS
from assay.core.evidence import Counted

LATELY = 10  # looks, by whose traffic the next ones are foretold
GAP = 3.0  # times as long as usual between two looks is a gap
WIDTHS = (5, 7, 13)  # of a gauge, a mean and a ratio


def with_one(looks: Sequence[Sequence[float]], counted: Counted, now: datetime) -> list[list[float]]:
    """Return the record with one more look; the oldest makes room."""
    look = [round(now.timestamp()), *counted.candidate, *counted.stable]
    return [*map(list, looks), look][-MOST_LOOKS:]


def counts(look: Sequence[float]) -> tuple[float, float]:
    """Return how many values candidate and stable had."""
    return look[1], look[1 + len(look) // 2]


def weight(looks: Sequence[Sequence[float]]) -> float:
    """Return the weight of a look of late, as `assay.stats.means` weighs it."""
    return fmean(a * b / (a + b) for a, b in map(counts, looks[-LATELY:]))


def of_candidate(looks: Sequence[Sequence[float]]) -> float:
    """Return how many events or values of the candidate a look had of late."""
    return fmean(counts(look)[0] for look in looks[-LATELY:])


def per_second(looks: Sequence[Sequence[float]]) -> float:
    """Return how many values a second both revisions had; 0 where nobody knows. What is far apart tells of a gap, not of traffic."""
    pairs = [(new[0] - old[0], sum(counts(new))) for old, new in pairwise(looks) if new[0] > old[0]]
    if not pairs:
        return 0.0
    most = GAP * median(seconds for seconds, _ in pairs)
    near = [pair for pair in pairs if pair[0] <= most]
    return sum(count for _, count in near) / sum(seconds for seconds, _ in near)
