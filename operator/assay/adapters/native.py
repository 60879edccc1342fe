"""What does Prometheus tell of a native histogram, as cumulative buckets on one grid?

Native histograms name only the buckets that hold something, in the resolution that they have at the moment, and those of custom
bounds any bound. To be subtracted, and compared between pods, all are laid on one grid: bounds 9 % apart (schema 3).
A bucket that ends between two of them goes to the higher one.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from assay.core.decision import Series
from assay.stats.buckets import native_bounds, native_counts, native_index

SCHEMA: Final = 3
FIRST, LAST = -14 * 2**SCHEMA, 10 * 2**SCHEMA  # from 61 microseconds to 1,024 seconds, where those are the unit
BOUNDS: Final = native_bounds(SCHEMA, FIRST, LAST)


def on_grid(labels: Mapping[str, str], samples: Sequence[tuple[float, Mapping[str, Any]]]) -> Series:
    """Return a series that counts all events, and those up to each bound of the grid.

    Args:
        labels: Of the native histogram.
        samples: (seconds since the epoch, what the HTTP API says: `count`, and `buckets` of [rule, lower, upper, count]).

    Raises:
        ValueError: Values below 0, or something that is no count: a quantile of those is not told by a factor.
    """
    upto = np.cumsum([_placed(one.get("buckets", [])) for _, one in samples], axis=1, dtype=float)
    told = tuple((float(at), float(total)) for (at, _), total in zip(samples, upto[:, -1], strict=True))
    return Series(labels, told, BOUNDS[:-1], upto[:, :-1])


def _placed(buckets: Sequence[Sequence[Any]]) -> tuple[int, ...]:
    placed: dict[int, int] = defaultdict(int)
    negative = 0
    for _, _, upper, count in buckets:  # the lower end may be minus infinity: of custom bounds, the first bucket's
        if float(upper) < 0:
            negative += _whole(count)
        else:
            placed[_index(float(upper))] += _whole(count)
    return native_counts(placed, FIRST, LAST, negative=negative)


def _whole(count: str) -> int:
    value = float(count)
    if not math.isfinite(value):
        raise ValueError(f"a bucket counts {count}, which is no number of events")
    return round(value)


def _index(bound: float) -> int:
    if bound <= BOUNDS[0]:
        return FIRST
    return LAST + 1 if bound > BOUNDS[-2] else native_index(SCHEMA, bound)
